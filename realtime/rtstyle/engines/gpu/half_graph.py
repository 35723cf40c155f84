"""Convolutions in half precision; everything that could overflow or drift in it in float32.

Every shipped style is within 1 level of itself in float32, and within 2 on pictures of one colour,
where the norms divide by next to nothing. `float16` as ONNX Runtime has it on the CPU: rounded
values and weights, sums in float32; how a card sums is not known to us.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from rtstyle.engines.gpu.onnx_graph import MOVERS, Graph, moved_by

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16

# What gives in half precision just what a cast of its result in float32 would be.
_EXACT = (MOVERS - {"Identity"}) | {"MaxPool", "Relu"}

_LARGEST = float(np.finfo(np.float16).max)


def with_half_convolutions(graph: Graph) -> Graph:
    """Return the graph with its convolutions, and what only moves values next to them, in float16.

    Normalisations, sums and colours stay in float32: their statistics overflow or drift in half
    precision. So do convolutions whose weights do not fit.
    """
    half = half_nodes(graph)
    made = Graph(graph.model, constants=dict(graph.constants), types=dict(graph.types))
    names: dict[str, dict[int, str]] = {}  # tensor -> element type -> its name there
    outputs = {port.name for port in graph.model.graph.output}
    for index, original in enumerate(graph.nodes):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        kind = HALF if index in half else FLOAT
        node.input[:] = [_as_kind(made, name, kind, names) for name in original.input]
        if index in half:
            node.output[:] = [f"{name}/half" for name in original.output]
            for name, short in zip(original.output, node.output, strict=True):
                names[name] = {HALF: short}
                made.types[short] = (HALF, graph.types[name][1])
        made.nodes.append(node)
        for name in outputs.intersection(original.output if index in half else ()):
            made.cast(f"{name}/half", FLOAT, name)
    return made


def half_nodes(graph: Graph) -> set[int]:
    """Return the indices of the nodes that compute in half precision."""
    makers = {name: i for i, node in enumerate(graph.nodes) for name in node.output}
    readers: dict[str, set[int]] = {port.name: {-1} for port in graph.model.graph.output}
    for i, node in enumerate(graph.nodes):
        for name in node.input:
            readers.setdefault(name, set()).add(i)
    half = {i for i, node in enumerate(graph.nodes) if _fits(graph, node)}
    exact = [i for i, node in enumerate(graph.nodes) if _is_exact(graph, node)]
    for i in exact:  # after a convolution
        moved = moved_by(graph.nodes[i]) or graph.nodes[i].input[:1]
        if all(makers.get(name) in half for name in moved):
            half.add(i)
    for i in reversed(exact):  # before one
        if all(readers.get(name, {-1}) <= half for name in graph.nodes[i].output):
            half.add(i)
    return half


def _fits(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return True if a node is a convolution in float32 whose weights have a half precision."""
    if node.op_type != "Conv" or graph.types[node.output[0]][0] != FLOAT:
        return False
    weights = [graph.constants.get(name) for name in node.input[1:] if name]
    return all(weight is not None and np.abs(weight).max() < _LARGEST for weight in weights)


def _is_exact(graph: Graph, node: onnx.NodeProto) -> bool:
    return node.op_type in _EXACT and all(graph.types[name][0] == FLOAT for name in node.output)


def _as_kind(graph: Graph, name: str, kind: int, names: dict[str, dict[int, str]]) -> str:
    """Return the name of a float32 tensor in the element type `kind`; it is cast once for all."""
    if not name or graph.types[name][0] != FLOAT:
        return name
    known = names.setdefault(name, {FLOAT: name})
    if kind not in known:
        known[kind] = f"{name}/half" if kind == HALF else f"{name}/full"
        if name in graph.constants:
            graph.constants[known[kind]] = graph.constants[name].astype(np.float16)
            graph.types[known[kind]] = (kind, graph.types[name][1])
        else:
            graph.cast(next(iter(known.values())), kind, known[kind])
    return known[kind]
