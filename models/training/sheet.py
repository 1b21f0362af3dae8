"""Draws the contact sheet: one picture for each of these prompts, with its caption, not chosen by hand."""
import textwrap

from PIL import Image, ImageDraw, ImageFont

SHEET = [
    "a red circle on a blue background", "a yellow star on a black background", "a white heart on a red background",
    "a green triangle on a white background", "a purple diamond on a yellow background",
    "an orange ring on a cyan background", "a pink square on a green background", "a blue cross on a pink background",
    "a large red circle on a blue background", "a small black heart on a yellow background",
    "a large green star on a white background", "a cyan ring on a purple background",
    "a red circle left of a blue square on a white background", "a green triangle left of a yellow square",
    "a yellow star above a red heart on a black background", "a pink ring below a white cross on a purple background",
    "a house under a night sky with a moon", "a red house by day", "a yellow house at sunset", "a green tree by day",
    "a pink tree at sunset", "snowy mountains under a blue sky", "the sea at sunset", "a night sky with a moon",
]


def contact_sheet(model, path, columns=6, cell=(172, 178)):
    """Pictures are enlarged twice without smoothing, so that every pixel shows."""
    pictures = model.pictures(SHEET, seed=3)
    rows = -(-len(SHEET) // columns)
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for index, (picture, prompt) in enumerate(zip(pictures, SHEET)):
        left, top = index % columns * cell[0], index // columns * cell[1]
        sheet.paste(Image.fromarray(picture).resize((128, 128), Image.NEAREST), (left + (cell[0] - 128) // 2, top + 6))
        caption = "\n".join(textwrap.wrap(prompt, 26))
        pen.multiline_text((left + cell[0] / 2, top + 137), caption, (0, 0, 0), font, "ma", align="center", spacing=1)
    sheet.save(path, optimize=True)
