"""Phase 2: trains the text encoder and the U-Net together to remove noise from the latents.

    python denoiser.py PICTURES.npz RUN [--steps 12500]

Needs RUN/latents.pt and RUN/vae from autoencoder.py.
The text encoder is trained on the few words that captions use; export.py widens it to CLIP's whole vocabulary.
"""
import argparse
import json

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from loop import VALIDATION, Training, load_pictures
from tokenizer import load_tokenizer, write_tokenizer
from words import FILLERS, Words

BATCH = 32
WIDTH = 64  # of the text embedding
SNR_CLIP, LATE_SNR_CLIP = 1.0, .25  # see weight_of
LATE = 7000  # the step from which relations between two objects get most of the attention


def new_text_encoder(words):
    """A CLIP text model of 0.1 million parameters; the end token must be the last word, or pooling looks elsewhere."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=WIDTH,
        bos_token_id=0, eos_token_id=2, pad_token_id=1))


def new_unet():
    """A Stable Diffusion U-Net with two levels, 8x8 and 4x4, of 2.8 million parameters."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(64, 96),
        norm_num_groups=8, cross_attention_dim=WIDTH, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2)


def lesson(pairs, late):
    """Which pictures the next step learns from, and how noisy they are.

    One shape and its colours are learned soon, but which of two objects is on which side takes much longer.
    So the late steps see pairs in two pictures of three, and more of the high noise at which the sides are decided.
    """
    chosen = torch.randint(VALIDATION, len(pairs), (BATCH,))
    times = torch.randint(1000, (BATCH,))
    if late:
        of_two = VALIDATION + torch.nonzero(pairs[VALIDATION:]).flatten()
        chosen = torch.where(torch.rand(BATCH) < .5, of_two[torch.randint(len(of_two), (BATCH,))], chosen)
        times = torch.where(torch.rand(BATCH) < .5, torch.randint(600, 1000, (BATCH,)), times)
    return chosen, times


class Diffusion:
    """The noise schedule of Stable Diffusion v1 and the loss."""

    def __init__(self, text_encoder, unet, latents, factor):
        self.text_encoder, self.unet = text_encoder, unet
        self.mean, self.deviation, self.factor = latents["mean"], latents["deviation"], factor
        betas = torch.linspace(.00085 ** .5, .012 ** .5, 1000) ** 2
        self.signal = torch.cumprod(1 - betas, 0)
        self.snr = self.signal / (1 - self.signal)

    def latents(self, chosen):
        """Latents drawn from the autoencoder's posterior and brought to unit variance."""
        mean, deviation = self.mean[chosen].float(), self.deviation[chosen].float()
        return (mean + deviation * torch.randn_like(mean)) * self.factor

    def error(self, latents, rows, times):
        """Mean squared error of the predicted noise, for each picture."""
        noise = torch.randn_like(latents)
        signal = self.signal[times].view(-1, 1, 1, 1)
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        words = self.text_encoder(input_ids=rows).last_hidden_state
        return (self.unet(noisy, times, words).sample - noise).pow(2).mean((1, 2, 3))

    def weight_of(self, times, late):
        """Min-SNR weighting with a low clip, because shapes and places are decided where noise is high."""
        return self.snr[times].clamp(max=LATE_SNR_CLIP if late else SNR_CLIP) / self.snr[times]

    def loss(self, words, pairs, late):
        chosen, times = lesson(pairs, late)
        error = self.error(self.latents(chosen), words.training_rows(chosen), times)
        return (error * self.weight_of(times, late)).mean()

    @torch.no_grad()
    def validate(self, words):
        """Error on unseen pictures: overall, at high noise, and at high noise with the captions of other pictures.

        The gap between the last two says how much the model listens to its caption.
        """
        before = torch.get_rng_state()
        torch.manual_seed(1)
        chosen = torch.arange(VALIDATION)
        times = torch.linspace(20, 999, VALIDATION).long()
        latents, rows = self.latents(chosen), words.rows[chosen, 0].long()
        right = self.error(latents, rows, times)
        torch.manual_seed(1)
        self.latents(chosen)
        wrong = self.error(latents, rows.roll(1, 0), times)
        torch.set_rng_state(before)
        high = VALIDATION // 2
        return right.mean().item(), right[high:].mean().item(), wrong[high:].mean().item()


def save(run, diffusion):
    diffusion.unet.save_pretrained(f"{run}/unet")
    diffusion.text_encoder.save_pretrained(f"{run}/text_encoder_compact")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pictures")
    options.add_argument("run")
    options.add_argument("--steps", type=int, default=12500)
    options = options.parse_args()
    torch.manual_seed(0)
    run = options.run
    write_tokenizer(f"{run}/tokenizer")
    _, captions, pairs = load_pictures(options.pictures)
    words = Words(load_tokenizer(f"{run}/tokenizer"), captions)
    with open(f"{run}/vocabulary.json", "w") as file:
        json.dump(dict(tokens=words.vocabulary, fillers=FILLERS), file)
    with open(f"{run}/vae/config.json") as file:
        factor = json.load(file)["scaling_factor"]
    text_encoder, unet = new_text_encoder(len(words.vocabulary)), new_unet()
    diffusion = Diffusion(text_encoder, unet, torch.load(f"{run}/latents.pt"), factor)
    training = Training([*unet.parameters(), *text_encoder.parameters()], f"{run}/denoiser.pt", options.steps,
                        peak_rate=1e-3, warm_up=200, average=.998, weight_decay=.01)
    while training.step < options.steps:
        training.descend(diffusion.loss(words, pairs, late=training.step >= LATE))
        if training.step % 500 == 0 or training.step == options.steps:
            training.save()
            training.swap()
            overall, high, wrong = diffusion.validate(words)
            save(run, diffusion)
            training.swap()
            print(f"step {training.step} {training.elapsed():.0f} s: error {overall:.4f}, at high noise {high:.4f}, "
                  f"with wrong captions {wrong:.4f}", flush=True)


if __name__ == "__main__":
    main()
