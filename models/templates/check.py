"""Holds the graphs that graphs.py makes against torch, with toy modules of every family.

    OMP_NUM_THREADS=1 python models/templates/check.py

They are traced with two pictures of 8 by 8 latents and 77 tokens, and run with three of 16 by 24 and 154: what tracing took
for a constant would show. In 32 bits they must agree to 1e-5 of the largest value, in 16 bits with torch's 32 to 5e-3.
Last run: at most 1.4e-6 and 1.9e-3.
"""
import copy
import pathlib
import sys
import tempfile

import numpy as np
import onnxruntime
import torch
from diffusers import (
    AutoencoderKL, EulerDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline)
from diffusers.models.attention_processor import AttnProcessor

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "tests" / "golden")]
import graphs  # noqa: E402
from making import nets  # noqa: E402

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
WORDS = 99


def vae():
    sizes = dict(block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, layers_per_block=1)
    kinds = dict(down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2)
    return nets.widen(AutoencoderKL(**sizes, **kinds))


def stable_diffusion(unet, text_encoder):
    return StableDiffusionPipeline(
        vae=vae(), text_encoder=text_encoder, tokenizer=None, unet=nets.widen(unet), scheduler=PNDMScheduler(steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def xl():
    return StableDiffusionXLPipeline(
        vae=vae(), text_encoder=nets.text_encoder(WORDS, 16, "quick_gelu"),
        text_encoder_2=nets.text_encoder(WORDS, 24, "gelu", projection=12), tokenizer=None, tokenizer_2=None,
        unet=nets.widen(nets.unet_of_xl(40, 12)), scheduler=EulerDiscreteScheduler(), add_watermarker=False)


FAMILIES = {
    "sd1": lambda: stable_diffusion(nets.unet(16), nets.text_encoder(WORDS, 16, "quick_gelu")),
    "sd1-inpaint": lambda: stable_diffusion(nets.unet(16, 9), nets.text_encoder(WORDS, 16, "quick_gelu")),
    "sd2": lambda: stable_diffusion(nets.unet_of_v2(32), nets.text_encoder(WORDS, 32, "gelu")),
    "sdxl": xl,
}


def in_half(family, pipeline):
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if getattr(pipeline, name, None) is not None:
            getattr(pipeline, name).half()
    if family == "sd2":  # as make.py does where the scores are to stay in 32 bits
        for module in pipeline.unet.modules():
            if hasattr(module, "upcast_attention"):
                module.upcast_attention = True
        pipeline.unet.set_attn_processor(AttnProcessor())


def value(port, part, unet):
    """A random input of another size than the traced one."""
    draw = np.random.default_rng(1)
    shapes = {
        "sample": (3, unet.config.in_channels, 16, 24) if part == "unet" else (3, 3, 32, 48), "latent_sample": (3, 4, 16, 24),
        "input_ids": (3, 77), "encoder_hidden_states": (3, 154, unet.config.cross_attention_dim), "text_embeds": (3, 12),
        "time_ids": (3, 6)}
    if port.name == "timestep":
        return np.asarray(321.5, DTYPES[port.type])
    if port.name in ("input_ids", "time_ids"):
        return draw.integers(0, WORDS if port.name == "input_ids" else 1024, shapes[port.name]).astype(DTYPES[port.type])
    return draw.standard_normal(shapes[port.name]).astype(DTYPES[port.type])


def in_torch(part, pipeline, feeds):
    """What the modules in 32 bits make of it, by the names of the outputs."""
    feeds = {name: torch.tensor(value) if value.dtype == np.int64 else torch.tensor(value).float() for name, value in feeds.items()}
    if part == "unet":
        added = {name: feeds[name] for name in ("text_embeds", "time_ids") if name in feeds}
        args = [feeds[name] for name in ("sample", "timestep", "encoder_hidden_states")]
        return {"out_sample": pipeline.unet(*args, added_cond_kwargs=added or None).sample}
    if part == "vae_encoder":
        return {"latent_parameters": pipeline.vae.encode(feeds["sample"]).latent_dist.parameters}
    if part == "vae_decoder":
        return {"sample": pipeline.vae.decode(feeds["latent_sample"]).sample}
    found = getattr(pipeline, part)(feeds["input_ids"], output_hidden_states=True)
    names = [name for name in ("last_hidden_state", "pooler_output", "text_embeds") if name in found]
    return {name: found[name] for name in names} | {f"hidden_states.{i}": s for i, s in enumerate(found.hidden_states)}


def worst(part, pipeline, module, ports):
    """The largest difference between the graph and torch, in parts of the largest value."""
    model, layouts = graphs.named(part, module, ports)
    with tempfile.TemporaryDirectory() as folder:
        graphs.write(pathlib.Path(folder), model, layouts, dict(module.named_parameters()))
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
        feeds = {port.name: value(port, part, pipeline.unet) for port in session.get_inputs()}
        names = [port.name for port in session.get_outputs()]
        got = dict(zip(names, session.run(None, feeds)))
    with torch.no_grad():
        expected = {name: tensor.numpy() for name, tensor in in_torch(part, pipeline, feeds).items()}
    assert set(got) == set(expected), set(got) ^ set(expected)
    return max(float(np.abs(got[name] - expected[name]).max() / np.abs(expected[name]).max()) for name in names)


def main():
    torch.manual_seed(0)
    for family, make in FAMILIES.items():
        for half, limit in ((False, 1e-5), (True, 5e-3)):
            pipeline = make()
            reference = copy.deepcopy(pipeline)
            if half:
                in_half(family, pipeline)
            for part, (module, ports) in graphs.parts(pipeline, half).items():
                difference = worst(part, reference, module, ports)
                print(f"{family:12} {'fp16' if half else 'fp32'} {part:15} {difference:.1e}", flush=True)
                assert difference < limit


if __name__ == "__main__":
    main()
