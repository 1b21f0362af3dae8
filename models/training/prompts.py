"""The prompts of the measurement, and real drawings that show the same things."""
import random

import numpy as np

import draw
import shapes
from captions import article


def single_prompts(count, seed):
    """Random (shape, colour, background); about a third of them was never drawn in training."""
    rnd = random.Random(seed)
    wanted = []
    while len(wanted) < count:
        shape, colour, background = rnd.choice(shapes.SHAPES), *rnd.sample(list(shapes.COLOURS), 2)
        wanted.append(dict(shape=shape, colour=colour, background=background))
    return wanted


def single_text(wanted, size=""):
    thing = f"{size} {wanted['colour']} {wanted['shape']}".strip()
    return f"{article(thing)} on {article(wanted['background'])} background"


def pair_prompts(count, seed):
    """Random pairs of shapes in two colours on a third."""
    rnd = random.Random(seed)
    return [dict(colours=rnd.sample(list(shapes.COLOURS), 3), shapes=rnd.choices(shapes.SHAPES, k=2),
                 relation=rnd.choice(list(shapes.RELATIONS))) for _ in range(count)]


def pair_text(wanted):
    first, second = (f"{colour} {shape}" for colour, shape in zip(wanted["colours"], wanted["shapes"]))
    background = article(wanted["colours"][2])
    return f"{article(first)} {wanted['relation']} {article(second)} on {background} background"


def drawings(wanted, size=""):
    rnd = random.Random(7)
    return np.stack([draw.one_object(rnd, **facts, size=size, place="")[0] for facts in wanted])


def drawn_pairs(count):
    """Real drawings of two objects in different colours, described as pair_prompts describes them."""
    rnd, pictures, wanted = random.Random(29), [], []
    while len(wanted) < count:
        picture, facts = draw.two_objects(rnd)
        (first, colour), (second, other) = facts["first"], facts["second"]
        if colour != other:
            pictures.append(picture)
            wanted.append(dict(colours=[colour, other, facts["background"]], shapes=[first, second],
                               relation=facts["relation"]))
    return pictures, wanted
