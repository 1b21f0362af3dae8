"""A graph whose weights stay in their file until somebody asks for them."""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, external_data_helper, helper, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
KEPT_INSIDE = 1 << 28
"""Graphs with more bytes than this get a `model.onnx_data` beside them: protobuf ends at 2 GiB."""


class Network:
    """One `model.onnx`. Every change is made in `graph`; `refresh` has to be called after nodes came or went."""

    def __init__(self, model, folder):
        """`folder` is where weights stand that are not in the model itself."""
        self.model, self.folder = model, pathlib.Path(folder)
        self.graph = self.model.graph
        self.refresh()

    @classmethod
    def read(cls, path):
        return cls(onnx.load(path, load_external_data=False), pathlib.Path(path).parent)

    def twin(self):
        """The same once more, to be changed without changing this one."""
        return Network(copy(self.model), self.folder)

    def refresh(self):
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.users = {}
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.ports = [port for port in self.graph.input if port.name not in self.tensors]
        self.inputs = {port.name for port in self.ports}
        self.outputs = {port.name for port in self.graph.output}

    def root(self, name):
        """The initializer behind a value, through nodes that copy it or change its type, or None."""
        while name not in self.tensors:
            node = self.makers.get(name)
            if node is None or node.op_type not in ("Cast", "Identity"):
                return None
            name = node.input[0]
        return name

    def constant(self, name):
        """The numbers of a value that needs no input, or None."""
        root = self.root(name)
        if root is not None:
            values = self.array(self.tensors[root])
            return values.astype(np.float32) if self.tensors[root].data_type in FLOATS else values
        node = self.makers.get(name)
        if node is not None and node.op_type == "Constant":
            return self.array(node.attribute[0].t)
        return None

    def array(self, tensor):
        """The numbers of a tensor, from the file beside the graph if they are there.

        onnx itself refuses files that are links, as all are in caches of downloads."""
        if not external_data_helper.uses_external_data(tensor):
            return numpy_helper.to_array(tensor)
        place = {entry.key: entry.value for entry in tensor.external_data}
        kind, shape = helper.tensor_dtype_to_np_dtype(tensor.data_type), tuple(tensor.dims)
        if pathlib.PurePath(place["location"]).name != place["location"]:
            raise SystemExit(f"weights must be in the graph's own folder, got {place['location']}")
        with open(self.folder / place["location"], "rb") as file:
            return np.fromfile(file, kind, int(np.prod(shape)), offset=int(place.get("offset", 0))).reshape(shape)

    def add(self, name, values):
        """A new initializer; an equal name means equal numbers."""
        if name not in self.tensors:
            self.graph.initializer.append(numpy_helper.from_array(values, name))
            self.tensors[name] = self.graph.initializer[-1]
        return name

    def rewire(self, old, new):
        """Everybody who reads `old` reads `new`."""
        for node in self.users.get(old, []):
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def replace_nodes(self, nodes):
        """Other nodes, in an order that ONNX accepts, without those whose results nobody reads."""
        wanted, alive = set(self.outputs), []
        ordered = in_order(nodes, set(self.tensors) | self.inputs | {""})
        for node in reversed(ordered):
            if wanted & set(node.output):
                alive.append(node)
                wanted |= set(node.input)
        tensors = [tensor for tensor in self.graph.initializer if tensor.name in wanted]
        alive = [copy(node) for node in reversed(alive)]
        tensors = [copy(tensor) for tensor in tensors]
        for field, values in (("node", alive), ("initializer", tensors)):
            self.graph.ClearField(field)
            getattr(self.graph, field).extend(values)
        self.refresh()

    def opsets(self, **versions):
        """Declares domains that new nodes need."""
        known = {entry.domain for entry in self.model.opset_import}
        self.model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items()
                                       if domain not in known)

    def session(self, outputs=None, threads=None, quantised=True):
        """Runs it; `outputs` are values to give besides its own; without `quantised` Q/DQ pairs are computed as they stand."""
        model = copy(self.model)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs or () if name not in self.outputs)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self.folder.absolute()))
        options.add_session_config_entry("session.disable_quant_qdq", str(int(not quantised)))
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def all_tensors(self):
        """Initializers and the values of Constant nodes; both may be in the file beside the graph."""
        yield from self.graph.initializer
        yield from (entry.t for node in self.graph.node for entry in node.attribute if entry.HasField("t"))

    def save(self, path):
        """Writes the graph, and its weights beside it if they are many."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for tensor in self.all_tensors():
            if external_data_helper.uses_external_data(tensor):
                tensor.CopyFrom(numpy_helper.from_array(self.array(tensor), tensor.name))
        beside = sum(len(tensor.raw_data) for tensor in self.graph.initializer) > KEPT_INSIDE
        onnx.save_model(self.model, str(path), save_as_external_data=beside, location="model.onnx_data")
        if beside:  # onnx lets nobody else read it
            (path.parent / "model.onnx_data").chmod(path.stat().st_mode & 0o777)


def copy(message):
    twin = type(message)()
    twin.CopyFrom(message)
    return twin


def in_order(nodes, known):
    """Each node after those that make its inputs; otherwise as they stood."""
    makers = {name: node for node in nodes for name in node.output}
    done, ordered = set(), []

    def visit(node):
        stack = [(node, iter(node.input))]
        while stack:
            current, inputs = stack[-1]
            waiting = next((makers[name] for name in inputs
                            if name in makers and name not in known and id(makers[name]) not in done), None)
            if waiting is not None:
                stack.append((waiting, iter(waiting.input)))
                continue
            stack.pop()
            if id(current) not in done:
                done.add(id(current))
                ordered.append(current)

    for node in nodes:
        if id(node) not in done:
            visit(node)
    return ordered
