"""The model folder of each family.

`families/NAME/model` holds what is the family's own; `families/NAME/shared.json` says which parts of the folder are another
family's: {"part of the folder": "file or folder under tests/golden"}. `assemble` puts both together.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from transformers import CLIPImageProcessor, CLIPTokenizer, DPTImageProcessor

from . import exporting, nets
from .learning import Phrases, learn

GOLDEN = pathlib.Path(__file__).parent.parent
FAMILIES = GOLDEN / "families"
REMOVED_AT_THE_END = tempfile.TemporaryDirectory()
SCRATCH = pathlib.Path(REMOVED_AT_THE_END.name)
sys.path[:0] = [str(GOLDEN), str(GOLDEN.parent.parent / "models" / "training")]
import reload  # noqa: E402
import toy  # noqa: E402

TRAINED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TURBO = {**TRAINED, "timestep_spacing": "trailing", "steps_offset": 1}
PUBLISHED = {"clip_sample": False, "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True}
NO_GUIDANCE = {"guidance": "none", "steps": 1}
VOCABULARY = 1000


def assemble(name, target):
    """The complete folder of a family, as its user has it."""
    family = FAMILIES / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(family / "model", target) if (family / "model").exists() else target.mkdir(parents=True)
    for part, source in json.loads((family / "shared.json").read_text()).items():
        source, place = GOLDEN / source, target / part
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, place) if source.is_dir() else shutil.copyfile(source, place)
    return target


def tokenizer(pad=toy.END):
    """The toy's vocabulary; v2 pads with the token 0, which is `!`."""
    folder = GOLDEN / "toy" / "tokenizer"
    marks = {"bos_token": toy.START, "eos_token": toy.END, "unk_token": toy.END, "pad_token": pad}
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), **marks, model_max_length=77)


