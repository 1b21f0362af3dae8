"""DreamArtist (Dong et al. 2022): learns a positive and a negative embedding together, under guidance.

    python train_dreamartist.py FOLDER RUN beacon.pt beacon-neg.pt [--vectors 3 6] [--steps 500]

The noise is predicted as it will be when pictures are made: from the negative side, three times towards the positive.
So the negative side learns what the pictures have to be led away from.
In the captions the name stands for the positive vectors; the negative prompt is the negative name alone.
"""
import argparse
import pathlib

import torch

from adapted import Adapted
from lessons import Lessons, learn, of_subject
from train_embedding import first_vectors, save

GUIDANCE = 3.0


def guided(model, negative_row):
    """A predictor for `Lessons.error`; both sides run in one batch."""
    def predict(noisy, times, rows):
        states = model.states(torch.cat([negative_row.expand(len(rows), -1), rows]))
        noise = model.unet(torch.cat([noisy, noisy]), torch.cat([times, times]), states).sample
        negative, positive = noise.chunk(2)
        return negative + GUIDANCE * (positive - negative)
    return predict


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("run")
    options.add_argument("positive", type=pathlib.Path)
    options.add_argument("negative", type=pathlib.Path)
    options.add_argument("--vectors", type=int, nargs=2, default=(3, 6))
    options.add_argument("--steps", type=int, default=500)
    options.add_argument("--rate", type=float, default=1e-2)
    options = options.parse_args()
    torch.manual_seed(0)
    model, paths = Adapted(options.folder), (options.positive, options.negative)
    sides = [first_vectors(model, count) for count in options.vectors]
    for path, vectors in zip(paths, sides):
        model.add_embedding(path.stem, vectors)
    lessons = Lessons(model, of_subject(options.positive.stem), words_dropped=0)
    predict = guided(model, torch.tensor(model.row(options.negative.stem)))
    learn(sides, lambda: lessons.error(predict), options.steps, options.rate,
          f"{options.run}/{options.positive.stem}.pt", weight_decay=0)
    for path, vectors in zip(paths, sides):
        save(path, path.stem, vectors, options.steps)


if __name__ == "__main__":
    main()
