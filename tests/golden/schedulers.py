"""Makes schedulers.json: whole runs of diffusers' schedulers with a formula in the place of the U-Net.

Run: OMP_NUM_THREADS=1 python tests/golden/schedulers.py
Needs torch, diffusers and scipy; last run with torch 2.15.0 and diffusers 0.35.2.

Each case says what the run is and gives the timesteps of its calls and its final latents. The starting noise and the noise
of the steps are those of one torch CPU generator, seeded with SEED; an init image is noise of the next seed, times 0.8. A
new sampler is a new row in CLASSES.

The steps run in double precision: Euler's classes hold clean + sigma * noise, and in float32 that costs digits where sigma
is large (2e-4 of the result with a cosine schedule, where sigma begins at 20291). The noise levels are float32 values.
"""

import contextlib
import inspect
import itertools
import json
import pathlib
import sys
from unittest import mock

import diffusers
import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor

SEED = 42
SHAPE = (1, 4, 2, 2)
SD = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "clip_sample": False,
    "skip_prk_steps": True,
}
CLASSES = {
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "lms": diffusers.LMSDiscreteScheduler,
    "heun": diffusers.HeunDiscreteScheduler,
    "dpm2": diffusers.KDPM2DiscreteScheduler,
    "deis": diffusers.DEISMultistepScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
    "lcm": diffusers.LCMScheduler,
    "tcd": diffusers.TCDScheduler,
}
DISTILLED = ("lcm", "tcd")
SPACINGS = ("linspace", "leading", "trailing")
PREDICTIONS = ("epsilon", "v_prediction")


def predict(latents, timestep, guidance=None):
    """In the place of the U-Net; the test has the same formula. The prompt adds to the slope."""
    ramp = 0.5 * timestep / 1000 + 0.1 * torch.tanh(latents)
    conditional = 0.3 * latents + ramp
    unconditional = 0.27 * latents + ramp
    return conditional if guidance is None else unconditional + guidance * (conditional - unconditional)


def knows(sampler, key):
    return key in inspect.signature(CLASSES[sampler].__init__).parameters


def run(sampler, steps, config, eta=None, strength=None, guidance=None):
    scheduler = CLASSES[sampler].from_config(config)
    generator = torch.Generator("cpu").manual_seed(SEED)
    scheduler.set_timesteps(steps)
    noise = torch.randn(SHAPE, generator=generator)
    extra = {} if eta is None else {"eta": eta}
    if "generator" in inspect.signature(scheduler.step).parameters:
        extra["generator"] = generator
    skipped = 0 if strength is None else steps - min(int(steps * strength), steps)
    if strength is not None and sampler == "lcm":
        # Latent consistency models have a pipeline of their own, which does all steps on a shorter way.
        scheduler.set_timesteps(steps, strength=strength)
        skipped = 0
    with in_double_precision(scheduler):
        timesteps = begin(scheduler, skipped)
        if strength is not None:
            init = 0.8 * torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(SEED + 1)).double()
            latents = scheduler.add_noise(init, noise.double(), timesteps[:1])
        else:
            latents = noise.double() * scheduler.init_noise_sigma
        for t in timesteps:
            output = predict(scheduler.scale_model_input(latents, t), t.to(torch.float64), guidance)
            latents = scheduler.step(output, t, latents, **extra).prev_sample
    return timesteps, latents


def begin(scheduler, skipped):
    """The timesteps of a run that leaves out its first steps, as `get_timesteps` of the image-to-image pipelines."""
    if hasattr(scheduler, "set_begin_index"):
        # Otherwise a first timestep that comes twice is taken for the second.
        scheduler.set_begin_index(skipped * scheduler.order)
    return scheduler.timesteps[skipped * scheduler.order :]


