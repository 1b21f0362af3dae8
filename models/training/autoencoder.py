"""Phase 1: trains the autoencoder that turns 64x64 pictures into 8x8 latents of 4 channels and back.

    python autoencoder.py PICTURES.npz RUN [--crop-steps 6000] [--steps 9200]

Most steps see 32x32 crops, which cost a quarter; the last third sees whole pictures.
At the end all pictures are encoded once, so that the denoiser never has to run the encoder.
"""
import argparse
import os

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from loop import VALIDATION, Training, load_pictures, psnr, to_floats

CROP = 32
KL_WEIGHT = 3e-4


def new_autoencoder():
    """A Stable Diffusion autoencoder with few channels, about 0.7 million parameters."""
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 32, 64), layers_per_block=1, norm_num_groups=1, latent_channels=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    with torch.no_grad():  # start almost without noise, or the first minutes teach nothing but the mean colour
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -5.0
        vae.quant_conv.weight[:4] *= 2
    return vae.to(memory_format=torch.channels_last)


def batch(pictures, cropped):
    """Sixteen crops, or eight whole pictures."""
    chosen = pictures[torch.randint(VALIDATION, len(pictures), (16 if cropped else 8,))]
    if cropped:
        top, left = torch.randint(pictures.shape[-1] - CROP + 1, (2,)).tolist()
        chosen = chosen[:, :, top:top + CROP, left:left + CROP]
    return to_floats(chosen).to(memory_format=torch.channels_last)


def loss_of(vae, images):
    posterior = vae.encode(images).latent_dist
    decoded = vae.decode(posterior.sample()).sample
    divergence = posterior.kl().mean() / posterior.mean[0].numel()
    return F.l1_loss(decoded, images) + 2 * F.mse_loss(decoded, images) + KL_WEIGHT * divergence


@torch.no_grad()
def round_trip(vae, pictures):
    """How much of the validation pictures survives encoding and decoding, in decibels."""
    images = to_floats(pictures[:VALIDATION])
    return psnr(torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(64)]), images)


@torch.no_grad()
def encode_all(vae, pictures):
    """Mean and deviation of the latents of every picture, and the factor that brings them to unit variance."""
    posteriors = [vae.encode(to_floats(part)).latent_dist for part in pictures.split(128)]
    mean = torch.cat([posterior.mean for posterior in posteriors])
    deviation = torch.cat([posterior.std for posterior in posteriors])
    factor = 1 / (mean.var() + deviation.pow(2).mean()).sqrt().item()
    return mean.half(), deviation.half(), round(factor, 5)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pictures")
    options.add_argument("run")
    options.add_argument("--crop-steps", type=int, default=6000)
    options.add_argument("--steps", type=int, default=9200)
    options = options.parse_args()
    torch.manual_seed(0)
    os.makedirs(options.run, exist_ok=True)
    pictures, _, _ = load_pictures(options.pictures)
    vae = new_autoencoder()
    training = Training(vae.parameters(), f"{options.run}/autoencoder.pt", options.steps, peak_rate=2e-3)
    while training.step < options.steps:
        training.descend(loss_of(vae, batch(pictures, cropped=training.step < options.crop_steps)))
        if training.step % 1000 == 0 or training.step == options.steps:
            print(f"step {training.step} {training.elapsed():.0f} s, {round_trip(vae, pictures):.2f} dB", flush=True)
            training.save()
    training.swap()
    vae.eval()
    print(f"averaged weights: {round_trip(vae, pictures):.2f} dB", flush=True)
    mean, deviation, factor = encode_all(vae, pictures)
    vae.register_to_config(scaling_factor=factor)
    vae.save_pretrained(f"{options.run}/vae")
    torch.save(dict(mean=mean, deviation=deviation), f"{options.run}/latents.pt")
    print(f"scaling factor {factor}, {training.elapsed():.0f} s", flush=True)


if __name__ == "__main__":
    main()
