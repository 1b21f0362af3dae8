"""A small classifier of noisy latents: which colour and which shape the one object of a picture has.

It sees latents exactly as the U-Net does, alpha * clean + sigma * noise, and the timestep.
Each of its two heads has one more answer than labels, "something else", for pairs, landscapes and whatever is no single
object.
With it the classifier knows all the pictures that the model can make, which is what Bayes' rule asks for:
the gradient of log p(label | noisy latents) turns the model without a prompt into the model of that label.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from shapes import COLOURS, SHAPES

LABELS = [*COLOURS, *SHAPES]
HEADS = {"colour": len(COLOURS) + 1, "shape": len(SHAPES) + 1}  # the last answer of each is "something else"
LAYERS = [(4, 24, 1), (24, 48, 2), (48, 48, 1), (48, 64, 2)]  # channels in, channels out, stride
WAVES = 16  # frequencies that the timestep is written in
WIDTH = 32  # of the timestep's embedding


class Classifier(nn.Module):
    """Four convolutions, each scaled and shifted by the timestep, then the mean over all places; 74,300 parameters."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(2 * WAVES, WIDTH)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, padding=1) for before, after, stride in LAYERS)
        self.modulations = nn.ModuleList(nn.Linear(WIDTH, 2 * after) for _, after, _ in LAYERS)
        self.answers = nn.Linear(LAYERS[-1][1], sum(HEADS.values()))
        frequencies = torch.exp(-math.log(1000) * torch.arange(WAVES) / WAVES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def modulated(self, timestep):
        """For each layer a factor near 1 and a shift for each channel, both [batch, channels, 1, 1]."""
        phases = timestep[:, None] * self.frequencies
        embedded = F.silu(self.embedding(torch.cat([phases.sin(), phases.cos()], 1)))
        for modulation in self.modulations:
            factor, shift = modulation(embedded)[:, :, None, None].chunk(2, 1)
            yield 1 + factor, shift

    def forward(self, sample, timestep):
        """Logits of both heads [batch, 11 + 9] for latents [batch, 4, height, width] and timesteps [batch]."""
        hidden = sample
        for convolution, (factor, shift) in zip(self.convolutions, self.modulated(timestep)):
            hidden = F.silu(convolution(hidden) * factor + shift)
        return self.answers(hidden.mean((2, 3)))


def log_probabilities(logits):
    """log p of every label [batch, 18], each within its own head."""
    heads = logits.split(list(HEADS.values()), 1)
    return torch.cat([head.log_softmax(1)[:, :-1] for head in heads], 1)
