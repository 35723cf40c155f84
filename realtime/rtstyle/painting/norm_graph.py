"""Surgery on style models: their instance normalisations made measurable and replaceable.

Instance normalisation takes its mean and variance over the whole picture, so a picture cannot be
painted in tiles as it is. Here each one is turned into a fixed scale and shift per channel, and a
part of the network is cut out that measures the statistics of the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rtstyle.engines import EngineOptions
from rtstyle.engines.base import CANVAS_PORTS
from rtstyle.engines.canvas import empty
from rtstyle.engines.onnxrt import open_session
from rtstyle.errors import EngineError

# Operators that, like instance normalisation, mix the whole picture: no tiling across these.
_GLOBAL = frozenset(
    (
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "LayerNormalization",
        "MeanVarianceNormalization",
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "Softmax",
    )
)

# Operators that look at neighbouring pixels, or change the size.
_SPATIAL = frozenset(
    (
        "Conv",
        "ConvTranspose",
        "AveragePool",
        "MaxPool",
        "Resize",
        "Upsample",
        "SpaceToDepth",
        "DepthToSpace",
    )
)

ALIGNMENT = 16
"""Tiles start at multiples of this: a multiple of every model's stride."""

BODY = "rtstyle.body"
NOISE_PERIODS = {"eighth": 512}
"""Pixels after which the fixed noise of a network that sees a canvas repeats, by its body."""

_TRIAL = 128
_STEP = 64


@dataclass(frozen=True, slots=True)
class Norm:
    """An instance normalisation: its tensors' names, weights (C,), and place on the pixel grid.

    Feature (r, c) belongs to the pixels around (`jump` x (r - `margin`), `jump` x (c - `margin`)).
    """

    source: str
    result: str
    gamma: NDArray[Any]
    beta: NDArray[Any]
    epsilon: float
    jump: int
    margin: int


@dataclass(frozen=True, slots=True)
class Affine:
    """What replaces an instance normalisation: y = x * scale + shift, both (C,) float."""

    scale: NDArray[Any]
    shift: NDArray[Any]