def embed(words, encoder, texts):
    ids = words(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        return encoder(ids, output_hidden_states=True)


def phrases(words, encoder):
    texts, fields = toy.phrases()
    known, nothing = (embed(words, encoder, batch).last_hidden_state for batch in (texts, [""]))
    return Phrases(texts, fields, known, nothing)


def autoencoder():
    """The toy's, but a picture shows more clearly in its latents and the posterior is narrow."""
    model = reload.load_autoencoder(GOLDEN / "toy")
    with torch.no_grad():
        pixels = pictures(model)
        mean = model.encode(pixels).latent_dist.mean
        scale = 0.8 / 0.18215 / mean.std((0, 2, 3))
        last = model.quant_conv
        last.weight[:4] *= scale.view(4, 1, 1, 1)
        last.bias[:4] = scale * (last.bias[:4] - mean.mean((0, 2, 3)))
        last.bias[4:] -= 2.0
    return model


def pictures(model):
    """What the decoder shows for the patterns, [64, 3, 64, 64]."""
    with torch.no_grad():
        return model.decode(toy.phrases()[1] / 0.18215).sample.clamp(-1, 1)


def plain(kind, **parts):
    """A pipeline of the kind without a safety checker."""
    return kind(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def share(name, **parts):
    """Says which parts are another family's."""
    exporting.write_json(FAMILIES / name / "shared.json", parts)


def as_published(folder):
    """The published scheduler files keep settings of other classes; a sampler may ask for them."""
    file = folder / "scheduler" / "scheduler_config.json"
    exporting.write_json(file, json.loads(file.read_text()) | PUBLISHED)


def own(name, part):
    return f"families/{name}/model/{part}"


def sd1():
    encoder, words = nets.text_encoder(VOCABULARY, 24, "quick_gelu"), tokenizer()
    scheduler = PNDMScheduler(**TRAINED, skip_prk_steps=True, steps_offset=1)
    unet = learn(nets.unet(24), phrases(words, encoder).plain, scheduler)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": autoencoder(), "scheduler": scheduler}
    pipeline = plain(StableDiffusionPipeline, **parts)
    folder = FAMILIES / "sd1" / "model"
    exporting.with_optimum(pipeline, folder, ["model_index.json", "text_encoder", "unet", "vae_encoder"])
    share("sd1", scheduler="toy/scheduler", tokenizer="toy/tokenizer", vae_decoder="toy/vae_decoder")


def pipeline_of_sd1():
    """Read back from its graphs."""
    folder = assemble("sd1", SCRATCH / "sd1")
    parts = reload.load_text_encoder(folder), reload.load_unet(folder), reload.load_autoencoder(folder)
    scheduler = PNDMScheduler.from_pretrained(folder / "scheduler")
    text_encoder, unet, vae = parts
    return plain(
        StableDiffusionPipeline, text_encoder=text_encoder, tokenizer=tokenizer(), unet=unet, vae=vae, scheduler=scheduler
    )


def sd1_legacy():
    exporting.legacy(pipeline_of_sd1(), FAMILIES / "sd1-legacy" / "model")
    share("sd1-legacy", scheduler="toy/scheduler", tokenizer="toy/tokenizer")


def sd1_fp16():
    folder = FAMILIES / "sd1-fp16" / "model"
    graphs = ["text_encoder", "unet", "vae_encoder", "vae_decoder"]
    exporting.with_optimum(exporting.in_half(pipeline_of_sd1()), folder, ["model_index.json", *graphs])
    share("sd1-fp16", scheduler="toy/scheduler", tokenizer="toy/tokenizer")


def sd1_tiny_vae():
    folder = FAMILIES / "sd1-tiny-vae" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    exporting.tiny_autoencoder(nets.tiny_autoencoder(), folder)
    index = json.loads((FAMILIES / "sd1" / "model" / "model_index.json").read_text())
    exporting.write_json(folder / "model_index.json", {**index, "vae": ["diffusers", "AutoencoderTiny"]})
    share(
        "sd1-tiny-vae",
        scheduler="toy/scheduler",
        tokenizer="toy/tokenizer",
        text_encoder=own("sd1", "text_encoder"),
        unet=own("sd1", "unet"),
    )


def sd1_safety():
    """Made after the pictures of sd1: its checker lets the one through and flags the other."""
    folder, processor = FAMILIES / "sd1-safety" / "model", CLIPImageProcessor()
    shutil.rmtree(folder, ignore_errors=True)
    seen = [Image.open(FAMILIES / "sd1" / "cases" / f"{case}.png") for case in ("ddim", "euler")]
    model = nets.safety_checker(*(processor(picture, return_tensors="pt").pixel_values for picture in seen))
    exporting.safety_checker(model, folder)
    processor.save_pretrained(folder / "feature_extractor")
    index = json.loads((FAMILIES / "sd1" / "model" / "model_index.json").read_text()) | {
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    }
    exporting.write_json(folder / "model_index.json", index)
    parts = ["text_encoder", "unet", "vae_encoder"]
    shared = {"scheduler": "toy/scheduler", "tokenizer": "toy/tokenizer", "vae_decoder": "toy/vae_decoder"}
    share("sd1-safety", **shared, **{part: own("sd1", part) for part in parts})


def sd2():
    encoder, words = nets.text_encoder(VOCABULARY, 24, "gelu"), tokenizer("!")
    scheduler = DDIMScheduler(
        **TRAINED, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    unet = learn(nets.unet_of_v2(24), phrases(words, encoder).plain, scheduler)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": autoencoder(), "scheduler": scheduler}
    pipeline = plain(StableDiffusionPipeline, **parts)
    kept = ["model_index.json", "text_encoder", "tokenizer", "unet", "scheduler"]
    exporting.with_optimum(pipeline, FAMILIES / "sd2" / "model", kept)
    as_published(FAMILIES / "sd2" / "model")
    share("sd2", vae_decoder="toy/vae_decoder", vae_encoder=own("sd1", "vae_encoder"))


def sd2_zero_snr():
    """The same weights with a schedule that ends in pure noise."""
    folder = FAMILIES / "sd2-zero-snr" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    config = json.loads((FAMILIES / "sd2" / "model" / "scheduler" / "scheduler_config.json").read_text())
    config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    exporting.write_json(folder / "scheduler" / "scheduler_config.json", config)
    parts = ["model_index.json", "text_encoder", "tokenizer", "unet"]
    shared = {part: own("sd2", part) for part in parts}
    share("sd2-zero-snr", **shared, vae_decoder="toy/vae_decoder", vae_encoder=own("sd1", "vae_encoder"))


def text_of_sd2():
    folder = assemble("sd2", SCRATCH / "sd2")
    return reload.load_text_encoder(folder), tokenizer("!")


def turbo():
    encoder, words = text_of_sd2()
    scheduler = EulerAncestralDiscreteScheduler(**TURBO)
    unet = learn(nets.unet_of_v2(24), phrases(words, encoder).plain, scheduler, least=0.05)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": autoencoder(), "scheduler": scheduler}
    folder = FAMILIES / "turbo" / "model"
    exporting.with_optimum(plain(StableDiffusionPipeline, **parts), folder, ["model_index.json", "unet", "scheduler"])
    as_published(folder)
    exporting.write_json(folder / "diffused.json", NO_GUIDANCE)
    shared = {part: own("sd2", part) for part in ("text_encoder", "tokenizer")}
    share("turbo", **shared, vae_decoder="toy/vae_decoder", vae_encoder=own("sd1", "vae_encoder"))


def text_of_sd1():
    return reload.load_text_encoder(FAMILIES / "sd1" / "model"), tokenizer()


def lcm():
    encoder, words = text_of_sd1()
    scheduler = LCMScheduler(**TRAINED, clip_sample=False, set_alpha_to_one=True, steps_offset=0)
    width = 16

    def guidance(scale):
        return LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, scale, embedding_dim=width)

    draw = phrases(words, encoder)
    unet = learn(nets.unet(24, time_cond_proj_dim=width), lambda: draw.guided(guidance), scheduler, least=0.05)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": autoencoder(), "scheduler": scheduler}
    pipeline = plain(LatentConsistencyModelPipeline, **parts)
    exporting.with_optimum(pipeline, FAMILIES / "lcm" / "model", ["model_index.json", "unet", "scheduler"])
    share(
        "lcm",
        text_encoder=own("sd1", "text_encoder"),
        tokenizer="toy/tokenizer",
        vae_decoder="toy/vae_decoder",
        vae_encoder=own("sd1", "vae_encoder"),
    )


def inpaint():
    encoder, words = text_of_sd1()
    scheduler = PNDMScheduler(**TRAINED, skip_prk_steps=True, steps_offset=1)
    vae, draw = autoencoder(), phrases(words, encoder)
    with torch.no_grad():
        seen = vae.encode(pictures(vae)).latent_dist.mean * 0.18215
    unet = learn(nets.unet(24, channels=9), lambda: draw.masked(seen), scheduler)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": vae, "scheduler": scheduler}
    pipeline = plain(StableDiffusionInpaintPipeline, **parts)
    exporting.with_optimum(pipeline, FAMILIES / "inpaint" / "model", ["model_index.json", "unet"])
    share(
        "inpaint",
        scheduler="toy/scheduler",
        text_encoder=own("sd1", "text_encoder"),
        tokenizer="toy/tokenizer",
        vae_decoder="toy/vae_decoder",
        vae_encoder=own("sd1", "vae_encoder"),
    )


def depth():
    encoder, words = text_of_sd2()
    scheduler = PNDMScheduler(**TRAINED, skip_prk_steps=True, steps_offset=1)
    unet = learn(nets.unet_of_v2(24, channels=5), phrases(words, encoder).deep, scheduler)
    parts = {"text_encoder": encoder, "tokenizer": words, "unet": unet, "vae": autoencoder(), "scheduler": scheduler}
    folder = FAMILIES / "depth" / "model"
    exporting.with_optimum(plain(StableDiffusionPipeline, **parts), folder, ["model_index.json", "unet", "scheduler"])
    exporting.depth_net(nets.depth_net(), folder)
    side = {"height": 64, "width": 64}
    DPTImageProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    for gone in ("safety_checker", "requires_safety_checker", "image_encoder"):
        index.pop(gone)
    index |= {"_class_name": "StableDiffusionDepth2ImgPipeline", "depth_estimator": ["transformers", "DPTForDepthEstimation"]}
    exporting.write_json(folder / "model_index.json", index | {"feature_extractor": ["transformers", "DPTImageProcessor"]})
    shared = {part: own("sd2", part) for part in ("text_encoder", "tokenizer")}
    share("depth", **shared, vae_decoder="toy/vae_decoder", vae_encoder=own("sd1", "vae_encoder"))


def sdxl():
    pooled_width = 20
    first, words = nets.text_encoder(VOCABULARY, 16, "quick_gelu"), tokenizer()
    second, words_2 = nets.text_encoder(VOCABULARY, 24, "gelu", projection=pooled_width), tokenizer("!")
    texts, fields = toy.phrases()
    one, two = embed(words, first, texts), embed(words_2, second, texts)
    known = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1)
    draw = Phrases(texts, fields, known, torch.zeros_like(known[:1]))
    scheduler = EulerDiscreteScheduler(**TRAINED, timestep_spacing="leading", steps_offset=1, interpolation_type="linear")
    unet = learn(nets.unet_of_xl(40, pooled_width), lambda: draw.sized(two.text_embeds), scheduler)
    vae = autoencoder()
    vae.register_to_config(scaling_factor=0.13025)
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=words,
        tokenizer_2=words_2,
        unet=unet,
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
    )
    folder, encoders = FAMILIES / "sdxl" / "model", ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"]
    configs = ["vae_encoder/config.json", "vae_decoder/config.json"]
    exporting.with_optimum(pipeline, folder, ["model_index.json", "unet", "scheduler", *encoders, *configs])
    as_published(folder)
    graphs = {"vae_encoder": own("sd1", "vae_encoder"), "vae_decoder": "toy/vae_decoder"}
    share("sdxl", **{f"{half}/model.onnx": f"{place}/model.onnx" for half, place in graphs.items()})


