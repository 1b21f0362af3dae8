"""Time and memory of LoRAs at SD v1.5's real size: diffused against diffusers, on this machine's processor.

    python benches/lora.py [FOLDER]

Makes a Stable Diffusion v1.5 with random weights in FOLDER (target/bench unless given; 9 GB), exports it with optimum, and
writes two LoRAs of rank 16 in kohya's layout for all 264 modules that kohya's trainer changes. What is there already is
taken as it is. Then diffusers and `benches/lora.rs` (built for release) take turns, ROUNDS times, each in a fresh process;
the table has the medians. Needs models/requirements.txt and peft.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = 3
RANK = 16
LORAS = ["a", "b"]
PICTURE = dict(prompt="a red circle", num_inference_steps=1, height=64, width=64, output_type="np")
# kohya's trainer changes every linear layer and 1x1 convolution inside these.
TARGETS = {"unet": ("Transformer2DModel",), "text_encoder": ("CLIPAttention", "CLIPSdpaAttention", "CLIPMLP")}


def pipeline():
    """SD v1.5 with random weights: its configuration files' values, and CLIP's own tokenizer."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
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


def kohya(made, seed):
    """A LoRA in kohya's layout, in 16 bits as its trainer saves by default."""
    torch.manual_seed(seed)
    tensors = {}
    for part, prefix in [("unet", "lora_unet"), ("text_encoder", "lora_te")]:
        for path, module in made[part].named_modules():
            if type(module).__name__ not in TARGETS[part]:
                continue
            for name, layer in module.named_modules():
                if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
                    kernel = (1, 1) if isinstance(layer, torch.nn.Conv2d) else ()
                    key = f"{prefix}_{path}_{name}".replace(".", "_")
                    outputs, inputs = layer.weight.shape[:2]
                    tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, inputs, *kernel).half() / inputs**0.5
                    tensors[f"{key}.lora_up.weight"] = torch.randn(outputs, RANK, *kernel).half() / 50
                    tensors[f"{key}.alpha"] = torch.tensor(RANK / 2).half()
    assert len(tensors) == 3 * 264, len(tensors)
    return tensors


def make(folder):
    """All that is measured, where it is not there yet."""
    from diffusers import StableDiffusionPipeline
    from optimum.exporters.onnx import onnx_export_from_model
    if not (folder / "torch/model_index.json").exists():
        pipeline().save_pretrained(folder / "torch")
    made = StableDiffusionPipeline.from_pretrained(folder / "torch")
    (folder / "adapters/loras").mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(LORAS):
        file = folder / f"adapters/loras/{name}.safetensors"
        if not file.exists():
            save_file(kohya(made.components, seed), file)
    if not (folder / "onnx/vae_encoder/model.onnx").exists():
        onnx_export_from_model(made, folder / "onnx", opset=17, do_validation=False, device="cpu")


def status(name):
    """Bytes that the kernel counts for this process."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name + ":"))


def reference(folder):
    """diffusers does what benches/lora.rs does, with the same names for it."""
    from diffusers import StableDiffusionPipeline
    torch.set_num_threads(os.cpu_count())
    begun = time.perf_counter()
    pipe = StableDiffusionPipeline.from_pretrained(folder / "torch")
    measured = {"load": time.perf_counter() - begun, "held after load": status("RssAnon")}
    pipe.set_progress_bar_config(disable=True)

    def load(name):
        pipe.load_lora_weights(folder / "adapters/loras", weight_name=f"{name}.safetensors")
        pipe.fuse_lora()

    def unload():
        pipe.unfuse_lora()
        pipe.unload_lora_weights()

    def rescale(scale):
        pipe.unfuse_lora()
        pipe.fuse_lora(lora_scale=scale)

    steps = {
        "warm up": lambda: None, "plain": lambda: None, "first use": lambda: load("a"), "second use": lambda: None,
        "another scale": lambda: rescale(0.5), "the first scale again": lambda: rescale(1.0),
        "another LoRA": lambda: (unload(), load("b")), "without again": unload,
    }
    for name, prepare in steps.items():
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        begun, worked = time.perf_counter(), time.process_time()
        prepare()
        ready, cpu = time.perf_counter() - begun, time.process_time() - worked
        if name in ("warm up", "first use"):
            pipe(**PICTURE)
        measured[name] = {"ready": ready, "cpu": cpu, "peak": status("VmHWM"), "held": status("RssAnon")}
    print(json.dumps(measured))


def ours(folder, memory):
    """What benches/lora.rs measures."""
    names = {"MODEL": folder / "onnx", "ADAPTERS": folder / "adapters", "MEMORY": memory}
    variables = {f"DIFFUSED_BENCH_{name}": str(value) for name, value in names.items()}
    return run(["cargo", "bench", "--quiet", "--bench", "lora"], {**os.environ, **variables})


def run(command, environment=None):
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def median(rounds, step, kind):
    return statistics.median(one[step][kind] for one in rounds)


def table(theirs, ours, alone):
    """Seconds until all is ready for the first pass, those of all cores together, and memory."""
    lines = ["| | diffusers | diffused | ratio | diffusers, work | diffused, work | ratio | of it merging |", "|---" * 8 + "|"]
    for step in ["first use", "second use", "another scale", "the first scale again", "another LoRA", "without again"]:
        cells = []
        for kind in ["ready", "cpu"]:
            one, other = median(theirs, step, kind), median(ours, step, kind)
            cells += [f"{one:.1f} s", f"{other:.1f} s", f"{other / one:.2f}" if one > 0.05 else "-"]
        merge = f"{median(ours, step, 'merge'):.1f} s"
        lines.append(f"| {step} | {' | '.join(cells)} | {merge} |")
    lines += ["", "| memory | diffusers | diffused, two sets | diffused, one set |", "|---" * 4 + "|"]
    for step, kind in [("warm up", "peak"), ("first use", "held"), ("first use", "peak"), ("another LoRA", "peak")]:
        values = " | ".join(f"{median(rounds, step, kind) / 1e9:.1f} GB" for rounds in (theirs, ours, alone))
        lines.append(f"| {step}, {kind} | {values} |")
    return "\n".join(lines)


def main(arguments):
    if arguments[:1] == ["--reference"]:
        return reference(pathlib.Path(arguments[1]))
    folder = pathlib.Path(arguments[0] if arguments else ROOT / "target/bench").resolve()
    make(folder)
    subprocess.run(["cargo", "bench", "--bench", "lora", "--no-run"], cwd=ROOT, check=True)
    rounds = []
    for _ in range(ROUNDS):
        theirs = run([sys.executable, __file__, "--reference", str(folder)])
        rounds.append((theirs, ours(folder, 8 << 30)))
        print(json.dumps(rounds[-1]), file=sys.stderr)
    print(table(*zip(*rounds), [ours(folder, 1)]))


if __name__ == "__main__":
    main(sys.argv[1:])
