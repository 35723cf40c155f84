"""An ONNX model taken apart, for the rewrites of `static_graph`, `float_graph` and `half_graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

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


def moved_by(node: onnx.NodeProto) -> Sequence[str]:
    """Return the tensors whose values a node moves; none if it does anything else."""
    if node.op_type not in MOVERS:
        return ()
    return list(node.input if node.op_type == "Concat" else node.input[:1])
