"""Imports a checkpoint of real size and compares the new folder with diffusers.

    python models/templates/prove.py DIFFUSED FOLDER fp32 [fp16]

DIFFUSED is the program. The model has the shapes of Stable Diffusion v1 and random weights (seed 0): nothing is downloaded.
It is saved as one file in the original layout (4.3 GB), imported once for each precision, run by ONNX Runtime, and compared
with what diffusers computes from the same weights in 32 bits. FOLDER takes the files, up to 9 GB at a time.
For each precision: seconds, processor seconds and peak memory of the import, then for each graph

    the largest difference, relative to the largest number of the reference; and as a control
    that of a reference from another input, which must be much larger

The limits are 1e-5 in 32 bits, and 2e-2 in 16 bits, whose step is 1e-3.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "tests" / "golden")]
import checkpoint  # noqa: E402
import families  # noqa: E402
import names  # noqa: E402

LIMITS = {"fp32": 1e-5, "fp16": 2e-2}
CONTROL = 3  # the control must be so many times beyond the limit


def modules():
    """The family's modules. No weight is as it begins in torch, where all norms are alike: two that change places show."""
    torch.manual_seed(0)
    made = {part: make().eval() for part, make in families.ALL[0].modules.items()}
    with torch.no_grad():
        for module in made.values():
            for name, weight in module.named_parameters():
                if weight.ndim == 1:
                    weight.add_(torch.randn_like(weight), alpha=0.1)
    return made


def save(made, file):
    """One file in the original layout; the names are those that diffusers' own converters say."""
    text = made["text_encoder"].state_dict()
    tensors = checkpoint.original(made["unet"].state_dict(), names.unet((8, 16, 32, 32), 2, (1, 1, 1, 0)))
    tensors |= checkpoint.original(made["vae"].state_dict(), names.vae((8, 16, 32, 32), 2))
    tensors |= {f"cond_stage_model.transformer.{name}": value for name, value in text.items()}
    save_file(tensors, file, metadata={"format": "pt"})


def inputs(seed):
    """What each graph gets: {folder: {port: value}}. Latents are 32 wide and 24 high, so that sides cannot change places."""
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw)
    return {
        "text_encoder": {"input_ids": torch.randint(0, 49408, (2, 77), generator=draw)},
        "unet": {"sample": normal(2, 4, 24, 32), "timestep": torch.tensor(981.0 - seed * 400),
                 "encoder_hidden_states": normal(2, 77, 768)},
        "vae_encoder": {"sample": normal(1, 3, 192, 256)},
        "vae_decoder": {"latent_sample": normal(1, 4, 24, 32)},
    }


def reference(made, given):
    """What diffusers answers: {folder: (output port, value)}."""
    unet = given["unet"]
    with torch.no_grad():
        return {
            "text_encoder": ("last_hidden_state", made["text_encoder"](**given["text_encoder"])[0]),
            "unet": ("out_sample", made["unet"](unet["sample"], unet["timestep"], unet["encoder_hidden_states"])[0]),
            "vae_encoder": ("latent_parameters", made["vae"].encode(given["vae_encoder"]["sample"])[0].parameters),
            "vae_decoder": ("sample", made["vae"].decode(given["vae_decoder"]["latent_sample"])[0]),
        }


def run_import(program, file, models, dtype):
    """Runs the import; prints its cost. The kernel's own peak (VmHWM) is looked at while it runs."""
    command = [program, "models", "import", file, "--name", dtype, "--dtype", dtype, "--models", models]
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak = max([peak] + [int(line.split()[1]) for line in lines if line.startswith("VmHWM")])
        time.sleep(0.05)
    seconds, usage = time.monotonic() - began, os.wait4(process.pid, 0)[2]
    size = sum(path.stat().st_size for path in (models / dtype).rglob("*") if path.is_file())
    print(f"{dtype}: {seconds:.0f} s, processor {usage.ru_utime:.0f} s and {usage.ru_stime:.0f} s in the kernel, "
          f"peak {peak / 1024:.0f} MiB, {size / 1e9:.2f} GB written", flush=True)


def answer(graph, given, port):
    """What ONNX Runtime answers; numbers go in as the graph wants them."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    halves = {wanted.name for wanted in session.get_inputs() if wanted.type == "tensor(float16)"}
    fed = {name: value.half().numpy() if name in halves else value.numpy() for name, value in given.items()}
    return session.run([port], fed)[0].astype(np.float32)


def difference(got, expected):
    return float(np.abs(got - expected.numpy()).max() / np.abs(expected.numpy()).max())


def compare(folder, dtype, given, expected, other):
    good = True
    for part, (port, value) in expected.items():
        got = answer(folder / part / "model.onnx", given[part], port)
        found, control = difference(got, value), difference(got, other[part][1])
        good &= found < LIMITS[dtype] and control > CONTROL * LIMITS[dtype]
        print(f"  {part:13} {found:.1e}  control {control:.1e}", flush=True)
    return good


def main():
    program, models, file = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[2], "checkpoint.safetensors")
    made, given = modules(), inputs(0)
    expected, other = reference(made, given), reference(made, inputs(1))
    save(made, file)
    del made
    good = True
    for dtype in sys.argv[3:]:
        run_import(program, file, models, dtype)
        good &= compare(models / dtype, dtype, given, expected, other)
        shutil.rmtree(models / dtype)
    file.unlink()
    sys.exit(not good)


if __name__ == "__main__":
    main()
