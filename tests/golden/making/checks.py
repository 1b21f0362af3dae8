"""Looks whether a family is fit to be a reference.

Its graphs under ONNX Runtime must give what torch gives, so that a difference found later is not the export's; and each thing
that the U-Net is told must matter, or nobody would notice when it is forgotten.
"""

import numpy as np
import onnxruntime
import torch

from .folders import SCRATCH, assemble
from .reference import Family

CLOSE, CLOSE_IN_HALF, MATTERS = 1e-5, 2e-2, 1e-3


def make(name):
    if name == "toy":
        return  # as it was
    family = Family(name)
    whole = assemble(name, SCRATCH / f"{name}-graphs")
    torch.manual_seed(0)
    for graph, (inputs, outputs) in calls(family).items():
        compare(name, whole, graph, inputs, outputs)
    matters(name, family)


def calls(family):
    """Inputs by port, and what torch makes of them by port, of each graph."""
    parts, unet, vae = family.parts, family.parts["unet"], family.parts["vae"]
    ids = torch.randint(0, 998, (2, 77))
    ids[:, 10:] = 999
    pixels, latents = torch.rand(1, 3, 64, 96) * 2 - 1, torch.randn(1, 4, 8, 12)
    given = conditions(family)
    with torch.no_grad():
        text = parts["text_encoder"](ids, output_hidden_states=True)
        encoded = vae.encode(pixels)
        known = {
            "text_encoder": ({"input_ids": ids}, {"last_hidden_state": text.last_hidden_state}),
            "unet": (given, {"out_sample": run(unet, given)}),
            "vae_decoder": ({"latent_sample": latents}, {"sample": vae.decode(latents).sample}),
        }
        if hasattr(encoded, "latents"):
            known["vae_encoder"] = ({"sample": pixels}, {"latent_sample": encoded.latents})
        else:
            known["vae_encoder"] = ({"sample": pixels}, {"latent_parameters": encoded.latent_dist.parameters})
        if family.is_xl():
            known["text_encoder"][1]["hidden_states.1"] = text.hidden_states[1]
            second = parts["text_encoder_2"](ids, output_hidden_states=True)
            wanted = {"text_embeds": second.text_embeds, "hidden_states.1": second.hidden_states[1]}
            known["text_encoder_2"] = ({"input_ids": ids}, wanted)
        if family.depth_net:
            square = torch.randn(2, 3, 64, 64)
            wanted = {"predicted_depth": family.depth_net[0](square).predicted_depth}
            known["depth_estimator"] = ({"pixel_values": square}, wanted)
    return known


def conditions(family):
    """Random inputs of the U-Net by port, two pictures of 96 by 64."""
    settings = family.parts["unet"].config
    given = {
        "sample": torch.randn(2, settings.in_channels, 8, 12),
        "timestep": torch.tensor(321.0),
        "encoder_hidden_states": torch.randn(2, 77, settings.cross_attention_dim),
    }
    if settings.time_cond_proj_dim:
        given["timestep_cond"] = torch.randn(2, settings.time_cond_proj_dim)
    if settings.addition_embed_type:
        width = family.parts["text_encoder_2"].config.projection_dim
        given |= {"text_embeds": torch.randn(2, width), "time_ids": torch.tensor([[64.0, 96, 0, 0, 64, 96]] * 2)}
    return given


def run(unet, given):
    added = {name: given[name] for name in ("text_embeds", "time_ids") if name in given} or None
    with torch.no_grad():
        return unet(
            given["sample"],
            given["timestep"],
            given["encoder_hidden_states"],
            timestep_cond=given.get("timestep_cond"),
            added_cond_kwargs=added,
        ).sample


def compare(name, folder, graph, inputs, outputs):
    file = folder / graph / "model.onnx"
    if not file.exists():
        return
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feeds = {port.name: as_declared(inputs[port.name], port) for port in session.get_inputs()}
    given = dict(zip([port.name for port in session.get_outputs()], session.run(None, feeds)))
    limit = CLOSE_IN_HALF if any(port.type == "tensor(float16)" for port in session.get_outputs()) else CLOSE
    for port, wanted in outputs.items():
        if port in given:
            gap = float(np.abs(given[port].astype(np.float32) - wanted.numpy()).max() / wanted.abs().max())
            verdict = "" if gap <= limit else "   TOO FAR"
            print(f"  {name}/{graph}: {port} as in torch to {gap:.1e}{verdict}", flush=True)


def as_declared(value, port):
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float16)": np.float16}
    array = value.numpy().astype(kinds.get(port.type, np.float32))
    return np.repeat(array, 2) if array.ndim == 0 and len(port.shape) == 1 else array


def matters(name, family):
    """How much of the output changes with each input of the U-Net, and with each channel beside the latents."""
    unet, given = family.parts["unet"], conditions(family)
    before = run(unet, given)
    changes = {port: {**given, port: 0.5 * value + 0.3} for port, value in given.items() if port != "sample"}
    for number in range(4, unet.config.in_channels):
        sample = given["sample"].clone()
        sample[:, number] *= -1
        changes[f"channel {number}"] = {**given, "sample": sample}
    if "time_ids" in given:
        changes["time_ids"] = {**given, "time_ids": torch.tensor([[96.0, 64, 0, 0, 96, 64]] * 2)}
    for what, changed in changes.items():
        change = ((run(unet, changed) - before).square().mean() / before.square().mean()).sqrt().item()
        verdict = "" if change > MATTERS else "   DOES NOT MATTER"
        print(f"  {name}: another {what} changes the output by {change:.1e}{verdict}", flush=True)
