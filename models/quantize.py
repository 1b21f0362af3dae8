"""Writes a model folder again with its U-Net and its VAE decoder in 8 bits, or with all weights stored in 16.

    python models/quantize.py FOLDER NEW [--program diffused] [--prompts FILE] [--keep 0.05] [--store fp16]
    python models/quantize.py FOLDER NEW --precision fp16

FOLDER is an exported folder in 32 bits, from export.py or optimum; NEW must not exist. It needs onnx, onnxruntime, numpy and
safetensors, and for 8 bits the program itself, which makes pictures from the prompts to measure ranges.
See docs/quantisation.md for what is done and what it costs in quality.
"""
import argparse
import json
import pathlib
import shutil

import manifest
from quantising import attention, halves, ranges, sensitivity, trajectories
from quantising.layers import Quantiser, layers, ranged
from quantising.network import Network

PROMPTS = pathlib.Path(__file__).parent / "quantising" / "prompts.txt"
GRAPHS = ("text_encoder", "text_encoder_2", "unet", "vae_encoder", "vae_decoder")
SAME = 1e-8
"""The relative squared error that fused attention may have."""


def read(path):
    """A graph with fused attention, after a look at whether it can be quantised."""
    network = Network.read(path)
    opset = next(entry.version for entry in network.model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < 13:
        raise SystemExit(f"{path}: 8 bits for each channel need opset 13 or more, got {opset}")
    return network


def fused(network, feeds, threads):
    """The graph with attention as one kernel, if that gives the same."""
    wanted = network.session(threads=threads).run(None, feeds)[0]
    twin = network.twin()
    found, softmaxes = attention.fuse(twin)
    apart = sensitivity.relative(twin.session(threads=threads).run(None, feeds)[0], wanted)
    print(f"  attention: {found} of {softmaxes} fused, relative squared error {apart:.1e}")
    return twin if apart < SAME else network


def quantise(path, passes, probes, options):
    """A graph in 8 bits. `passes` are for its ranges; `probes` show which layers are to stay and how far it is from the original."""
    print(path)
    network = fused(read(path), probes[0], options.threads) if options.attention == "fused" else read(path)
    candidates = layers(network)
    seen = ranges.observe(network, ranged(candidates), passes, options.threads)
    spans = {value: ranges.fitting(sample) for value, (sample, _) in seen.items()}
    costs = [float(layer.cost) * seen[layer.input][1] for layer in candidates]
    kept = set()
    if options.keep > 0:
        found = sensitivity.errors(network, candidates, spans, probes, options.threads)
        kept = sensitivity.worst(candidates, found, costs, options.keep)
        tell(candidates, found, costs, kept)
    wanted = [network.session(threads=options.threads).run(None, feeds)[0] for feeds in probes]
    chosen = [layer for layer in candidates if layer not in kept]
    Quantiser(network, spans).quantise(chosen)
    session = network.session(threads=options.threads)
    apart = [sensitivity.relative(session.run(None, feeds)[0], want) for feeds, want in zip(probes, wanted)]
    print(f"  {len(chosen)} of {len(candidates)} layers in 8 bits, relative error {mean(apart) ** .5:.4f}, worst {max(apart) ** .5:.4f}")
    return network


def mean(values):
    return sum(values) / len(values)


def tell(candidates, found, costs, kept):
    """The ten worst layers, and all that stay."""
    ordered = sorted(zip(found, costs, candidates), key=lambda row: -row[0])
    print(f"  sum of the layers' squared errors {sum(found):.2e}, of those that stay {sum(row[0] for row in ordered if row[2] in kept):.2e}")
    for error, cost, layer in ordered[:10]:
        share = 100 * cost / sum(costs)
        print(f"  {error:.1e} {share:6.2f} % {'stays ' if layer in kept else 'int8  '} {layer.name}")
    print("  stays in 32 bits:", *sorted(layer.name for layer in kept), sep="\n    ")


def to_int8(options):
    prompts = [line for line in options.prompts.read_text().splitlines() if line and not line.startswith("#")]
    extra = [word for pair in (("--width", options.width), ("--height", options.height), ("--steps", options.steps),
                               ("--library", options.library)) if pair[1] for word in map(str, pair)]
    ports = {part: Network.read(options.folder / part / "model.onnx").ports for part in ("unet", "vae_decoder")}
    config = json.loads((options.folder / "vae_decoder/config.json").read_text())
    passes, latents = [], []
    for trace in trajectories.traces(options.program, options.folder, prompts, extra, options.traces):
        passes.append(trajectories.unet_passes(trace, ports["unet"]))
        latents.append(trajectories.decoder_pass(trace, ports["vae_decoder"][0], config, options.side))
    each = max(1, options.passes // len(prompts))
    learned = [one for trace in passes for one in trajectories.spread(trace, each)]
    probes = trajectories.spread(passes[-1][1:], options.probes)
    work = {"unet": (learned, probes), "vae_decoder": (latents, latents[-2:])}
    return {part: quantise(options.folder / part / "model.onnx", *work[part], options) for part in options.parts}


def to_fp16(options):
    """Graphs in 32 bits with fused attention; their weights are halved when they are written."""
    made = {}
    for part in options.parts if options.attention == "fused" else ():
        print(options.folder / part / "model.onnx")
        network = Network.read(options.folder / part / "model.onnx")
        made[part] = fused(network, trajectories.anything(network.ports), options.threads)
    return made


def write(options, made):
    """The folder with the graphs that were made, and all else as it was."""
    if options.store == "fp16":
        for part in GRAPHS:
            if (options.folder / part / "model.onnx").exists():
                made.setdefault(part, Network.read(options.folder / part / "model.onnx"))
                halves.halve(made[part])
    left_out = {(options.folder / part).resolve() for part in made}
    shutil.copytree(options.folder, options.new, ignore=lambda folder, names: [
        name for name in names if name.startswith("model.onnx") and pathlib.Path(folder).resolve() in left_out])
    for part, network in made.items():
        network.save(options.new / part / "model.onnx")
    manifest.write(options.new)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--precision", choices=("int8", "fp16"), default="int8")
    parser.add_argument("--parts", nargs="+", choices=("unet", "vae_decoder"), default=("unet", "vae_decoder"))
    parser.add_argument("--store", choices=("fp32", "fp16"), default="fp32", help="how weights that are not in 8 bits are stored")
    parser.add_argument("--attention", choices=("fused", "plain"), default="fused")
    parser.add_argument("--keep", type=float, default=0.05, help="share of the work that the worst layers keep in 32 bits; 0 is no search")
    parser.add_argument("--program", default="diffused", help="the program that makes the trajectories")
    parser.add_argument("--library", help="ONNX Runtime's library, for the program")
    parser.add_argument("--prompts", type=pathlib.Path, default=PROMPTS, help="one prompt a line")
    parser.add_argument("--traces", type=pathlib.Path, help="a folder that keeps the trajectories for another time")
    parser.add_argument("--passes", type=int, default=64, help="passes of the U-Net that its ranges come from")
    parser.add_argument("--probes", type=int, default=8, help="passes that the search looks at")
    parser.add_argument("--side", type=int, default=32, help="side of the latents that the decoder's ranges come from")
    parser.add_argument("--width", type=int)
    parser.add_argument("--height", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.new.exists():
        raise SystemExit(f"{options.new} must not exist")
    if options.precision == "fp16":
        options.store = "fp16"
    write(options, to_int8(options) if options.precision == "int8" else to_fp16(options))


if __name__ == "__main__":
    main()
