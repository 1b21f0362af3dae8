"""The pictures that requests bring along: drawn by formula, so that a person can tell what they should do."""

import numpy as np
from PIL import Image

from .folders import GOLDEN

INPUTS = GOLDEN / "inputs"


def make():
    INPUTS.mkdir(exist_ok=True)
    for ending, height in (("", 64), ("-tall", 96)):
        y, x = np.mgrid[0:height, 0:64] / 63.0
        far = np.hypot(x - 0.45, y - height / 126)
        disc = far < 0.3
        ground = np.stack([40 + 120 * x, 60 + 60 * y, 200 - 100 * x], -1)
        colours = np.where(disc[..., None], np.array([230.0, 190.0, 40.0]) * (1 - far[..., None]), ground)
        save(colours.astype(np.uint8), f"init{ending}")
        save(np.where(far < 0.37, 255, 0).astype(np.uint8), f"mask{ending}")
        near = np.clip(np.where(disc, 1 - far, 0.35 * y + 0.1 * x), 0, 1)
        save((near * 65535).astype(np.uint16), f"depth{ending}")
        if not ending:
            save((near * 255).astype(np.uint8), "depth-8")


def save(values, name):
    Image.fromarray(values).save(INPUTS / f"{name}.png", optimize=True)


def colours(name):
    return Image.open(INPUTS / name).convert("RGB")


def mask(name):
    return Image.open(INPUTS / name).convert("L")


def depth(name):
    """Values 0 to 1, [height, width] in float32; near is large."""
    values = np.asarray(Image.open(INPUTS / name))
    return (values / np.float32(np.iinfo(values.dtype).max)).astype(np.float32)
