"""Seconds and memory of a picture: diffused beside diffusers on torch, optimum's ONNX Runtime pipeline and OpenVINO's.

    python tests/bench/side_by_side.py [MODEL] [--steps 4] [--size 64x64] [--rounds 3] [--peers diffused,optimum] ...

MODEL is an exported folder in 32 bits: models/shapes, or what real_size.py makes (with --size 512x512). Everybody takes these very
graphs, the same Euler steps, prompt, seed and guidance; torch takes the graphs' weights (models/training/reload.py). Everybody
works in a fresh process, in turn, and each round begins with another one: quote ratios of one run, never seconds of two.
`diffused-warm` is diffused with graphs that an earlier start kept; `--also "int8=--model DIR"` adds diffused with other options,
last in the order, as often as it is given. `--peers ...,optimum-int8,openvino-int8` adds those in 8 bits, each made by its own
tools on first use (OpenVINO's wants nncf 3.4.0; optimum's only takes weights that are stored in 32 bits).
Pictures of the first round are compared with torch's.
Needs models/requirements.txt, and for OpenVINO optimum-intel 2.2.0 and openvino 2026.4.0 (`--openvino-python` if elsewhere).
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ["diffused", "diffused-warm", "optimum", "torch", "openvino"]
IN_8_BITS = ["optimum-int8", "openvino-int8"]


def parsed(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path, nargs="?", default=ROOT / "models/shapes")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/diffused")
    parser.add_argument("--options", default="", help="more options for diffused, such as '--accelerator openvino'")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=OPTIONS")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--size", default="64x64")
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--prompt", default="a red circle on a blue background")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1, help="pictures of each in a round")
    parser.add_argument("--warm-up", type=int, default=1, help="pictures before those")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS)
    parser.add_argument("--scratch", type=pathlib.Path, default=None, help="where torch's folder and the cache are kept")
    parser.add_argument("--openvino-python", default=sys.executable)
    parser.add_argument("--json", type=pathlib.Path, help="where the single measurements go")
    args = parser.parse_args(arguments)
    args.model = args.model.resolve()
    args.scratch = (args.scratch or pathlib.Path(tempfile.mkdtemp())).resolve()
    args.also = dict(also.split("=", 1) for also in args.also)
    args.peers = args.peers + list(args.also)
    args.width, args.height = map(int, args.size.split("x"))
    return args


def torch_folder(args):
    """The export's weights as a folder of diffusers."""
    folder = args.scratch / "torch"
    if (folder / "model_index.json").exists():
        return folder
    sys.path.insert(0, str(ROOT / "models/training"))
    import reload
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer
    StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(args.model / "tokenizer"),
        scheduler=PNDMScheduler.from_pretrained(args.model / "scheduler"),
        text_encoder=reload.load_text_encoder(args.model), unet=reload.load_unet(args.model),
        vae=reload.load_autoencoder(args.model),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(folder)
    return folder


