"""Writes hypernetworks/: small hypernetworks as the web UI saves them, and what they make of a few numbers.

Run: OMP_NUM_THREADS=1 python tests/golden/hypernetworks.py
Needs torch; last run with torch 2.15.0.

HypernetworkModule, parse_dropout_structure and the dictionary that is saved restate modules/hypernetworks/hypernetwork.py of
AUTOMATIC1111's web UI. Dropout is in the networks and out of work, as it is when pictures are made.
"""

import json
import pathlib
import re

import torch

OUT = pathlib.Path(__file__).with_name("hypernetworks")
STRENGTH = 0.75
ACTIVATIONS = {
    "linear": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "leakyrelu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "swish": torch.nn.Hardswish,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
} | {
    name.lower(): kind
    for name, kind in vars(torch.nn.modules.activation).items()
    if isinstance(kind, type) and kind.__module__ == "torch.nn.modules.activation"
}
UNSUPPORTED = {"glu", "logsoftmax", "multiheadattention", "softmax", "softmax2d", "softmin", "threshold"}


def parse_dropout_structure(layers, use_dropout, last_layer_dropout):
    if not use_dropout:
        return [0] * len(layers)
    return [0] + [0.3] * (len(layers) - 3) + [0.3 if last_layer_dropout else 0] + [0]


class HypernetworkModule(torch.nn.Module):
    def __init__(self, dim, layers, activation, norm, output, dropout):
        super().__init__()
        linears = []
        for i in range(len(layers) - 1):
            linears.append(torch.nn.Linear(int(dim * layers[i]), int(dim * layers[i + 1])))
            if activation not in ("linear", None) and (i < len(layers) - 2 or output):
                linears.append(ACTIVATIONS[activation]())
            if norm:
                linears.append(torch.nn.LayerNorm(int(dim * layers[i + 1])))
            if dropout[i + 1] > 0:
                linears.append(torch.nn.Dropout(p=dropout[i + 1]))
        self.linear = torch.nn.Sequential(*linears)
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter)

    def forward(self, x):
        return x + self.linear(x) * STRENGTH


def save(file_name, widths=(4,), old=False, **given):
    """Saves a hypernetwork and returns what its networks make of the inputs."""
    layers = given.get("layer_structure", [1, 2, 1])
    activation = given.get("activation_func")
    norm, output = given.get("is_layer_norm", False), given.get("activate_output", True)
    usual = parse_dropout_structure(layers, given.get("use_dropout", False), given.get("last_layer_dropout", False))
    dropout = given.get("dropout_structure") or usual
    file, outputs = {}, {}
    for width in widths:
        pair = [HypernetworkModule(width, layers, activation, norm, output, dropout).eval() for _ in range(2)]
        states = [module.state_dict() for module in pair]
        if old:
            shift = lambda key: re.sub(r"linear\.(\d)", lambda found: f"linear{int(found[1]) + 1}", key)
            states = [{shift(key): value for key, value in state.items()} for state in states]
        file[width] = tuple(states)
        outputs[width] = [module(inputs(width)).tolist() for module in pair]
    torch.save(file | given, OUT / f"{file_name}.pt")
    return outputs


def inputs(width):
    return (torch.arange(3 * width, dtype=torch.float32).reshape(3, width) - width) / 4


@torch.no_grad()
def main():
    torch.manual_seed(0)
    OUT.mkdir(exist_ok=True)
    meta = {"step": 10, "name": "small", "weight_initialization": "Normal", "sd_checkpoint": None, "optional_info": "text"}
    files = {
        "oldest": save("oldest", widths=(4, 6), old=True),
        "relu": save("relu", widths=(4, 6), activation_func="relu", activate_output=False, **meta),
        "output": save("output", activation_func="swish", layer_structure=[1, 1.5, 2, 1], **meta),
        "norm": save("norm", activation_func="elu", is_layer_norm=True, activate_output=True, **meta),
        "dropout": save("dropout", activation_func="relu", layer_structure=[1, 2, 2, 1], use_dropout=True, is_layer_norm=True),
        "last": save("last", activation_func="tanh", layer_structure=[1, 2, 2, 1], use_dropout=True, last_layer_dropout=True),
        "structure": save(
            "structure", activation_func="gelu", layer_structure=[1, 2, 2, 1], use_dropout=True, dropout_structure=[0, 0, 0.1, 0]
        ),
        "prelu": save("prelu", activation_func="prelu", activate_output=True),
        "linear": save("linear", activation_func="linear", layer_structure=[1, 1]),
    }
    x = torch.tensor([-90.0, -6.0, -3.0, -1.5, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 3.0, 5.0, 7.0, 25.0])
    named = {name: kind for name, kind in ACTIVATIONS.items() if name not in UNSUPPORTED | {"linear", "prelu"}}
    activations = {name: kind().eval()(x).tolist() for name, kind in sorted(named.items())}
    unsupported = sorted(UNSUPPORTED)
    golden = {"x": x.tolist(), "activations": activations, "unsupported": unsupported, "strength": STRENGTH, "files": files}
    OUT.with_suffix(".json").write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
