"""Pictures as float32 inside of a model: TensorRT does not move bytes, and WebGPU has none."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from rtstyle.engines.gpu.onnx_graph import MOVERS, Graph, moved_by
from rtstyle.errors import EngineError

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def with_float_bytes(graph: Graph) -> Graph:
    """Return the graph with float32 in place of every uint8 but at its inputs and outputs.

    Raises `EngineError` if it computes in bytes, beyond moving them.
    """
    made = Graph(graph.model, constants=dict(graph.constants), types=dict(graph.types))
    floats: dict[str, str] = {}
    whole: set[str] = set()  # floats that are known to be whole numbers
    for original in graph.nodes:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.input[:] = [_as_float(made, name, floats) for name in original.input]
        byte = [n for n in node.output if n and made.types[n][0] == TensorProto.UINT8]
        if node.op_type not in MOVERS | {"Cast"} and (byte or node.input != original.input):
            raise EngineError(
                "The model cannot be prepared for this device.",
                f"It computes in bytes ({node.op_type}).",
                "Use --device cpu.",
            )
        for name in byte:
            floats[name] = f"{name}/float"
            made.types[floats[name]] = (TensorProto.FLOAT, made.types[name][1])
        node.output[:] = [floats.get(name, name) for name in original.output]
        # What a Pad fills in may be anything.
        moved = () if node.op_type == "Pad" and len(node.input) > 2 else moved_by(node)
        if node.op_type in ("Round", "Floor", "Ceil") or (moved and whole.issuperset(moved)):
            whole.update(node.output)
        if node.op_type == "Cast":
            node = _recast(made, node, byte=bool(byte), whole=node.input[0] in whole)
        made.nodes.append(node)
        for port in graph.model.graph.output:
            if port.name in byte:
                made.cast(floats[port.name], TensorProto.UINT8, port.name)
    return _without_identities(made)


def _as_float(graph: Graph, name: str, floats: dict[str, str]) -> str:
    """Return the name of the float32 tensor that stands for `name`, if that holds bytes."""
    if not name or graph.types[name][0] != TensorProto.UINT8:
        return name
    if name not in floats:
        floats[name] = f"{name}/float"
        graph.types[floats[name]] = (TensorProto.FLOAT, graph.types[name][1])
        if name in graph.constants:
            graph.constants[floats[name]] = graph.constants[name].astype(np.float32)
        else:
            graph.cast(name, TensorProto.FLOAT, floats[name])
    return floats[name]


def _recast(graph: Graph, node: onnx.NodeProto, *, byte: bool, whole: bool) -> onnx.NodeProto:
    """Return what becomes of a cast when no tensor holds bytes; `byte`: it was one to bytes."""
    source, target = node.input[0], node.output[0]
    was, to = graph.types[source][0], graph.types[target][0]
    if byte and not whole and was in _FLOATS:
        # A cast to bytes cuts the fraction off.
        cut = f"{target}/whole"
        graph.types[cut] = graph.types[source]
        source = graph.add("Floor", [source], cut)
    if was == to:
        return helper.make_node("Identity", [source], [target])
    return helper.make_node("Cast", [source], [target], to=to)


def with_float_ports(graph: Graph) -> Graph:
    """Return a graph of `with_float_bytes` that takes and gives float32, too, without its casts."""
    made = Graph(graph.model, nodes=graph.nodes, constants=graph.constants, types=dict(graph.types))
    for port in (*graph.model.graph.input, *graph.model.graph.output):
        if made.types[port.name][0] == TensorProto.UINT8:
            made.types[port.name] = (TensorProto.FLOAT, made.types[port.name][1])
    for node in made.nodes:
        if node.op_type == "Cast" and made.types[node.input[0]] == made.types[node.output[0]]:
            node.op_type = "Identity"
            node.ClearField("attribute")
    return _without_identities(made)


def _without_identities(graph: Graph) -> Graph:
    """Return the graph without the nodes that give what they take, except for those of outputs."""
    made = Graph(graph.model, constants=graph.constants, types=graph.types)
    outputs = {port.name for port in graph.model.graph.output}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
        else:
            made.nodes.append(node)
    return made
