"""Writes names.json: where the parameters of diffusers' models stand in a checkpoint of the original layout.

Run: OMP_NUM_THREADS=1 python tests/golden/names.py
Needs torch, diffusers, transformers and open_clip; last run with torch 2.15.0, diffusers 0.35.2, transformers 4.57.6,
open_clip 3.3.0.

The original names are told from the original code: what `openaimodel.py` and `model.py` of LDM would register for a
configuration, and what open_clip does register. diffusers' own converters bring them to diffusers' names; each tensor
holds its own number, so that what comes out tells where it came from. All parameters of diffusers' model must come out.
To keep the file small, biases and all but one entry of each attention's inside are left out.
"""

import json
import pathlib

import open_clip
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = pathlib.Path(__file__).parent


def both(module):
    return [f"{module}.weight", f"{module}.bias"]


def resnet(place, widens):
    inner = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    return [key for name in inner + ["skip_connection"] * widens for key in both(f"{place}.{name}")]


def transformer(place, depth):
    names = [key for name in ["norm", "proj_in", "proj_out"] for key in both(f"{place}.{name}")]
    for block in (f"{place}.transformer_blocks.{index}" for index in range(depth)):
        for attention in ["attn1", "attn2"]:
            names += [f"{block}.{attention}.to_{name}.weight" for name in "qkv"] + both(f"{block}.{attention}.to_out.0")
        for name in ["ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"]:
            names += both(f"{block}.{name}")
    return names


def ldm_unet(channels, layers, depths, labels):
    """`depths` are the transformers' blocks at each level, 0 for none; `labels` as SDXL has them."""
    names = both("time_embed.0") + both("time_embed.2") + both("out.0") + both("out.2") + both("input_blocks.0.0")
    names += (both("label_emb.0.0") + both("label_emb.0.2")) * labels
    count, width = 1, channels[0]
    for level, (out, depth) in enumerate(zip(channels, depths)):
        for _ in range(layers):
            names += resnet(f"input_blocks.{count}.0", width != out)
            names += transformer(f"input_blocks.{count}.1", depth) if depth else []
            count, width = count + 1, out
        if level + 1 < len(channels):
            names += both(f"input_blocks.{count}.0.op")
            count += 1
    middle = next(depth for depth in reversed(depths) if depth)
    names += resnet("middle_block.0", False) + transformer("middle_block.1", middle) + resnet("middle_block.2", False)
    count = 0
    for level, depth in reversed(list(enumerate(depths))):
        for layer in range(layers + 1):
            names += resnet(f"output_blocks.{count}.0", True)
            names += transformer(f"output_blocks.{count}.1", depth) if depth else []
            if level and layer == layers:
                names += both(f"output_blocks.{count}.{2 if depth else 1}.conv")
            count += 1
    return names


def unet(channels, layers, depths, xl=False, linear=False, norms=4):
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)]
    sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 32}
    model = UNet2DConditionModel(
        block_out_channels=channels, layers_per_block=layers, down_block_types=down, up_block_types=up, norm_num_groups=norms,
        transformer_layers_per_block=[max(depth, 1) for depth in depths], cross_attention_dim=8, attention_head_dim=4,
        use_linear_projection=linear, **(sizes if xl else {}),
    )
    names = ["model.diffusion_model." + name for name in ldm_unet(channels, layers, depths, xl)]
    numbered = {name: torch.tensor(float(number)) for number, name in enumerate(names)}
    config = {"layers_per_block": layers, "addition_embed_type": "text_time" if xl else None}
    found = single_file_utils.convert_ldm_unet_checkpoint(numbered, config)
    assert set(found) == set(model.state_dict()), set(found) ^ set(model.state_dict())
    assert len(found) == len(names)
    return {name: {"whole": names[int(value)]} for name, value in found.items()}


def ldm_vae(channels, layers):
    def block(place, widens):
        return [key for name in ["norm1", "conv1", "norm2", "conv2"] + ["nin_shortcut"] * widens for key in both(f"{place}.{name}")]

    def half(side):
        names = [key for name in ["conv_in", "norm_out", "conv_out"] for key in both(f"{side}.{name}")]
        names += block(f"{side}.mid.block_1", False) + block(f"{side}.mid.block_2", False)
        return names + [key for name in ["norm", "q", "k", "v", "proj_out"] for key in both(f"{side}.mid.attn_1.{name}")]

    names = half("encoder") + half("decoder") + both("quant_conv") + both("post_quant_conv")
    width = channels[0]
    for level, out in enumerate(channels):
        for layer in range(layers):
            names += block(f"encoder.down.{level}.block.{layer}", width != out)
            width = out
        names += both(f"encoder.down.{level}.downsample.conv") if level + 1 < len(channels) else []
    for level, out in reversed(list(enumerate(channels))):
        for layer in range(layers + 1):
            names += block(f"decoder.up.{level}.block.{layer}", width != out)
            width = out
        names += both(f"decoder.up.{level}.upsample.conv") if level else []
    return names


