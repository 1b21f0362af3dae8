"""Writes lora/: LoRA files in every layout, and the weights that their own tools make of a toy model with them.

Run: OMP_NUM_THREADS=1 python tests/golden/lora.py
Needs torch, diffusers, transformers, peft and lycoris-lora; last run with torch 2.15.0, diffusers 0.35.2, transformers
4.57.6, peft 0.21.2, lycoris-lora 4.1.3.

`CASE.safetensors` is the file as people have it, `CASE.merged.safetensors` has the weight of every module that it
changes, `model.safetensors` the weights before, and `cases.json` the names of all modules and the scale of each case.
The toy has the blocks of SDXL with two layers each, and tiny widths.

Where the answers come from: diffusers' own loading and fusing for kohya's, sgm's, diffusers' and PEFT's layouts; PEFT's
merge for LoHa and LoKr in its layout; for LyCORIS the weight that its modules use in `forward` (its `get_merged_weight`
multiplies LoHa and LoKr by alpha / rank twice, which is not what was trained). For DoRA with a scale other than 1 the
tools differ; here it is A1111's and ComfyUI's W + scale (W' - W).
"""

import copy
import json
import pathlib
import shutil
import tempfile

import lycoris.modules as lycoris
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders.lora_base import fuse_text_encoder_lora
from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from making.layouts import kohya, processors, sgm

HERE = pathlib.Path(__file__).parent / "lora"

LINEAR = [r".*attentions\.0\..*attn2\.(to_q|to_k|to_out\.0)", r"mid_block\..*(to_v|ff\.net\.0\.proj|proj_in)"]
CONVOLUTIONS = [r"down_blocks\.1\.resnets\.0\.(conv1|conv_shortcut|time_emb_proj)", "conv_in", r".*samplers\.0\.conv"]
UNET = "|".join(LINEAR + CONVOLUTIONS)
TEXT = r".*\.(q_proj|out_proj|fc1)"


def model():
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        block_out_channels=(4, 6), layers_per_block=2, norm_num_groups=2, cross_attention_dim=5, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1, sample_size=8,
    )
    text = {"intermediate_size": 7, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 10, "bos_token_id": 1}
    first = CLIPTextModel(CLIPTextConfig(hidden_size=6, **text))
    second = CLIPTextModelWithProjection(CLIPTextConfig(hidden_size=4, projection_dim=3, **text))
    parts = {"unet": unet, "text_encoder": first, "text_encoder_2": second}
    for part in parts.values():
        for weight in part.parameters():
            weight.data = torch.randn_like(weight) * 0.3
    return parts


def pipeline(parts):
    rest = {"vae": None, "tokenizer": None, "tokenizer_2": None, "scheduler": None}
    return StableDiffusionXLPipeline(**parts, **rest)


def is_weighted(module):
    return isinstance(module, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.LayerNorm, torch.nn.GroupNorm))


def weights(parts):
    """Weight and bias of every linear and convolutional module and every norm, by `PART:MODULE`."""
    found = {}
    for part, whole in parts.items():
        for name, module in whole.named_modules():
            name = name.removesuffix(".base_layer")
            if is_weighted(module) and not any(kind in name for kind in ["lora_", "hada_", "lokr_"]):
                found[f"{part}:{name}"] = module.weight.detach().clone()
                if module.bias is not None:
                    found[f"{part}:{name}:bias"] = module.bias.detach().clone()
    return found


def randomise(parameters):
    for value in parameters:
        value.data = value.data + torch.randn_like(value) * 0.3


class Golden:
    """Collects the cases; the base weights are those that any case changes."""

    def __init__(self):
        shutil.rmtree(HERE, ignore_errors=True)
        HERE.mkdir()
        self.cases, self.changed = [], set()
        self.base = weights(model())

    def add(self, name, file, merged, scale, metadata=None):
        merged = {key: value for key, value in merged.items() if not torch.equal(value, self.base[key])}
        assert merged and all(value.isfinite().all() for value in merged.values())
        self.changed |= merged.keys()
        save_file({key: value.contiguous() for key, value in file.items()}, HERE / f"{name}.safetensors", metadata)
        save_file({key: value.contiguous() for key, value in merged.items()}, HERE / f"{name}.merged.safetensors")
        self.cases.append({"name": name, "scale": scale})

    def finish(self):
        save_file({key: self.base[key] for key in sorted(self.changed)}, HERE / "model.safetensors")
        modules = {}
        for key in self.base:
            if not key.endswith(":bias"):
                part, name = key.split(":")
                modules.setdefault(part, []).append(name)
        (HERE / "cases.json").write_text(json.dumps({"modules": modules, "cases": self.cases}, indent=0) + "\n")


