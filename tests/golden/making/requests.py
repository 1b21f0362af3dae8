"""What is asked of each family, in the words of the contract; pictures are files in `inputs`.

Beside the request's fields a case has its `name`, and may have `same_as`: the reference of another case ("family/case"), which
it must equal.
"""

COMMON = {
    "prompt": "a red circle on a blue background",
    "negative_prompt": "",
    "seed": 4711,
    "steps": 12,
    "sampler": "ddim",
    "schedule": "model",
    "guidance_scale": 7.5,
    "width": 64,
    "height": 64,
}
BOTH = {"prompt": "A Yellow STAR, at night!", "negative_prompt": "a small green house"}
TALL = {"width": 64, "height": 96}
TRACED = [  # one case a sampler, with every input of the U-Net
    "ddim",
    "ddpm",
    "pndm",
    "lms",
    "euler",
    "euler_ancestral",
    "heun",
    "dpm2",
    "dpm2_ancestral",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_sde",
    "unipc",
    "deis",
    "lcm",
    "tcd",
]


def toy():
    own = {"lcm": {"guidance_scale": 1.5, "steps": 8}, "tcd": {"guidance_scale": 1.5, "steps": 8, "eta": 0.3}, "pndm": {"steps": 30}}
    cases = {f"sampler-{sampler}": {"sampler": sampler, **own.get(sampler, {})} for sampler in TRACED}
    cases |= {
        "heun-karras": {"sampler": "heun", "schedule": "karras"},
        "lms-karras": {"sampler": "lms", "schedule": "karras"},
        "dpm2-karras": {"sampler": "dpm2", "schedule": "karras"},
        "unipc-karras": {"sampler": "unipc", "schedule": "karras", **BOTH},
        "deis-karras": {"sampler": "deis", "schedule": "karras"},
        "dpmpp_2m_sde-karras": {"sampler": "dpmpp_2m_sde", "schedule": "karras"},
        "euler-exponential": {"sampler": "euler", "schedule": "exponential"},
        "dpmpp_2m-exponential": {"sampler": "dpmpp_2m", "schedule": "exponential"},
        "euler-beta": {"sampler": "euler", "schedule": "beta"},
        "pndm-20": {"sampler": "pndm", "steps": 20, **BOTH},
        "rescale": {"guidance_rescale": 0.7},
        "rescale-euler": {"sampler": "euler", "guidance_rescale": 0.7, "guidance_scale": 12.0},
        "tall": {"height": 128, "sampler": "euler"},
        "count": {"count": 2, "sampler": "euler_ancestral"},
        "count-ddim-eta": {"count": 2, "eta": 0.7},
    }
    image = {"init_image": "init.png", "steps": 20}
    for sampler in ("ddim", "euler"):
        for strength in (0.1, 0.5, 0.8):
            cases[f"image-{sampler}-{strength}"] = {"sampler": sampler, "strength": strength, **image}
    cases |= {
        "image-ancestral": {"sampler": "euler_ancestral", "strength": 0.5, **image},
        "image-dpmpp_2m": {"sampler": "dpmpp_2m", "strength": 0.6, **image, **BOTH},
        "image-pndm": {"sampler": "pndm", "strength": 0.5, **image},
        "image-heun": {"sampler": "heun", "strength": 0.5, **image, "steps": 10},
        "image-count": {"sampler": "ddim", "strength": 0.5, "count": 2, **image},
        "image-whole": {"sampler": "ddim", "strength": 1.0, **image, "steps": 12, "same_as": "toy/sampler-ddim"},
    }
    return cases | masks()


def masks():
    mask = {"init_image": "init.png", "mask": "mask.png"}
    return {
        "mask-whole": {"strength": 1.0, **mask},
        "mask-part": {"strength": 0.6, "steps": 20, **mask},
        "mask-whole-euler": {"strength": 1.0, "sampler": "euler", **mask},
        "mask-part-ancestral": {"strength": 0.6, "sampler": "euler_ancestral", "steps": 20, **mask, **BOTH},
        "mask-part-count": {"strength": 0.6, "count": 2, **mask},
    }


def sd1():
    return {
        "ddim": {},
        "euler": {"sampler": "euler", **BOTH},
        "euler-10": {"sampler": "euler", "steps": 10},  # whole timesteps, as a graph with whole numbers wants them
        "pndm": {"sampler": "pndm", "steps": 30},  # fewer multiply the noise of 32-bit sums by a hundred
        "tall": {**TALL, "sampler": "dpmpp_2m"},
        "image": {"sampler": "ddim", "init_image": "init.png", "strength": 0.6, "steps": 20},
        "image-euler": {"sampler": "euler", "init_image": "init.png", "strength": 0.4, "steps": 20, **BOTH},
        "image-tall": {**TALL, "sampler": "euler", "init_image": "init-tall.png", "strength": 0.5, "steps": 20},
        "mask": {"init_image": "init.png", "mask": "mask.png", "strength": 0.7, "steps": 20},
    }


def like_sd1(*names):
    return {name: {**sd1()[name], "same_as": f"sd1/{name}"} for name in names}


def sd1_legacy():
    """Its graph takes whole timesteps: those between are cut."""
    return {**like_sd1("ddim", "euler-10", "pndm", "tall"), "euler-between": {"sampler": "euler"}}


