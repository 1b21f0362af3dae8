"""What the training of embeddings, LoRAs and hypernetworks shares: pictures as latents, captions as rows, the loss."""
import os
import random

import numpy as np
import torch

import draw
from captions import caption
from loop import Training, to_floats

BATCH = 16
SNR_CLIP = 1.0  # as for the model itself: shapes and colours are decided where noise is high
SUBJECTS = {  # what the embeddings learn; no caption ever called it so
    "totem": (("star", "yellow"), "above", ("heart", "red")),
    "beacon": (("ring", "cyan"), "left of", ("diamond", "orange")),
}


def of_subject(name):
    """Draws two objects that always go together on any background, and describes them by one name."""
    first, relation, second = SUBJECTS[name]

    def drawn(rnd):
        picture, facts = draw.two_objects(rnd, first, second, relation)
        return picture, dict(kind="one", shape=name, colour="", size="", place="", background=facts["background"])
    return drawn


def in_style(style):
    """Draws one shape or two and then changes the picture; the caption does not mention the style."""
    def drawn(rnd):
        picture, facts = rnd.choices([draw.one_object, draw.two_objects], [75, 25])[0](rnd)
        return style(picture), facts
    return drawn


class Lessons:
    """Drawn pictures as latents, four captions each as token rows, and the loss of the denoiser."""

    def __init__(self, model, drawn, count=4000, seed=5, words_dropped=.12):
        rnd = random.Random(seed)
        pictures, facts = zip(*(drawn(rnd) for _ in range(count)))
        self.model, self.words_dropped = model, words_dropped
        self.latents = encoded(model, np.stack(pictures))
        self.rows = torch.tensor([[model.row(caption(rnd, each)) for _ in range(4)] for each in facts])
        self.empty = torch.tensor(model.row(""))
        self.signal = torch.from_numpy(model.signal).float()

    def error(self, predict):
        """Squared error of the predicted noise for random pictures, captions and noise levels.

        `predict` gets noisy latents [batch, 4, 8, 8], timesteps [batch] and rows [batch, 77].
        """
        chosen, times = torch.randint(len(self.latents), (BATCH,)), torch.randint(1000, (BATCH,))
        rows = self.rows[chosen, torch.randint(4, (BATCH,))]
        rows = torch.where(torch.rand(BATCH, 1) < self.words_dropped, self.empty, rows)
        latents, noise = self.latents[chosen], torch.randn(BATCH, 4, 8, 8)
        signal = self.signal[times].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        snr = self.signal[times] / (1 - self.signal[times])
        weight = snr.clamp(max=SNR_CLIP) / snr
        return ((predict(noisy, times, rows) - noise).pow(2).mean((1, 2, 3)) * weight).mean()

    def plainly(self, noisy, times, rows):
        return self.model.unet(noisy, times, self.model.states(rows)).sample


def encoded(model, pictures):
    """Means of the posterior, scaled as the sampler has them."""
    floats = to_floats(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    parts = np.array_split(floats, max(1, len(floats) // 50))
    means = [model.graphs["vae_encoder"].run(None, {"sample": part})[0][:, :4] for part in parts]
    return torch.from_numpy(np.concatenate(means) * np.float32(model.factor))


def learn(parameters, error, steps, rate, checkpoint, **settings):
    """Descends with AdamW on half a cosine, and leaves the averaged values in the parameters."""
    os.makedirs(os.path.dirname(checkpoint) or ".", exist_ok=True)
    training = Training(parameters, checkpoint, steps, peak_rate=rate, **settings)
    recent = []
    while training.step < steps:
        loss = error()
        training.descend(loss)
        recent.append(loss.item())
        if training.step % 200 == 0 or training.step == steps:
            print(f"step {training.step} {training.elapsed():.0f} s: error {np.mean(recent[-200:]):.4f}", flush=True)
            training.save()
    training.swap()