def metadata_of(path):
    """The metadata of a safetensors file."""
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})


def trained(unet=UNET, text=TEXT, **options):
    """Models with PEFT adapters as diffusers' training scripts add them, with random values in them."""
    parts = model()
    for part, whole in parts.items():
        targets = unet if part == "unet" else text
        whole.add_adapter(LoraConfig(target_modules=targets, init_lora_weights="gaussian", **options))
        randomise([value for name, value in whole.named_parameters() if "lora_" in name])
    return parts


def adapter(parts):
    """The adapters' weights under PEFT's names, by part."""
    return {part: get_peft_model_state_dict(whole) for part, whole in parts.items()}


def saved(parts, with_settings):
    """The file that diffusers' `save_lora_weights` writes."""
    settings = {}
    for part, whole in parts.items():
        if with_settings:
            settings[f"{part}_lora_adapter_metadata"] = whole.peft_config["default"].to_dict()
    layers = {f"{part}_lora_layers": convert_state_dict_to_diffusers(state) for part, state in adapter(parts).items()}
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionXLPipeline.save_lora_weights(folder, **layers, **settings)
        path = pathlib.Path(folder) / "pytorch_lora_weights.safetensors"
        # One entry alone: the order of two is not always the same.
        return load_file(path), {key: value for key, value in metadata_of(path).items() if key != "format"}


def fused(parts, scale):
    """The weights of the model that was trained, merged by PEFT."""
    for part, whole in parts.items():
        whole.fuse_lora(lora_scale=scale) if part == "unet" else fuse_text_encoder_lora(whole, scale)
    return weights(parts)


def loaded(path, scale):
    """What diffusers makes of the file."""
    parts = model()
    pipeline(parts).load_lora_weights(str(path))
    return fused(parts, scale)


def compare(found, merged, but):
    """That diffusers reads a layout as it was meant, but for the modules that it is known to lose."""
    for key, value in merged.items():
        if not any(lost in key for lost in but):
            assert torch.allclose(found[key], value, atol=1e-6), key


def peft_alone(golden, name, config):
    """PEFT's own file of the U-Net, without diffusers: alpha stands in another file, so it is the rank here."""
    parts = model()
    wrapped = get_peft_model(parts["unet"], config)
    randomise([value for key, value in wrapped.named_parameters() if any(k in key for k in ["lora_", "hada_", "lokr_"])])
    with tempfile.TemporaryDirectory() as folder:
        wrapped.save_pretrained(folder)
        file = load_file(pathlib.Path(folder) / "adapter_model.safetensors")
    parts["unet"] = wrapped.merge_and_unload()
    golden.add(name, file, weights(parts), 1.0)


def lyco(golden, name, kind, modules, scale=1.0, **options):
    """LyCORIS's modules under kohya's names."""
    parts = model()
    file, merged = {}, weights(parts)
    for number, module in enumerate(modules):
        layer = parts["unet"].get_submodule(module)
        lora_name = "lora_unet_" + module.replace(".", "_")
        rank = 1 if kind is lycoris.lokr.LokrModule else 2
        net = kind(lora_name, layer, 1.0, *([] if kind is lycoris.norms.NormModule else [rank, 3.0]), **options)
        randomise([value for key, value in net.named_parameters() if "org_module" not in key])
        if kind is lycoris.full.FullModule:
            changed = layer.weight + net.weight * scale
            merged[f"unet:{module}:bias"] = layer.bias + net.bias * scale
            state = {"diff": net.weight, "diff_b": net.bias}
        elif kind is lycoris.norms.NormModule:
            changed, merged[f"unet:{module}:bias"] = net.make_weight(scale)
            state = net.state_dict()
        else:
            state = net.custom_state_dict()
            change = net.make_weight() * net.scale if hasattr(net, "make_weight") else net.get_weight(net.shape) * net.scalar
            whole = net.apply_weight_decompose(layer.weight + change) if net.wd else layer.weight + change
            # That this is the weight that was trained.
            sample = torch.randn(2, layer.weight.shape[1], 5, 5) if layer.weight.ndim == 4 else torch.randn(2, layer.weight.shape[1])
            plain = layer(sample)
            assert torch.allclose(net(sample), plain + net.op(sample, whole - layer.weight, None, **net.kw_dict), atol=1e-5)
            changed = layer.weight + (whole - layer.weight) * scale
        merged[f"unet:{module}"] = changed.detach()
        file |= {f"{lora_name}.{key}": value.detach() for key, value in state.items()}
    golden.add(name, file, merged, scale)


