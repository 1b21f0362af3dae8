"""The weights that a LoRA file of any kind leads to, written down from the papers and the trainers' code."""

import re

import torch
from safetensors.torch import load_file

TEXT = {"lora_te_": "text_encoder", "lora_te1_": "text_encoder", "lora_te2_": "text_encoder_2"}
KOHYA = {"lora_unet_": "unet", **TEXT}
PLAIN = {"unet.": "unet", "text_encoder.": "text_encoder", "text_encoder_2.": "text_encoder_2", "base_model.model.": "unet"}
NAMES = [  # of a factor, as its trainer calls it and as it is called here
    (r"\.lora_A\.(default\.)?weight$|(\.lora|_lora|\.lora_linear_layer)\.down\.weight$", ".lora_down.weight"),
    (r"\.lora_B\.(default\.)?weight$|(\.lora|_lora|\.lora_linear_layer)\.up\.weight$", ".lora_up.weight"),
    (r"\.lora_magnitude_vector(\.default)?(\.weight)?$", ".dora_scale"),
]
SGM = {  # places in the original naming of the toy's SDXL U-Net
    "input_blocks_1_0": "down_blocks_0_resnets_0",
    "input_blocks_2_0_op": "down_blocks_0_downsamplers_0_conv",
    "input_blocks_3_0": "down_blocks_1_resnets_0",
    "input_blocks_3_1": "down_blocks_1_attentions_0",
    "middle_block_0": "mid_block_resnets_0",
    "middle_block_1": "mid_block_attentions_0",
    "middle_block_2": "mid_block_resnets_1",
    "output_blocks_0_0": "up_blocks_0_resnets_0",
    "output_blocks_0_1": "up_blocks_0_attentions_0",
    "output_blocks_1_0": "up_blocks_0_resnets_1",
    "output_blocks_1_1": "up_blocks_0_attentions_1",
    "output_blocks_1_2_conv": "up_blocks_0_upsamplers_0_conv",
    "output_blocks_2_0": "up_blocks_1_resnets_0",
    "output_blocks_3_0": "up_blocks_1_resnets_1",
}


def groups(file, parts):
    """The factors of each changed module: {(part, path of the module): {factor: tensor}}."""
    found = {}
    for key, value in load_file(file).items():
        for pattern, name in NAMES:
            key = re.sub(pattern, name, key)
        module, factor = split(key)
        part, path = locate(module, parts)
        found.setdefault((part, path), {})[factor] = value.float()
    return found


FACTOR = re.compile(r"\.(lora_down\.weight|lora_up\.weight|lora_mid\.weight|alpha|dora_scale|hada_\w+|lokr_\w+)$")


def split(key):
    place = FACTOR.search(key)
    assert place, key
    return key[: place.start()], place[1]


def locate(module, parts):
    for start, part in KOHYA.items():
        if module.startswith(start):
            return part, by_underscores(module.removeprefix(start), parts[part])
    start, part = next((start, part) for start, part in PLAIN.items() if module.startswith(start))
    path = module.removeprefix(start).replace(".processor.", ".")
    return part, f"{path}.0" if path.endswith(".to_out") else path


def by_underscores(name, model):
    name = next((place + name[len(sgm) :] for sgm, place in SGM.items() if name.startswith(sgm)), name)
    return {path.replace(".", "_"): path for path, _ in model.named_modules()}[name]


def apply(file, parts, scales):
    """Changes the modules of `parts` in place; `scales` by part."""
    for (part, path), factors in groups(file, parts).items():
        module = parts[part].get_submodule(path)
        with torch.no_grad():
            module.weight.copy_(changed(module.weight, factors, scales[part]))


def changed(weight, factors, scale):
    change = delta(factors, weight.shape)
    if change.shape[1] != weight.shape[1]:  # the first layer of an inpainting model
        change = torch.cat([change, torch.zeros_like(weight[:, change.shape[1] :])], 1)
    if "dora_scale" in factors:
        change = decomposed(weight + change, factors["dora_scale"]) - weight
    return weight + scale * change


def decomposed(merged, magnitude):
    """DoRA: the direction is learnt, and its length apart; for each output, or in older files for each input."""
    others = [side for side in range(merged.dim()) if side != (1 if is_by_input(merged, magnitude) else 0)]
    length = merged.square().sum(others, keepdim=True).sqrt()
    return merged * (magnitude.reshape(length.shape) / length)


def is_by_input(merged, magnitude):
    return magnitude.dim() > 1 and magnitude.shape[0] == 1 and magnitude.shape[1] == merged.shape[1]


def delta(factors, shape):
    """What is added to a weight of the shape, [out, in] or [out, in, height, width], at scale 1."""
    if "hada_w1_a" in factors:
        halves = [product(factors, f"hada_w{number}_a", f"hada_w{number}_b", f"hada_t{number}") for number in (1, 2)]
        return scale_of(factors, factors["hada_w1_b"]) * matching(halves[0] * halves[1], shape)
    if "lokr_w1" in factors or "lokr_w1_a" in factors:
        return kronecker(factors, shape)
    up, down, core = (factors.get(f"lora_{name}.weight") for name in ("up", "down", "mid"))
    if core is not None:
        made = torch.einsum("or,rsyx,si->oiyx", up.flatten(1), core, down.flatten(1))
    else:
        made = (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])
    return scale_of(factors, down) * matching(made, shape)


def scale_of(factors, with_rank):
    """`with_rank` has the rank as its first side."""
    alpha = factors.get("alpha")
    return alpha.item() / len(with_rank) if alpha is not None and alpha.item() != 0 else 1.0


def matching(made, shape):
    return made.reshape(*made.shape[:2], 1, 1) if made.dim() == 2 and shape[2:] == (1, 1) else unfolded(made, shape)


def unfolded(made, shape):
    """LyCORIS keeps the sides of a convolution folded into its inputs."""
    return made.reshape(shape) if made.dim() == 2 and len(shape) == 4 else made


def product(factors, left, right, core):
    """Two factors, or three of Tucker's with the rank first in the outer ones."""
    if core not in factors:
        return factors[left] @ factors[right]
    return torch.einsum("rsyx,ro,si->oiyx", factors[core], factors[left], factors[right])


def kronecker(factors, shape):
    one = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
    if "lokr_w2" in factors:
        two = factors["lokr_w2"]
    elif "lokr_t2" in factors:
        two = product(factors, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    else:
        two = factors["lokr_w2_a"] @ factors["lokr_w2_b"].flatten(1)
    ranked = factors.get("lokr_w1_b", factors.get("lokr_w2_b"))
    scale = 1.0 if ranked is None else scale_of(factors, ranked)
    one = one.reshape(*one.shape, *[1] * (two.dim() - 2))
    return scale * unfolded(torch.kron(one, two), shape)
