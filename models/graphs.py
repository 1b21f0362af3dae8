"""ONNX graphs of diffusers' modules whose weights keep their torch names.

torch's exporter folds constants: linear weights are stored transposed under names like `onnx::MatMul_2107`.
Here the weights take no part in the export; they enter the graph afterwards, under the names that they have in torch
and in the layout that the graph wants:

    weight of a MatMul             [in, out], which is torch's transposed
    scale and shift of a group norm   [channels, 1, 1]
    everything else                as in torch

All of them stand in one file beside the graph, at offsets that depend on nothing but names and shapes.
So a graph without its weights (a template) and one with them are the same bytes.
"""
import collections
import contextlib
import io
import logging
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
import optimum.exporters.onnx.model_configs  # noqa: F401  (registers the descriptions)
from optimum.exporters.utils import get_diffusion_models_for_export

OPSET = 17
DATA = "model.onnx_data"
PAGE = 4096  # large tensors begin at a page of their own, as the ONNX format recommends for files that are mapped
LARGE = 1 << 16
KINDS = {torch.float32: TensorProto.FLOAT, torch.float16: TensorProto.FLOAT16}
ALIGNED = 64


def parts(pipeline, half, hidden_states=True):
    """The modules of a pipeline, each with optimum's description of its ports: {folder: (module, ports)}."""
    for encoder in (getattr(pipeline, "text_encoder", None), getattr(pipeline, "text_encoder_2", None)):
        if encoder is not None:  # clip skip reads the states of earlier layers
            encoder.config.output_hidden_states = encoder.text_model.config.output_hidden_states = hidden_states
    found = get_diffusion_models_for_export(pipeline, float_dtype="fp16" if half else "fp32")
    return {name: found[name] for name in sorted(found)}


def inputs_of(part, ports):
    """Small inputs to trace with. Two pictures, so that nothing takes a batch of one for granted."""
    inputs = ports.rename_ambiguous_inputs(ports.generate_dummy_inputs(framework="pt", batch_size=2, sequence_length=77))
    side = 64 if part == "vae_encoder" else 8
    inputs.update({name: inputs[name][..., :side, :side] for name in ("sample", "latent_sample") if name in inputs})
    if "timestep" in inputs:  # 16 bits would round it, and the U-Net turns it into its embedding in 32 bits anyway
        inputs["timestep"] = inputs["timestep"].float()
    extra = inputs.get("added_cond_kwargs", {})
    if "time_ids" in extra:
        extra["time_ids"] = extra["time_ids"].float()
    return inputs


def trace(part, module, ports):
    """The graph of a module; its weights are inputs that bear their torch names."""
    module.config.return_dict = True
    file = io.BytesIO()
    with torch.no_grad(), quiet(), ports.patch_model_for_export(module.eval(), model_kwargs={}):
        declared = ports.ordered_inputs(module)
        torch.onnx.export(
            module, (inputs_of(part, ports),), file, input_names=list(declared), output_names=list(ports.outputs),
            dynamic_axes={**declared, **ports.outputs}, opset_version=OPSET, export_params=False,
            do_constant_folding=False, dynamo=False)
    return onnx.load_from_string(file.getvalue()), list(declared)