def run(command):
    done = subprocess.run(command, env={**os.environ, "BENCH_STARTED": str(time.time())}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


def diffused(args, verb, more, also=""):
    also = shlex.split(also)
    model = [] if "--model" in also else ["--model", args.model]
    common = [*model, "--sampler", "euler", "--steps", args.steps, "--guidance-scale", args.guidance]
    return run([str(word) for word in [args.program, *verb, *common, *more, *shlex.split(args.options), *also]])


def ours(args, peer):
    warm = peer == "diffused-warm"
    options = ["--prompt", args.prompt, "--size", args.size, "--runs", args.runs, "--warm-up", args.warm_up, "--json"]
    begun = time.time()
    cache = ["--cache", args.scratch / "cache"] if warm else []
    report = json.loads(diffused(args, ["bench"], options + cache, args.also.get(peer, "")))
    first = report["first_pass_ms"] / 1e3
    unet = report["passes"]["unet"]
    return {
        "picture_s": report["request"]["median_ms"] / 1e3, "unet_call_s": unet["median_ms"] / 1e3,
        "unet_calls": unet["count"] // args.runs, "decode_s": report["stages"]["decode"]["median_ms"] / 1e3,
        "load_s": report["load_ms"] / 1e3, "first_pass_s": first, "start_to_first_pass_s": first,
        "peak_bytes": report["peak_memory_bytes"], "other_percent": report["time"]["other_percent"],
        "other_per_step_ms": report["time"]["other_per_step_ms"], "wall_s": time.time() - begun,
    }


def theirs(args, peer, *more):
    """What peers.py prints about one of them."""
    folders = {name: str(args.scratch / name) for name in ["torch", *IN_8_BITS]}
    order = {
        "model": str(args.model), "picture": str(args.scratch / f"{peer}.png"), "prompt": args.prompt, **folders,
        **{name: getattr(args, name) for name in ["steps", "guidance", "width", "height", "runs", "warm_up"]}}
    python = args.openvino_python if peer.startswith("openvino") else sys.executable
    return run([python, HERE / "peers.py", *more, peer, json.dumps(order)])


def measured(args, peer, first):
    if peer in ["optimum", "torch", "openvino", *IN_8_BITS]:
        return json.loads(theirs(args, peer).splitlines()[-1])
    picture = args.scratch / f"{peer}.png"
    if first:
        options = ["--seed", 0, "--width", args.width, "--height", args.height, "-o", picture]
        diffused(args, ["generate", f"{args.prompt} 0"], options, args.also.get(peer, ""))
    return ours(args, peer)


def difference(args, peer):
    """Largest and mean difference from torch's picture, of 255."""
    import numpy as np
    from PIL import Image
    read = lambda name: np.asarray(Image.open(args.scratch / f"{name}.png").convert("RGB")).astype(int)
    off = np.abs(read(peer) - read("torch"))
    return f"{off.max()}, {off.mean():.3f}"


def table(args, rounds, loads):
    """Medians over the rounds; ratios are to the first of the peers, within a round."""
    base = args.peers[0]
    lines = [f"{args.model.name} at {args.size}, {args.steps} steps, guidance {args.guidance:g}, {len(rounds)} rounds, "
             f"load average {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores", "",
             f"| | s a picture | x {base} (spread) | s a U-Net call | calls | s a decode | s to load | s to first pass | "
             "peak GB | off torch, of 255 |", "|---" * 10 + "|"]
    for peer in args.peers:
        mid = {key: statistics.median(one[peer][key] for one in rounds) for key in rounds[0][peer]}
        ratios = sorted(one[peer]["picture_s"] / one[base]["picture_s"] for one in rounds)
        off = difference(args, peer) if "torch" in args.peers else "-"
        lines.append(
            f"| {peer} | {mid['picture_s']:.2f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | "
            f"{mid['unet_call_s']:.3f} | {mid['unet_calls']:.0f} | {mid['decode_s']:.2f} | {mid['load_s']:.2f} | "
            f"{mid['start_to_first_pass_s']:.2f} | {mid['peak_bytes'] / 1e9:.2f} | {off} |")
    return "\n".join(lines)


def main(arguments):
    args = parsed(arguments)
    args.scratch.mkdir(parents=True, exist_ok=True)
    for peer in args.peers:
        # One of an earlier run may have been made with other steps.
        (args.scratch / f"{peer}.png").unlink(missing_ok=True)
    if "torch" in args.peers:
        torch_folder(args)
    if "diffused-warm" in args.peers:
        diffused(args, ["bench"], ["--runs", 0, "--json", "--cache", args.scratch / "cache"])
    for peer in args.peers:
        if peer in IN_8_BITS and not (args.scratch / peer).exists():
            theirs(args, peer, "--prepare")
    rounds, loads = [], []
    for number in range(args.rounds):
        loads.append(os.getloadavg()[0])
        turn = number % len(args.peers)
        rounds.append({peer: measured(args, peer, number == 0) for peer in args.peers[turn:] + args.peers[:turn]})
        print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
        if args.json:
            args.json.write_text(json.dumps({"loads": loads, "rounds": rounds}))
    print(table(args, rounds, loads))


if __name__ == "__main__":
    main(sys.argv[1:])
