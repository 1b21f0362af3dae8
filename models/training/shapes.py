"""Shapes, colours and the canvas: what every picture is drawn with."""
import math

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