@contextlib.contextmanager
def quiet():
    """Tracing warns of every Python value that becomes a constant; those here are settings of the module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def named(part, module, ports):
    """The module's graph in its final form, its weights declared as external data: (model, layouts).

    `layouts` tells for each weight how the stored one comes from torch's: `plain` (also if only reshaped) or `transposed`.
    """
    model, declared = trace(part, module, ports)
    weights, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    edit = Edit(model.graph)
    # The exporter takes equal weights for the same one and makes the others aliases of it.
    edit.drop([node for node in model.graph.node if node.op_type == "Identity" and node.output[0] in weights])
    layouts, shapes = {}, {}
    for name in [name for name in weights if edit.users[name]]:
        layouts[name], shapes[name] = edit.settle(name, list(weights[name].shape))
    edit.fold()
    edit.finish()
    graph = model.graph
    strangers = {port.name for port in graph.input} - set(declared) - set(weights) - set(buffers)
    assert not strangers, f"{part}: neither inputs nor weights: {sorted(strangers)}"
    keep = [port for port in graph.input if port.name in declared]
    constants = [numpy_helper.from_array(buffers[name].numpy(), name) for name in buffers if edit.users[name]]
    del graph.input[:], graph.initializer[:], graph.value_info[:]
    graph.input.extend(keep)
    graph.initializer.extend(constants)
    graph.initializer.extend(place(shapes, KINDS[next(iter(weights.values())).dtype]))
    anonymous(model)
    return model, layouts


class Edit:
    """Nodes that go out of a graph; who uses a value, and who makes it, is kept at hand."""

    def __init__(self, graph):
        self.graph, self.gone = graph, set()
        self.users, self.makers = collections.defaultdict(list), {}
        for node in graph.node:
            for name in node.input:
                self.users[name].append(node)
            for name in node.output:
                self.makers[name] = node

    def drop(self, nodes):
        for node in nodes:
            self.gone.add(id(node))
            for name in node.input:
                self.users[name] = [user for user in self.users[name] if user is not node]

    def settle(self, name, shape):
        """Drops the nodes that only turn a weight around; returns how it is to be stored, and its shape then."""
        users = self.users[name]
        if all(node.op_type == "Transpose" for node in users):
            assert all(list(node.attribute[0].ints) == [1, 0] for node in users), name
            self.bypass(users, name)
            assert all(node.op_type == "MatMul" for node in self.users[name]), name
            return "transposed", shape[::-1]
        while all(node.op_type == "Unsqueeze" for node in self.users[name]):
            [axes] = {tuple(self.constant(node.input[1]).tolist()) for node in self.users[name]}
            for axis in axes:
                shape = shape[:axis] + [1] + shape[axis:]
            self.bypass(self.users[name], name)
        return "plain", shape

    def bypass(self, nodes, name):
        """Lets the users of these nodes' results use `name` itself."""
        users = [(user, node.output[0]) for node in nodes for user in self.users[node.output[0]]]
        self.drop(nodes)
        for user, result in users:
            user.input[:] = [name if value == result else value for value in user.input]
        self.users[name] = [user for user, _ in users]

    def fold(self):
        """Constants with more dimensions than they were written with."""
        for node in self.graph.node:
            if node.op_type == "Unsqueeze" and all(self.is_constant(name) for name in node.input):
                value, axes = (self.constant(name) for name in node.input)
                self.drop([node])
                node.CopyFrom(helper.make_node(
                    "Constant", [], list(node.output), node.name,
                    value=numpy_helper.from_array(np.expand_dims(value, tuple(axes.tolist())))))
                self.gone.discard(id(node))

    def is_constant(self, name):
        return name in self.makers and self.makers[name].op_type == "Constant"

    def constant(self, name):
        return numpy_helper.to_array(self.makers[name].attribute[0].t)

    def finish(self):
        """Takes the dropped nodes out, and constants that nobody uses any more."""
        outputs = {port.name for port in self.graph.output}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.output[0] not in outputs and not self.users[node.output[0]]:
                self.gone.add(id(node))
        kept = [node for node in self.graph.node if id(node) not in self.gone]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del self.graph.node[:]
        self.graph.node.extend(copies)


def place(shapes, kind):
    """Declarations of the weights, one after the other in the data file."""
    width, end = np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize, 0
    for name, shape in shapes.items():
        length = int(np.prod(shape)) * width
        step = PAGE if length >= LARGE else ALIGNED
        offset = -(-end // step) * step
        end = offset + length
        tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in dict(location=DATA, offset=offset, length=length).items():
            tensor.external_data.add(key=key, value=str(value))
        yield tensor


def anonymous(model):
    """Takes out what tells about the machine."""
    model.graph.name = "diffused"
    model.producer_name, model.producer_version, model.doc_string = "diffused", "", ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for port in [*model.graph.input, *model.graph.output]:
        port.doc_string = ""
    del model.metadata_props[:], model.graph.metadata_props[:]


def write(folder, model, layouts, weights):
    """Writes the graph and its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    with open(folder / DATA, "wb") as file:
        for tensor in model.graph.initializer:
            if tensor.data_location != TensorProto.EXTERNAL:
                continue
            where = {entry.key: entry.value for entry in tensor.external_data}
            value = weights[tensor.name].detach()
            value = value.T if layouts[tensor.name] == "transposed" else value
            content = value.contiguous().numpy().tobytes()
            assert len(content) == int(where["length"]), tensor.name
            file.write(b"\0" * (int(where["offset"]) - file.tell()))
            file.write(content)
