"""Writes the references of a family to `families/NAME/cases`: `cases.json`, and for each case its tensors and pictures.

Some say less, to be small: the embeddings stand in the first case with its texts, the inputs of the U-Net in one case a sampler,
and a case that is there for its sampler or schedule has no picture.
"""

import hashlib
import json
import shutil

from safetensors.torch import save_file

from . import reference
from .folders import FAMILIES, SCRATCH, assemble
from .requests import cases


def make(name):
    family, target = reference.Family(name), FAMILIES / name / "cases"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    chosen, seen = list(cases(name)), set()
    for case in chosen:
        if "same_as" not in case:
            write(family, case, target, seen)
            print(f"  {name}/{case['name']}", flush=True)
    (target / "graphs.sha256").write_text("".join(sums(assemble(name, SCRATCH / f"{name}-graphs"))))
    lines = ",\n".join(json.dumps(case) for case in chosen)
    (target / "cases.json").write_text(f"[\n{lines}\n]\n")


def write(family, case, target, seen):
    kept = reference.tensors(family, case, traced=case["name"].startswith("sampler-"))
    kept |= reference.words(family, case)
    texts = case["prompt"], case.get("negative_prompt")
    if texts not in seen:
        kept |= reference.embeddings(family, case)
    seen.add(texts)
    ignored = tuple(unsaid(family, case))
    kept = {key: value for key, value in kept.items() if not key.endswith(ignored)}
    file = target / f"{case['name']}.safetensors"
    save_file({key: value.contiguous().clone() for key, value in kept.items()}, file)
    file.chmod(0o644)
    if case["schedule"] != "model" or case["name"].startswith("sampler-"):
        return
    made = reference.images(family, case)
    for k, image in enumerate(made):
        ending = f"-{k}" if len(made) > 1 else ""
        image.save(target / f"{case['name']}{ending}.png", optimize=True)


def sums(folder):
    """From which graphs the references were made."""
    for file in sorted(folder.glob("*/model.onnx")):
        yield f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n"


def unsaid(family, case):
    """Endings of what takes no part in the case: a program need not compute it."""
    scale = case.get("guidance_scale", 1.0)
    if scale == 0.0:
        yield ".conditional"
    if scale == 1.0 or family.is_consistency():
        yield ".unconditional"
    if family.is_xl() and not case.get("negative_prompt"):  # zeros, not the empty text
        yield "tokens.unconditional"
        yield "tokens_2.unconditional"
