"""Style models for one picture size, in the form that GPUs run: pure functions, ONNX to ONNX.

TensorRT and CUDA graphs want every shape known. TensorRT takes no weights in 8 bits, and does not
move bytes: it refuses Transpose and Concat on uint8. So stored weights are unpacked, the
arithmetic with shapes becomes constants, and pictures are cast to float first and to uint8 last.
In float32 the values of every tensor that is left are those of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from rtstyle.engines.base import damaged, first_line
from rtstyle.engines.gpu.float_graph import with_float_bytes, with_float_ports
from rtstyle.engines.gpu.half_graph import with_half_convolutions
from rtstyle.engines.gpu.onnx_graph import Graph
from rtstyle.errors import EngineError

REWRITE = 1
"""Raised by whoever changes what the rewrites give: engines built from it are built again."""

Shapes = Mapping[str, Sequence[int]]

# Shapes, axes and paddings, which decide the sizes of results; weights do not.
_SHAPE_VALUES = 1024


def static_model(
    model: bytes, shapes: Shapes, *, half: bool = False, float_ports: bool = False
) -> bytes:
    """Return `model` for inputs of just these `shapes`, one for each input.

    With `half` its convolutions compute in half precision (`half_graph`); with `float_ports`
    pictures are float32 (0 to 255, whole numbers) outside, too.
    Raises `EngineError` for a damaged model, for shapes that it does not take, and for one whose
    sizes hang on the contents of a picture.
    """
    try:
        proto = onnx.load_from_string(model)
    except Exception as error:
        raise damaged(error) from error
    graph = with_float_bytes(folded(proto, shapes))
    if half:
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
        schema = onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError as error:
        what = f"The model has the operator {node.domain}::{node.op_type}, which is not ONNX's."
        raise EngineError(what, "", "Use --device cpu.") from error
    try:
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
    """Return True if a node gives just what it takes."""
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
