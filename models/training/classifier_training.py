"""Trains the classifier of noisy latents for an exported model folder.

    python classifier_training.py FOLDER CLASSIFIER.pt [--steps 12000] [--count 40000] [--seed 5]

Draws its own pictures, because it must know what is on them, and encodes them with the folder's own encoder.
Ends with its accuracy on pictures that it never saw, by noise level.
"""
import argparse
import os
import random
from multiprocessing import Pool

import numpy as np
import torch
import torch.nn.functional as F

import draw
from classifier import HEADS, Classifier
from loop import Training, to_floats
from sample import TRAINING_STEPS, Model
from scenes import scene
from shapes import COLOURS, SHAPES

BATCH = 256
CHUNK = 1000  # pictures that share a seed
UNSEEN = 4000  # the first pictures are never trained on
TIMES = [1, 101, 201, 301, 401, 501, 601, 701, 801, 901, 999]


def batch_of_pictures(seed):
    """One chunk of the mixture that the model was trained on, with the answers of the two heads."""
    rnd = random.Random(seed)
    pictures, answers = [], []
    for _ in range(CHUNK):
        drawn = rnd.choices([draw.one_object, draw.two_objects, scene], weights=[52, 33, 15])[0]
        picture, facts = drawn(rnd)
        pictures.append(picture)
        answers.append(right_answers(facts))
    return np.stack(pictures), np.array(answers)


def right_answers(facts):
    """Colour and shape of the one object, or "something else" twice."""
    if facts["kind"] != "one":
        return [size - 1 for size in HEADS.values()]
    return [list(COLOURS).index(facts["colour"]), SHAPES.index(facts["shape"])]


def encoded(model, pictures):
    """Means of the posterior, scaled as the sampler has them."""
    floats = to_floats(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    means = [model.graphs["vae_encoder"].run(None, {"sample": part})[0][:, :4] for part in np.split(floats, 10)]
    return torch.from_numpy(np.concatenate(means) * np.float32(model.factor))


class Lessons:
    """Latents of drawn pictures, what is on them, and the model's own noise."""

    def __init__(self, model, count, seed):
        with Pool() as pool:
            chunks = pool.imap(batch_of_pictures, range(seed * 100003, seed * 100003 + count // CHUNK))
            latents, answers = zip(*((encoded(model, pictures), answers) for pictures, answers in chunks))
        self.latents, self.answers = torch.cat(latents), torch.from_numpy(np.concatenate(answers))
        self.signal = torch.from_numpy(model.signal).float()

    def noisy(self, latents, times):
        signal = self.signal[times][:, None, None, None]
        return signal.sqrt() * latents + (1 - signal).sqrt() * torch.randn_like(latents)

    def loss(self, classifier):
        """Cross entropy of both heads on random pictures at random noise."""
        chosen = torch.randint(UNSEEN, len(self.latents), (BATCH,))
        times = torch.randint(TRAINING_STEPS, (BATCH,))
        logits = classifier(self.noisy(self.latents[chosen], times), times.float()).split(list(HEADS.values()), 1)
        return sum(F.cross_entropy(head, right) for head, right in zip(logits, self.answers[chosen].T))

    @torch.no_grad()
    def accuracy(self, classifier, time):
        """Shares of unseen pictures: colour and shape of one object right, and one object told from something else."""
        torch.manual_seed(time)
        times = torch.full((UNSEEN,), time)
        logits = classifier(self.noisy(self.latents[:UNSEEN], times), times.float()).split(list(HEADS.values()), 1)
        one = self.answers[:UNSEEN, 0] < len(COLOURS)
        shares = []
        for head, right in zip(logits, self.answers[:UNSEEN].T):
            named = head[:, :-1].argmax(1)
            shares.append((named == right)[one].float().mean().item())
        told = (logits[1].argmax(1) < len(SHAPES)) == one
        return *shares, told.float().mean().item()


def print_accuracies(lessons, classifier):
    print("| timestep | signal | noise | colour | shape | one object or something else |")
    print("|---|---|---|---|---|---|")
    for time in TIMES:
        signal = lessons.signal[time]
        cells = " | ".join(f"{100 * share:.1f}" for share in lessons.accuracy(classifier, time))
        print(f"| {time} | {signal.sqrt():.2f} | {(1 - signal).sqrt():.2f} | {cells} |", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("classifier")
    options.add_argument("--steps", type=int, default=12000)
    options.add_argument("--count", type=int, default=40000)
    options.add_argument("--seed", type=int, default=5)
    options = options.parse_args()
    torch.manual_seed(0)
    lessons, classifier = Lessons(Model(options.folder), options.count, options.seed), Classifier()
    checkpoint = options.classifier + ".checkpoint"
    training = Training(classifier.parameters(), checkpoint, options.steps, peak_rate=3e-3, weight_decay=.01)
    print(f"{len(lessons.latents)} latents, "
          f"{sum(weight.numel() for weight in classifier.parameters())} parameters", flush=True)
    while training.step < options.steps:
        loss = lessons.loss(classifier)
        training.descend(loss)
        if training.step % 1000 == 0 or training.step == options.steps:
            print(f"step {training.step} {training.elapsed():.0f} s: cross entropy {loss.item():.3f}", flush=True)
            training.save()
    training.swap()
    print_accuracies(lessons, classifier)
    torch.save(classifier.state_dict(), options.classifier)
    os.remove(checkpoint)


if __name__ == "__main__":
    main()
