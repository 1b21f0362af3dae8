"""Trains a hypernetwork in the manner of AUTOMATIC1111's web UI: every picture as a blueprint.

    python train_hypernetwork.py FOLDER RUN NAME.pt [--steps 1500]

Two small networks for each width change what keys and values are made from, in cross-attention and in self-attention;
the model stays as it is.
Writes the dictionary that the web UI writes.
"""
import argparse

import torch

from adapted import Adapted, attach, hypernetwork_layers
from lessons import Lessons, in_style, learn
from styles import blueprint

SHAPE = {"layer_structure": [1, 2, 1], "activation_func": "swish", "is_layer_norm": False, "activate_output": False}


def new_network(width):
    """Starts near zero: A1111's own start, a deviation of 0.01 and no bias."""
    network = hypernetwork_layers(width, SHAPE)
    for layer in network:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=.01)
            torch.nn.init.zeros_(layer.bias)
    return network


def save_a1111(path, networks, name, steps):
    """Everything that the web UI writes; an OrderedDict of tensors for keys and one for values at each width."""
    states = {width: tuple(torch.nn.ModuleDict({"linear": network}).half().state_dict() for network in pair)
              for width, pair in networks.items()}
    torch.save({**states, "step": steps, "name": name, **SHAPE, "weight_initialization": "Normal", "use_dropout": False,
                "dropout_structure": None, "last_layer_dropout": False, "optional_info": None,
                "sd_checkpoint": None, "sd_checkpoint_name": "shapes"}, path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("run")
    options.add_argument("output")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--rate", type=float, default=3e-3)
    options = options.parse_args()
    torch.manual_seed(0)
    model = Adapted(options.folder)
    lessons = Lessons(model, in_style(blueprint))
    widths = sorted({module.in_features for path, module in model.unet.named_modules() if path.endswith(".to_k")})
    networks = {width: (new_network(width), new_network(width)) for width in widths}
    for width, (for_keys, for_values) in networks.items():
        attach(model.unet, width, for_keys, for_values, 1.0)
    parameters = [value for pair in networks.values() for network in pair for value in network.parameters()]
    print(f"widths {widths}, {sum(value.numel() for value in parameters)} parameters", flush=True)
    learn(parameters, lambda: lessons.error(lessons.plainly), options.steps, options.rate,
          f"{options.run}/hypernetwork.pt", weight_decay=0)
    save_a1111(options.output, networks, "blueprint", options.steps)


if __name__ == "__main__":
    main()
