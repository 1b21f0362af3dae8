"""Trains a LoRA (Hu et al. 2021) with convolutions (LoCon) that draws every shape as an outline.

    python train_lora.py FOLDER RUN NAME.safetensors [--rank 2] [--steps 1500]

Changes the linear layers of attention and feed-forward and the convolutions of the U-Net, and the linear layers of
the text encoder; the captions do not mention the style, so that the file alone brings it.
Writes the layout of kohya's scripts.
"""
import argparse

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from adapted import Adapted, LoraDelta, lora_keys
from lessons import Lessons, in_style, learn
from styles import outlined

PARTS = {"lora_unet": ("_attentions_", "_resnets_", "samplers_"), "lora_te": ("_layers_",)}


def targets(model):
    """The modules that kohya's scripts change, by the names that they give them."""
    found = {**lora_keys("lora_unet", model.unet), **lora_keys("lora_te", model.text_encoder)}
    return {name: module for name, module in found.items()
            if any(part in name for prefix, parts in PARTS.items() if name.startswith(prefix) for part in parts)}


def attach(module, rank, alpha):
    """down starts at random and up at zero, so that training starts from the model as it is."""
    kernel = module.weight.shape[2:]
    down = torch.empty(rank, module.weight.shape[1], *kernel)
    nn.init.kaiming_uniform_(down, a=5 ** .5)
    delta = LoraDelta(down, torch.zeros(len(module.weight), rank, *[1] * len(kernel)), alpha / rank)
    register_parametrization(module, "weight", delta)
    return delta


def save_kohya(path, deltas, alpha, rank):
    tensors = {}
    for name, delta in deltas.items():
        tensors[f"{name}.lora_down.weight"] = delta.down.detach().half().contiguous()
        tensors[f"{name}.lora_up.weight"] = delta.up.detach().half().contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(alpha).half()
    save_file(tensors, path, {"ss_network_module": "networks.lora", "ss_network_dim": str(rank),
                              "ss_network_alpha": str(alpha), "ss_base_model_version": "sd_v1"})


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("run")
    options.add_argument("output")
    options.add_argument("--rank", type=int, default=2)
    options.add_argument("--alpha", type=float, default=2.0)
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--rate", type=float, default=4e-3)
    options = options.parse_args()
    torch.manual_seed(0)
    model = Adapted(options.folder)
    lessons = Lessons(model, in_style(outlined))
    deltas = {name: attach(module, options.rank, options.alpha) for name, module in targets(model).items()}
    parameters = [value for delta in deltas.values() for value in delta.parameters()]
    print(f"{len(deltas)} modules, {sum(value.numel() for value in parameters)} parameters", flush=True)
    learn(parameters, lambda: lessons.error(lessons.plainly), options.steps, options.rate,
          f"{options.run}/lora.pt", weight_decay=.01)
    save_kohya(options.output, deltas, options.alpha, options.rank)


if __name__ == "__main__":
    main()
