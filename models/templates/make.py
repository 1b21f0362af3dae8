"""Writes templates.zip: the graphs and settings of the known families, without any weight.

    python models/templates/make.py models/templates/templates.zip

A graph names its weights as torch does and says where each is to stand in the data file; `diffused models import` fills
that file from a checkpoint. No weights are downloaded, and none are made: the modules have the shapes of the real ones,
and their weights are zeros that take no memory.
16-bit graphs take and give 16-bit floats, but for timesteps and sizes, which 16 bits would round.
What is known to overflow stays in 32 bits: the scores of attention in v2 (`upcast_attention`), and XL's autoencoder.

Inside the archive:

    graphs/NAME.onnx              one graph, for instance unet-sd1-fp16
    FAMILY/template.json          {"fp32": {"unet": "unet-sd1-fp32", ...}, "fp16": {...}}: which graph stands for which part
    FAMILY/...                    the folder's other files, but for the vocabulary, which all families share
"""
import json
import pathlib
import sys
import tempfile
import zipfile

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.models.attention_processor import AttnProcessor

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import families  # noqa: E402
import graphs  # noqa: E402

DAY = (1980, 1, 1, 0, 0, 0)


def hollow(make, dtype):
    """A module of zeros that take next to no memory.

    In 32 bits each weight is a single zero that is read again and again. In 16 bits that would be slow beyond patience; but
    numpy's zeros take no memory until they are touched.
    """
    with torch.device("meta"):
        module = make()
    for owner in module.modules():
        for name, weight in list(owner.named_parameters(recurse=False)):
            half = dtype == torch.float16
            zeros = torch.from_numpy(np.zeros(weight.shape, np.float16)) if half else torch.zeros(()).expand(weight.shape)
            owner.register_parameter(name, torch.nn.Parameter(zeros, requires_grad=False))
        for name, _ in list(owner.named_buffers(recurse=False)):
            assert name == "position_ids", name  # the only one in these modules
            owner.register_buffer(name, torch.arange(77).expand((1, -1)), persistent=False)
    return module


def pipeline(family, half):
    dtype = torch.float16 if half else torch.float32
    modules = {part: hollow(make, torch.float32 if part == "vae" and not family.half_vae else dtype)
               for part, make in family.modules.items()}
    if half and modules["unet"].config.upcast_attention:
        modules["unet"].set_attn_processor(AttnProcessor())  # the only one that heeds the setting
    if "text_encoder_2" in modules:
        return StableDiffusionXLPipeline(
            **modules, tokenizer=None, tokenizer_2=None, scheduler=family.scheduler, add_watermarker=False)
    return StableDiffusionPipeline(
        **modules, tokenizer=None, scheduler=family.scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False)


def main():
    content = {}
    for family in families.ALL:
        table = {}
        for dtype in ("fp32", "fp16"):
            half = dtype == "fp16"
            modules = graphs.parts(pipeline(family, half), half)
            table[dtype] = {}
            for part, (module, ports) in modules.items():
                name = f"{family.graph(part)}-{dtype}"
                if part.startswith("vae") and not family.half_vae:
                    name = f"{family.graph(part)}-fp32"
                table[dtype][part] = name
                if f"graphs/{name}.onnx" in content:
                    continue
                model, _ = graphs.named(part, module, ports)
                content[f"graphs/{name}.onnx"] = model.SerializeToString(deterministic=True)
                print(name, len(model.graph.initializer), "initializers", flush=True)
        content[f"{family.name}/template.json"] = json.dumps(table, indent=1).encode()
        with tempfile.TemporaryDirectory() as folder:
            family.write_settings(pathlib.Path(folder))
            for path in sorted(pathlib.Path(folder).rglob("*.json")):
                content[f"{family.name}/{path.relative_to(folder)}"] = path.read_bytes()
    with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(content):
            archive.writestr(zipfile.ZipInfo(name, DAY), content[name], zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
