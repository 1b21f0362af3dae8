"""Draws the training pictures: 64x64 pixels of coloured shapes, pairs of shapes, and small scenes.

    python draw.py PICTURES.npz [--count 40000] [--seed 1]

Every picture is drawn four times larger and then averaged down, which gives smooth edges.
Every picture gets four captions, so that the model learns the words and not one sentence.
"""
import argparse
import math
import os
import random
import zlib
from multiprocessing import Pool

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
OVERSAMPLE = 4

COLOURS = {
    "red": (220, 40, 40), "orange": (245, 135, 30), "yellow": (250, 220, 50), "green": (45, 160, 70),
    "cyan": (60, 205, 220), "blue": (45, 80, 210), "purple": (130, 55, 170), "pink": (250, 150, 195),
    "white": (245, 245, 245), "black": (22, 22, 22),
}
SHAPES = ["circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond"]
RADII = {"": (17, 21), "small": (10, 12), "large": (25, 28)}
PLACES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "centre": (0, 0)}
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}


def heart_outline():
    """The usual heart curve, scaled to a radius of about one."""
    turns = np.linspace(0, 2 * math.pi, 60)
    across = 16 * np.sin(turns) ** 3
    up = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    return list(zip(across / 16.5, -up / 16.5 - 0.08))


def star_outline(outer=1.08, inner=0.45):
    """Five points; the inner radius is a little large, because thin points do not survive 8x8 latents."""
    radii = [outer if corner % 2 == 0 else inner for corner in range(10)]
    return [(r * math.sin(k * math.pi / 5), 0.06 - r * math.cos(k * math.pi / 5)) for k, r in enumerate(radii)]


OUTLINES = {
    "square": [(-.85, -.85), (.85, -.85), (.85, .85), (-.85, .85)],
    "triangle": [(0, -1), (1, .8), (-1, .8)],
    "diamond": [(0, -1.1), (.8, 0), (0, 1.1), (-.8, 0)],
    "cross": [(-.34, -1), (.34, -1), (.34, -.34), (1, -.34), (1, .34), (.34, .34),
              (.34, 1), (-.34, 1), (-.34, .34), (-1, .34), (-1, -.34), (-.34, -.34)],
    "star": star_outline(),
    "heart": heart_outline(),
}


def held_out(shape, colour, background):
    """True for the third of the combinations that is never drawn for training, so that it can test composition."""
    return zlib.crc32(f"{shape}|{colour}|{background}".encode()) % 3 == 0


def canvas(colour):
    image = Image.new("RGB", (SIZE * OVERSAMPLE, SIZE * OVERSAMPLE), colour)
    return image, ImageDraw.Draw(image)


def finish(image):
    return np.asarray(image.reduce(OVERSAMPLE))


def draw_shape(pen, shape, x, y, radius, colour):
    """Draws one shape; positions and the radius are in pixels of the finished picture."""
    x, y, radius = x * OVERSAMPLE, y * OVERSAMPLE, radius * OVERSAMPLE
    box = [x - radius, y - radius, x + radius, y + radius]
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "ring":
        pen.ellipse(box, outline=colour, width=int(radius * .42))
    else:
        pen.polygon([(x + across * radius, y + down * radius) for across, down in OUTLINES[shape]], fill=colour)


def nearly(rnd, colour, spread=7):
    """The named colour, a little lighter or darker."""
    shift = rnd.randint(-spread, spread)
    return tuple(max(0, min(255, value + shift)) for value in COLOURS[colour])


def one_object(rnd, shape=None, colour=None, background=None, size=None, place=None):
    """One shape on a plain background; whatever is not given is chosen, held-out combinations excepted."""
    if shape is None:
        while True:
            shape, colour, background = rnd.choice(SHAPES), rnd.choice(list(COLOURS)), rnd.choice(list(COLOURS))
            if colour != background and not held_out(shape, colour, background):
                break
    size = rnd.choice(["", "", "", "small", "large"]) if size is None else size
    if place is None:  # a large shape fills the picture and has no place to go
        place = "" if size == "large" else rnd.choice([""] * 12 + list(PLACES))
    radius = rnd.uniform(*RADII[size])
    right, down = PLACES.get(place, (0, 0))
    wobble = min(2, max(.5, 30 - radius))
    x = 32 + right * (30 - radius) + rnd.uniform(-wobble, wobble)
    y = 32 + down * (30 - radius) + rnd.uniform(-wobble, wobble)
    image, pen = canvas(nearly(rnd, background))
    draw_shape(pen, shape, x, y, radius, nearly(rnd, colour))
    return finish(image), dict(kind="one", shape=shape, colour=colour, background=background, size=size, place=place)


def two_objects(rnd):
    """Two shapes side by side or one above the other."""
    while True:
        first, second = ((rnd.choice(SHAPES), rnd.choice(list(COLOURS))) for _ in range(2))
        background = rnd.choice(list(COLOURS))
        visible = background not in (first[1], second[1])
        if visible and first != second and not held_out(*first, background) and not held_out(*second, background):
            break
    relation = rnd.choice(list(RELATIONS))
    right, down = RELATIONS[relation]
    image, pen = canvas(nearly(rnd, background))
    for (shape, colour), side in ((first, 15.8), (second, -15.8)):
        x, y = (32 + side * step + rnd.uniform(-1.2, 1.2) for step in (right, down))
        draw_shape(pen, shape, x, y, rnd.uniform(12.5, 14), nearly(rnd, colour))
    return finish(image), dict(kind="two", first=first, second=second, background=background, relation=relation)


def batch_of_pictures(job):
    """Draws one chunk; chunks have their own seeds, so the number of processes does not change the pictures."""
    from captions import caption
    from scenes import scene
    seed, count = job
    rnd = random.Random(seed)
    pictures, captions, pairs = np.empty((count, SIZE, SIZE, 3), np.uint8), [], []
    for index in range(count):
        draw = rnd.choices([one_object, two_objects, scene], weights=[52, 33, 15])[0]
        pictures[index], facts = draw(rnd)
        captions.append([caption(rnd, facts) for _ in range(4)])
        pairs.append(facts["kind"] == "two")
    return pictures, captions, pairs


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("output")
    options.add_argument("--count", type=int, default=40000)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    starts = range(0, options.count, 1000)
    jobs = [(options.seed * 100003 + start, min(1000, options.count - start)) for start in starts]
    with Pool() as pool:
        chunks = pool.map(batch_of_pictures, jobs, chunksize=1)
    pictures, captions, pairs = (np.concatenate(part) for part in zip(*chunks))
    np.savez(options.output + ".new.npz", pictures=pictures, captions=captions, pairs=pairs)
    os.replace(options.output + ".new.npz", options.output)
    print(f"{len(pictures)} pictures, {len(set(captions.ravel()))} different captions")


if __name__ == "__main__":
    main()
