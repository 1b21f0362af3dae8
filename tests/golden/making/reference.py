"""Runs a request through diffusers' own pipeline of the family, and keeps what `diffused generate --trace` keeps."""

import json
import sys
import types

import diffusers
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, DPTImageProcessor

from brownian import Path

from . import inputs, nets
from .folders import SCRATCH, assemble, reload

sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))  # only its Brownian tree, which is not used here
from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler  # noqa: E402

CLASSES = {
    "ddim": (diffusers.DDIMScheduler, {}),
    "ddpm": (diffusers.DDPMScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler_ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpm2": (diffusers.KDPM2DiscreteScheduler, {}),
    "dpm2_ancestral": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_sde": (DPMSolverSDEScheduler, {}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
    "deis": (diffusers.DEISMultistepScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {}),
    "tcd": (diffusers.TCDScheduler, {}),
}
SCHEDULES = {
    "model": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}
WEIGHTS_OF = {"sd1-legacy": "sd1", "sd1-fp16": "sd1", "sd1-safety": "sd1"}


class Inner:
    """The weights of a graph that was exported from within a wrapper."""

    def __init__(self, *files):
        self.graphs = [reload.Graph(str(file)) for file in files]

    def parameter(self, name, shape):
        for graph in self.graphs:
            try:
                return graph.parameter(f"model.{name}", shape)
            except KeyError:
                pass
        raise KeyError(f"no weight for {name} of shape {shape}")


class Family:
    """The parts of a model folder as torch modules, their weights read back from the folder's graphs."""

    def __init__(self, name):
        self.name = name
        folder = self.folder = assemble(WEIGHTS_OF.get(name, name), SCRATCH / name)
        self.config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        self.parts = {
            "text_encoder": reload.load_text_encoder(folder),
            "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            "unet": reload.load_unet(folder),
            "vae": autoencoder(folder),
        }
        if self.is_xl():
            self.parts["text_encoder_2"] = text_encoder_2(folder)
            self.parts["tokenizer_2"] = CLIPTokenizer.from_pretrained(folder / "tokenizer_2")
        self.depth_net = depth_net(folder) if (folder / "depth_estimator").exists() else None

    def is_xl(self):
        return (self.folder / "text_encoder_2").exists()

    def is_consistency(self):
        return self.parts["unet"].config.time_cond_proj_dim is not None

    def pipeline(self, case):
        """As a user would build it from the folder: the scheduler is made from the folder's configuration.

        Where that leaves out `clip_sample`, the classes DDIM and DDPM would clip the clean latents. The pipeline for text-to-image
        forbids it, those for other tasks have forgotten to; nobody wants it.
        """
        made, more = CLASSES[case["sampler"]]
        config = {"clip_sample": False, **self.config, **more, **SCHEDULES[case["schedule"]]}
        scheduler = made.from_config(config)
        kind = getattr(diffusers, self.kind(case))
        absent = {"force_zeros_for_empty_prompt": True, "add_watermarker": False} if self.is_xl() else WITHOUT_CHECKER
        if self.depth_net:
            absent = {"depth_estimator": self.depth_net[0], "feature_extractor": self.depth_net[1]}
        pipe = kind(**self.parts, scheduler=scheduler, **absent)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def kind(self, case):
        if self.depth_net:
            return "StableDiffusionDepth2ImgPipeline"
        if self.is_consistency():
            return "LatentConsistencyModelImg2ImgPipeline" if "init_image" in case else "LatentConsistencyModelPipeline"
        task = "Inpaint" if "mask" in case else "Img2Img" if "init_image" in case else ""
        return f"StableDiffusion{'XL' if self.is_xl() else ''}{task}Pipeline"


WITHOUT_CHECKER = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def autoencoder(folder):
    config = reload.config(folder, "vae_decoder")
    if config["_class_name"] == "AutoencoderKL":
        return reload.load_autoencoder(folder)
    halves = {half: Inner(folder / f"vae_{half}" / "model.onnx") for half in ("encoder", "decoder")}
    return reload.fill(AutoencoderTiny.from_config(config), lambda name: halves[name.partition(".")[0]])


def text_encoder_2(folder):
    graph = reload.Graph(f"{folder}/text_encoder_2/model.onnx")
    config = CLIPTextConfig(**reload.config(folder, "text_encoder_2"))
    return reload.fill(CLIPTextModelWithProjection(config), lambda name: graph)


def depth_net(folder):
    """The exporter folds too much of this one to read it back; it comes from its seed, and `make.py check` compares."""
    return nets.depth_net(), DPTImageProcessor.from_pretrained(folder / "feature_extractor")


def generators(case):
    """Picture k has seed + k: a list of generators, as diffusers wants it for that."""
    made = [torch.Generator("cpu").manual_seed(case["seed"] + k) for k in range(case.get("count", 1))]
    return made if len(made) > 1 else made[0]


def arguments(family, pipe, case):
    """The request in diffusers' words."""
    scale = case.get("guidance_scale", 0.0)  # absent: the model is not guided
    given = {
        "prompt": case["prompt"],
        "guidance_scale": scale,
        "num_inference_steps": case["steps"],
        "num_images_per_prompt": case.get("count", 1),
        "generator": generators(case),
    }
    if not family.is_consistency():
        given |= {"negative_prompt": case.get("negative_prompt"), "eta": case.get("eta", 0.0)}
    if family.is_xl():
        given["negative_prompt"] = case.get("negative_prompt") or None  # an empty one is none at all: zeros
    if "guidance_rescale" in case:
        given["guidance_rescale"] = case["guidance_rescale"]
    if case.get("guidance_scale") == 0.0:
        given |= ignoring_the_prompt(family, pipe, case)
    return given | pictures(family, case)


def ignoring_the_prompt(family, pipe, case):
    """Guidance 0 means here that the prompt is ignored, so the negative prompt takes its place, without guidance."""
    given = {"prompt": case["negative_prompt"], "guidance_scale": 1.0}
    if family.is_xl() and not case["negative_prompt"]:
        _, zeros, _, pooled = pipe.encode_prompt(case["prompt"], do_classifier_free_guidance=True)
        given |= {"prompt": None, "prompt_embeds": zeros, "pooled_prompt_embeds": pooled}
    return given


def pictures(family, case):
    """What goes in as a picture, and how much of it stays; without one, the size of what comes out."""
    given = {}
    if "init_image" in case:
        given |= {"image": inputs.colours(case["init_image"]), "strength": case["strength"]}
    if "mask" in case:
        given["mask_image"] = inputs.mask(case["mask"])
    if "depth" in case:
        given["depth_map"] = depth_map(family, case)
        given.setdefault("image", inputs.colours("init.png"))  # the class asks for one even where it is not used
        given.setdefault("strength", 1.0)
    elif "mask" in case or "init_image" not in case:
        given |= {"width": case["width"], "height": case["height"]}
    return given


def depth_map(family, case):
    """[1, height, width]. Estimated in 32-bit floats: the pipeline itself would take bfloat16 on a CPU."""
    if case["depth"] != "estimate":
        return torch.from_numpy(inputs.depth(case["depth"]))[None]
    model, processor = family.depth_net
    with torch.no_grad():
        return model(processor(images=inputs.colours(case["init_image"]), return_tensors="pt").pixel_values).predicted_depth


def alone(case):
    """One case a picture where diffusers gives the pictures of a batch one posterior: inpainting."""
    if "mask" not in case:
        return [case]
    return [{**case, "seed": case["seed"] + k, "count": 1} for k in range(case.get("count", 1))]


class Watched:
    """A pipeline under observation: the noise that it starts from and what the U-Net is asked."""

    def __init__(self, family, case):
        self.pipe, self.calls, self.noise = family.pipeline(case), [], None
        self.family, self.case = family, case
        self.given = arguments(family, self.pipe, case)
        self.handle = self.pipe.unet.register_forward_pre_hook(self.before, with_kwargs=True)
        self.listen_to_the_noise()
        if case["sampler"] == "dpmpp_sde":
            self.plain_normals()
        if family.depth_net and self.given["strength"] == 1.0:
            self.pipe.prepare_latents = self.only_noise

    def before(self, _, positional, named):
        sample, time = positional
        if self.family.name == "sd1-legacy":  # as OnnxStableDiffusionPipeline does it for graphs with whole timesteps
            time = time.long()
        self.calls.append((sample, time))
        return (sample, time), named

    def listen_to_the_noise(self):
        """`add_noise` is told it; text-to-image never calls that, and starts with the first draw."""
        add_noise = self.pipe.scheduler.add_noise

        def told(clean, noise, times):
            self.noise = noise if self.noise is None else self.noise
            return add_noise(clean, noise, times)

        self.pipe.scheduler.add_noise = told

    def plain_normals(self):
        """In the place of torchsde's Brownian tree: a path of plain draws from the run's own generator."""
        scheduler, generator, set_timesteps = self.pipe.scheduler, self.given["generator"], self.pipe.scheduler.set_timesteps

        def set_and_replace(*positional, **named):
            set_timesteps(*positional, **named)
            shape = latent_shape(self.case)
            scheduler.noise_sampler = Path(lambda: torch.randn(shape, generator=generator))

        scheduler.set_timesteps = set_and_replace

    def only_noise(self, image, timestep, batch, count, dtype, device, generator=None):
        """Strength 1 is text-to-image here: the init image is not encoded."""
        return first_draw(self.case) * self.pipe.scheduler.init_noise_sigma

    def run(self, output):
        with torch.no_grad():
            images = self.pipe(**self.given, output_type=output).images
        self.handle.remove()
        return images


def latent_shape(case):
    return (1, 4, case["height"] // 8, case["width"] // 8)


def first_draw(case):
    each = generators(case)
    each = each if isinstance(each, list) else [each]
    return torch.cat([torch.randn(latent_shape(case), generator=one) for one in each])


def tensors(family, case, traced):
    """By the names that a trace has."""
    kept, k = {}, 0
    for one in alone(case):
        watched = Watched(family, one)
        latents = watched.run("latent")
        noise = first_draw(one) if watched.noise is None else watched.noise
        for start, end in zip(noise.split(1), latents.split(1)):
            kept |= {f"{k}.noise": start, f"{k}.latents": end}
            k += 1
    for number, (sample, time) in enumerate(watched.calls if traced else []):
        kept[f"0.call.{number:03}.input"] = sample[:1]
        kept[f"0.call.{number:03}.timestep"] = time.float()
    return kept


def words(family, case):
    """Token ids of both texts, by both tokenizers where there are two."""
    kept = {}
    for ending in ("", "_2"):
        tokenizer = family.parts.get(f"tokenizer{ending}")
        for side, text in (("conditional", case["prompt"]), ("unconditional", case.get("negative_prompt", ""))):
            if tokenizer is not None:
                padded = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"}
                kept[f"tokens{ending}.{side}"] = tokenizer(text, **padded).input_ids[0]
    return kept


def embeddings(family, case):
    """What the U-Net is told of both texts."""
    pipe = family.pipeline(case)
    negative = case.get("negative_prompt", "")
    with torch.no_grad():
        if family.is_xl():
            names = "embeddings.conditional", "embeddings.unconditional", "pooled.conditional", "pooled.unconditional"
            both = pipe.encode_prompt(case["prompt"], negative_prompt=negative or None, do_classifier_free_guidance=True)
        else:
            names = "embeddings.conditional", "embeddings.unconditional"
            both = pipe.encode_prompt(case["prompt"], "cpu", 1, True, negative)
    return dict(zip(names, both))


def images(family, case):
    return [image for one in alone(case) for image in Watched(family, one).run("pil")]
