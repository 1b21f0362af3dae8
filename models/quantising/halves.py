"""Weights stored in 16 bits and computed with in 32."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

SMALL = 64
LARGEST = 65504


def halve(network):
    """Every weight of 32 bits and 64 or more elements is stored in 16 bits, with a Cast behind it.

    Scales of integers stay: kernels want to see them, and there are few."""
    casts = []
    scales = {node.input[1] for node in network.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    for tensor in network.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALL or tensor.name in scales:
            continue
        values = network.array(tensor)
        if np.abs(values).max() > LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_fp16/Cast", to=TensorProto.FLOAT))
    network.refresh()
    network.replace_nodes(casts + list(network.graph.node))
