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


def text_encoder(name, ids, width=1):
    """states[b, s, 0] = id / 1024; `width` is what the graph declares"""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=F32),
        helper.make_node("Div", ["numbers", "scale"], ["small"]),
        helper.make_node("Unsqueeze", ["small", "axis"], ["last_hidden_state"]),
    ]
    constants = [constant("scale", 1024, np.float32), constant("axis", [2])]
    write(name, nodes, [("input_ids", ids, ["b", "s"])], [("last_hidden_state", F32, ["b", "s", width])], constants)


def text_encoder_with_states(name, width, whole):
    """states i[b, s, :] = (id + i) / 1024; the text as a whole[b, :] = the largest id / 1024 (SDXL's encoders)"""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=F32),
        helper.make_node("Div", ["numbers", "scale"], ["small"]),
        helper.make_node("Unsqueeze", ["small", "axis"], ["column"]),
        helper.make_node("Expand", ["column", "shape"], ["hidden_states.0"]),
        helper.make_node("Add", ["hidden_states.0", "one"], ["hidden_states.1"]),
        helper.make_node("Add", ["hidden_states.1", "one"], ["hidden_states.2"]),
        helper.make_node("Identity", ["hidden_states.2"], ["last_hidden_state"]),
        helper.make_node("ReduceMax", ["small"], ["largest"], axes=[1], keepdims=1),
        helper.make_node("Expand", ["largest", "pair"], [whole]),
    ]
    constants = [
        constant("scale", 1024, np.float32),
        constant("one", 1 / 1024, np.float32),
        constant("axis", [2]),
        constant("shape", [1, 1, width]),
        constant("pair", [1, 2]),
    ]
    states = [(f"hidden_states.{index}", F32, ["b", "s", width]) for index in range(3)]
    outputs = [(whole, F32, ["b", "s"]), ("last_hidden_state", F32, ["b", "s", width]), *states]
    write(name, nodes, [("input_ids", I64, ["b", "s"])], outputs, constants)


def weighed(name, weights, kind):
    """The nodes and the constant for `{name} said`: the sum of weight * value over the input [b, len(weights)], by entry."""
    floats = np.float16 if kind == F16 else np.float32
    nodes = [
        helper.make_node("MatMul", [name, f"{name} weights"], [f"{name} sum"]),
        helper.make_node("Reshape", [f"{name} sum", "column"], [f"{name} said"]),
    ]
    return nodes, constant(f"{name} weights", [[weight] for weight in weights], floats)


def unet_joined(name, channels, kernel=False, width=1):
    """The same as `unet`, plus channel 4 + channel 5 * 2 + channel 6 * 3 and so on, by place. With `kernel`, as the legacy
    converter declares it: all sizes free, so that only the kernel of the first convolution tells the channels; `width` is what
    the graph declares of the text."""
    latents = ["b", "channels" if kernel else channels, "h", "w"]
    weights = np.zeros((4, channels, 1, 1), np.float32)
    for channel in range(4):
        weights[channel, channel] = 1 / 2
        weights[channel, 4:, 0, 0] = np.arange(1, channels - 3)
    nodes = [
        helper.make_node("Conv", ["sample", "conv_in.weight"], ["signal"]),
        helper.make_node("ReduceMean", ["encoder_hidden_states"], ["mean"], axes=[1, 2], keepdims=1),
        helper.make_node("Unsqueeze", ["mean", "axis"], ["text"]),
        helper.make_node("Mul", ["text", "small"], ["said"]),
        helper.make_node("Cast", ["timestep"], ["number"], to=F32),
        helper.make_node("Reshape", ["number", "column"], ["times"]),
        helper.make_node("Mul", ["times", "smaller"], ["time"]),
        helper.make_node("Add", ["signal", "said"], ["sum"]),
        helper.make_node("Add", ["sum", "time"], ["out_sample"]),
    ]
    constants = [
        constant("conv_in.weight", weights, np.float32),
        constant("small", 1 / 64, np.float32),
        constant("smaller", 1 / 4096, np.float32),
        constant("axis", [3]),
        constant("column", [-1, 1, 1, 1]),
    ]
    time = ("timestep", I64, ["b"]) if kernel else ("timestep", F32, [])
    inputs = [("sample", F32, latents), time, ("encoder_hidden_states", F32, ["b", "s", width])]
    write(name, nodes, inputs, [("out_sample", F32, ["b", 4, "h", "w"])], constants)


def unet(name, kind=F32, time=(F32, []), batch="b", side=("h", "w"), extra=(), width=1, said={}, half=1 / 2):
    """out = sample * half + mean(context) / 64 + timestep / 4096, by entry, plus what the inputs {name: weights} say"""
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
        constant("half", half, floats),
        constant("small", 1 / 64, floats),
        constant("smaller", 1 / 4096, floats),
        constant("axis", [3]),
        constant("column", [-1, 1, 1, 1]),
    ]
    latents = [batch, 4, *side]
    inputs = [("sample", kind, latents), ("timestep", *time), ("encoder_hidden_states", kind, [batch, "s", width]), *extra]
    for port, weights in said.items():
        more, weight = weighed(port, weights, kind)
        nodes[-1].output[0] = f"before {port}"
        nodes += [*more, helper.make_node("Add", [f"before {port}", f"{port} said"], ["out_sample"])]
        constants.append(weight)
        inputs.append((port, kind, [batch, len(weights)]))
    if extra:
        nodes.append(helper.make_node("Identity", [extra[0][0]], ["unused"]))
    write(name, nodes, inputs, [("out_sample", kind, latents)], constants)


