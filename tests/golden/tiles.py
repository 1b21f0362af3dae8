"""Writes tiles.json: what diffusers' tiled decoding and encoding make of the toy model's autoencoder at 128x128 pixels.

Run: OMP_NUM_THREADS=1 python tests/golden/tiles.py
Needs torch, diffusers and onnxruntime; last run with torch 2.15.0, diffusers 0.35.2, onnxruntime 1.31.1.

The cutting and blending is that of diffusers' AutoencoderKL; a tile goes through the exported graphs in `toy`. Every
third pixel of every third row is kept.
"""

import json
import pathlib

import onnxruntime
import torch
from diffusers import AutoencoderKL

HERE = pathlib.Path(__file__).parent


class Exported(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(HERE / "toy" / name / "model.onnx", options)

    def forward(self, values, *_):
        name = self.session.get_inputs()[0].name
        return torch.from_numpy(self.session.run(None, {name: values.numpy()})[0])


def autoencoder():
    """Of its own weights nothing is used."""
    sizes = {"block_out_channels": (4,) * 4, "norm_num_groups": 4, "latent_channels": 4, "sample_size": 64}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(use_quant_conv=False, use_post_quant_conv=False, **sizes, **blocks)
    vae.encoder, vae.decoder = Exported("vae_encoder"), Exported("vae_decoder")
    return vae


def kept(values, step):
    return [[[round(x, 5) for x in row] for row in plane] for plane in values[0, :, ::step, ::step].tolist()]


vae = autoencoder()
noise = lambda shape: torch.randn(shape, generator=torch.Generator().manual_seed(7))
decoded = vae.tiled_decode(noise((1, 4, 16, 16))).sample
mean = vae._tiled_encode(noise((1, 3, 128, 128)))[:, :4]
result = {"decoded": kept(decoded, 3), "mean": kept(mean, 1)}
(HERE / "tiles.json").write_text(json.dumps(result) + "\n")