def vae(channels, layers):
    model = AutoencoderKL(
        block_out_channels=channels, layers_per_block=layers, norm_num_groups=4, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * len(channels), up_block_types=["UpDecoderBlock2D"] * len(channels),
    )
    names = ["first_stage_model." + name for name in ldm_vae(channels, layers)]
    numbered = {}
    for number, name in enumerate(names):
        convolution = ".attn_1." in name and name.endswith(".weight") and ".norm." not in name
        numbered[name] = torch.full([1, 1, 1, 1] if convolution else [1], float(number))
    types = {"down_block_types": channels, "up_block_types": channels}
    found = single_file_utils.convert_ldm_vae_checkpoint(numbered, types)
    assert set(found) == set(model.state_dict()), set(found) ^ set(model.state_dict())
    assert len(found) == len(names)
    squeezed = {name: "squeezed" if value.ndim == 2 else "whole" for name, value in found.items()}
    return {name: {squeezed[name]: names[int(value.flatten()[0])]} for name, value in found.items()}


TEXT = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10}


def clip(prefix):
    model = CLIPTextModel(CLIPTextConfig(**TEXT))
    names = [prefix + name for name in model.state_dict()]
    numbered = {name: number for number, name in enumerate(names)}
    found = single_file_utils.convert_ldm_clip_checkpoint(numbered)
    assert set(found) == set(model.state_dict())
    return {name: {"whole": names[number]} for name, number in found.items()}


def openclip(prefix):
    # SD v2 uses the hidden states alone.
    kind = CLIPTextModel if prefix.startswith("cond_stage_model") else CLIPTextModelWithProjection
    model = kind(CLIPTextConfig(projection_dim=8, **TEXT))
    vision = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 4, "image_size": 8}
    theirs = open_clip.CLIP(8, vision, {"width": 8, "heads": 2, "layers": 2, "vocab_size": 10, "context_length": 77})
    tensors = {prefix + name: value for name, value in theirs.state_dict().items() if not name.startswith("visual.")}
    found = single_file_utils.convert_open_clip_checkpoint(model, tensors, prefix=prefix)
    assert set(found) == set(model.state_dict()), set(found) ^ set(model.state_dict())

    def source(value):
        for key, whole in tensors.items():
            if ".in_proj_" in key:
                for third, rows in enumerate(whole.chunk(3)):
                    if torch.equal(rows, value):
                        return {"rows": key, "third": third}
            if whole.shape == value.shape and torch.equal(whole, value):
                return {"whole": key}
            if whole.ndim == 2 and whole.T.shape == value.shape and torch.equal(whole.T, value):
                return {"transposed": key}
        raise KeyError

    torch.manual_seed(0)
    for value in tensors.values():
        value.copy_(torch.randn_like(value))
    found = single_file_utils.convert_open_clip_checkpoint(model, tensors, prefix=prefix)
    return {name: source(value) for name, value in found.items()}


def short(sources):
    """Without biases (but those of OpenCLIP's stack) and most of the transformers' insides."""
    inside = [".transformer_blocks.", ".attn2.to_out.0."]
    keep = lambda name: name.endswith(".weight") and (inside[0] not in name or inside[1] in name)
    return {name: source for name, source in sources.items() if keep(name) or "rows" in source}


def main():
    assert unet((8, 8, 16, 16), 2, (1, 1, 1, 0), linear=True).keys() == unet((8, 8, 16, 16), 2, (1, 1, 1, 0)).keys()
    models = {
        "unet": {
            "sd1 and sd2": unet((8, 16, 32, 32), 2, (1, 1, 1, 0)),
            "sdxl": unet((8, 16, 32), 2, (0, 2, 10), xl=True, linear=True),
            "toy": unet((8, 16, 16), 1, (0, 1, 0)),
        },
        "vae": {"all": vae((8, 16, 32, 32), 2), "toy": vae((8, 16), 1)},
        "text": {"sd1": clip("cond_stage_model.transformer."), "sd2": openclip("cond_stage_model.model.")},
        "text_2": {"sdxl": openclip("conditioner.embedders.1.model.")},
    }
    models["text"]["sdxl"] = clip("conditioner.embedders.0.transformer.")
    models = {part: {name: short(found) for name, found in cases.items()} for part, cases in models.items()}
    (HERE / "names.json").write_text(json.dumps(models, indent=0) + "\n")


if __name__ == "__main__":
    main()
