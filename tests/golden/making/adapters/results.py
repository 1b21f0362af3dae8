"""Runs the cases through diffusers' pipelines with the texts' states given, and writes the references.

Kept are, by the names of a trace: the token ids where no embedding stands among them; what the U-Net is told where no other
case has it and, of the negative prompt, where that is the case's own; what the U-Net says the first time, or every time where the prompt changes; the latents.
"""

import copy
import dataclasses
import functools
import json
import shutil

import torch
from safetensors.torch import save_file

from .. import reference
from ..results import sums
from ..folders import SCRATCH, assemble
from . import FOLDER, embeddings, formulas, hypernetworks, loras, norm, requests, texts

CASES = FOLDER / "cases"
PICTURED = "plain weights dreamartist lora-kohya lora-inpaint hypernetwork-swirl everything everything-sdxl".split()
MATTERS = 0.05  # as a share of what the U-Net says: what an adapter must change at least


def make(names):
    """Files and cases, or only the cases named."""
    if not names:
        norm.make()
        embeddings.make()
        hypernetworks.make()
        loras.make(parts)
        shutil.rmtree(CASES, ignore_errors=True)
    by_model = {}
    for model, request, means in requests.cases():
        by_model.setdefault(model, []).append(request)
        (CASES / model).mkdir(parents=True, exist_ok=True)
        if "same_as" not in request and (not names or request["name"] in names):
            write(model, request, means)
    for model, some in by_model.items():
        (CASES / model / "graphs.sha256").write_text("".join(sums(assemble(model, SCRATCH / f"{model}-graphs"))))
        lines = ",\n".join(json.dumps(request) for request in some)
        (CASES / model / "cases.json").write_text(f"[\n{lines}\n]\n")


@functools.cache
def family(name):
    return reference.Family(name)


def parts(name):
    """Fresh ones."""
    return {part: copy.deepcopy(module) for part, module in family(name).parts.items()}


def adapted(name, means):
    """The family with its parts changed by the adapters."""
    changed = copy.copy(family(name))
    changed.parts = parts(name)
    for lora, text, unet in means.loras:
        scales = {"text_encoder": text, "text_encoder_2": text, "unet": unet}
        formulas.apply(loras.PLACE / f"{lora}.safetensors", changed.parts, scales)
    for net, strength in means.hypernetworks:
        hypernetworks.attach(changed.parts["unet"], net, strength)
    return changed