def decoder(name, kind=F32, names=("latent_sample", "sample"), side=("h", "w")):
    """The first three channels, squeezed between -1 and 1; one pixel a latent."""
    nodes = [
        helper.make_node("Slice", [names[0], "from", "to", "axis"], ["three"]),
        helper.make_node("Tanh", ["three"], [names[1]]),
    ]
    constants = [constant("from", [0]), constant("to", [3]), constant("axis", [1])]
    write(
        name,
        nodes,
        [(names[0], kind, ["b", 4, *side])],
        [(names[1], kind, ["b", 3, *side])],
        constants,
    )


def encoder(name, kind=F32, output="latent_parameters", batch="b", side=("h", "w")):
    """One latent a pixel: red, green, blue, red; as parameters followed by the same times a hundred."""
    nodes = [
        helper.make_node("Slice", ["sample", "from", "to", "axis"], ["red"]),
        helper.make_node("Concat", ["sample", "red"], ["mean"], axis=1),
        helper.make_node("Mul", ["mean", "hundred"], ["logvar"]),
        helper.make_node("Concat", ["mean", "logvar"], ["parameters"], axis=1),
        helper.make_node("Identity", ["parameters" if output == "latent_parameters" else "mean"], [output]),
    ]
    floats = np.float16 if kind == F16 else np.float32
    constants = [constant("from", [0]), constant("to", [1]), constant("axis", [1]), constant("hundred", 100, floats)]
    channels = 8 if output == "latent_parameters" else 4
    write(
        name,
        nodes,
        [("sample", kind, [batch, 3, *side])],
        [(output, kind, [batch, channels, *side])],
        constants,
    )


def depth(name, keep):
    """The mean of the channels."""
    nodes = [helper.make_node("ReduceMean", ["pixel_values"], ["predicted_depth"], axes=[1], keepdims=int(keep))]
    shape = ["b", 1, "h", "w"] if keep else ["b", "h", "w"]
    write(name, nodes, [("pixel_values", F32, ["b", 3, "h", "w"])], [("predicted_depth", F32, shape)])


def safety(name, images):
    """Flags what is bright on the whole."""
    nodes = [
        helper.make_node("ReduceMean", ["clip_input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Greater", ["mean", "zero"], ["has_nsfw_concepts"]),
    ]
    inputs = [("clip_input", F32, ["b", 3, 224, 224])]
    outputs = [("has_nsfw_concepts", TensorProto.BOOL, ["b"])]
    if images:
        nodes.append(helper.make_node("Identity", ["images"], ["out_images"]))
        inputs.append(("images", F32, ["b", "h", "w", 3]))
        outputs.insert(0, ("out_images", F32, ["b", "h", "w", 3]))
    write(name, nodes, inputs, outputs, [constant("zero", 0, np.float32)])


def classifier(name):
    """gradient = sample + label + timestep / 4096, by entry"""
    nodes = [
        helper.make_node("Cast", ["label"], ["which"], to=F32),
        helper.make_node("Mul", ["timestep", "small"], ["time"]),
        helper.make_node("Add", ["which", "time"], ["log_probability"]),
        helper.make_node("Reshape", ["log_probability", "column"], ["sum"]),
        helper.make_node("Add", ["sample", "sum"], ["gradient"]),
    ]
    constants = [constant("small", 1 / 4096, np.float32), constant("column", [-1, 1, 1, 1])]
    latents = ["b", 4, "h", "w"]
    inputs = [("sample", F32, latents), ("timestep", F32, ["b"]), ("label", I64, ["b"])]
    write(name, nodes, inputs, [("gradient", F32, latents), ("log_probability", F32, ["b"])], constants)


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
text_encoder("text_encoder_free", I32, width="d")
text_encoder_with_states("text_encoder_hidden", 1, "pooler_output")
text_encoder_with_states("text_encoder_2", 2, "text_embeds")
unet("unet")
unet("unet_legacy", time=(I64, ["b"]))
# As a tracer leaves it that takes the batch for a constant: declared free, and wrong for every batch but 2.
unet("unet_traced", time=(I64, ["b"]), half=np.full([2, 1, 1, 1], 1 / 2))
unet("unet_one_time", time=(F32, [1]))
unet("unet_batch_1", time=(F32, [1]), batch=1)
unet("unet_batch_3", time=(I32, [3]), batch=3)
unet("unet_f16", kind=F16, time=(F16, []))
unet("unet_fixed_size", side=(8, 16))
unet("unet_extra_input", extra=[("class_labels", F32, ["b", 8])])
unet("unet_lcm", said={"timestep_cond": [1, 2, 4, 8]})
SDXL = {"text_embeds": [1 / 8, 1 / 4], "time_ids": [1 / 64, 1 / 32, 1, 1, 1 / 16, 1 / 8]}
unet("unet_sdxl", width=3, said=SDXL)
unet("unet_sdxl_batch_1", width=3, batch=1, said=SDXL)
unet("unet_sdxl_f16", kind=F16, time=(F16, []), width=3, said=SDXL)
unet_joined("unet_9", 9)
unet_joined("unet_5", 5)
unet_joined("unet_legacy_9", 9, kernel=True)
unet_joined("unet_legacy_free", 4, kernel=True, width="d")
decoder("decoder")
decoder("decoder_tensorrt", names=("latent", "images"))
decoder("decoder_f16", kind=F16)
decoder("decoder_fixed_size", side=(8, 4))
encoder("encoder")
encoder("encoder_f16", kind=F16)
encoder("encoder_batch_1", batch=1, side=(8, 4))
encoder("encoder_legacy", output="latent_sample")
encoder("encoder_tiny", output="latents")
depth("depth", keep=False)
depth("depth_channel", keep=True)
safety("safety", images=False)
safety("safety_legacy", images=True)
classifier("classifier")
slow("slow")
