"""Phase 3: sharpens the decoder while the latents stay as they are, so that the denoiser remains valid.

    python decoder.py PICTURES.npz RUN [--steps 5000]

The decoder learns from latents with a little noise, because those that the denoiser makes are not perfect either.
"""
import argparse

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from loop import VALIDATION, Training, load_pictures, psnr, to_floats

BATCH = 8
NOISE = .05  # in units of the latents' own deviation


@torch.no_grad()
def quality(vae, means, pictures):
    decoded = torch.cat([vae.decode(part.float()).sample for part in means[:VALIDATION].split(64)])
    return psnr(decoded, to_floats(pictures[:VALIDATION]))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pictures")
    options.add_argument("run")
    options.add_argument("--steps", type=int, default=5000)
    options = options.parse_args()
    torch.manual_seed(1)
    pictures, _, _ = load_pictures(options.pictures)
    latents = torch.load(f"{options.run}/latents.pt")
    means, deviations = latents["mean"], latents["deviation"]
    vae = AutoencoderKL.from_pretrained(f"{options.run}/vae", low_cpu_mem_usage=False)
    vae.to(memory_format=torch.channels_last)
    noise = NOISE / vae.config.scaling_factor
    training = Training([*vae.decoder.parameters(), *vae.post_quant_conv.parameters()], f"{options.run}/decoder.pt",
                        options.steps, peak_rate=1e-3)
    print(f"step {training.step}: {quality(vae, means, pictures):.2f} dB", flush=True)
    while training.step < options.steps:
        chosen = torch.randint(VALIDATION, len(pictures), (BATCH,))
        images = to_floats(pictures[chosen]).to(memory_format=torch.channels_last)
        spread = (deviations[chosen].float() ** 2 + noise ** 2).sqrt()
        decoded = vae.decode(means[chosen].float() + spread * torch.randn_like(spread)).sample
        training.descend(F.l1_loss(decoded, images) + 2 * F.mse_loss(decoded, images))
        if training.step % 1000 == 0 or training.step == options.steps:
            print(f"step {training.step} {training.elapsed():.0f} s, "
                  f"{quality(vae, means, pictures):.2f} dB", flush=True)
            training.save()
    training.swap()
    print(f"averaged weights: {quality(vae, means, pictures):.2f} dB", flush=True)
    vae.save_pretrained(f"{options.run}/vae_sharp")


if __name__ == "__main__":
    main()