class Told:
    """What the U-Net is told of the texts of a request, at each step."""

    def __init__(self, family, request, means):
        self.parts, self.skip = family.parts, request.get("clip_skip", 0)
        self.weights = [weight for weight, _ in means.prompt]
        self.conditional = [[self.encoded(text) for text in by_step] for _, by_step in means.prompt]
        self.unconditional = [self.encoded(text) for text in means.negative]
        self.is_common = means.negative[0] in ("", requests.OTHER)
        self.zeros = family.is_xl() and not request["negative_prompt"]  # SDXL knows the empty text as zeros
        if self.zeros:
            self.unconditional = [(0 * context, 0 * pooled, ids) for context, pooled, ids in self.unconditional]
        self.is_constant = len(self.conditional) == 1 and all(
            all(one is by_step[0] for one in by_step) for by_step in (self.conditional[0], self.unconditional)
        )

    def encoded(self, text):
        self.known = getattr(self, "known", {})
        key = repr(text)
        if key not in self.known:
            self.known[key] = texts.encode(self.parts, text, self.skip)
        return self.known[key]

    def at(self, step):
        """The negative first; shorter texts are filled up with chunks of the empty one."""
        all_of_them = [self.unconditional[step], *(by_step[step] for by_step in self.conditional)]
        longest = max(context.shape[1] for context, _, _ in all_of_them)
        empty = self.encoded("")[0]
        for number, (context, pooled, _) in enumerate(all_of_them):
            filling = 0 * empty if self.zeros and number == 0 else empty
            yield torch.cat([context, *[filling] * ((longest - context.shape[1]) // empty.shape[1])], 1), pooled

    def tensors(self, usual):
        """Names of a trace; `usual` are states that another case has already."""
        if not self.is_constant:
            return {}
        kept, sides = {}, ("unconditional", "conditional")
        for side, (_, _, ids), (context, pooled) in zip(sides, (self.unconditional[0], self.conditional[0][0]), self.at(0)):
            if not (self.zeros and side == "unconditional"):
                kept |= {f"tokens{ending}.{side}": own for ending, own in zip(("", "_2"), ids) if own is not None}
            common = side == "unconditional" and self.is_common
            if not common and not any(context.equal(one) for one in usual):
                kept[f"embeddings.{side}"] = context
                kept |= {} if pooled is None else {f"pooled.{side}": pooled}
        return kept


class Run(reference.Watched):
    """A pipeline whose U-Net is told what `told` says: several conditions, each step its own."""

    def __init__(self, family, request, told):
        super().__init__(family, request)
        self.told, self.outputs = told, []
        self.given.pop("negative_prompt")
        (negative, pooled_negative), (context, pooled), *_ = told.at(0)
        self.given |= {"prompt": None, "prompt_embeds": context, "negative_prompt_embeds": negative}
        if pooled is not None:
            self.given |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled_negative}
        self.inner = self.pipe.unet.forward

    def run(self, output):
        self.pipe.unet.forward = self.forward
        try:
            return super().run(output)
        finally:
            del self.pipe.unet.forward  # the class's own comes back

    def forward(self, sample, time, encoder_hidden_states=None, added_cond_kwargs=None, **named):
        """Both passes of guidance; composable conditions as the one that guidance would make of them.

        guided = u + scale * sum(weight * (c - u)), so c := u + sum(weight * (c - u)).
        """
        told, said = list(self.told.at(len(self.outputs))), []
        for one, (context, pooled) in zip([sample[:1], *[sample[1:]] * (len(told) - 1)], told):
            if added_cond_kwargs:
                named["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": added_cond_kwargs["time_ids"][:1]}
            said.append(self.inner(one, time, **{**named, "encoder_hidden_states": context, "return_dict": False})[0])
        self.outputs.append(said)
        unconditional, *conditional = said
        guide = sum(weight * (one - unconditional) for weight, one in zip(self.told.weights, conditional))
        return (torch.cat([unconditional, unconditional + guide]),)

    def tensors(self, call):
        names = ["unconditional", "conditional", *(f"conditional.{number}" for number in range(1, len(self.told.weights)))]
        return {f"0.call.{call:03}.{name}": value for name, value in zip(names, self.outputs[call])}


@functools.cache
def usual(model):
    """What the model without adapters is told of the texts that stand in most cases."""
    return [texts.encode(family(model).parts, text)[0] for text in (requests.PROMPT, requests.OTHER, "")]


def write(model, request, means):
    name, changed = request["name"], adapted(model, means)
    told = Told(changed, request, means)
    run = Run(changed, request, told)
    latents = run.run("latent")
    kept = told.tensors([] if name == "plain" else usual(model)) | {"0.latents": latents}
    for call in range(1 if told.is_constant or len(means.prompt) > 2 else len(run.outputs)):
        kept |= run.tensors(call)
    note = must_matter(model, request, means, run, latents)
    file = CASES / model / f"{name}.safetensors"
    save_file({key: value.contiguous().clone() for key, value in kept.items()}, file)
    file.chmod(0o644)
    if name in PICTURED:
        Run(changed, request, told).run("pil")[0].save(file.with_suffix(".png"), optimize=True)
    print(f"  {model}/{name}: latents up to {latents.abs().max():.0f}{note}", flush=True)


def must_matter(model, request, means, run, latents):
    """Adapters must change what the U-Net says of the same request without them."""
    assert latents.isfinite().all() and latents.abs().max() < 100, f"{request['name']}: latents up to {latents.abs().max()}"
    if not (means.loras or means.hypernetworks):
        return ""
    bare = dataclasses.replace(means, loras=[], hypernetworks=[])
    plain = Run(family(model), request, Told(family(model), request, bare))
    before = plain.run("latent")
    change = [(ours - theirs).norm() / theirs.norm() for ours, theirs in zip(run.outputs[0], plain.outputs[0])]
    assert min(change) > MATTERS, f"{request['name']} changes the U-Net's answer by {min(change):.3f} only"
    last = (latents - before).norm() / before.norm()
    return f"; the U-Net's answers change by {change[0]:.2f} and {change[1]:.2f}, the latents by {last:.2f}"
