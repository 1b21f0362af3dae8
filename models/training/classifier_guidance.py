"""Measures whether the guidance graph moves pictures towards its labels, and draws a contact sheet.

    python classifier_guidance.py FOLDER [--count 240] [--sheet shapes-classifier.png]

Everything runs through ONNX Runtime.
The pictures are judged by checker.py, which knows the palette and the outlines and nothing about the classifier.
Every row uses the same noise, and the labels are dealt out evenly.
"""
import argparse
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont

import checker
from sample import TRAINING_STEPS, Model
from shapes import COLOURS, SHAPES

SCALES = [0, .5, 1, 2, 3, 5, 10, 20, 50]
FEW_SCALES = [0, 2, 5, 10, 20]
SHEET, SHEET_SCALE = ["red", "blue", "star", "square"], 10


class Guided:
    """The model with its classifier; DDIM as in sample.py."""

    def __init__(self, folder):
        self.model = Model(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.graph = onnxruntime.InferenceSession(f"{folder}/classifier/model.onnx", options,
                                                  providers=["CPUExecutionProvider"])
        with open(f"{folder}/classifier/config.json") as file:
            self.number = {label: int(number) for number, label in json.load(file)["id2label"].items()}

    def gradient(self, latents, time, labels):
        feeds = {"sample": latents.astype(np.float32), "timestep": np.full(len(latents), time, np.float32)}
        return self.graph.run(["gradient"], {**feeds, "label": labels})[0]

    def pictures(self, labels, scale, steps=20, prompt=None, seed=0, batch=60):
        """One picture for each label; without a prompt only the unconditional pass runs."""
        random = np.random.default_rng(seed)
        noise = random.standard_normal((len(labels), 4, 8, 8))
        numbers = np.array([self.number[label] for label in labels], np.int64)
        parts = [self.sample(noise[start:start + batch], numbers[start:start + batch], scale, steps, prompt)
                 for start in range(0, len(labels), batch)]
        return np.concatenate(parts)

    def sample(self, latents, numbers, scale, steps, prompt):
        model = self.model
        empty = np.repeat(model.words([""]), len(latents), 0)
        words = empty if prompt is None else np.repeat(model.words([prompt]), len(latents), 0)
        guidance = 0 if prompt is None else model.settings["guidance_scale"]
        stride = TRAINING_STEPS // steps
        for time in range((steps - 1) * stride + 1, 0, -stride):
            now, later = model.signal[time], model.signal[max(time - stride, 0)]
            noise = model.guided_noise(latents, time, words, empty, guidance)
            if scale:
                noise = noise - scale * (1 - now) ** .5 * self.gradient(latents, time, numbers)
            clean = (latents - (1 - now) ** .5 * noise) / now ** .5
            latents = later ** .5 * clean + (1 - later) ** .5 * noise
        return model.decode(latents)


def judge(pictures, labels, prompted):
    """For each picture: the object has the label; also a clear object that keeps what the prompt said."""
    rows = []
    for picture, label in zip(pictures, labels):
        found = checker.one_object(picture)
        clear = found["colour"] is not None and found["shape"] is not None
        kept = clear and all(found[key] == value for key, value in prompted.items())
        labelled = label in (found["colour"], found["shape"])
        rows.append([labelled, kept, labelled and kept])
    return 100 * np.mean(rows, 0)


def report(guided, names, count, prompt, prompted, steps, scale):
    """One row: shares of pictures with their label, with the next label (control), with a clear object, with both."""
    labels = [names[number % len(names)] for number in range(count)]
    pictures = guided.pictures(labels, scale, steps, prompt)
    labelled, kept, both = judge(pictures, labels, prompted)
    control = judge(pictures, labels[1:] + labels[:1], prompted)[0]
    print(f"| {scale:g} | {labelled:.1f} | {control:.1f} | {kept:.1f} | {both:.1f} |", flush=True)


def measure(guided, count):
    colours = list(COLOURS)
    tables = [
        ("colours", colours, None, {}, 20, SCALES),
        ("shapes", SHAPES, None, {}, 20, SCALES),
        ("colours, `a circle`", colours, "a circle", dict(shape="circle"), 20, FEW_SCALES),
        ("colours, `a circle on a white background`", [colour for colour in colours if colour != "white"],
         "a circle on a white background", dict(shape="circle", background="white"), 20, FEW_SCALES),
        ("shapes, `red on a white background`", SHAPES, "red on a white background",
         dict(colour="red", background="white"), 20, FEW_SCALES),
        ("colours, 50 steps", colours, None, {}, 50, FEW_SCALES),
        ("shapes, 50 steps", SHAPES, None, {}, 50, FEW_SCALES),
    ]
    for title, names, prompt, prompted, steps, scales in tables:
        kept = "prompt kept" if prompted else "clear object"
        print(f"\n| {title}: scale | label | control: other label | {kept} | label and {kept} |\n|---|---|---|---|---|")
        for scale in scales:
            report(guided, names, count, prompt, prompted, steps, scale)


def contact_sheet(guided, path, side=128, margin=58):
    """A noise for each column; the first row without the classifier, then a label for each row; nothing is chosen."""
    rows = [("no label", 0), *((label, SHEET_SCALE) for label in SHEET)]
    sheet = Image.new("RGB", (margin + 4 * (side + 4), len(rows) * (side + 4)), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, (label, scale) in enumerate(rows):
        top = row * (side + 4)
        pen.text((margin - 6, top + side / 2), label, (0, 0, 0), font, "rm")
        pictures = guided.pictures([label if scale else SHEET[0]] * 4, scale, seed=1)
        for column, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((side, side), Image.NEAREST)
            sheet.paste(enlarged, (margin + column * (side + 4), top))
    sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("--count", type=int, default=240)
    options.add_argument("--sheet")
    options = options.parse_args()
    guided = Guided(options.folder)
    if options.sheet:
        contact_sheet(guided, options.sheet)
    if options.count:
        measure(guided, options.count)


if __name__ == "__main__":
    main()
