"""Hypernetwork files as the web UI's training leaves them, and what they do to a U-Net.

The toys' attention layers are 8 and 16 wide and their text 24; in SDXL's, 16 and 40.
"""

import shutil

import torch
from torch import nn

from . import FOLDER

PLACE = FOLDER / "hypernetworks"
BY_NAME = {  # where the web UI's name is not torch's in lower case
    "swish": nn.Hardswish,
}
BY_NAME |= {kind.lower(): getattr(nn, kind) for kind in nn.modules.activation.__all__}
SPREAD = 1.5  # of a layer's output for inputs that spread by 1
ALONE = ("leakyrelu", "elu", "sigmoid", "gelu", "silu", "mish", "softsign", "selu")


def make():
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    torch.manual_seed(41)
    everywhere = (8, 16, 24)
    write("swirl", everywhere, activation_func="relu", activate_output=False)
    silent = dict.fromkeys(("activate_output", "last_layer_dropout", "use_dropout", "is_layer_norm"))
    write("grain", everywhere, activation_func="tanh", **silent)  # says little; the output is activated then
    curl = {"activation_func": "swish", "is_layer_norm": True, "use_dropout": True, "last_layer_dropout": True}
    write("curl", (24,), layer_structure=[1, 2, 2, 1], **curl)
    shape = {"layer_structure": [1, 2, 1.5, 1], "dropout_structure": [0, 0.05, 0, 0], "use_dropout": True}
    write("foam", (8, 16), activation_func="leakyrelu", activate_output=True, **shape)
    write("plain", everywhere, activation_func="linear", old_names=True)
    write("dune", (16, 40), activation_func="relu", activate_output=False, layer_structure=[1, 1, 1])
    for name in ALONE:
        write(f"only-{name}", (8,), activation_func=name, activate_output=True)


def write(name, widths, old_names=False, **settings):
    """A setting that is None is not in the file."""
    content = {
        "layer_structure": [1, 2, 1],
        "activation_func": None,
        "is_layer_norm": False,
        "weight_initialization": "Normal",
        "use_dropout": False,
        "activate_output": False,
        "last_layer_dropout": False,
        "dropout_structure": None,
        "step": 1000,
        "name": name,
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "toy",
        "optional_info": None,
        **settings,
    }
    content = {key: value for key, value in content.items() if value is not None}
    for width in widths:
        content[width] = tuple(randomised(network(width, content)).state_dict() for _ in ("key", "value"))
        content[width] = tuple({f"linear.{key}": value for key, value in state.items()} for state in content[width])
        if old_names:
            old = [("linear.0.", "linear1."), ("linear.1.", "linear2.")]
            content[width] = tuple(renamed(state, old) for state in content[width])
    torch.save(content, PLACE / f"{name}.pt")


def renamed(state, pairs):
    return {key.replace(*next(pair for pair in pairs if pair[0] in key)): value for key, value in state.items()}


def randomised(model):
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0, SPREAD / layer.in_features**0.5)
                layer.bias.normal_(0, 0.2)
            if isinstance(layer, nn.LayerNorm):
                layer.weight.normal_(0.5, 0.1)
                layer.bias.normal_(0, 0.1)
    return model


def network(width, content):
    """A file's network for one width: a linear layer, its activation, its norm and its dropout, again and again."""
    structure, activation = content.get("layer_structure", [1, 2, 1]), content.get("activation_func")
    dropped = content.get("dropout_structure") or dropouts(structure, content)
    layers, last = [], len(structure) - 2
    for number in range(len(structure) - 1):
        inside, outside = (int(width * share) for share in structure[number : number + 2])
        layers.append(nn.Linear(inside, outside))
        if activation not in (None, "linear") and (number < last or content.get("activate_output", True)):
            layers.append(BY_NAME[activation]())
        if content.get("is_layer_norm", False):
            layers.append(nn.LayerNorm(outside))
        if dropped[number + 1] > 0:
            layers.append(nn.Dropout(dropped[number + 1]))
    return nn.Sequential(*layers)


def dropouts(structure, content):
    """What `dropout_structure` would be in files from before there was one."""
    if not content.get("use_dropout", False):
        return [0] * len(structure)
    return [0, *[0.3] * (len(structure) - 3), 0.3 if content.get("last_layer_dropout", False) else 0, 0]


def read(name):
    """For each width the networks of keys and values."""
    content = torch.load(PLACE / f"{name}.pt", weights_only=True)
    pairs = {}
    for width in (key for key in content if isinstance(key, int)):
        pairs[width] = []
        for state in content[width]:
            state = renamed(state, [("linear1.", "linear.0."), ("linear2.", "linear.1."), ("linear.", "linear.")])
            model = network(width, content).eval()
            model.load_state_dict({key.removeprefix("linear."): value for key, value in state.items()}, strict=True)
            pairs[width].append(model)
    return pairs


def attach(unet, name, strength):
    """Changes what the keys and the values of every attention layer are made from: x + strength * network(x)."""
    pairs = read(name)

    def changed(place):
        def hook(module, given):
            pair = pairs.get(given[0].shape[-1])
            return (given[0] + strength * pair[place](given[0]),) if pair else None

        return hook

    for path, module in unet.named_modules():
        for place, projection in enumerate(("to_k", "to_v")):
            if path.endswith(projection):
                module.register_forward_pre_hook(changed(place))
