"""Style models for one picture size, in the form that GPUs run: pure functions, ONNX to ONNX.

TensorRT and CUDA graphs want every shape known. TensorRT takes no weights in 8 bits, and does not
move bytes: it refuses Transpose and Concat on uint8. So stored weights are unpacked, the
arithmetic with shapes becomes constants, and pictures are cast to float first and to uint8 last.
In float32 the values of every tensor that is left are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from rtstyle.engines.base import damaged, first_line
from rtstyle.errors import EngineError

REWRITE = 1
"""Raised by whoever changes what this module writes: engines built from it are built again."""

MOVERS = frozenset(
    (
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    )
)
"""Operators that move or repeat the values of their first input (Concat: of all) unchanged."""

Shapes = Mapping[str, Sequence[int]]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)

# Shapes, axes and paddings, which decide the sizes of results; weights do not.
_SHAPE_VALUES = 1024


@dataclass(slots=True)
class Graph:
    """A model taken apart: nodes in order, constants by name, and the type of every tensor."""

    model: onnx.ModelProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    types: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Element type of ONNX and shape."""

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def cast(self, source: str, to: int, output: str) -> str:
        """Append a cast of `source` to an element type of ONNX."""
        self.types[output] = (to, self.types[source][1])
        return self.add("Cast", [source], output, to=to)

    def built(self) -> onnx.ModelProto:
        """Return the model, with the nodes and constants that its outputs need."""
        graph = self.model.graph
        needed = {port.name for port in graph.output}
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        inputs, outputs = (
            [helper.make_tensor_value_info(port.name, *self.types[port.name]) for port in side]
            for side in (graph.input, graph.output)
        )
        weights = [
            numpy_helper.from_array(np.asarray(value, order="C"), name)
            for name, value in self.constants.items()
            if name in needed
        ]
        built = helper.make_graph(kept[::-1], graph.name or "style", inputs, outputs, weights)
        model = helper.make_model(built, opset_imports=list(self.model.opset_import))
        model.ir_version = self.model.ir_version
        model.metadata_props.extend(self.model.metadata_props)
        return model


def static_model(
    model: bytes, shapes: Shapes, *, half: bool = False, float_ports: bool = False
) -> bytes:
    """Return `model` for inputs of just these `shapes`, one for each input.

    With `half` its convolutions compute in half precision, see `rtstyle.engines.half_graph`; with
    `float_ports` pictures are float32 (0 to 255, whole numbers) outside, too.
    Raises `EngineError` for a damaged model, for shapes that it does not take, and for one whose
    sizes hang on the contents of a picture.
    """
    try:
        proto = onnx.load_from_string(model)
    except Exception as error:
        raise damaged(error) from error
    graph = with_float_bytes(folded(proto, shapes))
    if half:
        from rtstyle.engines.half_graph import with_half_convolutions

        graph = with_half_convolutions(graph)
    if float_ports:
        graph = with_float_ports(graph)
    content: bytes = graph.built().SerializeToString()
    return content


