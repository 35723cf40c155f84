"""Small valid ONNX style models, written with onnx.helper: what the engines are tested on.

`network_model` has the form of the real networks: uint8 NHWC in, border and stride padding, space
to depth, convolutions with instance normalisation, a residual block, up-sampling, a crop and
uint8 NHWC out, all inside the graph.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
BORDER = 8
STRIDE = 4


class Graph:
    """Collects nodes and initializers; every method returns the name of the new tensor."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def const(self, value: NDArray[np.generic]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def floats(self, *values: float) -> str:
        return self.const(np.array(values, np.float32))

    def scalar(self, value: float) -> str:
        return self.const(np.float32(value).reshape(()))

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: object) -> str:
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, cin: int, cout: int, kernel: int = 3, stride: int = 1) -> str:
        scale = float(np.sqrt(2.0 / (cin * kernel * kernel)))
        weight = self.random.normal(0, scale, (cout, cin, kernel, kernel)).astype(np.float32)
        bias = self.random.normal(0, 0.1, cout).astype(np.float32)
        pad = kernel // 2
        return self.op(
            "Conv",
            x,
            self.const(weight),
            self.const(bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    def norm(self, x: str, channels: int) -> str:
        gamma = self.random.uniform(0.7, 1.3, channels).astype(np.float32)
        beta = self.random.normal(0, 0.2, channels).astype(np.float32)
        return self.op(
            "InstanceNormalization", x, self.const(gamma), self.const(beta), epsilon=1e-5
        )

    def conv_norm_relu(self, x: str, cin: int, cout: int, stride: int = 1) -> str:
        return self.op("Relu", self.norm(self.conv(x, cin, cout, stride=stride), cout))

    def up(self, x: str) -> str:
        scales = self.floats(1, 1, 2, 2)
        return self.op(
            "Resize",
            x,
            "",
            scales,
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def size(self, x: str) -> str:
        """The int64 (2,) tensor (H, W) of an NHWC tensor."""
        return self.op("Slice", self.op("Shape", x), self.ints(1), self.ints(3), self.ints(0))

    def finish(self, x: str) -> None:
        """Close with 0..255 float NCHW `x` -> clip, round, uint8 NHWC `stylized`."""
        x = self.op("Clip", x, self.scalar(0), self.scalar(255))
        x = self.op("Cast", self.op("Round", x), to=TensorProto.UINT8)
        self.op("Transpose", x, out="stylized", perm=[0, 2, 3, 1])

    def planes(self, x: str) -> str:
        return self.op("Transpose", self.op("Cast", x, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])

    def model(
        self,
        metadata: Mapping[str, str] | None = None,
        extra: list[onnx.ValueInfoProto] | None = None,
    ) -> bytes:
        shape = ["N", "H", "W", 3]
        graph = helper.make_graph(
            self.nodes,
            "style",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, shape), *(extra or [])],
            [helper.make_tensor_value_info("stylized", TensorProto.UINT8, shape)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        helper.set_model_props(model, dict(metadata or {"rtstyle.name": "test"}))
        onnx.checker.check_model(model)
        return model.SerializeToString()


def identity_model() -> bytes:
    """A style that changes nothing."""
    graph = Graph()
    graph.finish(graph.planes("image"))
    return graph.model({"rtstyle.name": "identity", "rtstyle.size": "fast"})


def invert_model() -> bytes:
    """A style that makes the negative: 255 - value."""
    graph = Graph()
    graph.finish(graph.op("Sub", graph.scalar(255), graph.planes("image")))
    return graph.model({"rtstyle.name": "invert", "rtstyle.size": "fast"})


def gain_model() -> bytes:
    """A style with a second input, `gain` float (1,): value * gain."""
    graph = Graph()
    graph.finish(graph.op("Mul", graph.planes("image"), "gain"))
    gain = helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1])
    return graph.model({"rtstyle.name": "gain"}, [gain])


def network_model(channels: int = 8, blocks: int = 1, seed: int = 0) -> bytes:
    """A small network in the form of the real ones, with fixed random weights."""
    graph = Graph(seed)
    size = graph.size("image")
    x = graph.op("Mul", graph.planes("image"), graph.scalar(1 / 255))
    to_stride = graph.op("Mod", graph.op("Neg", size), graph.ints(STRIDE, STRIDE))
    border = graph.ints(BORDER, BORDER)
    none = graph.ints(0, 0)
    pads = graph.op("Concat", none, border, none, graph.op("Add", border, to_stride), axis=0)
    x = graph.op("Pad", x, pads, mode="edge")
    x = graph.op("SpaceToDepth", x, blocksize=2)
    x = graph.conv_norm_relu(x, 12, channels)
    x = graph.conv_norm_relu(x, channels, 2 * channels, stride=2)
    for _ in range(blocks):
        inner = graph.conv_norm_relu(x, 2 * channels, 2 * channels)
        inner = graph.norm(graph.conv(inner, 2 * channels, 2 * channels), 2 * channels)
        x = graph.op("Add", x, inner)
    x = graph.conv_norm_relu(graph.up(x), 2 * channels, channels)
    x = graph.conv(x, channels, 12)
    x = graph.op("DepthToSpace", x, blocksize=2, mode="DCR")
    x = graph.op("Add", graph.op("Mul", x, graph.scalar(45)), graph.scalar(128))
    end = graph.op("Add", border, size)
    x = graph.op("Slice", x, border, end, graph.ints(2, 3))
    graph.finish(x)
    return graph.model(
        {"rtstyle.name": f"net{seed}", "rtstyle.size": "fast", "rtstyle.training": "{}"}
    )


def write_pretrained(folder: Path, styles: Mapping[str, Mapping[str, bytes]]) -> Path:
    """Write model files and their manifest: {style: {size: model}}. Returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, object] = {}
    for name, sizes in styles.items():
        files = {}
        for size, model in sizes.items():
            path = folder / f"{name}-{size}.onnx"
            path.write_bytes(model)
            files[size] = {
                "path": path.name,
                "sha256": hashlib.sha256(model).hexdigest(),
                "bytes": len(model),
                "training": {"steps": 0},
            }
        entries[name] = {
            "title": f"Painting of {name}",
            "artist": "Nobody",
            "year": "1906",
            "licence": "public domain",
            "painting": f"{name}.jpg",
            "files": files,
        }
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"version": 1, "styles": entries}), encoding="utf-8")
    return manifest


def canvas_model() -> bytes:
    """A stand-in for a network: the canvas where it is trusted, else the photo in reverse."""
    graph = Graph()
    trust = graph.up(graph.planes("trust"))
    size = graph.size("image")
    known = graph.op("Slice", trust, graph.ints(0, 0), size, graph.ints(2, 3))
    known = graph.op("Greater", known, graph.scalar(127))
    reverse = graph.op("Sub", graph.scalar(255), graph.planes("image"))
    graph.finish(graph.op("Where", known, graph.planes("canvas"), reverse))
    extra = [
        helper.make_tensor_value_info("canvas", TensorProto.UINT8, ["N", "H", "W", 3]),
        helper.make_tensor_value_info("trust", TensorProto.UINT8, ["N", "h", "w", 1]),
    ]
    return graph.model({"rtstyle.name": "reverse", "rtstyle.size": "fast"}, extra)
