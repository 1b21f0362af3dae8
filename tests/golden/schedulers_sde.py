"""Makes schedulers_sde.json: runs of the stochastic samplers, and of the schedules that are not diffusers' usual ones.

Run: OMP_NUM_THREADS=1 python tests/golden/schedulers_sde.py
Needs torch, numpy, scipy and diffusers; last run with torch 2.15.0, scipy 1.17.1 and diffusers 0.35.2.

`diffused` runs the schedulers of diffusers, in double precision as schedulers.py does. `kdiffused` runs the functions of
this file: the samplers that diffusers lacks or has in part, written from k-diffusion's and the web UI's formulas in float64,
on latents clean + sigma * noise. Noise comes from one torch CPU generator in the order in which it is asked for.
"""

import json
import math
import pathlib
import sys
import types
from unittest import mock

import diffusers
import numpy as np
import schedulers as base
import torch
from brownian import Path
from diffusers.schedulers.scheduling_utils import AysSchedules

# DPMSolverSDEScheduler wants torchsde for its Brownian tree, which is replaced below by a path of plain draws.
sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))
from diffusers.schedulers import scheduling_dpmsolver_sde as sde_module  # noqa: E402

STEPS = (1, 2, 5, 20)
CLASSES = {
    **base.CLASSES,
    "dpm2_ancestral": diffusers.KDPM2AncestralDiscreteScheduler,
    "dpmpp_2m_sde": diffusers.DPMSolverMultistepScheduler,
    "dpmpp_sde": sde_module.DPMSolverSDEScheduler,
}
OPTIONS = {"karras": "use_karras_sigmas", "exponential": "use_exponential_sigmas", "beta": "use_beta_sigmas"}


# Runs of diffusers


def diffused(sampler, steps, config, schedule, eta=None, s_noise=1.0, sigmas=None, timesteps=None):
    told = {**config, OPTIONS[schedule]: True} if schedule in OPTIONS else config
    scheduler = CLASSES[sampler].from_config(told)
    generator = torch.Generator("cpu").manual_seed(base.SEED)
    own = {"sigmas": sigmas} if sigmas is not None else {"timesteps": timesteps} if timesteps is not None else {}
    scheduler.set_timesteps(**own) if own else scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0) if hasattr(scheduler, "set_begin_index") else None
    latents = torch.randn(base.SHAPE, generator=generator) * scheduler.init_noise_sigma

    def noise(*_, **__):
        return torch.randn(base.SHAPE, generator=generator).double() * s_noise

    extra = {} if eta is None else {"eta": eta}
    latents, outputs = latents.double(), None
    with base.in_double_precision(scheduler), plain_draws(scheduler, noise):
        if sampler == "dpm2_ancestral":
            exact_tables(scheduler)
        for t in scheduler.timesteps:
            outputs = base.predict(scheduler.scale_model_input(latents, t), t.to(torch.float64), None)
            latents = scheduler.step(outputs, t, latents, **extra).prev_sample
    return scheduler.timesteps.tolist(), latents


def plain_draws(scheduler, noise):
    """Gives every class its noise in the order of its steps."""
    if isinstance(scheduler, sde_module.DPMSolverSDEScheduler):
        return mock.patch.object(sde_module, "BrownianTreeNoiseSampler", lambda *_, **__: Path(noise))
    return mock.patch.object(sys.modules[type(scheduler).__module__], "randn_tensor", noise, create=True)


def exact_tables(scheduler):
    """sigmas_up, sigmas_down, sigmas_interpol and its timesteps come from differences of float32 squares; here the same in
    double precision."""
    doubled = scheduler.sigmas  # s0, s1, s1, s2, s2, ... 0, 0
    sigmas = torch.cat([doubled[:1], doubled[1:-1:2]])
    following = torch.cat([sigmas[1:], sigmas.new_zeros(1)])
    up = (following**2 * (sigmas**2 - following**2) / sigmas**2).nan_to_num() ** 0.5
    down = (following**2 - up**2) ** 0.5
    middle = (sigmas * down) ** 0.5
    rounding = 1e-3 * float(following.max())  # the root of a float32 rounding, times the largest value
    for name, exact in (("sigmas_up", up), ("sigmas_down", down), ("sigmas_interpol", middle)):
        table = getattr(scheduler, name).double().nan_to_num()
        twice = torch.cat([exact[:1], exact[1:].repeat_interleave(2), exact[-1:]])
        assert torch.allclose(table, twice, rtol=1e-2, atol=rounding), (name, table, twice)
        setattr(scheduler, name, twice)
    logs = scheduler.log_sigmas.double().numpy()
    times = torch.tensor([float(scheduler._sigma_to_t(sigma, logs)) for sigma in middle[:-2].numpy()])
    assert torch.allclose(scheduler.timesteps[1::2].double(), times.double(), atol=0.05), (scheduler.timesteps, times)
    scheduler.timesteps[1::2] = times


