"""Draws the contact sheets of the documentation with the built program and the bundled model.

Run: cargo build --release && python docs/sheets.py        (a minute; needs Pillow)
Nothing is chosen by hand: every sheet has one seed.
"""

import json
import os
import pathlib
import subprocess
import tempfile

from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).parent.parent
PROGRAM = ROOT / "target" / "release" / "diffused"
TARGET = pathlib.Path(__file__).parent / "pictures"
PROMPT = "a red circle on a blue background"


def generate(folder, prompt, **flags):
    """One picture; flags have the request's names."""
    file = folder / "picture.png"
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    subprocess.run([PROGRAM, "generate", prompt, "-o", file, *words], check=True, cwd=ROOT)
    return Image.open(file).convert("RGB")


def sheet(name, pictures, columns):
    """Pictures are enlarged twice without smoothing, so that every pixel shows."""
    cell = (140, 158)
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * cell[0], rows * cell[1]), (255, 255, 255))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(size=12)
    for index, (caption, picture) in enumerate(pictures):
        left, top = index % columns * cell[0], index // columns * cell[1]
        whole.paste(picture.resize((128, 128), Image.NEAREST), (left + 6, top + 6))
        pen.text((left + cell[0] / 2, top + 137), caption, (0, 0, 0), font, "ma")
    TARGET.mkdir(exist_ok=True)
    whole.save(TARGET / f"{name}.png", optimize=True)


def image_to_image(folder):
    init = folder / "init.png"
    generate(folder, PROMPT, seed=3).save(init)
    pictures = [("init image", Image.open(init).convert("RGB"))]
    for strength in (0, 0.1, 0.2, 0.5, 1):
        made = generate(folder, "a yellow star on a purple background", seed=5, init_image=init, strength=strength)
        pictures.append((f"strength {strength}", made))
    sheet("image-to-image", pictures, 6)


def inpainting(folder):
    init, hole = folder / "init.png", folder / "hole.png"
    generate(folder, "a red circle left of a blue square on a white background", seed=3).save(init)
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((32, 8, 63, 55), fill=255)
    mask.save(hole)
    prompt = "a red circle left of a green star on a white background"
    pictures = [("init image", Image.open(init).convert("RGB")), ("mask", mask.convert("RGB"))]
    for caption, flags in [
        ("strength 1", {"strength": 1}),
        ("strength 0.8", {"strength": 0.8}),
        ("feather 3", {"strength": 1, "mask_feather": 3}),
        ("resample 5,4", {"strength": 1, "resample": "5,4"}),
    ]:
        pictures.append((caption, generate(folder, prompt, seed=5, init_image=init, mask=hole, **flags)))
    sheet("inpainting", pictures, 6)


def guidance(folder):
    scales = (0, 1, 3, 7, 15)
    pictures = [(f"guidance {scale}", generate(folder, PROMPT, seed=3, guidance_scale=scale)) for scale in scales]
    sheet("guidance", pictures, 5)


def samplers(folder):
    names = [
        "ddim", "ddpm", "pndm", "lms", "euler", "euler_ancestral", "heun", "dpm2", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "deis"
    ]
    prompt = "a yellow star above a red heart on a black background"
    pictures = [(name, generate(folder, prompt, seed=3, steps=20, sampler=name)) for name in names]
    sheet("samplers", pictures, 6)


def classifier(folder):
    labels = json.loads((ROOT / "models/shapes/classifier/config.json").read_text())["id2label"].values()
    pictures = [("no classifier", generate(folder, "a", seed=3, guidance_scale=0))]
    for label in list(labels)[:11]:
        made = generate(folder, "a", seed=3, guidance_scale=0, classifier=f"{label}=10")
        pictures.append((label, made))
    sheet("classifier", pictures, 6)


