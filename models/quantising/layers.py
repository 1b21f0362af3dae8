"""Which layers become 8 bits, and how they are written into a graph.

A layer is a convolution or a linear layer with weights of its own. Products of two activations (attention) and all sums, norms
and non-linearities stay in 32 bits. These layers stay as well:

- what an input of the graph feeds, and what has fewer than 16 channels on one side: the first and last layers, and the keys and
  values of cross-attention, where one token of a text is a hundred times larger than the others;
- what the time step alone decides (`Gemm`): little work, and its error reaches every block (TFMQ-DM).

A layer is written as Q/DQ pairs around the node as it was. ONNX Runtime makes QLinearConv and MatMulIntegerToFloat of them, so
only convolutions need a range for what they give. Weights have 8 bits with one scale for each output channel.
"""
import collections
import dataclasses

import numpy as np
from onnx import TensorProto, helper

Layer = collections.namedtuple("Layer", "name kind input weight bias output axis cost")
FEW = 16


@dataclasses.dataclass(frozen=True)
class Range:
    """What a value's 256 steps cover; zero is always one of them."""
    low: float
    high: float

    @property
    def scale(self):
        return np.float32(max(self.high - self.low, 1e-8) / 255)

    @property
    def zero(self):
        return np.uint8(np.clip(np.round(-self.low / self.scale), 0, 255))

    def rounded(self, values):
        steps = np.clip(np.round(values / self.scale) + self.zero, 0, 255)
        return (steps - self.zero) * self.scale


def layers(network):
    """All that can have 8 bits, in the graph's order. `cost` is in multiplications for one number of each channel that comes in."""
    return [layer for layer in map(lambda node: layer_of(network, node), network.graph.node) if layer is not None]


def layer_of(network, node):
    if node.op_type not in ("Conv", "MatMul") or node.input[0] in network.inputs or node.output[0] in network.outputs:
        return None
    weight = network.root(node.input[1])
    if weight is None:
        return None
    convolution, shape = node.op_type == "Conv", list(network.tensors[weight].dims)
    if len(shape) != (4 if convolution else 2) or min(shape[:2]) < FEW or attribute(node, "group", 1) != 1:
        return None
    bias = node.input[2] if convolution and len(node.input) > 2 else None
    strides = int(np.prod(attribute(node, "strides", [1]))) if convolution else 1
    return Layer(node.name, node.op_type, node.input[0], weight, bias, node.output[0], 0 if convolution else 1,
                 np.prod(shape) / strides / shape[1 if convolution else 0])


def attribute(node, name, default):
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)


def ranged(chosen):
    """The values whose range has to be known."""
    return sorted({layer.input for layer in chosen} | {layer.output for layer in chosen if layer.kind == "Conv"})


class Quantiser:
    """Writes layers of 8 bits into a network."""

    def __init__(self, network, ranges):
        self.network, self.ranges = network, ranges
        self.nodes = list(network.graph.node)
        self.by_output = {node.output[0]: node for node in self.nodes}
        self.paired = {}

    def quantise(self, chosen):
        """Layers that ONNX Runtime computes in integers."""
        for layer in chosen:
            if layer.kind == "Conv":
                node = self.by_output[layer.output]
                node.output[0] = f"{layer.output}_exact"
                self.pair(node.output[0], self.ranges[layer.output], layer.output)
                self.paired[layer.output] = layer.output
        for layer in chosen:
            node = self.nodes_of(layer)
            node.input[0] = self.activation(layer.input)
            node.input[1] = self.weight(layer)
            if layer.bias:
                node.input[2] = self.bias(layer)
        self.network.replace_nodes(self.nodes)

    def switch(self, chosen):
        """The same as a simulation in 32 bits, with an input for each layer that says whether it has 8 bits."""
        for place, layer in enumerate(chosen):
            flag, node = f"switch_{place}", self.nodes_of(layer)
            self.network.graph.input.append(helper.make_tensor_value_info(flag, TensorProto.BOOL, []))
            self.network.inputs.add(flag)
            node.input[0] = self.either(flag, self.activation(layer.input), layer.input)
            node.input[1] = self.either(flag, self.weight(layer), node.input[1])
            if layer.kind == "Conv":
                exact = node.output[0] = f"{layer.output}_exact"
                rounded = self.pair(exact, self.ranges[layer.output], f"{layer.output}_rounded")
                self.either(flag, rounded, exact, layer.output)
        self.network.replace_nodes(self.nodes)

    def nodes_of(self, layer):
        return self.by_output.get(layer.output)

    def either(self, flag, first, second, output=None):
        output = output or f"{first}_{flag}"
        self.nodes.append(helper.make_node("Where", [flag, first, second], [output], name=output))
        return output

    def activation(self, value):
        if value not in self.paired:
            self.paired[value] = self.pair(value, self.ranges[value], f"{value}_dequantized")
        return self.paired[value]

    def pair(self, value, span, output):
        """A value as 8-bit integers and as numbers again."""
        scale = self.network.add(f"{value}_scale", np.array(span.scale))
        zero = self.network.add(f"{value}_zero_point", np.array(span.zero))
        self.nodes += [
            helper.make_node("QuantizeLinear", [value, scale, zero], [f"{value}_quantized"], name=f"{value}_QuantizeLinear"),
            helper.make_node("DequantizeLinear", [f"{value}_quantized", scale, zero], [output], name=f"{value}_DequantizeLinear")]
        return output

    def weight(self, layer):
        """Integers of 8 bits without a zero point, and one scale for each output channel."""
        name = layer.weight
        if f"{name}_quantized" not in self.network.tensors:
            values = self.network.constant(name)
            others = tuple(axis for axis in range(values.ndim) if axis != layer.axis)
            scale = np.maximum(np.abs(values).max(others), 1e-8).astype(np.float32) / np.float32(127)
            shape = [-1 if axis == layer.axis else 1 for axis in range(values.ndim)]
            integers = np.round(values / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
            self.integers(name, integers, scale, layer.axis)
        return f"{name}_dequantized"

    def bias(self, layer):
        """32 bits, in the product of the scales of input and weight, as QLinearConv wants it."""
        name = f"{layer.output}_bias"
        scale = self.network.constant(f"{layer.weight}_scale") * self.ranges[layer.input].scale
        integers = np.round(self.network.constant(layer.bias).astype(np.float64) / scale)
        self.integers(name, integers.clip(-2 ** 31, 2 ** 31 - 1).astype(np.int32), scale, 0)
        return f"{name}_dequantized"

    def integers(self, name, integers, scale, axis):
        inputs = [self.network.add(f"{name}_quantized", integers), self.network.add(f"{name}_scale", scale),
                  self.network.add(f"{name}_zero_point", np.zeros(scale.shape, integers.dtype))]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_dequantized"], axis=axis,
                                           name=f"{name}_DequantizeLinear"))
