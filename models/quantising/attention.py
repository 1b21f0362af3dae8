"""Attention as one kernel instead of eleven nodes.

The exporters write scaled dot-product attention as Reshape and Transpose of query, key and value, two factors, MatMul,
Softmax, MatMul, Transpose and Reshape. ONNX Runtime's `MultiHeadAttention` does the same block by block, so that the table of
scores (64 MiB for each head at 512x512) is never written to memory. The optimiser that comes with ONNX Runtime does not know
this form of it.
"""
import collections

from onnx import helper

UNKNOWN = "the fourth root of one over the head's width, which the graph computes from a shape"
"""A factor that query and key have both, so that scores are divided by the root of the width, as the kernel does by itself."""
Divided = collections.namedtuple("Divided", "name heads factor")
DOMAIN = "com.microsoft"
THROUGH = ("Mul", "Transpose", "Cast", "Identity")


def fuse(network):
    """Replaces every attention that is recognised; gives their number and that of all softmaxes."""
    nodes, found = list(network.graph.node), 0
    softmaxes = [node for node in nodes if node.op_type == "Softmax"]
    for softmax in softmaxes:
        fused = fused_attention(network, softmax)
        if fused is not None:
            node, end = fused
            nodes.append(node)
            network.rewire(end, node.output[0])
            found += 1
    network.opsets(**{DOMAIN: 1})
    network.replace_nodes(nodes)
    return found, len(softmaxes)


def fused_attention(network, softmax):
    """(the node, the value that it stands for), or None for anything but plain attention."""
    scores = network.makers.get(softmax.input[0])
    mixed = only_user(network, softmax.output[0], "MatMul")
    joined = mixed and only_user(network, mixed.output[0], "Transpose")
    end = joined and only_user(network, joined.output[0], "Reshape")
    if end is None or scores is None or scores.op_type != "MatMul":
        return None
    query, key, value = (divided(network, name) for name in (*scores.input, mixed.input[1]))
    if None in (query, key, value) or not query.heads == key.heads == value.heads or value.factor != 1:
        return None
    if (query.factor is UNKNOWN) != (key.factor is UNKNOWN):
        return None
    scale = {} if query.factor is UNKNOWN else {"scale": query.factor * key.factor}
    name = softmax.name.removesuffix("/Softmax") + "/MultiHeadAttention"
    node = helper.make_node("MultiHeadAttention", [query.name, key.name, value.name], [f"{name}_output_0"],
                            name=name, domain=DOMAIN, num_heads=query.heads, **scale)
    return node, end.output[0]


def only_user(network, name, kind):
    users = network.users.get(name, [])
    return users[0] if len(users) == 1 and users[0].op_type == kind else None


def divided(network, name):
    """Query, key or value before it was divided among heads, or None if something else was done with it."""
    factor, node = 1.0, network.makers.get(name)
    while node is not None and node.op_type in THROUGH:
        if node.op_type == "Mul":
            factor = times(network, factor, node.input[1])
        node = factor and network.makers.get(node.input[0])
    if not node or node.op_type != "Reshape":
        return None
    heads = heads_in(network, node.input[1])
    return heads and Divided(node.input[0], heads, factor)


def times(network, factor, name):
    """The product with a single number; the root of one over a root is the usual factor; None is anything else."""
    number, maker = network.constant(name), network.makers.get(name)
    if number is not None and number.size == 1 and factor is not UNKNOWN:
        return factor * float(number.reshape(()))
    return UNKNOWN if maker is not None and maker.op_type == "Sqrt" and factor == 1 else None


def heads_in(network, shape):
    """The third of the four numbers that a Reshape to [batch, tokens, heads, width] is given."""
    numbers = network.constant(shape)
    if numbers is None:
        concat = network.makers.get(shape)
        if concat is None or concat.op_type != "Concat" or len(concat.input) != 4:
            return None
        number = network.constant(concat.input[2])
        return None if number is None else int(number.reshape(-1)[0])
    return int(numbers[2]) if len(numbers) == 4 else None
