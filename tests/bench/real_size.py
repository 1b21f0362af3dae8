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
from optimum.exporters.onnx import onnx_export_from_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from lora import pipeline  # noqa: E402: the same model as the bench of LoRAs has


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
