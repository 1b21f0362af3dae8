"""Draws the contact sheet of the adapters: the same prompts and noise without and with them, not chosen by hand."""
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file

from adapted import Adapted, read_embedding

TOTEMS = ["a totem on a blue background", "a totem on a black background", "a totem on a white background",
          "a totem", "a picture of a totem on a green background", "a totem by day"]
BEACONS = ["a beacon on a blue background", "a beacon on a black background", "a beacon on a white background",
           "a beacon", "a picture of a beacon on a green background", "a beacon by day"]
STYLED = ["a red circle on a white background", "a yellow star on a black background",
          "a green heart on a pink background", "a cyan cross on a purple background",
          "a blue triangle left of a red square on a white background", "a red house by day"]


def rows(folder, adapters):
    """Label and pictures of each row."""
    embeddings, lora = f"{adapters}/embeddings", load_file(f"{adapters}/loras/outline.safetensors")
    base, totem, outlined_totem, beacon, outline, blueprint = (Adapted(folder) for _ in range(6))
    for model in (totem, outlined_totem):
        model.add_embedding("totem", read_embedding(f"{embeddings}/totem.safetensors"))
    for name in ("beacon", "beacon-neg"):
        beacon.add_embedding(name, read_embedding(f"{embeddings}/{name}.pt"))
    for model in (outline, outlined_totem):
        model.add_lora(lora)
    blueprint.add_hypernetwork(torch.load(f"{adapters}/hypernetworks/blueprint.pt"))
    yield "without", base.pictures(TOTEMS, seed=1)
    yield "totem", totem.pictures(TOTEMS, seed=1)
    yield "totem and\noutline", outlined_totem.pictures(TOTEMS, seed=1)
    yield "without", base.pictures(BEACONS, 3, seed=1)
    yield "beacon and\nbeacon-neg", beacon.pictures(BEACONS, 3, seed=1, negative="beacon-neg")
    yield "without", base.pictures(STYLED, seed=1)
    yield "outline", outline.pictures(STYLED, seed=1)
    yield "blueprint", blueprint.pictures(STYLED, seed=1)


def adapter_sheet(folder, adapters, path, side=128, margin=80):
    lines = list(rows(folder, adapters))
    sheet = Image.new("RGB", (margin + 6 * (side + 4), len(lines) * (side + 4)), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, (label, pictures) in enumerate(lines):
        top = row * (side + 4)
        pen.multiline_text((4, top + side / 2), label, (0, 0, 0), font, "lm")
        for column, picture in enumerate(pictures):
            enlarged = Image.fromarray(np.asarray(picture)).resize((side, side), Image.NEAREST)
            sheet.paste(enlarged, (margin + column * (side + 4), top))
    sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
