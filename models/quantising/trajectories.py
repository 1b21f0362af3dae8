"""What the graphs are given when pictures are made: the appliance itself makes some and keeps every pass."""
import pathlib
import subprocess
import tempfile

import numpy as np
from onnx import helper
from safetensors.numpy import load_file


def traces(program, folder, prompts, extra=(), kept=None):
    """One trace for each prompt, as `diffused generate --trace` writes it; the seeds are 0, 1, 2...

    They are written to the folder `kept`, if there is one, and those that are there already are not made again."""
    with tempfile.TemporaryDirectory() as scratch:
        for seed, prompt in enumerate(prompts):
            file = pathlib.Path(kept or scratch, f"{seed}.safetensors")
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run([program, "generate", prompt, "--model", folder, "--seed", str(seed), "--trace", file,
                                "-o", pathlib.Path(scratch, "picture.png"), "--no-safety-checker", *extra],
                               check=True, stdout=subprocess.DEVNULL)
            yield load_file(file)


def unet_passes(trace, ports):
    """The inputs of every pass of a trace, once for each condition, with a batch of one."""
    steps = sorted(name.removesuffix(".input") for name in trace if name.startswith("0.call.") and name.endswith(".input"))
    return [feeds(trace, ports, step, side) for step in steps for side in ("conditional", "unconditional")
            if f"{step}.{side}" in trace]


def feeds(trace, ports, step, side):
    latents = trace[f"{step}.input"]
    height, width = (8 * size for size in latents.shape[2:])
    known = {"sample": latents, "timestep": trace[f"{step}.timestep"], "encoder_hidden_states": trace[f"embeddings.{side}"],
             "text_embeds": trace.get(f"pooled.{side}"), "time_ids": np.array([[height, width, 0, 0, height, width]])}
    return {port.name: as_port(port, known.get(port.name)) for port in ports}


def anything(ports):
    """Inputs of a small size and no meaning, to see whether two graphs do the same."""
    random, side = np.random.default_rng(0), 16
    sizes = lambda port: [dim.dim_value or (side if place else 1) for place, dim in enumerate(port.type.tensor_type.shape.dim)]
    return {port.name: as_port(port, np.array([500]) if "time" in port.name and len(sizes(port)) < 2
                               else random.standard_normal(sizes(port))) for port in ports}


def as_port(port, value):
    if value is None:
        raise SystemExit(f"the U-Net's input {port.name} is not among those that can be calibrated")
    kind = helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
    if kind == np.float16:
        raise SystemExit(f"the graph must compute in 32 bits, got 16 for {port.name}; quantise the fp32 export")
    value = value.astype(kind)
    return value.reshape([1] * len(port.type.tensor_type.shape.dim)) if value.size == 1 else value


def spread(passes, count):
    """So many of the passes, evenly over all of them and so over all noise levels."""
    return [passes[place] for place in np.linspace(0, len(passes) - 1, min(count, len(passes))).round().astype(int)]


def decoder_pass(trace, port, config, side):
    """The final latents of a trace as the decoder is given them, cut to at most `side` latents a side."""
    latents = trace["0.latents"][..., :side, :side]
    return {port.name: (latents / config["scaling_factor"] + (config.get("shift_factor") or 0)).astype(np.float32)}
