"""Measures what each adapter of models/adapters does, with and without it, and draws a contact sheet.

    python measure_adapters.py FOLDER ADAPTERS [--count 120] [--sheet sheet.png]

Every row of a table uses the same prompts and the same noise.
The rows without the adapter, at scale 0, and with another adapter's file are the negative controls; real drawings and
what the autoencoder leaves of them say how much could be reached at best.
"""
import argparse
import random

import numpy as np
import torch
from safetensors.torch import load_file

import checker
import draw
from adapted import Adapted, read_embedding
from adapter_sheet import adapter_sheet
from captions import article
from lessons import SUBJECTS
from measure import judge, judge_pair, report
from prompts import drawings, single_prompts, single_text
from shapes import COLOURS
from styles import blueprint, filled, outlined


def heading(*columns):
    print("\n| " + " | ".join([columns[0], "pictures", *columns[1:]]) + " |\n|" + "---|" * (len(columns) + 1))


def subjects(name, count):
    """The subject on every background on which it can be seen, in turn; some were never drawn in training."""
    (first, colour), relation, (second, other) = SUBJECTS[name]
    backgrounds = [background for background in COLOURS if background not in (colour, other)]
    return [dict(colours=[colour, other, backgrounds[number % len(backgrounds)]], shapes=[first, second],
                 relation=relation) for number in range(count)]


def real_subjects(name, count):
    """Drawings of the subject, and what is on them."""
    rnd, (first, relation, second) = random.Random(7), SUBJECTS[name]
    pictures, facts = zip(*(draw.two_objects(rnd, first, second, relation) for _ in range(count)))
    wanted = [dict(colours=[first[1], second[1], each["background"]], shapes=[first[0], second[0]], relation=relation)
              for each in facts]
    return np.stack(pictures), wanted


def judge_subjects(pictures, wanted):
    """Both colours on the right sides; both shapes there too; and the background of the prompt as well."""
    rows = []
    for picture, facts in zip(pictures, wanted):
        sides, _, exact = judge_pair(picture, facts)
        background = checker.colour_name(checker.background_of(picture)) == facts["colours"][2]
        rows.append([sides, exact, exact and background])
    return np.array(rows)


def measure_subject(folder, name, rows, count):
    """Each row: its label, the files by the names that they are used under, the guidance, the negative prompt."""
    wanted, (real, drawn) = subjects(name, count), real_subjects(name, count)
    texts = [f"{article(name)} on {article(facts['colours'][2])} background" for facts in wanted]
    heading(f"`{name}`, %", "colours on the right sides", "and both shapes", "and the background")
    report("real drawings (checks the checker)", judge_subjects(real, drawn))
    report("real drawings after the autoencoder", judge_subjects(Adapted(folder).round_trip(real), drawn))
    for label, files, guidance, negative in rows:
        model = Adapted(folder)
        for key, path in files.items():
            model.add_embedding(key, read_embedding(path))
        report(label, judge_subjects(model.pictures(texts, guidance, negative=negative), wanted))


def measure_embedding(folder, files, count):
    totem, other = f"{files}/totem.safetensors", f"{files}/beacon.pt"
    measure_subject(folder, "totem", [
        ("**with the file**", {"totem": totem}, 2, ""),
        ("with the file, guidance 3", {"totem": totem}, 3, ""),
        ("control: without the file", {}, 2, ""),
        ("control: the vectors of `beacon` under this name", {"totem": other}, 2, "")], count)


def measure_pair(folder, files, count):
    positive, negative = {"beacon": f"{files}/beacon.pt"}, {"beacon-neg": f"{files}/beacon-neg.pt"}
    measure_subject(folder, "beacon", [
        ("**both files, guidance 3**", positive | negative, 3, "beacon-neg"),
        ("only the positive side, guidance 3", positive, 3, ""),
        ("only the positive side, guidance 1", positive, 1, ""),
        ("control: only the negative side, guidance 3", negative, 3, "beacon-neg"),
        ("control: without the files, guidance 3", {}, 3, "")], count)


def not_rings(count, seed):
    """Prompts without rings, which are hollow by themselves."""
    return [facts for facts in single_prompts(2 * count, seed) if facts["shape"] != "ring"][:count]


def judge_outlines(pictures, wanted):
    """Hollow, shape when filled, both colours, everything."""
    painted, hollow = zip(*map(filled, pictures))
    _, _, colours, shape, both = judge(painted, wanted).T
    return np.array([hollow, shape, colours, both & hollow]).T


def measure_style(folder, title, style, add, asked, wanted, scales):
    """With the adapter at each scale; scale 0 is the negative control."""
    texts, base = [single_text(facts) for facts in asked], Adapted(folder)
    real = np.stack([style(picture) for picture in drawings(asked)])
    heading(title, "hollow", "shape", "both colours", "all")
    report("real drawings in this style (checks the checker)", judge_outlines(real, wanted))
    report("real drawings in this style after the autoencoder", judge_outlines(base.round_trip(real), wanted))
    for scale in scales:
        model = Adapted(folder)
        add(model, scale)
        report(f"scale {scale:g}", judge_outlines(model.pictures(texts), wanted))
    report("control: without the file", judge_outlines(base.pictures(texts), wanted))


def measure_styles(folder, lora, hypernetwork, count):
    asked = not_rings(count, seed=32)
    measure_style(folder, "LoRA `outline`, %", outlined, lambda model, scale: model.add_lora(lora, scale),
                  asked, asked, (1, .75, .5, 0, -1))
    in_blue = [dict(facts, colour="white", background="blue") for facts in asked]
    measure_style(folder, "hypernetwork `blueprint`, %; colours are white on blue", blueprint,
                  lambda model, strength: model.add_hypernetwork(hypernetwork, strength),
                  asked, in_blue, (1, .75, .5, 0))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("adapters")
    options.add_argument("--count", type=int, default=120)
    options.add_argument("--sheet")
    options = options.parse_args()
    folder, adapters, count = options.folder, options.adapters, options.count
    if options.sheet:
        adapter_sheet(folder, adapters, options.sheet)
    if count:
        measure_embedding(folder, f"{adapters}/embeddings", count)
        measure_pair(folder, f"{adapters}/embeddings", count)
        measure_styles(folder, load_file(f"{adapters}/loras/outline.safetensors"),
                       torch.load(f"{adapters}/hypernetworks/blueprint.pt"), count)


if __name__ == "__main__":
    main()
