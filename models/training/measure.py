"""Measures an exported model folder through ONNX Runtime, checks the checker, and draws a contact sheet.

    python measure.py FOLDER [--count 240] [--sheet shapes.png] [--quick]

Prints a table in percent.
The first rows and the last ones judge the checker itself: it must pass real drawings, and it must fail blurred
drawings, pictures that are judged by other prompts, and pictures made without listening to the prompt.
"""
import argparse

import numpy as np
from PIL import Image, ImageFilter

import checker
import draw
from prompts import drawings, drawn_pairs, pair_prompts, pair_text, single_prompts, single_text
from sample import Model
from sheet import contact_sheet


def blurred(pictures, radius):
    return np.stack([np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))
                     for picture in pictures])


def judge(pictures, wanted):
    """One row of booleans for each picture: background, object colour, both, shape, everything."""
    rows = []
    for picture, facts in zip(pictures, wanted):
        found = checker.one_object(picture)
        background, colour, shape = (found[key] == facts[key] for key in ("background", "colour", "shape"))
        rows.append([background, colour, background and colour, shape, background and colour and shape])
    return np.array(rows)


def report(name, rows):
    cells = " | ".join(f"{100 * share:.1f}" for share in rows.mean(0))
    print(f"| {name} | {len(rows)} | {cells} |", flush=True)


def measure_singles(model, wanted, quick):
    print("| | pictures | background | object colour | both colours | shape | all three |")
    print("|---|---|---|---|---|---|---|")
    real = drawings(wanted)
    report("real drawings (checks the checker)", judge(real, wanted))
    report("real drawings after the autoencoder", judge(model.round_trip(real), wanted))
    texts = [single_text(facts) for facts in wanted]
    made = model.pictures(texts)
    rows = judge(made, wanted)
    held = np.array([draw.held_out(**facts) for facts in wanted])
    report(f"**generated, guidance {model.settings['guidance_scale']:g}**", rows)
    report("combinations drawn in training", rows[~held])
    report("held-out combinations", rows[held])
    if not quick:
        for guidance in (1, 3, 4, 5, 7.5):
            report(f"guidance {guidance:g}", judge(model.pictures(texts, guidance), wanted))
        report("10 steps", judge(model.pictures(texts, steps=10), wanted))
    report("control: generated, judged by other prompts", judge(made, wanted[1:] + wanted[:1]))
    report("control: guidance 0", judge(model.pictures(texts, 0), wanted))
    report("control: real drawings, blurred by 8 pixels", judge(blurred(real, 8), wanted))
    report("control: generated, blurred by 8 pixels", judge(blurred(made, 8), wanted))
    return rows


def print_parts(wanted, rows):
    """Which shapes and which colours are the weak ones."""
    parts = (("shapes", "shape", 3), ("object colours", "colour", 1), ("backgrounds", "background", 0))
    for title, key, column in parts:
        names = sorted({facts[key] for facts in wanted})
        hits = {name: [row[column] for row, facts in zip(rows, wanted) if facts[key] == name] for name in names}
        print(f"{title}: " + ", ".join(f"{name} {sum(hit)}/{len(hit)}" for name, hit in hits.items()))


def measure_sizes(model, wanted):
    """Small and large objects: everything right, and the radius in the range of its word."""
    for size, low, high in (("small", 0, 14), ("large", 22.5, 40)):
        for name, pictures in (("generated", model.pictures([single_text(facts, size) for facts in wanted])),
                               ("real drawings", drawings(wanted, size))):
            sizes = [low < checker.one_object(picture)["radius"] < high for picture in pictures]
            all_three = judge(pictures, wanted)[:, 4]
            print(f"{size}, {name}: size {100 * np.mean(sizes):.1f} %, "
                  f"colours and shape {100 * all_three.mean():.1f} % of {len(wanted)}")


def judge_pair(picture, wanted):
    """Both colours on the right sides; both on the swapped sides; and each side with its colour and its shape."""
    first, second, _ = wanted["colours"]
    found = [checker.one_object(half) for half in checker.halves(picture, wanted["relation"])]
    exact = all(side["colour"] == colour and side["shape"] == shape
                for side, colour, shape in zip(found, wanted["colours"], wanted["shapes"]))
    return [checker.relation_holds(picture, first, second, wanted["relation"]),
            checker.relation_holds(picture, second, first, wanted["relation"]), exact]


def measure_pairs(model, count):
    wanted = pair_prompts(count, seed=23)
    texts = [pair_text(facts) for facts in wanted]
    made = model.pictures(texts, seed=2)
    print("| two objects | pictures | colours on the right sides | on swapped sides | and both shapes right |")
    print("|---|---|---|---|---|")
    for name, pictures, judged in (
            ("real drawings (checks the checker)", *drawn_pairs(count)),
            ("**generated**", made, wanted),
            ("control: judged by other prompts", made, wanted[1:] + wanted[:1]),
            ("control: guidance 0", model.pictures(texts, 0, seed=2), wanted)):
        report(name, np.array([judge_pair(picture, facts) for picture, facts in zip(pictures, judged)]))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("--count", type=int, default=240)
    options.add_argument("--sheet")
    options.add_argument("--quick", action="store_true")
    options = options.parse_args()
    model = Model(options.folder)
    wanted = single_prompts(options.count, seed=11)
    rows = measure_singles(model, wanted, options.quick)
    print_parts(wanted, rows)
    measure_pairs(model, options.count // 2)
    if not options.quick:
        measure_sizes(model, wanted[:options.count // 3])
    if options.sheet:
        contact_sheet(model, options.sheet)


if __name__ == "__main__":
    main()