def folded(model: onnx.ModelProto, shapes: Shapes) -> Graph:
    """Take a model apart for inputs of `shapes`: what depends on these alone becomes constant.

    Nodes that change nothing, as a crop of a size that fits, are left out. Raises `EngineError`.
    """
    graph = Graph(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    graph.constants = {name: numpy_helper.to_array(tensor) for name, tensor in weights.items()}
    graph.types = {n: (t.data_type, tuple(t.dims)) for n, t in weights.items()}
    ports = {port.name: port for port in model.graph.input if port.name not in weights}
    if ports.keys() != shapes.keys():
        raise EngineError(f"The model takes {sorted(ports)}, and has shapes for {sorted(shapes)}.")
    for name, port in ports.items():
        kind = port.type.tensor_type
        fixed = [axis.dim_value for axis in kind.shape.dim]  # 0: any
        if len(fixed) != len(shapes[name]) or any(
            size not in (0, given) for size, given in zip(fixed, shapes[name], strict=True)
        ):
            raise EngineError(f"The model takes no {name} of {tuple(shapes[name])}.")
        graph.types[name] = (kind.elem_type, tuple(shapes[name]))
    renamed: dict[str, str] = {}
    for original in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.input[:] = [renamed.get(name, name) for name in original.input]
        _fold(graph, node, renamed)
    for port in model.graph.output:
        source = renamed.get(port.name, "")
        if port.name in graph.constants:
            source = f"{port.name}/value"
            graph.constants[source] = graph.constants.pop(port.name)
            graph.types[source] = graph.types[port.name]
        if source:
            graph.add("Identity", [source], port.name)
    return graph


def _fold(graph: Graph, node: onnx.NodeProto, renamed: dict[str, str]) -> None:
    """Add `node` to the graph, or what it comes to."""
    types = _output_types(graph, node)
    inputs = [name for name in node.input if name]
    outputs = [name for name in node.output if name]
    if node.op_type in ("Shape", "Size"):
        values: Sequence[NDArray[Any]] = [_measured(graph, node)]
    elif all(name in graph.constants for name in inputs):
        values = _evaluated(graph, node)
    else:
        graph.types.update(types)
        if _changes_nothing(graph, node):
            renamed[node.output[0]] = node.input[0]
        else:
            graph.nodes.append(node)
        return
    for name, value in zip(outputs, values, strict=False):
        graph.constants[name] = value
        graph.types[name] = (helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def _output_types(graph: Graph, node: onnx.NodeProto) -> dict[str, tuple[int, tuple[int, ...]]]:
    versions = {entry.domain: entry.version for entry in graph.model.opset_import}
    names = [name for name in node.input if name]
    try:
        schema = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain)
        inferred = shape_inference.infer_node_outputs(
            schema,
            node,
            {name: helper.make_tensor_type_proto(*graph.types[name]) for name in names},
            {
                name: numpy_helper.from_array(graph.constants[name])
                for name in names
                if name in graph.constants and graph.constants[name].size <= _SHAPE_VALUES
            },
            opset_imports=list(graph.model.opset_import),
            ir_version=graph.model.ir_version,
        )
    except Exception as error:
        raise too_small(f"{node.op_type} {node.name}: {first_line(error)}") from error
    found = {}
    for name, kind in inferred.items():
        axes = kind.tensor_type.shape.dim
        if not kind.tensor_type.HasField("shape") or not all(d.HasField("dim_value") for d in axes):
            raise EngineError(
                "The model cannot be prepared for one size.",
                f"The size of what {node.op_type} gives depends on more than the inputs' sizes.",
                "Use --device cpu.",
            )
        shape = tuple(axis.dim_value for axis in axes)
        if min(shape, default=0) < 0:
            raise too_small(f"{node.op_type} {node.name} would give {shape}.")
        found[name] = (kind.tensor_type.elem_type, shape)
    return found


def too_small(why: str) -> EngineError:
    """Return the error for sizes that a network cannot take."""
    return EngineError("The model does not take pictures of this size.", why)


def _measured(graph: Graph, node: onnx.NodeProto) -> NDArray[Any]:
    shape = graph.types[node.input[0]][1]
    if node.op_type == "Size":
        return np.array(int(np.prod(shape)), np.int64)
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return np.array(shape[given.get("start", 0) : given.get("end")], np.int64)


def _evaluated(graph: Graph, node: onnx.NodeProto) -> Sequence[NDArray[Any]]:
    """Return what a node of constants gives."""
    names = list(dict.fromkeys(name for name in node.input if name))
    values = {name: graph.constants[name] for name in names}
    if node.op_type == "Div" and all(np.issubdtype(v.dtype, np.integer) for v in values.values()):
        # ONNX rounds towards zero; some versions of the reference towards minus infinity.
        above, below = (values[name] for name in node.input)
        quotient = (abs(above) // abs(below)) * np.sign(above) * np.sign(below)
        return [np.asarray(quotient, above.dtype)]
    ports = [helper.make_tensor_value_info(name, *graph.types[name]) for name in names]
    results = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    part = helper.make_model(
        helper.make_graph([node], "part", ports, results),
        opset_imports=list(graph.model.opset_import),
    )
    return [np.asarray(value) for value in ReferenceEvaluator(part).run(None, values)]


def _changes_nothing(graph: Graph, node: onnx.NodeProto) -> bool:
    """Tell whether a node gives just what it takes."""
    if node.op_type == "Identity":
        return True
    if node.op_type not in ("Cast", "Expand", "Pad", "Reshape", "Slice", "Tile"):
        return False
    if graph.types[node.input[0]] != graph.types[node.output[0]]:
        return False
    if node.op_type == "Pad":
        # Of the same size it may still move, by borders of less than nothing.
        return not np.any(graph.constants[node.input[1]])
    if node.op_type == "Slice" and len(node.input) > 4:
        return bool(np.all(graph.constants[node.input[4]] > 0))
    return True


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
        moves = node.op_type in MOVERS
        if not moves and node.op_type != "Cast" and (byte or node.input != original.input):
            raise EngineError(
                "The model cannot be prepared for this device.",
                f"It computes in bytes ({node.op_type}).",
                "Use --device cpu.",
            )
        for name in byte:
            floats[name] = f"{name}/float"
            made.types[floats[name]] = (TensorProto.FLOAT, made.types[name][1])
        node.output[:] = [floats.get(name, name) for name in original.output]
        if node.op_type in ("Round", "Floor", "Ceil") or (moves and node.input[0] in whole):
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
    """Return the graph without the nodes that give what they take, but for those of outputs."""
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
