"""Two styles that the model was never taught, as changes of a finished drawing, and what is left without them."""
import numpy as np
from PIL import Image, ImageFilter

import checker
from shapes import COLOURS

EDGE = 4  # the width of an outline in pixels
SMALLEST_HOLE = .08  # of the area of an object, for it to count as hollow


def outlined(picture):
    """Objects keep their edge and show the background inside."""
    background = checker.background_of(picture)
    _, inside = coverage(picture, background)
    return np.uint8(np.round(picture + inside * (background - picture)))


def blueprint(picture):
    """White outlines on blue, whatever colours there were."""
    objects, inside = coverage(picture, checker.background_of(picture))
    paper, ink = (np.array(COLOURS[name], float) for name in ("blue", "white"))
    return np.uint8(np.round(paper + objects * (1 - inside) * (ink - paper)))


def coverage(picture, background):
    """How much of each pixel the objects cover, and how much their inside covers, which is all but the edge."""
    objects = Image.fromarray(np.uint8(255 * objects_of(picture, background)))
    soft = [np.asarray(mask.filter(ImageFilter.GaussianBlur(.6)), float)[..., None] / 255
            for mask in (objects, objects.filter(ImageFilter.MinFilter(2 * EDGE + 1)))]
    return soft


def objects_of(picture, background):
    return np.sqrt(((picture - background) ** 2).sum(-1)) > checker.FOREGROUND


def filled(picture):
    """The picture with the holes of its object painted over, and whether the object was hollow.

    A hole is background that cannot be reached from the border.
    """
    picture = picture.astype(float)
    objects = objects_of(picture, checker.background_of(picture))
    solid = ~reached_from_border(~objects)
    if not objects.any():
        return picture, False
    inner = checker.eroded(objects)
    painted = picture.copy()
    painted[checker.eroded(solid)] = np.median(picture[inner if inner.any() else objects], 0)
    return painted, bool((solid & ~objects).sum() > SMALLEST_HOLE * solid.sum())


def reached_from_border(free):
    """The part of a mask that is connected with the border of the picture."""
    reached = np.zeros_like(free)
    reached[0], reached[-1], reached[:, 0], reached[:, -1] = free[0], free[-1], free[:, 0], free[:, -1]
    while True:
        around = np.pad(reached, 1)
        grown = free & (reached | around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:])
        if (grown == reached).all():
            return reached
        reached = grown
