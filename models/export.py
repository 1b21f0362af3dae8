"""Writes a diffusers model as a folder of ONNX graphs, the way the program likes them best.

    python models/export.py MODEL FOLDER [--dtype fp16|fp32] [--size WxH] [--no-hidden-states] [--steps N] ...

MODEL is a folder of diffusers (with model_index.json) or a single file that diffusers can load; FOLDER must not exist.
The graphs take pictures of any size unless `--size` fixes it, batches of any size, and opset 17.
They come from torch's exporter with optimum's descriptions of their ports; graphs.py gives the weights their torch names back,
so that LoRAs find them and `diffused models import --like FOLDER` can fill the folder with another checkpoint.
With 16 bits, XL's autoencoder and the scores of v2's attention stay in 32 bits, because they overflow.
Nothing in the folder tells when, where or from which path it was made: the same model gives the same bytes.
The safety checker and a depth estimator are left out.
"""
import argparse
import pathlib
import shutil

import diffusers
import torch
from diffusers.loaders import single_file_utils
from diffusers.models.attention_processor import AttnProcessor

import families
import graphs
import manifest

VAE = ("vae_encoder", "vae_decoder")
TYPES = {"fp32": torch.float32, "fp16": torch.float16}


def load(model, config):
    """The pipeline of a folder or a file, in 32 bits. A file's settings come from `config`, else diffusers downloads them."""
    if model.is_dir():
        checked = "safety_checker" in diffusers.DiffusionPipeline.load_config(model)
        without = dict(safety_checker=None, requires_safety_checker=False) if checked else {}
        return diffusers.DiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32, **without)
    kind = single_file_utils.infer_diffusers_model_type(single_file_utils.load_single_file_checkpoint(str(model)))
    name = "StableDiffusion" + "XL" * kind.startswith("xl") + "Inpaint" * ("inpaint" in kind) + "Pipeline"
    settings = {"config": str(config)} if config else {}
    return getattr(diffusers, name).from_single_file(str(model), torch_dtype=torch.float32, **settings)


def parts(pipeline, dtype, hidden_states):
    """What is exported: {folder: (module, ports)}."""
    half = dtype == "fp16"
    pipeline.to(TYPES[dtype])
    if half and pipeline.unet.config.upcast_attention:
        pipeline.unet.set_attn_processor(AttnProcessor())  # the only one that heeds the setting
    found = graphs.parts(pipeline, half, hidden_states)
    if half and (pipeline.vae.config.force_upcast and hasattr(pipeline, "text_encoder_2")):
        pipeline.vae.to(torch.float32)
        found |= {part: graphs.parts(pipeline, False, hidden_states)[part] for part in VAE}
    return found


def downscale(pipeline):
    """Pixels of a latent's side."""
    return 2 ** (len(pipeline.vae.config.block_out_channels) - 1)


def size(pipeline, asked):
    """The size that is asked for, or the one that the U-Net was trained with: (width, height) in pixels."""
    step = downscale(pipeline)
    if asked is None:
        side = pipeline.unet.config.sample_size
        high, wide = side if isinstance(side, (list, tuple)) else (side, side)
        return wide * step, high * step
    step *= 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    if any(side % step for side in asked):
        raise SystemExit(f"width and height must be multiples of {step}, got {asked[0]}x{asked[1]}")
    return asked


def pair(text):
    """Width and height by `WxH`."""
    width, height = (int(side) for side in text.split("x"))
    return width, height


def fix(model, part, pixels, step):
    """Declares the sides of the pictures and latents; batches and texts stay free."""
    for port in [*model.graph.input, *model.graph.output]:
        if port.name not in ("sample", "out_sample", "latent_sample", "latent_parameters"):
            continue
        divisor = 1 if part in VAE and port.name == "sample" else step
        for axis, side in zip((3, 2), pixels):
            port.type.tensor_type.shape.dim[axis].dim_value = side // divisor


def write_settings(pipeline, found, folder, ours):
    """The JSON files and the vocabulary."""
    index = {"_class_name": type(pipeline).__name__, "_diffusers_version": diffusers.__version__}
    for part, (module, _) in found.items():
        families.write_json(folder / part / "config.json", families.settings(module))
        library = "transformers" if part.startswith("text") else "diffusers"
        index[part] = [library, type(module).__name__]
    index["scheduler"] = ["diffusers", type(pipeline.scheduler).__name__]
    families.write_json(folder / "scheduler" / "scheduler_config.json", families.schedule(pipeline.scheduler))
    for part in ("tokenizer", "tokenizer_2"):
        if getattr(pipeline, part, None) is not None:
            getattr(pipeline, part).save_pretrained(folder / part)
            index[part] = ["transformers", "CLIPTokenizer"]
    zeros = pipeline.config.get("force_zeros_for_empty_prompt")
    index |= {} if zeros is None else {"force_zeros_for_empty_prompt": zeros}
    families.write_json(folder / "model_index.json", index)
    families.write_json(folder / "diffused.json", {key: value for key, value in ours.items() if value is not None})
    for file in folder.rglob("tokenizer_config.json"):
        content = families.json.loads(file.read_text(encoding="utf-8"))
        families.write_json(file, {key: value for key, value in content.items() if "name_or_path" not in key})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dtype", choices=TYPES, default="fp32", help="how weights are stored and reckoned with")
    parser.add_argument("--size", metavar="WxH", type=pair, help="fix the size, which is free otherwise")
    parser.add_argument("--hidden-states", action=argparse.BooleanOptionalAction, default=True, help="outputs for clip skip")
    parser.add_argument("--config", type=pathlib.Path, help="a folder of diffusers with the settings of a single file")
    parser.add_argument("--steps", type=int, help="steps to recommend in diffused.json")
    parser.add_argument("--guidance-scale", type=float, help="guidance scale to recommend")
    parser.add_argument("--guidance", choices=["cfg", "none"], help="none for models that were distilled to need none (Turbo)")
    return parser.parse_args()


def main():
    asked = arguments()
    if asked.folder.exists():
        raise SystemExit(f"{asked.folder} exists: give another folder")
    pipeline = load(asked.model, asked.config)
    width, height = size(pipeline, asked.size)
    found = parts(pipeline, asked.dtype, asked.hidden_states)
    asked.folder.mkdir(parents=True)
    try:
        ours = dict(steps=asked.steps, guidance_scale=asked.guidance_scale, guidance=asked.guidance, width=width, height=height)
        write_settings(pipeline, found, asked.folder, ours)
        for part, (module, ports) in found.items():
            model, layouts = graphs.named(part, module, ports)
            if asked.size:
                fix(model, part, (width, height), downscale(pipeline))
            graphs.write(asked.folder / part, model, layouts, dict(module.named_parameters()))
            print(part, len(layouts), "weights", flush=True)
        manifest.write(asked.folder)
    except BaseException:
        shutil.rmtree(asked.folder)  # half a model must not look like one
        raise


if __name__ == "__main__":
    main()
