"""Writes what the U-Net answers with each adapter in torch, for the tests to compare with.

    python adapters_reference.py FOLDER ADAPTERS OUTPUT

OUTPUT/cases.json holds the words of each case: prompt, timestep, and adapters by name with their scales.
OUTPUT/reference.safetensors holds `latents` [1, 4, 8, 8], which all cases share, and for each case
`CASE.states` [1, 77, 64], the output of the text encoder,
`CASE.noise` [1, 4, 8, 8], the output of the U-Net with weights merged in 32 bits, and
`CASE.noise_half` and `CASE.states_half`, the same where merged weights are rounded to 16 bits, as FOLDER stores them.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

from adapted import Adapted, read_embedding

NAMES = {"totem": "totem.safetensors", "beacon": "beacon.pt", "beacon-neg": "beacon-neg.pt"}
PLAIN = dict(prompt="a red star left of a blue square on a white background", timestep=481)
CASES = {
    "plain": PLAIN,
    "embedding": dict(prompt="a totem on a blue background", timestep=481, embeddings=["totem"]),
    "dreamartist": dict(prompt="a beacon on a black background", timestep=801, embeddings=["beacon", "beacon-neg"]),
    "dreamartist-negative": dict(prompt="beacon-neg", timestep=801, embeddings=["beacon", "beacon-neg"]),
    "lora": dict(PLAIN, lora={"outline": 1.0}),
    "lora-weaker": dict(PLAIN, lora={"outline": .6}, lora_text={"outline": .3}),
    "lora-negative": dict(PLAIN, lora={"outline": -.5}),
    "hypernetwork": dict(PLAIN, hypernetwork={"blueprint": 1.0}),
    "hypernetwork-weaker": dict(PLAIN, hypernetwork={"blueprint": .6}),
    "all": dict(prompt="a totem on a white background", timestep=241, embeddings=["totem"], lora={"outline": .8},
                hypernetwork={"blueprint": .7}),
}


def adapted(folder, adapters, case, half):
    model = Adapted(folder)
    for name in case.get("embeddings", []):
        model.add_embedding(name, read_embedding(f"{adapters}/embeddings/{NAMES[name]}"))
    for name, scale in case.get("lora", {}).items():
        text_scale = case.get("lora_text", {}).get(name, scale)
        model.add_lora(load_file(f"{adapters}/loras/{name}.safetensors"), scale, text_scale)
    for name, strength in case.get("hypernetwork", {}).items():
        model.add_hypernetwork(torch.load(f"{adapters}/hypernetworks/{name}.pt"), strength)
    if half:
        model.round_to_half()
    return model


@torch.no_grad()
def answers(model, case, latents):
    states = model.states(torch.tensor([model.row(case["prompt"])]))
    return states, model.unet(latents, case["timestep"], states).sample


def difference(one, other):
    """The largest difference relative to the largest value."""
    return ((one - other).abs().max() / other.abs().max()).item()


def main():
    folder, adapters, output = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    output.mkdir(parents=True, exist_ok=True)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    tensors = {"latents": latents}
    for name, case in CASES.items():
        states, noise = answers(adapted(folder, adapters, case, half=False), case, latents)
        states_half, noise_half = answers(adapted(folder, adapters, case, half=True), case, latents)
        tensors |= {f"{name}.states": states, f"{name}.noise": noise}
        if "lora" in case:
            tensors |= {f"{name}.states_half": states_half, f"{name}.noise_half": noise_half}
        without = answers(Adapted(folder), case, latents)[1]
        print(f"{name}: {difference(noise, without):.3f} from the plain model, "
              f"{difference(noise_half, noise):.1e} by rounding to 16 bits")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, output / "reference.safetensors")
    (output / "cases.json").write_text(json.dumps(CASES, indent=2) + "\n")


if __name__ == "__main__":
    main()