def churned(sampler, steps, config, s_churn):
    """Heun's method and DPM-Solver-2 with noise put back before each step, which diffusers has not: by k-diffusion's formulas,
    in double precision, on the class's own levels."""
    scheduler = CLASSES[sampler].from_config(config)
    scheduler.set_timesteps(steps)
    sigmas = torch.cat([scheduler.sigmas[:1], scheduler.sigmas[1::2]]).double().tolist()[: steps + 1]
    table = np.log((((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5).numpy())
    generator = torch.Generator("cpu").manual_seed(SEED)
    draw = lambda: torch.randn(SHAPE, generator=generator).double()
    told = []

    def slope(latents, sigma):
        told.append(float(scheduler._sigma_to_t(np.array(sigma), table)))
        return predict(latents / (sigma**2 + 1) ** 0.5, told[-1])

    latents = draw() * scheduler.init_noise_sigma
    for now, end in itertools.pairwise(sigmas):
        back = now * (1 + min(s_churn / steps, 2**0.5 - 1))
        latents = latents + draw() * (back**2 - now**2) ** 0.5
        first = slope(latents, back)
        if end == 0:
            latents = latents - back * first
        elif sampler == "heun":
            second = slope(latents + (end - back) * first, end)
            latents = latents + (end - back) * (first + second) / 2
        else:
            middle = (back * end) ** 0.5
            latents = latents + (end - back) * slope(latents + (middle - back) * first, middle)
    return torch.tensor(told), latents


@contextlib.contextmanager
def in_double_precision(scheduler):
    """Lets the class's own `step` compute in double precision, with noise drawn in float32 as ever."""
    single = torch.float32
    for levels in ("sigmas", "sigmas_interpol", "alphas_cumprod", "final_alpha_cumprod"):
        if hasattr(scheduler, levels):
            setattr(scheduler, levels, getattr(scheduler, levels).double())

    def noise(shape, generator=None, device=None, dtype=None):
        return randn_tensor(shape, generator=generator, device=device, dtype=single).double()

    module = sys.modules[type(scheduler).__module__]
    with mock.patch.object(torch, "float32", torch.float64), mock.patch.object(module, "randn_tensor", noise, create=True):
        yield


def case(sampler, steps, schedule="model", eta=None, strength=None, guidance=None, s_churn=None, **changes):
    config = {**SD, **changes}
    told = {**config, "use_karras_sigmas": True} if schedule == "karras" else config
    if s_churn is None:
        timesteps, latents = run(sampler, steps, told, eta, strength, guidance)
    else:
        timesteps, latents = churned(sampler, steps, told, s_churn)
    assert latents.isfinite().all(), (sampler, steps, schedule, changes)
    made = {"sampler": sampler, "schedule": schedule, "steps": steps, "config": changes}
    options = {"eta": eta, "strength": strength, "guidance": guidance, "s_churn": s_churn}
    made |= {key: value for key, value in options.items() if value is not None}
    made["timesteps"] = [float(f"{t:.8g}") for t in timesteps.tolist()]
    made["latents"] = [float(f"{x:.8g}") for x in latents.flatten().tolist()]
    return made


def cases():
    for sampler in CLASSES:
        yield from everywhere(sampler)
        yield from in_particular(sampler)
    yield from of_one_class()


def everywhere(sampler):
    """Every meaning of the output, spacing and step count."""
    schedules = ("model", "karras") if knows(sampler, "use_karras_sigmas") else ("model",)
    spacings = (None,) if sampler in DISTILLED else SPACINGS
    for prediction, spacing, schedule, steps in itertools.product(PREDICTIONS, spacings, schedules, (1, 2, 5, 20)):
        if sampler == "deis" and schedule == "karras" and steps == 1:
            continue  # the class does nothing there: its run ends at the level where it starts
        changes = {"timestep_spacing": spacing} if spacing else {}
        yield case(sampler, steps, schedule, prediction_type=prediction, **changes)


def in_particular(sampler):
    # What is absent takes the class's default; step counts that do not divide 1000 show every rounding.
    for steps in (3, 7, 14, 15, 30, 50 if sampler in DISTILLED else 150):
        yield case(sampler, steps)
    if sampler not in DISTILLED:
        for spacing in ("linspace", "trailing"):
            yield case(sampler, 7, timestep_spacing=spacing)
    if sampler not in ("euler_ancestral", "pndm", "dpm2"):
        yield case(sampler, 10, prediction_type="sample")
    yield case(sampler, 10, beta_schedule="linear", steps_offset=0)
    # From the last timestep, where sigma is 20291, dpm2 magnifies the float32 rounding of its timestep in between 3000 times:
    # the class in single precision is 6e-3 off its own result in double precision there.
    spacing = {"timestep_spacing": "leading"} if sampler == "dpm2" else {}
    yield case(sampler, 10, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", **spacing)
    if knows(sampler, "use_karras_sigmas"):
        yield case(sampler, 9, use_karras_sigmas=True)
    if knows(sampler, "rescale_betas_zero_snr"):
        terminal = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        yield case(sampler, 10, **terminal)
        yield case(sampler, 1, **terminal)
    yield case(sampler, 6, num_train_timesteps=60)
    for prediction in PREDICTIONS:
        yield case(sampler, 8, guidance=7.5, prediction_type=prediction)
    for strength in (0.1, 0.5, 0.8, 0.95):
        # The class of latent consistency models has 50 timesteps to pick from, and refuses to take one twice.
        most = int(50 * strength) if sampler == "lcm" else 20
        yield case(sampler, min(20, most), strength=strength)
        yield case(sampler, min(12, most), strength=strength, prediction_type="v_prediction", timestep_spacing="trailing")
    if knows(sampler, "final_sigmas_type"):
        for steps, spacing in itertools.product((5, 20), SPACINGS):
            yield case(sampler, steps, timestep_spacing=spacing, final_sigmas_type="sigma_min")
    if knows(sampler, "set_alpha_to_one") and sampler not in DISTILLED:  # which never use it
        for steps, spacing, one in itertools.product((5, 20), SPACINGS, (True, False)):
            yield case(sampler, steps, timestep_spacing=spacing, set_alpha_to_one=one)


def of_one_class():
    for steps, spacing in itertools.product((5, 20), SPACINGS):
        yield case("ddim", steps, eta=0.7, timestep_spacing=spacing)
    yield case("ddim", 9, eta=1.0)
    yield case("ddim", 8, num_train_timesteps=20, trained_betas=[round(0.01 + 0.02 * i, 3) for i in range(20)])
    yield case("dpmpp_2m", 9, use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    for sampler, s_churn, schedule in itertools.product(("heun", "dpm2"), (2.0, 30.0), ("model", "karras")):
        yield case(sampler, 10, schedule, s_churn=s_churn)
    for kind, steps, offset in itertools.product(("fixed_small_log", "fixed_large"), (5, 20), (0, 1)):
        yield case("ddpm", steps, variance_type=kind, steps_offset=offset)
    for sampler, order, steps, final in itertools.product(
        ("dpmpp_2m", "unipc", "deis"), (1, 3), (1, 2, 3, 5, 14, 20), ("zero", "sigma_min")
    ):
        if sampler != "deis" or final == "zero":  # which has no such key
            yield case(sampler, steps, solver_order=order, final_sigmas_type=final)
    for order, steps, strength in itertools.product((2, 3), (12, 20), (0.5, 0.8)):
        for sampler in ("dpmpp_2m", "unipc", "deis"):
            yield case(sampler, steps, strength=strength, solver_order=order, final_sigmas_type="sigma_min")
    for kind, final, steps in itertools.product(("heun", "bh1"), ("zero", "sigma_min"), (5, 20)):
        yield case("dpmpp_2m", steps, solver_type=kind, final_sigmas_type=final)
    for steps in (2, 5, 20):
        yield case("dpmpp_2m", steps, lower_order_final=False, final_sigmas_type="sigma_min")
        yield case("dpmpp_2m", steps, euler_at_final=True, final_sigmas_type="sigma_min", solver_order=3)
        yield case("deis", steps, lower_order_final=False, solver_order=3)
        yield case("unipc", steps, lower_order_final=False, solver_order=3, final_sigmas_type="sigma_min")
        for order in (1, 2, 3):
            # bh1 ends in no number where it ends without noise: infinity times zero
            yield case("unipc", steps, solver_type="bh1", solver_order=order, final_sigmas_type="sigma_min")
        yield case("unipc", steps, solver_type="midpoint", disable_corrector=[0, 2])
    yield case("unipc", 20, strength=0.5, disable_corrector=[0, 11])
    for steps, original in itertools.product((4, 7), (20, 50)):
        for sampler in DISTILLED:
            yield case(sampler, steps, original_inference_steps=original)
    yield case("lcm", 4, timestep_scaling=0.01)
    for eta in (0.0, 0.5, 1.0):
        yield case("tcd", 4, eta=eta)
        yield case("tcd", 13, eta=eta, prediction_type="v_prediction")


def main():
    made = [json.dumps(c, separators=(",", ":")) for c in cases()]
    assert len(made) == len(set(made)), "a case comes twice"
    lines = ",\n".join(made)
    text = f'{{"seed":{SEED},"shape":{list(SHAPE)},"config":{json.dumps(SD)},"cases":[\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("schedulers.json").write_text(text)


if __name__ == "__main__":
    main()