# Runs of k-diffusion's formulas


class Model:
    """The denoiser of latents clean + sigma * noise."""

    def __init__(self, scheduler, generator):
        training = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
        self.logs = np.log(training.float().numpy()).astype(float)
        self.prediction = scheduler.config.prediction_type
        self.known = {}
        self.asked = []
        self.generator = generator

    def timestep(self, sigma):
        return self.known.get(sigma, np.interp(math.log(sigma), self.logs, np.arange(len(self.logs))))

    def sigma(self, timestep):
        return math.exp(np.interp(timestep, np.arange(len(self.logs)), self.logs))

    def __call__(self, x, sigma):
        t = self.timestep(sigma)
        self.asked.append(float(t))
        scale = math.sqrt(sigma**2 + 1)
        output = base.predict(x / scale, t, None)
        if self.prediction == "v_prediction":
            return x / scale**2 - output * sigma / scale
        return x - sigma * output

    def noise(self):
        return torch.randn(base.SHAPE, generator=self.generator).double()


def ancestral(sigma, following, eta):
    up = min(following, eta * math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def direction(x, sigma, clean):
    return (x - clean) / sigma


def euler(model, x, sigmas, s_churn=0.0, s_noise=1.0, **_):
    steps = len(sigmas) - 1
    for sigma, following in zip(sigmas, sigmas[1:]):
        gamma = min(s_churn / steps, math.sqrt(2) - 1)
        hat = sigma * (1 + gamma)
        if gamma > 0:
            x = x + model.noise() * s_noise * math.sqrt(hat**2 - sigma**2)
        x = x + direction(x, hat, model(x, hat)) * (following - hat)
    return x


def euler_ancestral(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    for sigma, following in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, following, eta)
        x = x + direction(x, sigma, model(x, sigma)) * (down - sigma)
        if up > 0:
            x = x + model.noise() * s_noise * up
    return x


def dpm2_ancestral(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    """With the midpoint in the logarithm, as in diffusers; k-diffusion takes it in the cube root."""
    for sigma, following in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, following, eta)
        d = direction(x, sigma, model(x, sigma))
        if down > 0:
            middle = math.sqrt(sigma * down)
            halfway = x + d * (middle - sigma)
            d = direction(halfway, middle, model(halfway, middle))
        x = x + d * (down - sigma)
        if up > 0:
            x = x + model.noise() * s_noise * up
    return x


def dpmpp_2s_ancestral(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    for sigma, following in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, following, eta)
        clean = model(x, sigma)
        if down == 0:
            x = x + direction(x, sigma, clean) * (down - sigma)
        else:
            h = math.log(sigma) - math.log(down)
            middle = math.exp(math.log(sigma) - h / 2)
            halfway = middle / sigma * x - math.expm1(-h / 2) * clean
            x = down / sigma * x - math.expm1(-h) * model(halfway, middle)
        if up > 0:
            x = x + model.noise() * s_noise * up
    return x


def dpmpp_sde(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    path = Path(model.noise)
    for sigma, following in zip(sigmas, sigmas[1:]):
        clean = model(x, sigma)
        if following == 0:
            return clean
        middle = math.exp((math.log(sigma) + math.log(following)) / 2)
        down, up = ancestral(sigma, middle, eta)
        halfway = down / sigma * x + (1 - down / sigma) * clean
        if up > 0:
            halfway = halfway + path(sigma, middle) * s_noise * up
        clean = model(halfway, middle)
        down, up = ancestral(sigma, following, eta)
        x = down / sigma * x + (1 - down / sigma) * clean
        if up > 0:
            x = x + path(sigma, following) * s_noise * up
    return x


def dpmpp_2m_sde(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    before, h_before = None, None
    for sigma, following in zip(sigmas, sigmas[1:]):
        clean = model(x, sigma)
        if following == 0:
            return clean
        h = math.log(sigma) - math.log(following)
        part = -math.expm1(-h - eta * h)
        x = following / sigma * math.exp(-eta * h) * x + part * clean
        if before is not None:
            x = x + 0.5 * part * (h / h_before) * (clean - before)
        if eta > 0:
            x = x + model.noise() * s_noise * following * math.sqrt(-math.expm1(-2 * eta * h))
        before, h_before = clean, h
    return x


def dpmpp_3m_sde(model, x, sigmas, eta=1.0, s_noise=1.0, **_):
    clean_1 = clean_2 = h_1 = h_2 = None
    for sigma, following in zip(sigmas, sigmas[1:]):
        clean = model(x, sigma)
        if following == 0:
            return clean
        h = math.log(sigma) - math.log(following)
        z = h * (1 + eta)
        x = math.exp(-z) * x - math.expm1(-z) * clean
        phi_2 = math.expm1(-z) / z + 1
        phi_3 = phi_2 / z - 0.5
        if h_2 is not None:
            r_1, r_2 = h_1 / h, h_2 / h
            slope_1, slope_2 = (clean - clean_1) / r_1, (clean_1 - clean_2) / r_2
            first = slope_1 + (slope_1 - slope_2) * r_1 / (r_1 + r_2)
            x = x + phi_2 * first - phi_3 * (slope_1 - slope_2) / (r_1 + r_2)
        elif h_1 is not None:
            x = x + phi_2 * (clean - clean_1) / (h_1 / h)
        if eta > 0:
            x = x + model.noise() * s_noise * following * math.sqrt(-math.expm1(-2 * h * eta))
        clean_1, clean_2, h_1, h_2 = clean, clean_1, h, h_1
    return x


def heun(model, x, sigmas, s_churn=0.0, s_noise=1.0, **_):
    steps = len(sigmas) - 1
    for sigma, following in zip(sigmas, sigmas[1:]):
        gamma = min(s_churn / steps, math.sqrt(2) - 1)
        hat = sigma * (1 + gamma)
        if gamma > 0:
            x = x + model.noise() * s_noise * math.sqrt(hat**2 - sigma**2)
        d = direction(x, hat, model(x, hat))
        there = x + d * (following - hat)
        if following > 0:
            there = x + (d + direction(there, following, model(there, following))) / 2 * (following - hat)
        x = there
    return x


def dpm2(model, x, sigmas, s_churn=0.0, s_noise=1.0, **_):
    """With the midpoint in the logarithm, as in diffusers; k-diffusion takes it in the cube root."""
    steps = len(sigmas) - 1
    for sigma, following in zip(sigmas, sigmas[1:]):
        gamma = min(s_churn / steps, math.sqrt(2) - 1)
        hat = sigma * (1 + gamma)
        if gamma > 0:
            x = x + model.noise() * s_noise * math.sqrt(hat**2 - sigma**2)
        d = direction(x, hat, model(x, hat))
        if following > 0:
            middle = math.sqrt(hat * following)
            halfway = x + d * (middle - hat)
            d = direction(halfway, middle, model(halfway, middle))
        x = x + d * (following - hat)
    return x


def karras(most, least, points):
    ramp = np.linspace(0, 1, points)
    return ((most ** (1 / 7) + ramp * (least ** (1 / 7) - most ** (1 / 7))) ** 7).tolist()


def restart(model, x, sigmas, s_noise=1.0, **_):
    """The web UI's restart sampler, its list of restarts chosen by the number of steps."""
    steps = len(sigmas) - 1
    again, times = (0, 0) if steps < 20 else (9, 1) if steps < 36 else (steps // 4, 2)
    if times:
        sigmas = karras(sigmas[0], sigmas[-2], steps - again * times) + [0.0]
    nearest = lambda wanted: min(range(len(sigmas)), key=lambda i: abs(sigmas[i] - wanted))
    turn, top = nearest(0.1), nearest(2.0)
    for i, pair in enumerate(zip(sigmas, sigmas[1:]), 1):
        x = heun(model, x, pair)
        if times and i == turn and top < turn:
            for _ in range(times):
                x = x + model.noise() * s_noise * math.sqrt(sigmas[top] ** 2 - sigmas[turn] ** 2)
                way = karras(sigmas[top], sigmas[turn], again + 1)
                for again_pair in zip(way, way[1:]):
                    x = heun(model, x, again_pair)
    return x


SAMPLERS = {
    f.__name__: f
    for f in (
        euler,
        euler_ancestral,
        heun,
        dpm2,
        dpm2_ancestral,
        dpmpp_2s_ancestral,
        dpmpp_sde,
        dpmpp_2m_sde,
        dpmpp_3m_sde,
        restart,
    )
}


def kdiffused(sampler, steps, config, schedule, **options):
    kind = diffusers.DPMSolverMultistepScheduler if sampler == "dpmpp_2m_sde" else diffusers.EulerDiscreteScheduler
    told = {**config, OPTIONS[schedule]: True} if schedule in OPTIONS else config
    scheduler = kind.from_config(told)
    scheduler.set_timesteps(steps)
    generator = torch.Generator("cpu").manual_seed(base.SEED)
    model = Model(scheduler, generator)
    sigmas = scheduler.sigmas.double().tolist()
    model.known = dict(zip(sigmas, scheduler.timesteps.tolist()))
    if schedule in WEB_UI:
        sigmas, model.known = [*WEB_UI[schedule](model, steps), 0.0], {}
    latents = torch.randn(base.SHAPE, generator=generator).double()
    first = scheduler.init_noise_sigma if not sampler == "dpmpp_2m_sde" else math.sqrt(sigmas[0] ** 2 + 1)
    first = first if schedule not in WEB_UI else sigmas[0]
    latents = SAMPLERS[sampler](model, latents * float(first), sigmas, **options)
    return model.asked, latents


# Schedules of the web UIs


def sgm_uniform(model, steps):
    return [model.sigma(t) for t in np.linspace(len(model.logs) - 1, 0, steps + 1)[:-1]]


def simple(model, steps):
    return [math.exp(model.logs[-(1 + int(i * (len(model.logs) / steps)))]) for i in range(steps)]


def polyexponential(model, steps, rho=1.0):
    low, high = model.logs[0], model.logs[-1]
    return np.exp(np.linspace(1, 0, steps) ** rho * (high - low) + low).tolist()


def align_your_steps(table):
    def sigmas(_, steps):
        logs = np.log(np.array(AysSchedules[table][:-1] + [0.029]))
        return np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(logs)), logs))[:-1].tolist()

    return sigmas


WEB_UI = {
    "sgm_uniform": sgm_uniform,
    "simple": simple,
    "polyexponential": polyexponential,
    "align_your_steps": align_your_steps("StableDiffusionSigmas"),
    "align_your_steps_xl": align_your_steps("StableDiffusionXLSigmas"),
}


# Cases


def case(run, sampler, steps, schedule="model", changes=None, told=None, **options):
    config = {**base.SD, **(changes or {})}
    timesteps, latents = run(sampler, steps, config, schedule, **options, **(told or {}))
    assert latents.isfinite().all(), (sampler, steps, schedule, changes)
    return {
        "by": run.__name__,
        "sampler": sampler,
        "schedule": schedule,
        "steps": steps,
        "options": options,
        "config": changes or {},
        "timesteps": [float(f"{t:.8g}") for t in timesteps],
        "latents": [float(f"{x:.8g}") for x in latents.flatten().tolist()],
    }


def of_class(sampler):
    if sampler != "dpmpp_2m_sde":
        return {}
    return {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}


V = {"prediction_type": "v_prediction"}


def of_diffusers():
    for sampler in ("dpm2_ancestral", "dpmpp_2m_sde", "dpmpp_sde"):
        own = of_class(sampler)
        for steps in STEPS:
            for schedule in ("model", "karras"):
                for spacing in base.SPACINGS:
                    for prediction in ({}, V):
                        changes = {**own, **prediction, "timestep_spacing": spacing}
                        yield case(diffused, sampler, steps, schedule, changes)
        for steps in (3, 7, 14, 15, 30, 150):
            yield case(diffused, sampler, steps, changes=own)
        yield case(diffused, sampler, 10, changes={**own, "beta_schedule": "linear", "steps_offset": 0})
        if sampler != "dpm2_ancestral":  # its float32 tables make this not a number
            yield case(diffused, sampler, 10, changes={**own, **V, "beta_schedule": "squaredcos_cap_v2"})
    zero = {**of_class("dpmpp_2m_sde"), **V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    yield case(diffused, "dpmpp_2m_sde", 10, changes=zero)
    for steps in (7, 20):
        least = {**of_class("dpmpp_2m_sde"), "final_sigmas_type": "sigma_min"}
        yield case(diffused, "dpmpp_2m_sde", steps, changes=least)
    for steps in (7, 20):
        for solver in ({"solver_type": "heun"}, {"solver_order": 1}, {"lower_order_final": False}, {"euler_at_final": True}):
            changes = {**of_class("dpmpp_2m_sde"), **solver, "final_sigmas_type": "sigma_min"}
            yield case(diffused, "dpmpp_2m_sde", steps, changes=changes)
    for sampler in ("dpm2_ancestral", "dpmpp_2m_sde", "dpmpp_sde", "euler_ancestral"):
        yield case(diffused, sampler, 7, changes=of_class(sampler), s_noise=1.05)
    yield case(diffused, "ddim", 7, eta=0.7, s_noise=0.9)


def of_schedules():
    for schedule in ("exponential", "beta"):
        for sampler in ("euler", "dpmpp_2m", "dpm2_ancestral", "dpmpp_2m_sde", "dpmpp_sde"):
            for steps in STEPS:
                yield case(diffused, sampler, steps, schedule, of_class(sampler))
        for sampler in ("lms", "heun", "dpm2", "deis", "unipc"):
            for steps in (5, 20):
                yield case(diffused, sampler, steps, schedule)
        for sampler in ("euler", "dpmpp_2m"):
            for spacing in ("leading", "trailing"):
                yield case(diffused, sampler, 7, schedule, {**V, "timestep_spacing": spacing})
            yield case(diffused, sampler, 9, changes={OPTIONS[schedule]: True})
            yield case(diffused, sampler, 9, schedule, {**V, "beta_schedule": "squaredcos_cap_v2"})
            zero = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
            yield case(diffused, sampler, 9, schedule, zero)
    for table in ("", "XL"):
        told = {"sigmas": AysSchedules[f"StableDiffusion{table}Sigmas"]}
        yield case(diffused, "euler", 10, f"align_your_steps{table and '_xl'}", told=told)
    for steps in (1, 7, 20):
        uniform = np.linspace(999, 0, steps + 1).round()[:-1].astype(int).tolist()
        yield case(diffused, "dpmpp_2m", steps, "sgm_uniform", told={"timesteps": uniform})
        whole = [999 - int(i * 1000 / steps) for i in range(steps)]
        yield case(diffused, "dpmpp_2m", steps, "simple", told={"timesteps": whole})
    for schedule in WEB_UI:
        for steps in (1, 2, 5, 13, 20):
            yield case(kdiffused, "euler", steps, schedule)
        yield case(kdiffused, "euler", 6, schedule, V)
        yield case(kdiffused, "dpmpp_3m_sde", 6, schedule, V)


def of_k_diffusion():
    for sampler in ("dpmpp_2s_ancestral", "dpmpp_3m_sde"):
        for steps in STEPS:
            for schedule in ("model", "karras"):
                for prediction in ({}, V):
                    yield case(kdiffused, sampler, steps, schedule, prediction)
        yield case(kdiffused, sampler, 10, changes={**V, "beta_schedule": "squaredcos_cap_v2"})
        yield case(kdiffused, sampler, 10, changes={**V, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True})
        yield case(kdiffused, sampler, 7, changes={"timestep_spacing": "leading"})
    for sampler in ("dpmpp_2s_ancestral", "dpmpp_3m_sde", "dpm2_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "euler_ancestral"):
        for eta in (0.0, 0.5, 1.0):
            yield case(kdiffused, sampler, 16, changes=of_class(sampler), eta=eta, s_noise=1.05)
    for s_churn in (0.5, 5.0, 40.0):
        for prediction in ({}, V):
            for sampler in ("euler", "heun", "dpm2"):
                yield case(kdiffused, sampler, 8, changes=prediction, s_churn=s_churn)
    yield case(kdiffused, "euler", 8, "karras", s_churn=2.0, s_noise=1.01)
    for steps in (5, 19, 20, 30, 36, 41):
        yield case(kdiffused, "restart", steps, "karras")
    yield case(kdiffused, "restart", 20, "karras", V, s_noise=1.02)


def main():
    cases = [*of_diffusers(), *of_schedules(), *of_k_diffusion()]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    config = json.dumps(base.SD, separators=(",", ":"))
    text = f'{{"seed":{base.SEED},"shape":{list(base.SHAPE)},"config":{config},"cases":[\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("schedulers_sde.json").write_text(text)


if __name__ == "__main__":
    main()
