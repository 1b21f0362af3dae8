"""Writes checkpoints/: the weights of toy families as people get them, to be imported again.

Run: OMP_NUM_THREADS=1 python tests/golden/checkpoint.py
Needs torch, diffusers, transformers and open_clip; last run with torch 2.15.0, diffusers 0.35.2, transformers 4.57.6,
open_clip 3.3.0.

sd1, sd2 and sdxl are single files in the original layout, with keys that no picture needs among them; inpaint is a folder
as diffusers saves it, its U-Net in two files with an index and its autoencoder with the attention's old names.
The names come from names.py, where diffusers' own converters say them.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
from diffusers.loaders import single_file_utils
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "models" / "training")]
import names  # noqa: E402
import reload  # noqa: E402

OUT = HERE / "checkpoints"


def assembled(family, folder):
    """The whole folder of a family: its own parts and those that it shares."""
    shutil.copytree(HERE / "families" / family / "model", folder)
    shared = json.loads((HERE / "families" / family / "shared.json").read_text())
    for part, source in shared.items():
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(HERE / source, target) if (HERE / source).is_dir() else shutil.copyfile(HERE / source, target)
    return folder


def text_encoder(folder, part="text_encoder", kind=CLIPTextModel):
    graph = reload.Graph(f"{folder}/{part}/model.onnx")
    model = kind(CLIPTextConfig(**reload.config(folder, part)))
    state = {}
    for name, value in model.state_dict().items():
        if name == "text_projection.weight":  # the only linear layer that is no MatMul of its own name
            found = [v for v in graph.constants.values() if v.shape == tuple(value.shape)[::-1]]
            users = [node for path, node in graph.users.items() if path.endswith("text_projection.MatMul")]
            value = next(graph.constants[name] for name in users[0].input if name in graph.constants).T
            assert len(found) >= 1
        else:
            value = graph.parameter(name, tuple(value.shape))
        state[name] = torch.tensor(value).contiguous()
    return state


def unet_sources(config):
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    depths = [int(kind.startswith("Cross")) for kind in config["down_block_types"]]
    xl = config.get("addition_embed_type")
    keys = ["model.diffusion_model." + name for name in names.ldm_unet(channels, layers, depths, bool(xl))]
    numbered = {name: torch.tensor(float(number)) for number, name in enumerate(keys)}
    found = single_file_utils.convert_ldm_unet_checkpoint(numbered, {"layers_per_block": layers, "addition_embed_type": xl})
    return {name: {"whole": keys[int(value)]} for name, value in found.items()}


def original(state, sources):
    """Tensors under diffusers' names as the original layout has them; every one must have a place there."""
    result, stacks = {}, {}
    for name, value in state.items():
        [(how, key), *third] = sources[name].items()
        if how == "rows":
            stacks.setdefault(key, [None] * 3)[third[0][1]] = value
        else:
            change = {"whole": lambda v: v, "transposed": lambda v: v.T, "squeezed": lambda v: v if v.ndim == 1 else v[:, :, None, None]}
            result[key] = change[how](value)
    result.update({key: torch.cat(thirds) for key, thirds in stacks.items()})
    return {key: value.contiguous() for key, value in result.items()}


def single(family, texts, folder, **metadata):
    folder = assembled(family, folder)
    unet, vae = reload.load_unet(folder).state_dict(), reload.load_autoencoder(folder)
    tensors = original(unet, unet_sources(reload.config(folder, "unet")))
    blocks = vae.config.block_out_channels
    tensors |= original(vae.state_dict(), names.vae(tuple(blocks), vae.config.layers_per_block))
    for part, kind, sources, more in texts:
        state = text_encoder(folder, part, kind)
        tensors |= original(state, sources)
        tensors |= more
    tensors |= {"alphas_cumprod": torch.linspace(1, 0, 10), "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    save_file(tensors, OUT / f"{family}.safetensors", metadata={"format": "pt", **metadata})
    print(family, len(tensors), (OUT / f"{family}.safetensors").stat().st_size)


def diffusers_folder(family, folder):
    folder, out = assembled(family, folder), OUT / family
    unet, vae = reload.load_unet(folder).state_dict(), reload.load_autoencoder(folder).state_dict()
    vae = {old_name(name): value for name, value in vae.items()}
    half = len(unet) // 2
    shards = {f"diffusion_pytorch_model-0000{n}-of-00002.safetensors": dict(list(unet.items())[a:b])
              for n, (a, b) in enumerate([(0, half), (half, None)], 1)}
    index = {"metadata": {}, "weight_map": {name: file for file, tensors in shards.items() for name in tensors}}
    files = {f"unet/{name}": tensors for name, tensors in shards.items()}
    files |= {"text_encoder/model.safetensors": text_encoder(folder), "vae/diffusion_pytorch_model.safetensors": vae}
    for name, tensors in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, out / name)
    (out / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index) + "\n")
    for name in ["unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json", "model_index.json"]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)
    shutil.copyfile(folder / "vae_decoder" / "config.json", out / "vae" / "config.json")
    print(family, sum(file.stat().st_size for file in out.rglob("*") if file.is_file()))


def old_name(name):
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return name


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    clip, second = "cond_stage_model.transformer.", "conditioner.embedders.1.model."
    v2 = "cond_stage_model.model."
    positions = torch.arange(77)[None]
    layer = {f"{v2}transformer.resblocks.2.ln_1.weight": torch.ones(32), f"{v2}logit_scale": torch.tensor(1.0)}
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        single("sd1", [("text_encoder", CLIPTextModel, names.clip(clip), {f"{clip}text_model.embeddings.position_ids": positions})], place / "1")
        single("sd2", [("text_encoder", CLIPTextModel, names.openclip(v2), layer)], place / "2", **{"modelspec.prediction_type": "v"})
        first = names.clip("conditioner.embedders.0.transformer.")
        single("sdxl", [
            ("text_encoder", CLIPTextModel, first, {}),
            ("text_encoder_2", CLIPTextModelWithProjection, names.openclip(second), {}),
        ], place / "3")
        diffusers_folder("inpaint", place / "4")


if __name__ == "__main__":
    main()