def sdxl_turbo():
    """The same weights under the schedule and the settings of the distilled model."""
    folder = FAMILIES / "sdxl-turbo" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    EulerAncestralDiscreteScheduler(**TURBO).save_config(folder / "scheduler")
    as_published(folder)
    exporting.write_json(folder / "diffused.json", NO_GUIDANCE)
    parts = ["model_index.json", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet"]
    parts += ["vae_encoder/config.json", "vae_decoder/config.json"]
    shared = {part: own("sdxl", part) for part in parts}
    graphs = {"vae_encoder": own("sd1", "vae_encoder"), "vae_decoder": "toy/vae_decoder"}
    share("sdxl-turbo", **shared, **{f"{half}/model.onnx": f"{place}/model.onnx" for half, place in graphs.items()})


def whole_toy():
    share("toy", **{part.name: f"toy/{part.name}" for part in sorted((GOLDEN / "toy").iterdir())})


MAKERS = {
    "toy": whole_toy,
    "sd1": sd1,
    "sd1-legacy": sd1_legacy,
    "sd1-fp16": sd1_fp16,
    "sd1-tiny-vae": sd1_tiny_vae,
    "sd1-safety": sd1_safety,
    "sd2": sd2,
    "sd2-zero-snr": sd2_zero_snr,
    "turbo": turbo,
    "lcm": lcm,
    "inpaint": inpaint,
    "depth": depth,
    "sdxl": sdxl,
    "sdxl-turbo": sdxl_turbo,
}


def make(name):
    torch.manual_seed(0)
    MAKERS[name]()
    exporting.tidy(FAMILIES / name / "model")
