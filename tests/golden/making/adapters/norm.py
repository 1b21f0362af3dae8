"""The model `sd1-norm`: v1's toy with a last norm of the text encoder that has learnt something.

A norm as it is initialised gives every token a mean of 0, up to rounding. The web UI's weights keep the mean of the states,
which would be 0 divided by 0.
"""

import json
import shutil

import numpy as np
import onnx
from onnx import numpy_helper

from ..exporting import write_json
from ..folders import FAMILIES, own

NAME = "sd1-norm"
NORM = "text_model.final_layer_norm"


def make():
    folder, encoder = FAMILIES / NAME, FAMILIES / "sd1" / "model" / "text_encoder"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(encoder, folder / "model" / "text_encoder")
    file, draw = folder / "model" / "text_encoder" / "model.onnx", np.random.default_rng(61)
    model = onnx.load(file)
    width = json.loads((encoder / "config.json").read_text())["hidden_size"]
    for parameter, mean in (("weight", 1.0), ("bias", 0.3)):
        name = f"{NORM}.{parameter}"
        # All norms are still the same, and so the exporter let one weight stand for all of them.
        alias = next(node for node in model.graph.node if name in node.output)
        model.graph.node.remove(alias)
        value = draw.normal(mean, 0.2, width).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.save(model, file)
    shared = json.loads((FAMILIES / "sd1" / "shared.json").read_text())
    parts = {part: own("sd1", part) for part in ("model_index.json", "unet", "vae_encoder")}
    write_json(folder / "shared.json", {**shared, **parts})
