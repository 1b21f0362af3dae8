"""Makes schedulers.json: whole runs of diffusers' schedulers with a formula in the place of the U-Net.

Run: OMP_NUM_THREADS=1 python tests/golden/schedulers.py
Needs torch and diffusers; last run with torch 2.15.0 and diffusers 0.35.2.

Each case says what the run is and gives its timesteps and final latents. The starting noise and the noise of the steps are
those of one torch CPU generator, seeded with SEED. A new sampler is a new row in `cases`.

The steps run in double precision: Euler's classes hold clean + sigma * noise, and in float32 that costs digits where sigma
is large (2e-4 of the result with a cosine schedule, where sigma begins at 20291). The noise levels are float32 values.
"""

import contextlib
import itertools
import json
import pathlib
import sys
from unittest import mock

import diffusers
import torch
from diffusers.utils.torch_utils import randn_tensor

SEED = 42
SHAPE = (1, 4, 3, 4)
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1, "clip_sample": False}
CLASSES = {
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
}
SPACINGS = ("linspace", "leading", "trailing")


def predict(latents, timestep):
    """In the place of the U-Net; the test has the same formula."""
    return 0.3 * latents - 0.01 * latents * latents + 0.1 * timestep / 1000


def run(sampler, steps, config, eta):
    scheduler = CLASSES[sampler].from_config(config)
    generator = torch.Generator("cpu").manual_seed(SEED)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # otherwise a first timestep that comes twice is taken for the second
    latents = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    extra = {} if eta is None else {"eta": eta}
    if sampler != "dpmpp_2m":
        extra["generator"] = generator
    latents = latents.double()
    with in_double_precision(scheduler):
        for t in scheduler.timesteps:
            output = predict(scheduler.scale_model_input(latents, t), t.to(torch.float64))
            latents = scheduler.step(output, t, latents, **extra).prev_sample
    return scheduler.timesteps, latents


@contextlib.contextmanager
def in_double_precision(scheduler):
    """Lets the class's own `step` compute in double precision, with noise drawn in float32 as ever."""
    single = torch.float32
    for levels in ("sigmas", "alphas_cumprod", "final_alpha_cumprod"):
        if hasattr(scheduler, levels):
            setattr(scheduler, levels, getattr(scheduler, levels).double())

    def noise(shape, generator=None, device=None, dtype=None):
        return randn_tensor(shape, generator=generator, device=device, dtype=single).double()

    module = sys.modules[type(scheduler).__module__]
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(module, "randn_tensor", noise, create=True):
        yield


def case(sampler, steps, eta=None, schedule="model", **changes):
    config = {**SD, **changes}
    told = {**config, "use_karras_sigmas": True} if schedule == "karras" else config
    timesteps, latents = run(sampler, steps, told, eta)
    return {
        "sampler": sampler,
        "schedule": schedule,
        "steps": steps,
        "eta": eta,
        "config": config,
        "timesteps": [float(f"{t:.8g}") for t in timesteps.tolist()],
        "latents": [float(f"{x:.8g}") for x in latents.flatten().tolist()],
    }


def cases():
    for steps, spacing in itertools.product((5, 20), SPACINGS):
        for eta, one in itertools.product((0.0, 0.7), (True, False)):
            yield case("ddim", steps, eta, timestep_spacing=spacing, set_alpha_to_one=one)
        for sampler in ("euler", "euler_ancestral", "dpmpp_2m"):
            yield case(sampler, steps, timestep_spacing=spacing)
        for sampler in ("euler", "dpmpp_2m"):
            yield case(sampler, steps, schedule="karras", timestep_spacing=spacing)
            yield case(sampler, steps, timestep_spacing=spacing, final_sigmas_type="sigma_min")
    for sampler in CLASSES:
        # What is absent takes the class's default; step counts that do not divide 1000 show every rounding.
        for steps in (1, 3, 7, 14, 15, 30, 150):
            yield case(sampler, steps)
        for spacing in ("linspace", "trailing"):
            yield case(sampler, 7, timestep_spacing=spacing)
        yield case(sampler, 10, prediction_type="v_prediction")
        if sampler != "euler_ancestral":
            yield case(sampler, 10, prediction_type="sample")
        yield case(sampler, 10, beta_schedule="linear", steps_offset=0)
        yield case(sampler, 10, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
        yield case(
            sampler, 10, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        )
        yield case(sampler, 6, num_train_timesteps=40)
    yield case("ddim", 9, 1.0)
    yield case("euler", 9, use_karras_sigmas=True)
    yield case("dpmpp_2m", 9, use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    yield case("ddim", 8, num_train_timesteps=20, trained_betas=[round(0.01 + 0.02 * i, 3) for i in range(20)])


def main():
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases())
    text = f'{{"seed":{SEED},"shape":{list(SHAPE)},"cases":[\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("schedulers.json").write_text(text)


if __name__ == "__main__":
    main()
