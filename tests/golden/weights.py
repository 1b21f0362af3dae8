"""Writes weights/: small files of `torch.save` in each of its layouts, and embeddings in each layout that people share.

Run: OMP_NUM_THREADS=1 python tests/golden/weights.py
Needs torch, safetensors and Pillow; last run with torch 2.15.0, safetensors 0.8.0, Pillow 13.0.0.

The values are counted, so that the tests can say what they expect. The old layout names its storages by where they lie in
memory, so that file differs from run to run.
"""

import base64
import collections
import json
import pathlib
import zipfile

import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).with_name("weights")


def counted(*shape):
    return (torch.arange(torch.Size(shape).numel(), dtype=torch.float32) / 4).reshape(shape)


def containers():
    shared = counted(2)
    module = torch.nn.LayerNorm(2)
    return {
        "none": None,
        "flags": (True, False),
        "numbers": [0, 255, 65535, -1, 2**31, -(2**40), 1.5],
        "text": "é*",
        320: (1, 2, 3, 4),
        "ordered": collections.OrderedDict(a=1, b=2),
        "state": module.state_dict(),
        "size": torch.Size([2, 3]),
        "set": {7},
        "parameter": torch.nn.Parameter(counted(3)),
        "parameters": torch.nn.ParameterDict({"*": torch.nn.Parameter(counted(1, 2))}),
        "transposed": counted(2, 3).t(),
        "part": counted(10)[2:8:2],
        "expanded": counted(2)[1:].expand(3, 1),
        "shared": [shared, shared[1:]],
        "scalar": torch.tensor(265),
        "empty": torch.zeros(0, 3),
        "half": counted(2).half(),
        "brain": counted(2).bfloat16(),
        "double": counted(2).double(),
        "bool": torch.tensor([True, False]),
    }


def deflate(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)


def web_ui(vectors):
    """The web UI's Embedding.save."""
    return {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": vectors},
        "name": "counted",
        "step": 100,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }


class EmbeddingEncoder(json.JSONEncoder):
    """The web UI's, in image_embedding.py."""

    def default(self, o):
        return {"TORCHTENSOR": o.cpu().detach().numpy().tolist()}


def card(data, target):
    info = PngImagePlugin.PngInfo()
    info.add_text("sd-ti-embedding", base64.b64encode(json.dumps(data, cls=EmbeddingEncoder).encode()).decode())
    Image.new("RGB", (4, 4), "red").save(target, "PNG", pnginfo=info)


def main():
    OUT.mkdir(exist_ok=True)
    torch.save(containers(), OUT / "containers.pt")
    torch.save(containers() | {"bytes": b"\0\xff"}, OUT / "containers-4.pt", pickle_protocol=4)
    # The old layout gives modules with their source code and where it lies.
    old = {name: value for name, value in containers().items() if name != "parameters"}
    torch.save(old, OUT / "containers-old.pt", _use_new_zipfile_serialization=False)
    deflate(OUT / "containers.pt", OUT / "containers-deflated.pt")

    torch.save(web_ui(counted(2, 3).requires_grad_()), OUT / "web-ui.pt")
    first = {"string_to_token": {"*": torch.tensor(265)}}
    first["string_to_param"] = torch.nn.ParameterDict({"*": torch.nn.Parameter(counted(2, 3))})
    torch.save(first, OUT / "first-script.pt")
    torch.save({"<counted>": counted(3)}, OUT / "learned_embeds.bin")
    save_file({"<counted>": counted(2, 3)}, OUT / "learned_embeds.safetensors", {"format": "pt"})
    save_file({"emb_params": counted(2, 3).half()}, OUT / "kohya.safetensors")
    save_file({"clip_g": counted(2, 5), "clip_l": counted(2, 3)}, OUT / "sdxl.safetensors")
    card(web_ui(counted(2, 3)), OUT / "card.png")


if __name__ == "__main__":
    main()
