"""Makes src/model/trial.onnx: the small graph that `diffused doctor` runs on an accelerator and on the CPU.

    python tests/golden/trial.py

A convolution, a normalisation and a product of matrices, as a U-Net has them, of one fixed shape.
"""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
noise = np.random.default_rng(7)
weights = {"kernel": (8, 4, 3, 3), "bias": (8,), "product": (64, 16)}
nodes = [
    helper.make_node("Conv", ["x", "kernel", "bias"], ["a"], pads=[1, 1, 1, 1]),
    helper.make_node("Sigmoid", ["a"], ["b"]),
    helper.make_node("Mul", ["a", "b"], ["c"]),
    helper.make_node("Reshape", ["c", "rows"], ["d"]),
    helper.make_node("MatMul", ["d", "product"], ["e"]),
    helper.make_node("Softmax", ["e"], ["y"], axis=-1),
]
values = [numpy_helper.from_array((noise.standard_normal(shape) / 4).astype(np.float32), name)
          for name, shape in weights.items()]
values.append(numpy_helper.from_array(np.array([8, 64], np.int64), "rows"))
port = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
graph = helper.make_graph(nodes, "trial", [port("x", [1, 4, 8, 8])], [port("y", [8, 16])], values)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model)
(HERE.parents[1] / "src/model/trial.onnx").write_bytes(model.SerializeToString())
