"""Adapters on the torch model, by the formulas of the web UIs: what diffused has to compute.

    model = Adapted("models/shapes")
    model.add_embedding("totem", read_embedding("totem.safetensors"))
    model.add_lora(load_file("outline.safetensors"), scale=.8)
    model.add_hypernetwork(torch.load("blueprint.pt"), strength=.5)
    model.pictures(["a totem on a blue background"])

Text encoder and U-Net run in torch, and the autoencoder in ONNX Runtime.
"""
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from reload import load_text_encoder, load_unet
from sample import Model

ACTIVATIONS = {"linear": None, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "elu": nn.ELU, "swish": nn.Hardswish,
               "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Adapted(Model):
    """The model of a folder, with adapters; sampling is that of sample.py."""

    def __init__(self, folder):
        super().__init__(folder)
        self.text_encoder, self.unet = load_text_encoder(folder), load_unet(folder)
        self.text_encoder.requires_grad_(False)
        self.unet.requires_grad_(False)
        self.embeddings = {}
        self.table = Table(self.text_encoder.text_model.embeddings.token_embedding.weight)
        self.text_encoder.text_model.embeddings.token_embedding = self.table

    def add_embedding(self, name, vectors):
        """Textual inversion: the tokens of the name stand for these vectors [n, width] from now on."""
        tokens = tuple(self.tokenizer(name).input_ids[1:-1])
        self.embeddings[tokens] = self.table.append(vectors)

    def row(self, prompt):
        """The 77 token ids of a prompt; where several names match, the one with the most tokens wins."""
        tokens, found, place = self.tokenizer(prompt).input_ids[1:-1], [], 0
        names = sorted(self.embeddings, key=len, reverse=True)
        while place < len(tokens):
            name = next((name for name in names if tuple(tokens[place:place + len(name)]) == name), None)
            found += self.embeddings[name] if name else tokens[place:place + 1]
            place += len(name) if name else 1
        end = self.tokenizer.eos_token_id
        return [self.tokenizer.bos_token_id, *found[:75]] + [end] * (76 - len(found[:75]))

    def states(self, rows):
        return self.text_encoder(input_ids=rows).last_hidden_state

    @torch.no_grad()
    def words(self, prompts):
        return self.states(torch.tensor([self.row(prompt) for prompt in prompts])).numpy()

    @torch.no_grad()
    def noise_in(self, latents, time, words):
        return self.unet(torch.from_numpy(latents).float(), time, torch.from_numpy(words)).sample.numpy()

    def add_lora(self, tensors, scale=1.0, text_scale=None):
        """Adds a file of kohya's layout to the weights; returns how many modules it changed, all of the file's."""
        scales = {"lora_unet": scale, "lora_te": scale if text_scale is None else text_scale}
        modules = {**lora_keys("lora_unet", self.unet), **lora_keys("lora_te", self.text_encoder)}
        names = sorted({key.split(".")[0] for key in tensors})
        for name in names:
            prefix = "lora_te" if name.startswith("lora_te") else "lora_unet"
            down, up = tensors[f"{name}.lora_down.weight"].float(), tensors[f"{name}.lora_up.weight"].float()
            alpha = tensors.get(f"{name}.alpha")
            factor = scales[prefix] * (1.0 if alpha is None else alpha.item() / len(down))
            register_parametrization(modules[name], "weight", LoraDelta(down, up, factor))
        return len(names)

    def round_to_half(self):
        """Rounds merged weights to 16 bits, which is what happens where the exported file stores 16 bits."""
        for module in [*self.unet.modules(), *self.text_encoder.modules()]:
            if hasattr(module, "parametrizations"):
                register_parametrization(module, "weight", Rounded())

    def add_hypernetwork(self, file, strength=1.0):
        """Puts A1111's hypernetwork before the keys and values of every attention of a width that the file has.

        In self-attention they are made from the picture's features, in cross-attention from the words.
        """
        for width, states in file.items():
            if isinstance(width, int):
                for_keys, for_values = (hypernetwork_layers(width, file, state) for state in states)
                attach(self.unet, width, for_keys, for_values, strength)


class Table(nn.Module):
    """The token table, with the vectors of embeddings as further rows."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.vectors, self.rows = weight, [], len(weight)

    def append(self, vectors):
        """Returns the new ids."""
        self.vectors.append(vectors)
        self.rows += len(vectors)
        return list(range(self.rows - len(vectors), self.rows))

    def forward(self, ids):
        return F.embedding(ids, torch.cat([self.weight, *self.vectors]))


class LoraDelta(nn.Module):
    """weight + factor * up * down, for linear weights [out, in] and for convolutions [out, in, height, width]."""

    def __init__(self, down, up, factor):
        super().__init__()
        self.down, self.up, self.factor = nn.Parameter(down), nn.Parameter(up), factor

    def forward(self, weight):
        delta = self.up.flatten(1) @ self.down.flatten(1)
        return weight + self.factor * delta.view(weight.shape)


class Rounded(nn.Module):
    def forward(self, weight):
        return weight.half().float()


def lora_keys(prefix, model):
    """kohya's name for every module with a weight: its path with underscores."""
    return {f"{prefix}_{path.replace('.', '_')}": module for path, module in model.named_modules()
            if isinstance(module, (nn.Linear, nn.Conv2d))}


def hypernetwork_layers(width, file, state=None):
    """The small network of one width; the places in the Sequential are A1111's, which the names of the file need."""
    sizes, layers = [int(width * size) for size in file["layer_structure"]], []
    activation = ACTIVATIONS[file["activation_func"]]
    for number, (before, after) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(before, after))
        last = number == len(sizes) - 2
        if activation and (not last or file["activate_output"]):
            layers.append(activation())
        if file["is_layer_norm"]:
            layers.append(nn.LayerNorm(after))
    network = nn.ModuleDict({"linear": nn.Sequential(*layers)})
    if state is not None:
        network.load_state_dict({key: value.float() for key, value in state.items()})
    return network["linear"].requires_grad_(state is None)


def attach(unet, width, for_keys, for_values, strength):
    """x + strength * network(x) at the door of to_k and of to_v."""
    for path, module in unet.named_modules():
        if path.endswith((".to_k", ".to_v")) and module.in_features == width:
            network = for_keys if path.endswith(".to_k") else for_values
            module.register_forward_pre_hook(
                lambda _, inputs, network=network: (inputs[0] + strength * network(inputs[0]),))


def read_embedding(path):
    """Vectors [n, width] from A1111's .pt or from the one tensor of a .safetensors file."""
    if str(path).endswith(".safetensors"):
        return next(iter(load_file(path).values())).float()
    return torch.load(path)["string_to_param"]["*"].detach().float()
