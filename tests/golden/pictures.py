"""Makes the reference pictures of a model folder with diffusers' StableDiffusionPipeline.

Run: OMP_NUM_THREADS=1 python tests/golden/pictures.py toy        -> tests/golden/pictures/toy
     OMP_NUM_THREADS=1 python tests/golden/pictures.py shapes     -> tests/golden/pictures/shapes
Needs torch, diffusers, transformers and onnx; last run with torch 2.15.0, diffusers 0.35.2, transformers 4.57.6.

The torch weights are read back from the folder's own graphs. `cases.json` lists the requests in the words of the contract; for
each there are the picture as PNG and a safetensors file with the token ids, the starting noise and the final latents, by the names
that they have in a trace of `diffused generate`.
`graphs.sha256` tells from which graphs they were made.
Guidance 0 means here that the prompt is ignored, so the reference runs with the negative prompt in its place and no guidance.
"""

import hashlib
import json
import pathlib
import shutil
import sys

import diffusers
import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "models" / "training"))
import reload  # noqa: E402

FOLDERS = {"toy": HERE / "toy", "shapes": ROOT / "models" / "shapes"}
CLASSES = {
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
}


def cases(guidance):
    """Name, and what the request says beyond the common part."""
    common = {
        "prompt": "a red circle on a blue background",
        "negative_prompt": "",
        "seed": 4711,
        "steps": 20,
        "sampler": "ddim",
        "schedule": "model",
        "guidance_scale": guidance,
        "width": 64,
        "height": 64,
    }
    changes = {
        "ddim": {},
        "ddim-negative": {"prompt": "A Yellow STAR, at night!", "negative_prompt": "a small green house"},
        "ddim-unconditional": {"guidance_scale": 0.0},
        "ddim-conditional": {"guidance_scale": 1.0},
        "ddim-eta": {"eta": 0.5, "seed": 2**32 + 8},
        "ddim-wide": {"width": 128, "prompt": "a black boat at sea"},
        "euler": {},
        "euler-karras": {"schedule": "karras"},
        "euler_ancestral": {"prompt": "A Yellow STAR, at night!"},
        "dpmpp_2m": {"prompt": "a white square on a green background"},
        "dpmpp_2m-karras": {"schedule": "karras", "steps": 12},
    }
    return [{"name": name, **common, **change, "sampler": name.split("-")[0], **change} for name, change in changes.items()]


def pipeline(folder, parts, case):
    """As a user would build it from the folder: the scheduler is made from the folder's configuration."""
    text_encoder, unet, vae = parts
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    if case["schedule"] == "karras":
        config["use_karras_sigmas"] = True
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=CLASSES[case["sampler"]].from_config(config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe, case, output):
    ignored = case["guidance_scale"] == 0
    return pipe(
        prompt=case["negative_prompt"] if ignored else case["prompt"],
        negative_prompt=case["negative_prompt"],
        guidance_scale=1.0 if ignored else case["guidance_scale"],
        num_inference_steps=case["steps"],
        width=case["width"],
        height=case["height"],
        eta=case.get("eta", 0.0),
        generator=torch.Generator("cpu").manual_seed(case["seed"]),
        output_type=output,
    ).images


def tokens(pipe, text):
    return pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids


def make(folder, parts, case, target):
    pipe = pipeline(folder, parts, case)
    shape = (1, pipe.unet.config.in_channels, case["height"] // 8, case["width"] // 8)
    tensors = {
        "tokens.conditional": tokens(pipe, case["prompt"])[0],
        "tokens.unconditional": tokens(pipe, case["negative_prompt"])[0],
        "0.noise": torch.randn(shape, generator=torch.Generator("cpu").manual_seed(case["seed"])),
        "0.latents": run(pipe, case, "latent"),
    }
    if case["guidance_scale"] == 1:  # there is no pass with the negative prompt
        del tensors["tokens.unconditional"]
    file = target / f"{case['name']}.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, file)
    file.chmod(0o644)
    run(pipe, case, "pil")[0].save(target / f"{case['name']}.png", optimize=True)


def main():
    model = sys.argv[1]
    folder, target = FOLDERS[model], HERE / "pictures" / model
    settings = folder / "diffused.json"
    guidance = json.loads(settings.read_text())["guidance_scale"] if settings.exists() else 7.5
    parts = reload.load_text_encoder(folder), reload.load_unet(folder), reload.load_autoencoder(folder)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    chosen = cases(guidance)
    for case in chosen:
        make(folder, parts, case, target)
        print(case["name"], flush=True)
    write_index(folder, target, chosen)


def write_index(folder, target, chosen):
    """The graphs that the references were made from, and the requests."""
    graphs = sorted(folder.glob("*/model.onnx"))
    sums = [f"{hashlib.sha256(graph.read_bytes()).hexdigest()}  {graph.relative_to(folder)}\n" for graph in graphs]
    (target / "graphs.sha256").write_text("".join(sums))
    lines = ",\n".join(json.dumps(case) for case in chosen)
    (target / "cases.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
