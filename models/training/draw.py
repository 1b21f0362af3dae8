"""Draws the training pictures: 64x64 pixels of coloured shapes, pairs of shapes, and small scenes.

    python draw.py PICTURES.npz [--count 40000] [--seed 1]

Every picture is drawn four times larger and then averaged down, which gives smooth edges.
Every picture gets four captions, so that the model learns the words and not one sentence.
"""
import argparse
import os
import random
import zlib
from multiprocessing import Pool

import numpy as np

from captions import caption
from scenes import scene
from shapes import COLOURS, PLACES, RADII, RELATIONS, SHAPES, SIZE, canvas, draw_shape, finish


def held_out(shape, colour, background):
    """True for the third of the combinations that is never drawn for training, so that it can test composition."""
    return zlib.crc32(f"{shape}|{colour}|{background}".encode()) % 3 == 0


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


def two_objects(rnd, *chosen):
    """Two shapes side by side or one above the other; `chosen` may give both (shape, colour) and the relation."""
    while True:
        first, second = chosen[:2] or ((rnd.choice(SHAPES), rnd.choice(list(COLOURS))) for _ in range(2))
        background = rnd.choice(list(COLOURS))
        visible = background not in (first[1], second[1])
        if visible and first != second and not held_out(*first, background) and not held_out(*second, background):
            break
    relation = chosen[2] if chosen else rnd.choice(list(RELATIONS))
    right, down = RELATIONS[relation]
    image, pen = canvas(nearly(rnd, background))
    for (shape, colour), side in ((first, 15.8), (second, -15.8)):
        x, y = (32 + side * step + rnd.uniform(-1.2, 1.2) for step in (right, down))
        draw_shape(pen, shape, x, y, rnd.uniform(12.5, 14), nearly(rnd, colour))
    return finish(image), dict(kind="two", first=first, second=second, background=background, relation=relation)


def batch_of_pictures(job):
    """Draws one chunk; chunks have their own seeds, so the number of processes does not change the pictures."""
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
