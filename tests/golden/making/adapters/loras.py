"""LoRA files in every layout, most of them written by the tools that people train with, their values random.

Each is then merged into the model by the tool itself and by `formulas`, and both must agree.
"""

import copy
import json
import logging
import pathlib
import shutil
import tempfile

import peft
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from lycoris import LycorisNetwork
from lycoris import kohya as lycoris
from safetensors.torch import save_file

from . import FOLDER, formulas

PLACE = FOLDER / "loras"
ATTENTION, TEXT = ["to_q", "to_k", "to_v", "to_out.0"], ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
LAYERS = [*ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
SPREAD = 0.3  # of a factor's values
STRONG, STRONGER = 1.5, 1.9  # times that: where little of the model is changed, or its attention counts for little
CLOSE = 2e-6


def make(family):
    """`family` gives the parts of a toy by its name, fresh ones each time."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    torch.manual_seed(51)
    by_hand(family)
    by_diffusers(family)
    by_peft(family)
    by_lycoris(family)
    for file in PLACE.iterdir():
        file.chmod(0o644)


def random(*shape, strength=1.0):
    return strength * SPREAD * torch.randn(shape) / shape[-1] ** 0.25


# By hand, in the words of kohya's networks/lora.py and of diffusers before peft.


def by_hand(family):
    parts = family("sd1")
    kohya("kohya", parts, {"unet": "lora_unet", "text_encoder": "lora_te"}, dtype=torch.float16)
    old_diffusers("diffusers-old", parts["unet"])
    kohya("kohya-sd2", family("sd2"), {"unet": "lora_unet", "text_encoder": "lora_te"})
    three = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    kohya("kohya-sdxl", family("sdxl"), three, named=sgm, strength=STRONGER)


def layers(model, names):
    for path, module in model.named_modules():
        if hasattr(module, "weight") and module.weight.dim() > 1 and path.endswith(tuple(names)):
            yield path, module.weight


def factors(weight, rank, strength):
    """Down and up, as convolutions where the layer is one."""
    outside, inside, *window = weight.shape
    shapes = (rank, inside, *window), (outside, rank, *[1] * len(window))
    return [random(*shape, strength=strength) for shape in shapes]


def kohya(name, parts, prefixes, named=lambda part, path: path.replace(".", "_"), dtype=torch.float32, strength=1.0):
    rank, content = 4, {}
    for part, prefix in prefixes.items():
        for path, weight in layers(parts[part], LAYERS if part == "unet" else TEXT):
            down, up = factors(weight, rank, strength)
            one = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}
            content |= {f"{prefix}_{named(part, path)}.{key}": value.to(dtype) for key, value in one.items()}
    save_file(content, PLACE / f"{name}.safetensors", metadata={"ss_network_dim": "4", "ss_network_alpha": "2.0"})


def sgm(part, path):
    """Files for SDXL name the U-Net's blocks as Stability's code does."""
    name = path.replace(".", "_")
    if part != "unet":
        return name
    original, place = next(pair for pair in formulas.SGM.items() if name.startswith(pair[1]))
    return original + name.removeprefix(place)


def old_diffusers(name, unet):
    content = {}
    for path, weight in layers(unet, ATTENTION):
        module, _, layer = path.removesuffix(".0").rpartition(".")
        for key, value in zip(("down", "up"), factors(weight, 4, STRONG)):
            content[f"unet.{module}.processor.{layer}_lora.{key}.weight"] = value
    save_file(content, PLACE / f"{name}.safetensors", metadata={"format": "pt"})


# By diffusers and peft.


def by_diffusers(family):
    parts = with_adapters(family("sd1"), {"unet": ATTENTION, "text_encoder": TEXT}, STRONG)
    layers = {"unet_lora_layers": "unet", "text_encoder_lora_layers": "text_encoder"}
    saved("diffusers", StableDiffusionPipeline, parts, layers, family("sd1"))
    wanted = {"unet": LAYERS, "text_encoder": TEXT[:4], "text_encoder_2": TEXT[:4]}
    parts = with_adapters(family("sdxl"), wanted, STRONGER)
    saved("diffusers-sdxl", StableDiffusionXLPipeline, parts, {f"{part}_lora_layers": part for part in wanted}, family("sdxl"))


def with_adapters(parts, targets, strength):
    for part, layers in targets.items():
        parts[part].add_adapter(peft.LoraConfig(r=4, lora_alpha=4, target_modules=layers))
        randomise(parts[part], strength)
    return parts


def randomise(model, strength):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                weight.copy_(random(*weight.shape, strength=strength))
            if "magnitude" in name:
                weight.mul_(1 + 0.3 * torch.randn_like(weight))


def saved(name, pipeline, parts, layers, plain):
    """Also merges the adapters by peft's own code, and compares with `formulas` on the parts `plain`."""
    state = {key: peft.get_peft_model_state_dict(parts[part]) for key, part in layers.items()}
    if pipeline is StableDiffusionPipeline:  # as its training script has it; that for SDXL keeps peft's names
        state = {key: convert_state_dict_to_diffusers(value) for key, value in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        pipeline.save_lora_weights(folder, **state)
        shutil.copy(pathlib.Path(folder, "pytorch_lora_weights.safetensors"), PLACE / f"{name}.safetensors")
    agree(name, {part: plain[part] for part in layers.values()}, {part: merged(parts[part]) for part in layers.values()})


def merged(model):
    """The weights with the adapter in them, by the names that they have without it."""
    for module in model.modules():
        if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer):
            module.merge()
    state = model.state_dict()
    return {name.replace(".base_layer", ""): value for name, value in state.items() if ".lora_" not in name}


def by_peft(family):
    """One model's adapter as `save_pretrained` writes it; its alpha would stand in another file and is the rank."""
    for name, more in (("peft", {}), ("peft-dora", {"use_dora": True})):
        model = family("sd1")["unet"]
        plain = {"unet": copy.deepcopy(model)}
        config = peft.LoraConfig(r=4, lora_alpha=4, target_modules=ATTENTION, **more)
        wrapped = peft.get_peft_model(model, config)
        randomise(wrapped, STRONG)
        with tempfile.TemporaryDirectory() as folder:
            wrapped.save_pretrained(folder)
            assert json.loads(pathlib.Path(folder, "adapter_config.json").read_text())["lora_alpha"] == 4
            shutil.copy(pathlib.Path(folder, "adapter_model.safetensors"), PLACE / f"{name}.safetensors")
        agree(name, plain, {"unet": wrapped.merge_and_unload().state_dict()})


# By LyCORIS.


PRESET = """
enable_conv = true
unet_target_module = ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"]
unet_target_name = ["conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"]
text_encoder_target_module = ["CLIPAttention", "CLIPMLP"]
text_encoder_target_name = []
"""
KEYS = """
enable_conv = false
unet_target_module = []
unet_target_name = ["mid_block.attentions.0.transformer_blocks.0.attn2.to_k"]
text_encoder_target_module = []
text_encoder_target_name = []
"""
KINDS = {  # settings, and how much stronger than those of others the values must be to show
    "locon": ({"algo": "locon"}, 1.0),
    "locon-tucker": ({"algo": "locon", "use_tucker": True}, 1.6),
    "loha": ({"algo": "loha"}, 2.0),
    "loha-tucker": ({"algo": "loha", "use_tucker": True}, 2.5),
    "lokr": ({"algo": "lokr", "factor": 4}, 2.0),
    "lokr-both": ({"algo": "lokr", "factor": 4, "decompose_both": True, "use_tucker": True}, 2.0),
    "dora": ({"algo": "locon", "dora_wd": True}, 1.0),
    "dora-by-input": ({"algo": "locon", "dora_wd": True, "wd_on_output": False}, 1.0),
}


def by_lycoris(family):
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    for name, (settings, strength) in KINDS.items():
        parts = family("sd1")
        network = trained(parts["text_encoder"], parts["unet"], strength, **settings)
        network.save_weights(str(PLACE / f"{name}.safetensors"), torch.float16, {"ss_network_module": "lycoris.kohya"})
        network.restore()
        # Its merge of LoHa takes alpha / rank, 1/2 here, twice; its training takes it once, and so does the web UI.
        LycorisNetwork.merge_to(network, 2.0 if settings["algo"] == "loha" else 1.0)
        both = ("unet", "text_encoder")
        agree(name, {part: family("sd1")[part] for part in both}, {part: parts[part].state_dict() for part in both})


    parts = family("sd1")
    network = trained(parts["text_encoder"], parts["unet"], 1.0, algo="ia3", preset=KEYS)  # of a kind that is refused
    network.save_weights(str(PLACE / "ia3.safetensors"), torch.float16, {"ss_network_module": "lycoris.kohya"})


def trained(text, unet, strength, preset=PRESET, **settings):
    """Random values instead of training, all of them whole in 16 bits."""
    rank, content = 1 if settings["algo"] == "lokr" else 2, preset
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as preset:
        preset.write(content)
        preset.flush()
        network = lycoris.create_network(1.0, rank, 1.0, None, text, unet, preset=preset.name, **settings)
    network.apply_to(text, unet, True, True)
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if "dora" in key:
                weight.mul_(1 + 0.3 * torch.randn_like(weight))
            else:
                weight.copy_(random(*weight.shape, strength=strength))
            weight.copy_(weight.half())
    return network


def agree(name, parts, theirs):
    """The formulas give the weights that the tool gives, and most weights of layers change."""
    before = {part: copy.deepcopy(model.state_dict()) for part, model in parts.items()}
    formulas.apply(PLACE / f"{name}.safetensors", parts, dict.fromkeys(parts, 1.0))
    for part, model in parts.items():
        ours = model.state_dict()
        assert ours.keys() == theirs[part].keys(), f"{name}: {ours.keys() ^ theirs[part].keys()}"
        for key, value in ours.items():
            gap = (value - theirs[part][key]).abs().max()
            assert gap <= CLOSE * value.abs().max(), f"{name}: {part} {key} differs by {gap:.1e}"
        both = [(ours[key], value) for key, value in before[part].items()]
        changed = [(after - value).norm() / value.norm() for after, value in both if not after.equal(value)]
        print(f"  {name}: {len(changed)} weights of {part} change by {sum(changed) / len(changed):.2f}", flush=True)
