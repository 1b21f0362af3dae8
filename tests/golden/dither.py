"""What Pillow's Floyd-Steinberg dithering makes of a picture: dither.json.

    python dither.py

Black and white is `convert("1")`, colours are `quantize(palette=..., dither=FLOYDSTEINBERG)`.
"""

import json
from pathlib import Path

import PIL
from PIL import Image

HERE = Path(__file__).parent
COLOURS = [0, 0, 0, 255, 255, 255, 29, 173, 35, 30, 29, 174, 205, 36, 37, 231, 222, 35, 216, 123, 36]


def picture():
    """A grey ramp above mixtures of two inks each, 64 x 48: all within the panel's reach.

    Beyond it, errors pile up; Pillow cuts them off sooner than the program, and the two part.
    """
    image = Image.new("RGB", (64, 48))
    ink = [COLOURS[at : at + 3] for at in range(0, len(COLOURS), 3)]
    pairs = [(ink[1], ink[4]), (ink[5], ink[3]), (ink[0], ink[2]), (ink[4], ink[5])]
    for y in range(48):
        for x in range(64):
            one, other = (ink[0], ink[1]) if y < 16 else pairs[(y - 16) // 8]
            image.putpixel((x, y), tuple((a * (63 - x) + b * x) // 63 for a, b in zip(one, other)))
    return image


def case(name, image, palette, dithered, scale):
    pixels = [value for pixel in image.get_flattened_data() for value in pixel]
    codes = [code // scale for code in dithered.get_flattened_data()]
    return {"name": name, "width": image.width, "palette": palette, "pixels": pixels, "codes": codes}


def main():
    grey = picture().convert("L")
    palette = Image.new("P", (1, 1))
    palette.putpalette(COLOURS)
    coloured = picture().quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    cases = [
        case("black and white", grey.convert("RGB"), [0, 0, 0, 255, 255, 255], grey.convert("1"), 255),
        case("seven colours", picture(), COLOURS, coloured, 1),
    ]
    text = json.dumps({"pillow": PIL.__version__, "cases": cases}, separators=(",", ":"))
    (HERE / "dither.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
