"""Pictures of two folders of the bundled model's kind from the same noise: PSNR of each pair, and a sheet of some of them.

    python models/quantising/compare.py models/shapes OTHER [--count 96] [--sheet FILE.png]

As a control the other folder's pictures are also compared with those of the next prompt, and with another noise.
"""
import argparse
import pathlib
import sys

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "training"))
from prompts import pair_prompts, pair_text, single_prompts, single_text  # noqa: E402
from sample import Model  # noqa: E402

SHOWN, LARGER = 12, 2


def psnr(one, other):
    """Of each pair of pictures, in dB."""
    errors = np.square(one.astype(float) - other).mean((1, 2, 3))
    return 10 * np.log10(255 ** 2 / np.maximum(errors, 1e-3))


def tell(name, values):
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    print(f"| {name} | {len(values)} | {median:.1f} | {low:.1f} | {high:.1f} |", flush=True)


def sheet(rows, file):
    """Two rows for each dozen: the first folder's above the second's."""
    picture = Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0))
    picture.resize((picture.width * LARGER, picture.height * LARGER), Image.NEAREST).quantize(128).save(file, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--sheet")
    options = parser.parse_args()
    half = options.count // 2
    texts = [single_text(facts) for facts in single_prompts(half, seed=11)] + [pair_text(facts) for facts in pair_prompts(half, seed=23)]
    texts = [text for pair in zip(texts[:half], texts[half:]) for text in pair]
    first, second = (Model(folder) for folder in (options.first, options.second))
    wanted, made = first.pictures(texts), second.pictures(texts)
    print("| | pictures | PSNR, median, dB | 5 % are below | 5 % are above |\n|---|---|---|---|---|")
    tell("second folder against the first", psnr(made, wanted))
    tell("control: against the next prompt", psnr(made, np.roll(wanted, 1, 0)))
    tell("control: the first folder, another noise", psnr(first.pictures(texts, seed=5), wanted))
    if options.sheet:
        sheet([wanted[:SHOWN], made[:SHOWN], wanted[SHOWN:2 * SHOWN], made[SHOWN:2 * SHOWN]], options.sheet)


if __name__ == "__main__":
    main()
