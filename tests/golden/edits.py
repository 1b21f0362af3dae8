"""Writes what edits of exported graphs must give, and where the weights of exported graphs are.

    python edits.py        writes edits/ beside this file

The torch models are filled from the toy exports by models/training/reload.py, and each must give what ONNX Runtime
gives for the graph as it is; then they are changed in torch, with hooks, in the way that the graph is to be changed.

edits/modules.json   for each graph all torch parameters: shape, and the values at one third and at two thirds of it
edits/*.safetensors  for each graph the inputs and the outputs of the changed model
edits/*.onnx         graphs with weights of 8 bits, as onnxruntime.quantization makes them
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = pathlib.Path(__file__).parent
FAMILIES, OUT = HERE / "families", HERE / "edits"
sys.path.append(str(HERE.parents[1] / "models" / "training"))

from reload import Graph, as_wanted, fill  # noqa: E402

TEXTS = {"sd1": "text_encoder", "sd2": "text_encoder", "sdxl": "text_encoder_2", "sd1-legacy": "text_encoder"}
UNETS = ["sd1", "sd2", "sdxl", "sd1-legacy", "sd1-fp16"]


class Wrapped:
    """A graph whose exporter put the model into another module."""

    def __init__(self, graph):
        self.graph = graph
        wrapped = {name.removeprefix("model."): node for name, node in graph.users.items()}
        graph.users = wrapped | graph.users

    def parameter(self, name, shape):
        wrapped = f"model.{name}"
        return self.graph.parameter(wrapped if wrapped in self.graph.constants else name, shape)


def folder(family, part):
    return FAMILIES / family / "model" / part


def load(family, part):
    """The torch model of a graph; the legacy layout has no configuration, but the sizes of its like."""
    like = folder("sd1", "vae_encoder") if part.startswith("vae") else folder(family.removesuffix("-legacy"), part)
    config = json.loads((like / "config.json").read_text())
    if part == "unet":
        model = UNet2DConditionModel.from_config(config)
    elif part.startswith("text"):
        kind = CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel
        model = kind(CLIPTextConfig(**config))
    else:
        model = AutoencoderKL.from_config(config)
    graph = Wrapped(Graph(str(folder(family, part) / "model.onnx")))
    if part.startswith("vae"):
        half = {"vae_encoder": ("encoder.", "quant_conv."), "vae_decoder": ("decoder.", "post_quant_conv.")}[part]
        state = {name: value for name, value in model.state_dict().items() if name.startswith(half)}
        return {name: torch.tensor(graph.parameter(name, tuple(value.shape))) for name, value in state.items()}
    return fill(model, lambda name: graph)


def onnx_says(family, part, feeds):
    session = onnxruntime.InferenceSession(str(folder(family, part) / "model.onnx"), providers=["CPUExecutionProvider"])
    feeds = {port.name: as_wanted(feeds[port.name], port) for port in session.get_inputs()}
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, map(torch.tensor, session.run(None, feeds))))


def check(what, got, expected, tolerance):
    difference = ((got.float() - expected.float()).abs().max() / expected.abs().max()).item()
    print(f"  {what}: torch and ONNX Runtime differ by {difference:.1e}")
    assert difference < tolerance, what


def texts():
    """Skipped layers, and embeddings of other ids than those in which the end of the text is looked for."""
    for family, part in TEXTS.items():
        model = load(family, part)
        ids, other = torch.randint(3, 998, (2, 1, 77))
        ids[:, 9:] = 999
        feeds = {"input_ids": ids}
        name = f"{family}/{part}"
        with torch.no_grad():
            plain = model(ids, output_hidden_states=True)
            check(name, plain.last_hidden_state, onnx_says(family, part, feeds)["last_hidden_state"], 1e-5)
            states, norm = plain.hidden_states, model.text_model.final_layer_norm
            result = {"input_ids": ids.float(), "embedding_ids": other.float(), "pooled": plain[0] if part == "text_encoder_2" else plain[1]}
            for layers in range(len(states)):
                result[f"skip.{layers}"] = norm(states[-1 - layers])
                result[f"state.{layers}"] = states[-1 - layers]
            table = model.text_model.embeddings.token_embedding
            changed = table.register_forward_hook(lambda *_: torch.nn.functional.embedding(other, table.weight))
            moved = model(ids)
            changed.remove()
            result |= {"own.last": moved.last_hidden_state, "own.pooled": moved[0] if part == "text_encoder_2" else moved[1]}
        save(name, result)


def net(width, seed, activation, norm):
    """A network of two linear layers; its weights are closed forms that the test in Rust has, too."""

    def values(kind, *shape):
        places = np.indices(shape)
        rows, columns = places[0], places[1] if len(shape) > 1 else np.zeros(shape, int)
        return torch.tensor(((rows * 31 + columns * 17 + kind * 13 + seed * 7) % 23 - 11).astype(np.float32) / np.float32(40))

    def linear(kind, inputs, outputs):
        layer = torch.nn.Linear(inputs, outputs)
        layer.weight.data, layer.bias.data = values(kind, outputs, inputs), values(kind + 1, outputs)
        return layer

    between = [activation]
    if norm:
        layer = torch.nn.LayerNorm(2 * width)
        layer.weight.data, layer.bias.data = 1 + values(5, 2 * width), values(6, 2 * width)
        between.append(layer)
    return torch.nn.Sequential(linear(1, width, 2 * width), *between, linear(3, 2 * width, width))


def hypernetworks(model, strengths, activations):
    """Hooks that give keys and values x + strength * net(x), net after net."""
    hooks = []
    for name, module in model.named_modules():
        if not name.endswith((".attn1.to_k", ".attn1.to_v", ".attn2.to_k", ".attn2.to_v")):
            continue
        width, kind = module.in_features, name.endswith("to_v")
        nets = [net(width, 10 * index + kind, act, norm) for index, (act, norm) in enumerate(activations)]

        def change(_, arguments, nets=nets):
            (x,) = arguments
            for strength, one in zip(strengths, nets):
                x = x + strength * one(x)
            return (x,)

        hooks.append(module.register_forward_pre_hook(change))
    return hooks


def unets():
    """Two hypernetworks one after the other, on every width, with activations that no single operator is."""
    strengths = [0.8, -0.5]
    activations = [(torch.nn.GELU(), True), (torch.nn.Mish(), False)]
    for family in UNETS:
        model, name = load(family, "unet"), f"{family}/unet"
        states = torch.randn(2, 77, model.config.cross_attention_dim)
        feeds = {"sample": torch.randn(2, 4, 8, 8), "timestep": torch.tensor([321.0]), "encoder_hidden_states": states}
        more = {}
        if family == "sdxl":
            pooled = model.config.projection_class_embeddings_input_dim - 6 * model.config.addition_time_embed_dim
            more = {"text_embeds": torch.randn(2, pooled), "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)}

        def forward():
            given = {"added_cond_kwargs": more} if more else {}
            return model(feeds["sample"], feeds["timestep"], states, **given).sample

        fed = feeds | more
        if family == "sd1-legacy":
            fed["timestep"] = feeds["timestep"] = torch.tensor([321.0, 321.0])
        elif family != "sd1-legacy":
            fed["timestep"] = torch.tensor(321.0)
        loose = 5e-3 if family == "sd1-fp16" else 1e-5
        with torch.no_grad():
            plain = forward()
            check(name, plain, onnx_says(family, "unet", fed)["out_sample"], loose)
            hooks = hypernetworks(model, strengths, activations)
            changed = forward()
            for hook in hooks:
                hook.remove()
        share = ((changed - plain).abs().max() / plain.abs().max()).item()
        print(f"    hypernetworks change {share:.0%}")
        assert share > 0.05
        save(name, fed | {"plain": plain, "changed": changed, "strengths": torch.tensor(strengths)})


def modules():
    """Every parameter of every graph."""
    graphs = {}
    parts = [(family, "unet") for family in UNETS] + list(TEXTS.items())
    parts += [("sd1", "vae_encoder"), ("sd1-legacy", "vae_encoder"), ("sd1-legacy", "vae_decoder"), ("sd1-fp16", "vae_decoder")]
    for family, part in parts:
        model = load(family, part)
        state = model if isinstance(model, dict) else model.state_dict()
        entries = {}
        for name, value in state.items():
            flat = value.float().flatten()
            probes = [flat[len(flat) * third // 3].item() for third in (1, 2)]
            entries[name] = [list(value.shape), *probes]
        graphs[f"{family}/model/{part}"] = entries
    lines = []
    for graph, entries in graphs.items():
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
        lines.append(f"{json.dumps(graph)}: {{\n{rows}\n}}")
    (OUT / "modules.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


class Ids(CalibrationDataReader):
    """A few texts, from which the range of what runs through the graph is measured."""

    def __init__(self):
        self.texts = iter(np.random.default_rng(0).integers(3, 999, (4, 1, 77)))

    def get_next(self):
        text = next(self.texts, None)
        return None if text is None else {"input_ids": text}


def quantised():
    """Weights of 8 bits, as onnxruntime.quantization leaves them: integers to multiply with, or to be made floats before."""
    source = folder("sd1", "text_encoder") / "model.onnx"
    kinds = {"op_types_to_quantize": ["MatMul", "Gather"]}
    quantize_dynamic(source, OUT / "dynamic.onnx", weight_type=QuantType.QUInt8, **kinds)
    quantize_static(source, OUT / "static.onnx", Ids(), QuantFormat.QDQ, per_channel=True, weight_type=QuantType.QInt8, **kinds)


def save(name, tensors):
    file = OUT / f"{name.replace('/', '-')}.safetensors"
    save_file({key: value.contiguous().float() for key, value in tensors.items()}, file)
    file.chmod(0o644)


if __name__ == "__main__":
    torch.manual_seed(4)
    OUT.mkdir(exist_ok=True)
    modules()
    texts()
    unets()
    quantised()