def previews(folder):
    """Nothing but a service shows previews, so a test keeps them; what a requester gets has 128 pixels."""
    test = "pipeline::previewed::the_previews_of_one_run_for_the_documentation"
    command = ["cargo", "test", "--lib", "--", "--ignored", "--exact", test]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "DIFFUSED_SHEET": str(folder)})
    steps = (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    pictures = [(f"step {step}", Image.open(folder / f"{step:02}.jpg")) for step in steps]
    sheet("previews", [*pictures, ("the picture", Image.open(folder / "picture.png"))], 6)


def adapters(folder):
    prompt, totem = "a green heart on a pink background", "a totem on a green background"
    beacon = "a beacon on a black background"
    pictures = [("no adapter", generate(folder, prompt, seed=3))]
    for scale in (0.5, 1):
        pictures.append((f"LoRA outline {scale}", generate(folder, f"{prompt} <lora:outline:{scale}>", seed=3)))
    for scale in (0.5, 1):
        made = generate(folder, f"{prompt} <hypernet:blueprint:{scale}>", seed=3)
        pictures.append((f"hypernet {scale}", made))
    made = generate(folder, f"{prompt} <lora:outline:0.8> <hypernet:blueprint:0.4>", seed=3)
    pictures.append(("both", made))
    with tempfile.TemporaryDirectory() as nothing:
        pictures.append(("word totem alone", generate(folder, totem, seed=3, adapters=nothing)))
        pictures.append(("embedding totem", generate(folder, totem, seed=3)))
        pictures.append(("word beacon alone", generate(folder, beacon, seed=3, adapters=nothing)))
    pictures.append(("embedding beacon", generate(folder, beacon, seed=3, guidance_scale=3)))
    made = generate(folder, beacon.replace("beacon", "<dreamartist:beacon>"), seed=3)
    pictures.append(("DreamArtist beacon", made))
    made = generate(folder, f"{totem} <lora:outline>", seed=3)
    pictures.append(("totem and outline", made))
    sheet("adapters", pictures, 6)


def prompts(folder):
    pictures = []
    for caption, prompt in [
        ("plain", "a red circle on a blue background"),
        ("(red:0.2)", "a (red:0.2) circle on a blue background"),
        ("(blue:1.6)", "a red circle on a (blue:1.6) background"),
        ("[blue:green:0.3]", "a red circle on a [blue:green:0.3] background"),
        ("[red|yellow]", "a [red|yellow] circle on a blue background"),
        ("AND", "a red circle on a blue background AND a red ring on a blue background :0.5"),
    ]:
        pictures.append((caption, generate(folder, prompt, seed=3)))
    sheet("prompts", pictures, 6)


INKS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "green": (29, 173, 35), "blue": (30, 29, 174),
    "red": (205, 36, 37), "yellow": (231, 222, 35), "orange": (216, 123, 36),
}
SEVEN = ["black", "white", "green", "blue", "red", "yellow", "orange"]
SIX = ["black", "white", "yellow", "red", None, "blue", "green"]


def shown(name, raw, side):
    """What a square panel shows of a raw picture, read as docs/panels.md says."""
    image = Image.new("RGB", (side, side))
    bits = {"mono": 1, "gray2": 2, "gray4": 4, "epd_7c": 4, "epd_e6": 4}.get(name, 1)
    stride = -(-side * bits // 8)

    def code(x, y, plane=0):
        byte = raw[plane * stride * side + y * stride + x * bits // 8]
        return byte >> (8 - bits - x * bits % 8) & ((1 << bits) - 1)

    def colour(x, y):
        if name.startswith("rgb565"):
            at = 2 * (y * side + x)
            word = int.from_bytes(raw[at : at + 2], "little" if name.endswith("le") else "big")
            return (word >> 11) * 255 // 31, (word >> 5 & 63) * 255 // 63, (word & 31) * 255 // 31
        if name in ("epd_bwr", "epd_bwy"):
            ink = "yellow" if name == "epd_bwy" else "red"
            return INKS[ink if code(x, y, 1) else "white" if code(x, y) else "black"]
        if name in ("epd_7c", "epd_e6"):
            return INKS[(SEVEN if name == "epd_7c" else SIX)[code(x, y)]]
        return (code(x, y) * 255 // ((1 << bits) - 1),) * 3

    for y in range(side):
        for x in range(side):
            image.putpixel((x, y), colour(x, y))
    return image


def panels(folder):
    """One picture in every panel format, dots as large as they are: 128 x 128 of them."""
    side, pictures = 128, []
    prompt = "a yellow star above a red heart on a blue background"
    cases = [(name, {}) for name in ("png", "rgb565", "rgb565le", "gray4", "gray2", "mono", "epd_bwr", "epd_bwy", "epd_7c", "epd_e6")]
    cases += [("mono", {"dither": dither}) for dither in ("none", "atkinson", "bayer")]
    cases += [("epd_7c", {"dither": dither}) for dither in ("none", "atkinson", "bayer")]
    for name, flags in cases:
        file = folder / f"picture.{name}"
        words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
        words += ["--output-width", str(side), "--output-height", str(side), "--seed", "3"]
        subprocess.run([PROGRAM, "generate", prompt, "-o", file, *words], check=True, cwd=ROOT)
        picture = Image.open(file).convert("RGB") if name == "png" else shown(name, file.read_bytes(), side)
        pictures.append((" ".join([name, *flags.values()]), picture))
    sheet("panels", pictures, 4)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for draw in (image_to_image, inpainting, guidance, samplers, classifier, previews, adapters, prompts, panels):
            draw(pathlib.Path(folder))
            print(draw.__name__, flush=True)


if __name__ == "__main__":
    main()
