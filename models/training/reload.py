"""Reads torch weights back from an exported Stable Diffusion folder, 32-bit or 16-bit, without the original checkpoint.

    python reload.py FOLDER        compares torch with ONNX Runtime on all four graphs

    text_encoder, unet, vae = load_text_encoder(folder), load_unet(folder), load_autoencoder(folder)

An export keeps most weights under their torch names.
The others lose them when the exporter folds constants: linear weights are transposed and given to a MatMul,
and the scale and shift of a group norm are reshaped and given to a Mul and an Add.
Those are found through the name of the node that uses them, which still spells the path of the torch module.
"""
import json
import sys

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnx import numpy_helper
from transformers import CLIPTextConfig, CLIPTextModel

FOLDED = {  # for the last part of a parameter's name: the nodes that may hold it, and whether they hold it transposed
    "weight": [("MatMul", True), ("Mul", False), ("Conv", False), ("Gemm", False), ("LayerNormalization", False)],
    "bias": [("Add", False), ("Conv", False), ("Gemm", False), ("LayerNormalization", False)],
}


class Graph:
    """The constants of one ONNX file, by their own names and by the nodes that use them."""

    def __init__(self, path):
        graph = onnx.load(path).graph
        self.constants = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
        self.users = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type in ("Cast", "Identity") and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
            else:
                self.users[node.name.strip("/").replace("/", ".")] = node

    def parameter(self, name, shape):
        """The value of one torch parameter, or an error that names it."""
        if name in self.constants and self.constants[name].shape == shape:
            return self.constants[name]
        module, _, kind = name.rpartition(".")
        for operator, transposed in FOLDED[kind]:
            node = self.users.get(f"{module}.{operator}")
            for source in node.input if node is not None else ():
                value = self.constants.get(source)
                if value is not None and transposed and value.shape == shape[::-1]:
                    return value.T
                if value is not None and not transposed and value.size == np.prod(shape):
                    return value.reshape(shape)
        raise KeyError(f"no weight for {name} of shape {shape}")


def fill(model, graph_of):
    """Gives every parameter of a torch model its exported value; one that is not found is an error."""
    state = {}
    for name, parameter in model.state_dict().items():
        value = graph_of(name).parameter(name, tuple(parameter.shape))
        state[name] = torch.from_numpy(np.array(value, dtype=np.float32))
    model.load_state_dict(state, strict=True)
    return model.eval()


def config(folder, component):
    with open(f"{folder}/{component}/config.json", encoding="utf-8") as file:
        return json.load(file)


def load_text_encoder(folder):
    graph = Graph(f"{folder}/text_encoder/model.onnx")
    return fill(CLIPTextModel(CLIPTextConfig(**config(folder, "text_encoder"))), lambda name: graph)


def load_unet(folder):
    graph = Graph(f"{folder}/unet/model.onnx")
    return fill(UNet2DConditionModel.from_config(config(folder, "unet")), lambda name: graph)


def load_autoencoder(folder):
    """Both halves; each has its own graph."""
    encoder, decoder = (Graph(f"{folder}/vae_{half}/model.onnx") for half in ("encoder", "decoder"))
    encodes = ("encoder.", "quant_conv.")
    return fill(AutoencoderKL.from_config(config(folder, "vae_decoder")),
                lambda name: encoder if name.startswith(encodes) else decoder)


def compare(folder):
    """Runs each graph in torch and in ONNX Runtime on the same random input; returns the largest differences."""
    import onnxruntime
    torch.manual_seed(0)
    text_encoder, unet, vae = load_text_encoder(folder), load_unet(folder), load_autoencoder(folder)
    words = torch.randint(0, text_encoder.config.vocab_size, (2, 77))
    words[:, 10:] = text_encoder.config.vocab_size - 1
    states = torch.randn(2, 77, unet.config.cross_attention_dim)
    side = unet.config.sample_size
    latents, time = torch.randn(2, unet.config.in_channels, side, side), torch.tensor(321)
    pixels = torch.rand(1, 3, 8 * side, 8 * side) * 2 - 1
    cases = {
        "text_encoder": ([words], lambda: text_encoder(words).last_hidden_state),
        "unet": ([latents, time, states], lambda: unet(latents, time, states).sample),
        "vae_encoder": ([pixels], lambda: vae.encode(pixels).latent_dist.parameters),
        "vae_decoder": ([latents[:1]], lambda: vae.decode(latents[:1]).sample),
    }
    differences = {}
    for name, (inputs, in_torch) in cases.items():
        session = onnxruntime.InferenceSession(f"{folder}/{name}/model.onnx", providers=["CPUExecutionProvider"])
        feeds = {port.name: as_wanted(value, port) for port, value in zip(session.get_inputs(), inputs)}
        with torch.no_grad():
            expected = in_torch().numpy()
        differences[name] = float(np.abs(session.run(None, feeds)[0] - expected).max())
    return differences


def as_wanted(tensor, port):
    """A torch value as the array that the graph's input asks for."""
    kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float16)": np.float16}
    value = tensor.numpy().astype(kinds.get(port.type, np.float32))
    return value.reshape(1) if value.ndim == 0 and len(port.shape) == 1 else value


if __name__ == "__main__":
    for graph_name, difference in compare(sys.argv[1]).items():
        print(f"{graph_name}: torch and ONNX Runtime differ by at most {difference:.1e}")
