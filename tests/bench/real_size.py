"""Makes a model folder of Stable Diffusion v1.5's real size, with random weights: for speed and memory, not for pictures.

    python tests/bench/real_size.py FOLDER [--dtype fp32|fp16]

Leaves FOLDER/DTYPE, as optimum exports it, with any size and batch. 4.3 GB on the disk in 32 bits, 2.2 GB in 16; making it takes
10 GB of memory and a few minutes. Needs models/requirements.txt.
The weights are torch's own initial ones, of a fixed seed. The last layers are scaled, so that the denoiser's output and the
pictures have about the deviation of a trained model's: the arithmetic meets no infinities and no denormal numbers.
"""
import argparse
import json
import pathlib
import sys

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from optimum.exporters.onnx import onnx_export_from_model
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pipeline():
    """Stable Diffusion v1.5's configuration, with CLIP's own tokenizer."""
    torch.manual_seed(0)
    cross = ("CrossAttnDownBlock2D",) * 3, ("CrossAttnUpBlock2D",) * 3
    return StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(ROOT / "models/shapes/tokenizer"),
        text_encoder=CLIPTextModel(CLIPTextConfig(
            vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
            projection_dim=768, bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)),
        unet=UNet2DConditionModel(
            sample_size=64, down_block_types=(*cross[0], "DownBlock2D"), up_block_types=("UpBlock2D", *cross[1]),
            block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8),
        vae=AutoencoderKL(
            sample_size=512, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2),
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)


@torch.no_grad()
def scaled(made):
    """Outputs of the denoiser with deviation 1, pictures with 0.4."""
    noise, text = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 768)
    made.unet.conv_out.weight /= made.unet(noise, 500, text).sample.std()
    decoded = made.vae.decode(noise / made.vae.config.scaling_factor).sample
    last = made.vae.decoder.conv_out
    factor = 0.4 / decoded.std()
    last.weight *= factor
    last.bias.copy_(factor * (last.bias - decoded.mean((0, 2, 3))))
    return made


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dtype", choices=["fp32", "fp16"], default="fp32")
    args = parser.parse_args(arguments)
    target = args.folder / args.dtype
    if (target / "model_index.json").exists():
        return print(f"{target} is there already")
    made = scaled(pipeline())
    # torch cannot trace 16-bit convolutions on every processor with free sizes; traced small, the graphs are free all the same.
    small = {} if args.dtype == "fp32" else dict(batch_size=1, height=16, width=16)
    if args.dtype == "fp16":
        made.to(dtype=torch.float16)
    onnx_export_from_model(made, target, opset=17, do_validation=False, device="cpu", **small)
    (target / "diffused.json").write_text(json.dumps({"width": 512, "height": 512}))


if __name__ == "__main__":
    main(sys.argv[1:])
