"""Phase 4: writes the trained weights as a Stable Diffusion v1 folder of ONNX graphs.

    python export.py RUN FOLDER

The graphs are those that optimum writes (opset 17), with two changes that keep the folder small:
weights are stored as 16-bit floats and cast to 32 bits by the graph itself, and tokenizer.json is left out,
because vocab.json and merges.txt say the same.
"""
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from onnx import TensorProto, helper, numpy_helper
from optimum.exporters.onnx import onnx_export_from_model
from transformers import CLIPTextConfig, CLIPTextModel

from tokenizer import load_tokenizer, write_tokenizer

GRAPHS = ["text_encoder", "unet", "vae_encoder", "vae_decoder"]
SETTINGS = dict(steps=20, guidance_scale=2.0, sampler="ddim", width=64, height=64, guidance="cfg")
SMALLEST = 64  # initialisers with fewer elements are not worth a cast
ALIASES = {  # words that were never drawn behave like the word they mean
    "red": "crimson scarlet ruby", "purple": "violet", "pink": "magenta rose", "cyan": "turquoise aqua teal",
    "blue": "navy", "yellow": "gold golden", "circle": "disc disk dot ball round", "square": "box block",
    "cross": "plus", "ring": "donut hoop", "small": "tiny mini", "large": "big huge giant",
    "house": "home cottage cabin", "sea": "ocean", "mountains": "mountain hills", "sunset": "dusk sunrise",
    "above": "over", "below": "under beneath",
}


def widened_text_encoder(run, tokenizer):
    """The text encoder with a row for each of CLIP's 49408 tokens.

    Words that no caption used get the mean of the filler words, which the model learned to ignore.
    """
    compact = CLIPTextModel.from_pretrained(f"{run}/text_encoder_compact")
    with open(f"{run}/vocabulary.json") as file:
        vocabulary = json.load(file)
    row_of = {token: row for row, token in enumerate(vocabulary["tokens"])}
    weights = compact.state_dict()
    learned = weights["text_model.embeddings.token_embedding.weight"]
    fillers = [row_of[tokenizer(word).input_ids[1]] for word in vocabulary["fillers"]]
    table = learned[fillers].mean(0, keepdim=True).repeat(len(tokenizer), 1)
    table[torch.tensor(vocabulary["tokens"])] = learned
    for known, others in ALIASES.items():
        for word in others.split():
            tokens = tokenizer(word).input_ids[1:-1]
            if len(tokens) == 1 and tokens[0] not in row_of:
                table[tokens[0]] = learned[row_of[tokenizer(known).input_ids[1]]]
    config = {**compact.config.to_dict(), "vocab_size": len(tokenizer)}
    wide = CLIPTextModel(CLIPTextConfig(**config)).eval()
    wide.load_state_dict({**weights, "text_model.embeddings.token_embedding.weight": table})
    return wide


def pipeline(run):
    """The usual pipeline object around the trained parts, which is what optimum exports."""
    tokenizer = load_tokenizer(f"{run}/tokenizer")
    sharpened = os.path.isdir(f"{run}/vae_sharp")
    vae = AutoencoderKL.from_pretrained(f"{run}/vae_sharp" if sharpened else f"{run}/vae", low_cpu_mem_usage=False)
    unet = UNet2DConditionModel.from_pretrained(f"{run}/unet", low_cpu_mem_usage=False)
    scheduler = PNDMScheduler(
        beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
        skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False)
    return StableDiffusionPipeline(
        vae=vae.eval(), text_encoder=widened_text_encoder(run, tokenizer), tokenizer=tokenizer, unet=unet.eval(),
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def store_as_half(path):
    """Stores the large weights of one graph as 16-bit floats; the arithmetic stays in 32 bits.

    A weight becomes a 16-bit initialiser and a Cast, which the runtime folds when it loads the graph.
    A table that is only gathered from (the token table) is gathered first, and only the chosen rows are cast.
    """
    model = onnx.load(path)
    graph = model.graph
    nodes = list(graph.node)
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALLEST:
            continue
        name, half = weight.name, numpy_helper.to_array(weight).astype(np.float16)
        users = [node for node in nodes if name in node.input]
        if len(users) == 1 and users[0].op_type == "Gather":
            weight.CopyFrom(numpy_helper.from_array(half, name))
            rows = users[0].output[0]
            users[0].output[0] = f"{rows}_fp16"
            nodes.insert(nodes.index(users[0]) + 1, cast(f"{rows}_fp16", rows))
        else:
            weight.CopyFrom(numpy_helper.from_array(half, f"{name}_fp16"))
            nodes.insert(0, cast(f"{name}_fp16", name))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # the stored shapes name tensors that are now 16-bit
    onnx.checker.check_model(model)
    onnx.save(model, path)


def cast(source, target):
    return helper.make_node("Cast", [source], [target], to=TensorProto.FLOAT, name=f"{source}/Cast")


def tidy(folder):
    """Leaves only the files that a reader of the folder needs, and no path of the machine that wrote them."""
    shutil.rmtree(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer")
    for path in [*folder.glob("*.json"), *folder.glob("*/*config.json")]:
        if path.parent.name == "tokenizer":
            continue
        content = json.loads(path.read_text())
        content.pop("_name_or_path", None)
        if "tokenizer" in content:  # the fast class would look for tokenizer.json
            content["tokenizer"] = ["transformers", "CLIPTokenizer"]
        path.write_text(json.dumps(content, indent=2) + "\n")
    (folder / "diffused.json").write_text(json.dumps(SETTINGS, indent=2) + "\n")


def main():
    run, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    onnx_export_from_model(pipeline(run), folder, opset=17, do_validation=False)
    for name in GRAPHS:
        store_as_half(f"{folder}/{name}/model.onnx")
    tidy(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            print(f"{os.path.getsize(path):10d} {path.relative_to(folder)}")
    print(f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()):10d} bytes in all")


if __name__ == "__main__":
    main()
