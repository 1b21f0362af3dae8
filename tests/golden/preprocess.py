"""Writes preprocess.json: small pictures as transformers' image processors prepare them for a net.

Run: python tests/golden/preprocess.py        Last run with transformers 4.57.6 and Pillow 12.3.0.
"""

import json
import pathlib

import numpy as np
from transformers import CLIPImageProcessor, DPTImageProcessor

CASES = [
    # class, height and width of the picture, configuration
    ("DPT", (30, 40), {"size": {"height": 8, "width": 8}}),
    ("DPT", (30, 40), {"size": 8, "resample": 2, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
    ("DPT", (30, 40), {"size": {"height": 9, "width": 9}, "keep_aspect_ratio": True, "ensure_multiple_of": 4}),
    ("DPT", (5, 3), {"size": {"height": 12, "width": 8}, "keep_aspect_ratio": True}),
    ("DPT", (6, 7), {"do_resize": False, "do_normalize": False}),
    ("DPT", (6, 7), {"do_resize": False, "do_rescale": False, "image_mean": 128.0, "image_std": 64.0}),
    ("DPT", (17, 11), {"size": [4, 6], "resample": 1, "rescale_factor": 0.01}),
    ("CLIP", (30, 41), {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}),
    ("CLIP", (41, 30), {"size": 9, "crop_size": 6, "resample": 0}),
    ("CLIP", (7, 5), {"size": 7, "crop_size": {"height": 10, "width": 9}}),
    ("CLIP", (12, 9), {"size": {"height": 6, "width": 8}, "do_center_crop": False}),
    ("CLIP", (60, 50), {"size": 5, "do_normalize": False, "crop_size": 5}),
]


def picture(height, width):
    """Hard edges and a gradient that anybody can compute again."""
    y, x, channel = np.mgrid[:height, :width, :3]
    return ((x * 5 + y * 3 + channel * 40 + 90 * ((x // 3 + y // 2) % 2)) % 256).astype(np.uint8)


def case(kind, size, config):
    processor = {"DPT": DPTImageProcessor, "CLIP": CLIPImageProcessor}[kind](**config)
    planes = processor(picture(*size), return_tensors="np").pixel_values[0]
    return {
        "picture": size,
        "config": {"image_processor_type": f"{kind}ImageProcessor", **config},
        "shape": planes.shape,
        "values": [float(f"{value:.6g}") for value in planes.flatten().tolist()],
    }


lines = ",\n".join(json.dumps(case(*row)) for row in CASES)
pathlib.Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")
