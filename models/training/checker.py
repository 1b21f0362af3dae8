"""Judges a picture: which colours, which shape, which size, and which of two objects is where.

The checker knows the palette and the outlines, and nothing about any model.
Its limits were fixed on real drawings and on blurred drawings, before it saw a generated picture.
"""
import functools

import numpy as np
from PIL import Image, ImageDraw

from shapes import COLOURS, OVERSAMPLE, RELATIONS, SHAPES, SIZE, draw_shape

COLOUR_LIMIT = 60  # the farthest that a colour may be from the palette and still have its name
FOREGROUND = 60  # the least distance from the background colour at which a pixel belongs to an object
OVERLAP = .75  # the least agreement between an object and the outline that fits best
FEWEST_PIXELS = 40
PALETTE = np.array(list(COLOURS.values()), float)
NAMES = list(COLOURS)


def nearest(colours):
    """For each colour the number of the nearest palette colour, or -1 where none is near."""
    distance = np.sqrt(((np.asarray(colours, float)[..., None, :] - PALETTE) ** 2).sum(-1))
    return np.where(distance.min(-1) < COLOUR_LIMIT, distance.argmin(-1), -1)


def colour_name(colour):
    number = int(nearest(colour))
    return NAMES[number] if number >= 0 else None


def background_of(picture):
    """The usual colour along the border."""
    border = np.concatenate([picture[:2].reshape(-1, 3), picture[-2:].reshape(-1, 3),
                             picture[:, :2].reshape(-1, 3), picture[:, -2:].reshape(-1, 3)])
    return np.median(border, 0)


def one_object(picture):
    """Background colour, object colour, shape and radius; None for what cannot be told."""
    picture = picture.astype(float)
    background = background_of(picture)
    foreground = np.sqrt(((picture - background) ** 2).sum(-1)) > FOREGROUND
    if foreground.sum() < FEWEST_PIXELS:
        return dict(background=colour_name(background), colour=None, shape=None, radius=0)
    inside = picture[eroded(foreground)]
    colour = np.median(inside if len(inside) > FEWEST_PIXELS // 4 else picture[foreground], 0)
    towards = colour - background
    coverage = ((picture - background) @ towards / (towards @ towards)).clip(0, 1)
    shape, radius = best_shape(coverage)
    return dict(background=colour_name(background), colour=colour_name(colour), shape=shape, radius=radius)


def eroded(mask):
    """The mask without its outermost pixels, where colours mix."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def best_shape(coverage):
    """Lays every outline over the object, with the same centre of mass and about the same area, and takes the best.

    Coverage says for each pixel how much of it the object covers.
    Agreement is intersection over union, with the smaller and the larger coverage as intersection and union.
    """
    best = (OVERLAP, None, 0)
    centre = centre_of(coverage)
    for shape in SHAPES:
        unit_area, unit_centre = moments(shape)
        fitting = np.sqrt(coverage.sum() / unit_area)
        for radius in fitting * np.array([.94, 1, 1.06]):
            x, y = centre - unit_centre * radius
            outline = drawn(shape, x, y, radius)
            agreement = np.minimum(coverage, outline).sum() / np.maximum(coverage, outline).sum()
            best = max(best, (agreement, shape, radius), key=lambda entry: entry[0])
    return best[1:]


def drawn(shape, x, y, radius):
    """How much of each pixel a shape covers."""
    mask = Image.new("L", (SIZE * OVERSAMPLE, SIZE * OVERSAMPLE))
    draw_shape(ImageDraw.Draw(mask), shape, x, y, radius, 255)
    return np.asarray(mask.reduce(OVERSAMPLE), float) / 255


def centre_of(coverage):
    """Centre of mass; pixel k spans k to k + 1."""
    places = np.arange(SIZE) + .5
    return np.array([coverage.sum(0) @ places, coverage.sum(1) @ places]) / coverage.sum()


@functools.cache
def moments(shape, radius=24):
    """Area and centre of mass of the shape with radius 1 around (0, 0)."""
    coverage = drawn(shape, SIZE / 2, SIZE / 2, radius)
    return coverage.sum() / radius ** 2, (centre_of(coverage) - SIZE / 2) / radius


def relation_holds(picture, first, second, relation):
    """True if both colours are there and the first lies clearly on the right side of the second."""
    labels = nearest(picture)
    places = [np.argwhere(labels == NAMES.index(colour)) for colour in (first, second)]
    if min(map(len, places)) < FEWEST_PIXELS:
        return False
    down, right = places[0].mean(0) - places[1].mean(0)
    step_right, step_down = RELATIONS[relation]
    along, across = (right * step_right, down) if step_right else (down * step_down, right)
    return bool(along > 10 and along > abs(across))


def halves(picture, relation):
    """The picture twice with one half painted over: first the half where the first object belongs, then the other."""
    step_right, step_down = RELATIONS[relation]
    sideways = picture.swapaxes(0, 1) if step_right else picture
    parts = []
    for half in (slice(0, SIZE // 2), slice(SIZE // 2, SIZE)):
        part = np.empty_like(sideways)
        part[:] = background_of(picture)
        part[half] = sideways[half]
        parts.append(part.swapaxes(0, 1) if step_right else part)
    return parts if step_right + step_down < 0 else parts[::-1]