def sd1_tiny_vae():
    return {
        "ddim": {},
        "euler": {"sampler": "euler", **BOTH},
        "image": {"init_image": "init.png", "strength": 0.6, "steps": 20},
        "image-ancestral": {"sampler": "euler_ancestral", "init_image": "init.png", "strength": 0.5, "steps": 20},
    }


def sd2():
    return {
        "ddim": {},
        "both": BOTH,
        "euler": {"sampler": "euler"},
        "euler_ancestral": {"sampler": "euler_ancestral"},
        "dpmpp_2m": {"sampler": "dpmpp_2m", **BOTH},
        "dpmpp_2m-karras": {"sampler": "dpmpp_2m", "schedule": "karras"},
        "unipc": {"sampler": "unipc"},
        "pndm": {"sampler": "pndm", "steps": 15},
        "heun": {"sampler": "heun"},
        "rescale": {"guidance_rescale": 0.7},
        "tall": {**TALL, "sampler": "euler"},
        "count": {"count": 2},
        "image": {"init_image": "init.png", "strength": 0.5, "steps": 20},
        "conditional": {"guidance_scale": 1.0},
        "unconditional": {"guidance_scale": 0.0, **BOTH},
    }


def sd2_zero_snr():
    return {
        "ddim": {},
        "rescale": {"guidance_rescale": 0.7, **BOTH},
        "euler": {"sampler": "euler"},
        "euler-rescale": {"sampler": "euler", "guidance_rescale": 0.7, "steps": 20},
        "image": {"init_image": "init.png", "strength": 0.5, "steps": 20},
    }


def without_guidance():
    plain = {"guidance_scale": None, "sampler": "euler_ancestral", "negative_prompt": None}
    cases = {f"steps-{steps}": {**plain, "steps": steps} for steps in (1, 2, 4)}
    return cases | {
        "tall": {**plain, **TALL, "steps": 2},
        "count": {**plain, "steps": 2, "count": 2},
        "image": {**plain, "steps": 4, "strength": 0.5, "init_image": "init.png"},
    }


def lcm():
    plain = {"sampler": "lcm", "steps": 4, "guidance_scale": 8.5, "negative_prompt": None}
    return {
        "steps-4": plain,
        "steps-8": {**plain, "steps": 8, "prompt": BOTH["prompt"]},
        "scale-2": {**plain, "guidance_scale": 2.0},
        "steps-1": {**plain, "steps": 1},
        "tall": {**plain, **TALL},
        "count": {**plain, "count": 2},
        "image": {**plain, "init_image": "init.png", "strength": 0.5},
    }


def sdxl():
    plain = {"sampler": "euler"}
    return {
        "euler": plain,
        "both": {**plain, **BOTH},
        "ddim": {**plain, "sampler": "ddim"},
        "dpmpp_2m-karras": {**plain, "sampler": "dpmpp_2m", "schedule": "karras", **BOTH},
        "tall": {**plain, **TALL, **BOTH},
        "wide": {**plain, "width": 96, "height": 64},
        "rescale": {**plain, "guidance_rescale": 0.7},
        "count": {**plain, "count": 2},
        "conditional": {**plain, "guidance_scale": 1.0},
        "unconditional": {**plain, **BOTH, "guidance_scale": 0.0},
        "unconditional-empty": {**plain, "guidance_scale": 0.0},
        "image": {**plain, "init_image": "init.png", "strength": 0.5, "steps": 20},
        "image-both": {**plain, **BOTH, "sampler": "ddim", "init_image": "init.png", "strength": 0.8},
    }


def inpaint():
    return {
        **masks(),
        "mask-tall": {**TALL, "strength": 1.0, "init_image": "init-tall.png", "mask": "mask-tall.png", "sampler": "euler"},
    }


def depth():
    plain = {"init_image": "init.png", "depth": "depth.png", "strength": 0.8}
    return {
        "given": plain,
        "given-8-bit": {**plain, "depth": "depth-8.png", "sampler": "euler", **BOTH},
        "given-tall": {**plain, **TALL, "init_image": "init-tall.png", "depth": "depth-tall.png"},
        "count": {**plain, "count": 2, "strength": 0.5},
        "text": {"depth": "depth.png"},
        "text-whole": {**plain, "strength": 1.0, "same_as": "depth/text"},
        "estimate": {**plain, "depth": "estimate", "strength": 0.7},
        "estimate-tall": {**plain, **TALL, "init_image": "init-tall.png", "depth": "estimate", "sampler": "euler"},
    }


def safety():
    """The first is let through, the second is not; the checker was made so."""
    return {"harmless": {"same_as": "sd1/ddim"}, "unsafe": {"sampler": "euler", **BOTH, "flagged": True, "same_as": "sd1/euler"}}


TABLE = {
    "toy": toy,
    "sd1": sd1,
    "sd1-legacy": sd1_legacy,
    "sd1-fp16": lambda: like_sd1("ddim", "euler", "tall", "image", "image-euler", "mask"),
    "sd1-tiny-vae": sd1_tiny_vae,
    "sd1-safety": safety,
    "sd2": sd2,
    "sd2-zero-snr": sd2_zero_snr,
    "turbo": without_guidance,
    "lcm": lcm,
    "inpaint": inpaint,
    "depth": depth,
    "sdxl": sdxl,
    "sdxl-turbo": without_guidance,
}


def cases(family):
    """All cases of a family; a field that is None is not said."""
    for name, changes in TABLE[family]().items():
        request = {"name": name, **COMMON, **changes}
        yield {field: value for field, value in request.items() if value is not None}