def lycoris_cases(golden):
    linear = ["mid_block.attentions.0.transformer_blocks.0.attn2.to_k", "mid_block.attentions.0.proj_in"]
    linear += ["mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"]
    wide = ["down_blocks.1.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv"]
    both = linear + wide
    def golden_of(*args, **options):
        lyco(golden, *args, **options)

    golden_of("lycoris-locon", lycoris.locon.LoConModule, both, 0.7)
    golden_of("lycoris-locon-tucker", lycoris.locon.LoConModule, wide, -0.5, use_tucker=True)
    golden_of("lycoris-loha", lycoris.loha.LohaModule, both, 0.7)
    golden_of("lycoris-loha-tucker", lycoris.loha.LohaModule, wide, 0.7, use_tucker=True)
    golden_of("lycoris-lokr", lycoris.lokr.LokrModule, both, 0.7, factor=2)
    golden_of("lycoris-lokr-both", lycoris.lokr.LokrModule, both, 0.7, factor=-1, decompose_both=True)
    golden_of("lycoris-lokr-tucker", lycoris.lokr.LokrModule, wide, 0.7, factor=1, use_tucker=True)
    golden_of("lycoris-lokr-whole", lycoris.lokr.LokrModule, both, 0.7, factor=2, full_matrix=True)
    golden_of("lycoris-full", lycoris.full.FullModule, [linear[1], *wide], 0.7)
    norms = ["down_blocks.1.resnets.0.norm1", "mid_block.attentions.0.transformer_blocks.0.norm2", "conv_norm_out"]
    golden_of("lycoris-norm", lycoris.norms.NormModule, norms, 0.7)
    for name, kind in [("locon", lycoris.locon.LoConModule), ("loha", lycoris.loha.LohaModule), ("lokr", lycoris.lokr.LokrModule)]:
        golden_of(f"lycoris-{name}-dora", kind, both, weight_decompose=True, wd_on_out=True)
    golden_of("lycoris-locon-dora-inputs", lycoris.locon.LoConModule, both, 0.6, weight_decompose=True, wd_on_out=False)


def through_peft(golden, name, layout, scale, lost=(), settings=False, **options):
    """A file of the layout, and the weights of the model that was trained."""
    parts = trained(**options)
    file, metadata = layout(parts)
    merged = fused(parts, scale)
    golden.add(name, file, merged, scale, metadata if settings else None)
    if lost is not None:
        compare(loaded(HERE / f"{name}.safetensors", scale), merged, lost)


def main():
    golden = Golden()
    names = lambda parts: {f"{part}.{key}": value for part, state in adapter(parts).items() for key, value in state.items()}
    # diffusers 0.35.2 tells the layout of a whole file from its first key, here that of the first convolution.
    attention = [".to_"]
    through_peft(golden, "diffusers-settings", lambda parts: saved(parts, True), 0.7, attention, True, r=3, lora_alpha=6)
    rooted = {"r": 4, "lora_alpha": 2, "use_rslora": True, "alpha_pattern": {"attn2.to_k": 5}}
    through_peft(golden, "diffusers-rslora", lambda parts: saved(parts, True), 0.7, attention, True, **rooted)
    plain = {"r": 3, "lora_alpha": 3}
    through_peft(golden, "diffusers-layers", lambda parts: saved(parts, False), 1.0, attention, **plain)
    old = {"unet": LINEAR[0], "text": r".*\.(q_proj|out_proj)", **plain}
    through_peft(golden, "diffusers-processors", lambda parts: (processors(names(parts)), None), 1.0, **old)
    through_peft(golden, "diffusers-dora", lambda parts: saved(parts, False), 1.0, None, **plain, use_dora=True)
    through_peft(golden, "peft", lambda parts: (names(parts), None), 1.0, **plain)
    # kohya trains no first convolution, and diffusers reads none from that layout.
    first = ["conv_in"]
    through_peft(golden, "kohya", lambda parts: (kohya(adapter(parts)), None), -0.8, first, r=3, lora_alpha=1.5)
    through_peft(golden, "kohya-without-alpha", lambda parts: (kohya(adapter(parts), False), None), 0.8, first, **plain)
    blocks = {"unet": UNET.replace("|conv_in", ""), "r": 3, "lora_alpha": 1.5}
    through_peft(golden, "kohya-sgm", lambda parts: (sgm(kohya(adapter(parts))), None), 0.8, **blocks)
    peft_alone(golden, "peft-lora", LoraConfig(r=2, lora_alpha=2, target_modules=UNET))
    peft_alone(golden, "peft-loha", LoHaConfig(r=2, alpha=2, target_modules=UNET))
    peft_alone(golden, "peft-lokr", LoKrConfig(r=1, alpha=1, target_modules=UNET))
    lycoris_cases(golden)
    golden.finish()


if __name__ == "__main__":
    main()
