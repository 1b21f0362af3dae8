"""Textual inversion (Gal et al. 2022): learns a few vectors that make one name stand for a whole subject.

    python train_embedding.py FOLDER RUN totem.safetensors totem.pt [--vectors 6] [--steps 600]

The name is that of the files, and `SUBJECTS` in lessons.py says what is drawn for it.
Only the vectors change; text encoder and U-Net stay as they are, so a subject must be made of what the model can draw.
Captions call the subject by its name alone, and the name's tokens are replaced by the vectors.
Writes the layout of diffusers (.safetensors) or that of AUTOMATIC1111's web UI (.pt), with the same numbers.
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file

from adapted import Adapted
from lessons import Lessons, learn, of_subject
from shapes import SHAPES


def first_vectors(model, count, spread=.02):
    """Starts at the mean of the words for shapes; equal vectors would stay equal, so each is moved a little."""
    known = [model.tokenizer(word).input_ids[1] for word in SHAPES]
    mean = model.table.weight[torch.tensor(known)].mean(0)
    return torch.nn.Parameter(mean.repeat(count, 1) + spread * torch.randn(count, len(mean)))


def save(path, name, vectors, steps):
    """One tensor under the name, or the dictionary that the web UI writes, where 265 is the token for `*`.

    Both hold numbers of 16 bits, because an exported token table may hold no more.
    """
    vectors = vectors.detach().half()
    if path.suffix == ".safetensors":
        return save_file({name: vectors}, path)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors.float()}, "name": name, "step": steps,
                "sd_checkpoint": None, "sd_checkpoint_name": "shapes"}, path)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder")
    options.add_argument("run")
    options.add_argument("outputs", nargs="+", type=pathlib.Path)
    options.add_argument("--vectors", type=int, default=6)
    options.add_argument("--steps", type=int, default=600)
    options.add_argument("--rate", type=float, default=1e-2)
    options = options.parse_args()
    torch.manual_seed(0)
    name = options.outputs[0].stem
    model = Adapted(options.folder)
    vectors = first_vectors(model, options.vectors)
    model.add_embedding(name, vectors)
    lessons = Lessons(model, of_subject(name), words_dropped=0)
    learn([vectors], lambda: lessons.error(lessons.plainly), options.steps, options.rate,
          f"{options.run}/{name}.pt", weight_decay=0)
    for path in options.outputs:
        save(path, name, vectors, options.steps)


if __name__ == "__main__":
    main()
