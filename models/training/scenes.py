"""Draws small landscapes by day, at sunset and at night: a house, a tree, mountains, the sea, or only the sky."""
import numpy as np
from PIL import Image, ImageDraw

from shapes import COLOURS, OVERSAMPLE, SIZE, draw_shape, finish

SKIES = {  # colour at the top, colour at the bottom, and how bright everything below the sky is
    "day": ((95, 170, 240), (190, 225, 250), 1.0),
    "sunset": ((225, 90, 60), (255, 200, 100), .8),
    "night": ((12, 14, 50), (40, 45, 105), .5),
}
KINDS = ["house", "house", "tree", "mountains", "sea", "sky"]
TREES = {"green": (35, 120, 50), "orange": (230, 130, 40), "pink": (245, 155, 190)}
HOUSES = ["red", "yellow", "white", "blue"]


class Scene:
    """A picture being drawn, with its time of day and its light."""

    def __init__(self, rnd, time):
        top, bottom, self.light = SKIES[time]
        self.rnd, self.time = rnd, time
        self.horizon = rnd.uniform(40, 44)
        rows = np.linspace(0, 1, SIZE * OVERSAMPLE)[:, None]
        gradient = (np.array(top) * (1 - rows) + np.array(bottom) * rows).astype(np.uint8)
        self.image = Image.fromarray(np.broadcast_to(gradient[:, None, :], (len(rows), len(rows), 3)).copy())
        self.pen = ImageDraw.Draw(self.image)

    def lit(self, colour):
        return tuple(int(value * self.light) for value in colour)

    def polygon(self, points, colour):
        self.pen.polygon([(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in points], fill=colour)

    def box(self, left, top, right, bottom, colour):
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def circle(self, x, y, radius, colour):
        draw_shape(self.pen, "circle", x, y, radius, colour)


def scene(rnd):
    """One landscape and what is in it."""
    facts = dict(kind=rnd.choice(KINDS), time=rnd.choice(list(SKIES)))
    place = Scene(rnd, facts["time"])
    draw_lights(place, low_sun=facts["kind"] in ("sea", "sky"))
    if facts["kind"] == "sea":
        draw_sea(place)
    elif facts["kind"] == "mountains":
        draw_mountains(place)
    elif facts["kind"] != "sky":
        place.box(0, place.horizon, SIZE, SIZE, place.lit((80, 165, 70)))
    if facts["kind"] == "house":
        facts["colour"] = rnd.choice(HOUSES)
        draw_house(place, COLOURS[facts["colour"]])
    if facts["kind"] == "tree":
        facts["colour"] = rnd.choice(list(TREES))
        draw_tree(place, TREES[facts["colour"]])
    return finish(place.image), facts


def draw_lights(place, low_sun):
    """The sun, or the moon (a crescent) with stars."""
    rnd = place.rnd
    x = rnd.choice([rnd.uniform(9, 13), rnd.uniform(51, 55)])
    if place.time == "night":
        for _ in range(rnd.randint(6, 10)):
            place.circle(rnd.uniform(2, 62), rnd.uniform(2, 34), rnd.uniform(.6, .9), (250, 245, 210))
        place.circle(x, 13, 8, (240, 240, 225))
        place.circle(x + 4, 11, 6.5, SKIES["night"][0])
    elif place.time == "day":
        place.circle(x, 12, 7, (255, 225, 70))
    else:
        place.circle(32 if low_sun else x, place.horizon - 5, 9, (255, 235, 130))


def draw_sea(place):
    rnd = place.rnd
    place.box(0, place.horizon, SIZE, SIZE, place.lit((30, 90, 190)))
    for _ in range(5):
        x, y = rnd.uniform(0, 54), rnd.uniform(place.horizon + 3, 62)
        place.box(x, y, x + 9, y + 1.2, place.lit((120, 175, 235)))


def draw_mountains(place):
    for middle, height, half in ((20, 28, 22), (45, 34, 25)):
        x = middle + place.rnd.uniform(-3, 3)
        peak = 52 - height
        place.polygon([(x, peak), (x + half, 54), (x - half, 54)], place.lit((120, 120, 135)))
        snow = peak + height * .32
        place.polygon([(x, peak), (x + half * .3, snow), (x - half * .3, snow)], place.lit((250, 250, 255)))
    place.box(0, 51, SIZE, SIZE, place.lit((80, 165, 70)))


def draw_house(place, colour):
    """Walls, a roof, a door and two windows, which shine at night."""
    x, ground = 32 + place.rnd.uniform(-2, 2), place.horizon + 11
    window = (255, 240, 120) if place.time == "night" else place.lit((175, 220, 245))
    place.box(x - 15, ground - 21, x + 15, ground, place.lit(colour))
    place.polygon([(x - 19, ground - 21), (x + 19, ground - 21), (x, ground - 37)], place.lit((140, 60, 45)))
    place.box(x - 3.5, ground - 11, x + 3.5, ground, place.lit((90, 55, 35)))
    for left in (-11.5, 5.5):
        place.box(x + left, ground - 17, x + left + 6, ground - 11, window)


def draw_tree(place, colour):
    x, ground = 32 + place.rnd.uniform(-2, 2), place.horizon + 11
    place.box(x - 3, ground - 20, x + 3, ground, place.lit((110, 70, 40)))
    for right, up, radius in ((0, 31, 11), (-8, 23, 9), (8, 23, 9)):
        place.circle(x + right, ground - up, radius, place.lit(colour))
