"""What the training phases share: the learning-rate curve, averaged weights, checkpoints, and reading pictures."""
import math
import os
import time

import numpy as np
import torch

VALIDATION = 256  # the first pictures are never trained on


def load_pictures(path):
    """Pictures as bytes, channels first, four captions each, and which pictures show two objects."""
    stored = np.load(path)
    pictures = torch.from_numpy(stored["pictures"]).permute(0, 3, 1, 2).contiguous()
    return pictures, stored["captions"], torch.from_numpy(stored["pairs"])


def to_floats(pictures):
    """Bytes to the range -1 to 1 that the autoencoder works in."""
    return pictures.float() / 127.5 - 1


def psnr(pictures, targets):
    """Mean signal-to-noise ratio in decibels for values in -1 to 1."""
    error = (pictures.clamp(-1, 1) - targets).pow(2).mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).mean().item()


class Training:
    """Optimiser, averaged weights and checkpoints for a list of parameters.

    Everything is counted in steps and never in seconds, so that a run that was interrupted goes on where it stopped
    and a slower machine gives the same model.
    """

    def __init__(self, parameters, checkpoint, steps, peak_rate, warm_up=100, average=.995, weight_decay=1e-4):
        self.parameters = list(parameters)
        self.checkpoint, self.steps, self.peak_rate, self.warm_up = checkpoint, steps, peak_rate, warm_up
        self.average = average
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=peak_rate, betas=(.9, .99), weight_decay=weight_decay, foreach=True)
        self.averaged = [parameter.detach().clone() for parameter in self.parameters]
        self.step, self.seconds, self.started = 0, 0.0, time.time()
        if os.path.exists(checkpoint):
            self.resume()

    def resume(self):
        state = torch.load(self.checkpoint)
        self.step, self.seconds = state["step"], state["seconds"]
        self.averaged = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        with torch.no_grad():
            for parameter, value in zip(self.parameters, state["weights"]):
                parameter.copy_(value)
        torch.set_rng_state(state["random"])
        print(f"resumed at step {self.step}", flush=True)

    def save(self):
        """Writes the checkpoint beside the old one and then renames it, so that no crash leaves half a file."""
        torch.save(dict(
            step=self.step, seconds=self.elapsed(), random=torch.get_rng_state(), averaged=self.averaged,
            weights=[parameter.detach() for parameter in self.parameters],
            optimiser=self.optimiser.state_dict()), self.checkpoint + ".new")
        os.replace(self.checkpoint + ".new", self.checkpoint)

    def elapsed(self):
        return self.seconds + time.time() - self.started

    def rate(self):
        """A short warm-up, then half a cosine down to one percent."""
        cosine = .5 * (1 + math.cos(math.pi * min(1, self.step / self.steps)))
        return self.peak_rate * min(1, (self.step + 1) / self.warm_up) * (.01 + .99 * cosine)

    def descend(self, loss):
        """One optimiser step, then the average follows the weights."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimiser.step()
        self.step += 1
        keep = min(self.average, self.step / (self.step + 50))
        torch._foreach_lerp_(self.averaged, [parameter.detach() for parameter in self.parameters], 1 - keep)

    def swap(self):
        """Exchanges the weights and their average; call it again to go back."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.averaged):
                held = parameter.detach().clone()
                parameter.copy_(average)
                average.copy_(held)
