"""Writes the graphs beside this file: the parts of a model in miniature, in the variants that exporters make of them.

All variants of a part compute the same, so a model folder made of any of them gives the same picture.
Run with the onnx package: python graphs.py
"""

from pathlib import Path

from onnx import TensorProto, checker, helper, numpy_helper, save
import numpy as np

HERE = Path(__file__).parent
F32, F16, I32, I64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64


def constant(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def write(name, nodes, inputs, outputs, constants=()):
    info = lambda ports: [helper.make_tensor_value_info(*port) for port in ports]
    graph = helper.make_graph(nodes, name, info(inputs), info(outputs), list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, HERE / f"{name}.onnx")


def text_encoder(name, ids):
    """states[b, s, 0] = id / 1024"""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=F32),
        helper.make_node("Div", ["numbers", "scale"], ["small"]),
        helper.make_node("Unsqueeze", ["small", "axis"], ["last_hidden_state"]),
    ]
    constants = [constant("scale", 1024, np.float32), constant("axis", [2])]
    write(name, nodes, [("input_ids", ids, ["b", "s"])], [("last_hidden_state", F32, ["b", "s", 1])], constants)


def unet(name, kind=F32, time=(F32, []), batch="b", side=("h", "w"), extra=()):
    """out = sample / 2 + mean(context) / 64 + timestep / 4096, by entry"""
    floats = np.float16 if kind == F16 else np.float32
    nodes = [
        helper.make_node("Mul", ["sample", "half"], ["signal"]),
        helper.make_node("ReduceMean", ["encoder_hidden_states"], ["mean"], axes=[1, 2], keepdims=1),
        helper.make_node("Unsqueeze", ["mean", "axis"], ["text"]),
        helper.make_node("Mul", ["text", "small"], ["said"]),
        helper.make_node("Cast", ["timestep"], ["number"], to=kind),
        helper.make_node("Reshape", ["number", "column"], ["times"]),
        helper.make_node("Mul", ["times", "smaller"], ["time"]),
        helper.make_node("Add", ["signal", "said"], ["sum"]),
        helper.make_node("Add", ["sum", "time"], ["out_sample"]),
    ]
    constants = [
        constant("half", 1 / 2, floats),
        constant("small", 1 / 64, floats),
        constant("smaller", 1 / 4096, floats),
        constant("axis", [3]),
        constant("column", [-1, 1, 1, 1]),
    ]
    latents = [batch, 4, *side]
    inputs = [("sample", kind, latents), ("timestep", *time), ("encoder_hidden_states", kind, [batch, "s", 1]), *extra]
    if extra:
        nodes.append(helper.make_node("Identity", [extra[0][0]], ["unused"]))
    write(name, nodes, inputs, [("out_sample", kind, latents)], constants)


def decoder(name, kind=F32, names=("latent_sample", "sample")):
    """The first three channels, squeezed between -1 and 1; one pixel a latent."""
    nodes = [
        helper.make_node("Slice", [names[0], "from", "to", "axis"], ["three"]),
        helper.make_node("Tanh", ["three"], [names[1]]),
    ]
    constants = [constant("from", [0]), constant("to", [3]), constant("axis", [1])]
    write(
        name,
        nodes,
        [(names[0], kind, ["b", 4, "h", "w"])],
        [(names[1], kind, ["b", 3, "h", "w"])],
        constants,
    )


def slow(name):
    """Goes round a loop of two nodes as often as its input says: a pass that takes as long as one likes."""
    body = helper.make_graph(
        [
            helper.make_node("Sin", ["in"], ["out"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", I64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("in", F32, [1]),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("out", F32, [1])],
    )
    nodes = [
        helper.make_node("Squeeze", ["turns"], ["count"]),
        helper.make_node("Loop", ["count", "yes", "start"], ["end"], body=body),
    ]
    constants = [constant("yes", True, np.bool_), constant("start", [0.5], np.float32)]
    write(name, nodes, [("turns", I64, [1])], [("end", F32, [1])], constants)


text_encoder("text_encoder", I64)
text_encoder("text_encoder_i32", I32)
unet("unet")
unet("unet_legacy", time=(I64, ["b"]))
unet("unet_one_time", time=(F32, [1]))
unet("unet_batch_1", time=(F32, [1]), batch=1)
unet("unet_batch_3", time=(I32, [3]), batch=3)
unet("unet_f16", kind=F16, time=(F16, []))
unet("unet_fixed_size", side=(8, 16))
unet("unet_extra_input", extra=[("timestep_cond", F32, ["b", 8])])
decoder("decoder")
decoder("decoder_tensorrt", names=("latent", "images"))
decoder("decoder_f16", kind=F16)
slow("slow")