class NormGraph:
    """A style model whose instance normalisations can be fixed from the first to the last.

    `norms` are in the order of computation. `reach` is how many pixels away a pixel of the output
    can see, `bytes_per_pixel` the memory that the largest activation takes for each input pixel.
    Tiles start at multiples of `period`, so that the model's strides, and the noise that it mixes
    in, lie in each as they lie in the whole picture.
    """

    def __init__(self, model: bytes) -> None:
        """Parse a style model. Raises `EngineError` if it cannot be split into tiles."""
        self._model = onnx.load_from_string(model)
        graph = self._model.graph
        self._constants = _constants(graph)
        blocking = {node.op_type for node in graph.node} & _GLOBAL
        ports = {port.name for port in graph.input}
        self.sees_canvas = ports > CANVAS_PORTS
        body = next((p.value for p in self._model.metadata_props if p.key == BODY), "")
        self.period = NOISE_PERIODS.get(body, ALIGNMENT)
        if blocking or ports - CANVAS_PORTS != {"image"}:
            why = f"It mixes the whole picture by {', '.join(sorted(blocking)) or 'more inputs'}."
            raise EngineError(
                "This picture is too large for the style.", why, "Pass a smaller --height."
            )
        small, large = (self._shapes(side) for side in (_TRIAL, _TRIAL + _STEP))
        jumps = {n: _STEP / (large[n][2] - s[2]) for n, s in small.items() if len(s) == 4}
        self.norms = tuple(
            self._norm(node, int(jumps[node.input[0]]), small[node.input[0]][2])
            for node in graph.node
            if node.op_type == "InstanceNormalization"
        )
        self.reach = _reach(graph, jumps)
        widest = max(float(np.prod(shape)) for shape in small.values())
        self.bytes_per_pixel = 4 * widest / _TRIAL**2

    def _norm(self, node: onnx.NodeProto, jump: int, rows: int) -> Norm:
        gamma, beta = (self._constants.get(name) for name in node.input[1:3])
        if gamma is None or beta is None:
            raise EngineError("The style's normalisation weights are not constants.")
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        margin = (rows * jump - _TRIAL) // (2 * jump)
        return Norm(node.input[0], node.output[0], gamma, beta, epsilon, jump, margin)

    def _shapes(self, side: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the spatial tensors for a picture of `side` x `side` pixels."""
        graph = self._model.graph
        kinds = _SPATIAL | {"InstanceNormalization"}
        nodes = [node for node in graph.node if node.op_type in kinds]
        produced = {name for node in graph.node for name in node.output}
        names = [name for node in nodes for name in (node.input[0], *node.output)]
        names = [name for name in dict.fromkeys(names) if name in produced]
        outputs = [helper.make_empty_tensor_value_info(name) for name in names]
        session = open_session(self._build(list(graph.node), outputs), EngineOptions(threads=1))
        image = np.zeros((side, side, 3), np.uint8)
        feeds = {"image": image[None], **(empty((side, side)).feeds() if self.sees_canvas else {})}
        return dict(zip(names, (v.shape for v in session.run(names, feeds)), strict=True))

    def fixed(self, affines: Sequence[Affine]) -> bytes:
        """Return the model with every normalisation replaced by its affine."""
        return self._build(self._replaced(affines), list(self._model.graph.output))

    def probe(self, affines: Sequence[Affine]) -> bytes:
        """Return the part of the model that measures the normalisation after the first ones.

        It takes `image` and the window `starts` and `ends`, int64 (2,), rows and columns of the
        features; it gives their `mean` and `variance`, (1, C, 1, 1) float32, and their `shape`.
        """
        source = self.norms[len(affines)].source
        nodes = [
            *self._replaced(affines),
            helper.make_node("Slice", [source, "starts", "ends", "rt_axes"], ["rt_window"]),
            helper.make_node("Shape", ["rt_window"], ["shape"]),
            helper.make_node("GlobalAveragePool", ["rt_window"], ["mean"]),
            helper.make_node("Sub", ["rt_window", "mean"], ["rt_centred"]),
            helper.make_node("Mul", ["rt_centred", "rt_centred"], ["rt_squared"]),
            helper.make_node("GlobalAveragePool", ["rt_squared"], ["variance"]),
        ]
        ports = [
            helper.make_tensor_value_info(n, TensorProto.INT64, [2]) for n in ("starts", "ends")
        ]
        outputs = [helper.make_empty_tensor_value_info(n) for n in ("mean", "variance", "shape")]
        axes = numpy_helper.from_array(np.array([2, 3], np.int64), "rt_axes")
        return self._build(nodes, outputs, ports, [axes])

    def _replaced(self, affines: Sequence[Affine]) -> list[onnx.NodeProto]:
        by_result = {norm.result: i for i, norm in enumerate(self.norms[: len(affines)])}
        nodes: list[onnx.NodeProto] = []
        for node in self._model.graph.node:
            index = by_result.get(node.output[0])
            if index is None:
                nodes.append(node)
                continue
            affine, kind = affines[index], self.norms[index].gamma.dtype
            for name, values in (("scale", affine.scale), ("shift", affine.shift)):
                tensor = numpy_helper.from_array(values.astype(kind).reshape(1, -1, 1, 1))
                nodes.append(helper.make_node("Constant", [], [f"rt_{name}{index}"], value=tensor))
            product = f"rt_product{index}"
            nodes.append(helper.make_node("Mul", [node.input[0], f"rt_scale{index}"], [product]))
            nodes.append(helper.make_node("Add", [product, f"rt_shift{index}"], list(node.output)))
        return nodes

    def _build(
        self,
        nodes: list[onnx.NodeProto],
        outputs: list[onnx.ValueInfoProto],
        inputs: Sequence[onnx.ValueInfoProto] = (),
        weights: Sequence[onnx.TensorProto] = (),
    ) -> bytes:
        """Return a model of those nodes that `outputs` need."""
        graph = self._model.graph
        needed = {port.name for port in outputs}
        kept = []
        for node in reversed(nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        initializers = [t for t in (*graph.initializer, *weights) if t.name in needed]
        ports = [port for port in (*graph.input, *inputs) if port.name in needed]
        built = helper.make_graph(kept[::-1], "part", ports, outputs, initializers)
        model = helper.make_model(built, opset_imports=list(self._model.opset_import))
        model.ir_version = self._model.ir_version
        model.metadata_props.extend(self._model.metadata_props)
        content: bytes = model.SerializeToString()
        return content


def baked(model: bytes, values: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a model with the inputs of these names turned into constants."""
    found = onnx.load_from_string(model)
    graph = found.graph
    kept = [port for port in graph.input if port.name not in values]
    graph.ClearField("input")
    graph.input.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in values.items())
    content: bytes = found.SerializeToString()
    return content


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in values:
            # Exporters share equal weights by way of Identity.
            values[node.output[0]] = values[node.input[0]]
    return values


def _reach(graph: onnx.GraphProto, jumps: dict[str, float]) -> int:
    """Return an upper bound of the receptive field's radius, in pixels.

    `jumps` holds the pixels between neighbouring features of the spatial tensors.
    """
    radius: dict[str, float] = {}
    for node in graph.node:
        own = 0.0
        if node.op_type in _SPATIAL:
            own = _kernel_radius(node) * max(jumps.get(node.input[0], 1), jumps[node.output[0]])
        total = own + max((radius.get(name, 0.0) for name in node.input), default=0.0)
        radius.update(dict.fromkeys(node.output, total))
    return int(np.ceil(max(radius[port.name] for port in graph.output)))


def _kernel_radius(node: onnx.NodeProto) -> float:
    """Return how many features (of the coarser side) an operator looks to one side."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = attributes.get("kernel_shape")
    if kernel is None:
        # Resizing and pixel shuffles look at most one coarse feature away.
        return 1.0
    dilations = attributes.get("dilations") or [1] * len(kernel)
    return float(max((k - 1) * d for k, d in zip(kernel, dilations, strict=True)) / 2 + 0.5)
