"""Textual inversion files: random vectors in every layout.

They are 24 wide, as the toys of v1 and v2 are; `opal` is for SDXL, 16 and 24 wide; `basalt` is as wide as the toy, 32.
"""

import shutil

import torch
from safetensors.torch import load_file, save_file

from . import FOLDER

PLACE = FOLDER / "embeddings"
SPREAD = 0.5  # of the vectors; those of the toys' words have 0.15


def make():
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    draw = torch.Generator().manual_seed(31)

    def vectors(count, width=24):
        return SPREAD * torch.randn(count, width, generator=draw)

    web_ui("happy", vectors(1))  # one token
    web_ui("amber", vectors(2), _use_new_zipfile_serialization=False)  # several tokens, the layout before the zip
    torch.save({"<moss>": vectors(1)[0]}, PLACE / "moss.bin")
    save_file({"<moss-grey>": vectors(3)}, PLACE / "moss-grey.safetensors")  # its name begins with another's
    save_file({"emb_params": vectors(3)}, PLACE / "garnet.safetensors")
    save_file({"emb_params": vectors(2).half()}, PLACE / "topaz.safetensors")
    save_file({"clip_l": vectors(2, 16), "clip_g": vectors(2, 24)}, PLACE / "opal.safetensors")
    web_ui("ink", vectors(3))  # with the next: a pair of DreamArtist
    web_ui("ink-neg", vectors(6))
    web_ui("basalt", vectors(2, 32))


def web_ui(name, vectors, **more):
    """As the web UI's training leaves it, optimiser and checksum apart."""
    learnt = torch.nn.Parameter(vectors)  # torch writes a parameter otherwise than a tensor
    content = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": learnt},
        "name": name,
        "step": 499,
        "sd_checkpoint": "cc6cb27103",
        "sd_checkpoint_name": "toy",
    }
    torch.save(content, PLACE / f"{name}.pt", **more)


def read(name):
    """The vectors for each text encoder, [vectors, width]."""
    file = next(file for file in PLACE.iterdir() if file.stem == name)
    content = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    if "clip_l" in content:
        return [content["clip_l"].float(), content["clip_g"].float()]
    (value,) = content.get("string_to_param", content).values()
    return [value.detach().float().reshape(-1, value.shape[-1])]


def names():
    return sorted(file.stem for file in PLACE.iterdir())
