"""Small ONNX files in the form of the networks for any style, without a network: AdaIN of pixels.

The statistics of a painting are the means and standard deviations of its three colours, so what
comes out can be told beforehand. `paper` has one content file for all, as the shipped one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from helpers.models import OPSET, Graph

NUMBERS = 6


def port(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def build(graph: Graph, inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> bytes:
    made = helper.make_graph(graph.nodes, "any", inputs, [output], graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    helper.set_model_props(model, {"rtstyle.name": "any", "rtstyle.size": "fast"})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def style_model() -> bytes:
    graph = Graph()
    x = graph.planes("painting")
    mean = graph.op("ReduceMean", x, axes=[2, 3], keepdims=1)
    centred = graph.op("Sub", x, mean)
    squared = graph.op("ReduceMean", graph.op("Mul", centred, centred), axes=[2, 3], keepdims=0)
    flat = graph.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    graph.op("Concat", flat, graph.op("Sqrt", squared), out="statistics", axis=1)
    return build(
        graph,
        [port("painting", TensorProto.UINT8, ["N", "H", "W", 3])],
        port("statistics", TensorProto.FLOAT, ["N", NUMBERS]),
    )


def content_model(regions: bool, skip: int = 0) -> bytes:
    """The content file; `skip` numbers before the others count for nothing."""
    graph = Graph()
    x = graph.planes("image")
    ones, none = np.ones(3, np.float32), np.zeros(3, np.float32)
    norm = graph.op("InstanceNormalization", x, graph.const(ones), graph.const(none), epsilon=1e-5)
    axis = graph.ints(2 if regions else 1)
    parts = [
        graph.op("Slice", "statistics", graph.ints(first), graph.ints(first + 3), axis)
        for first in (skip, skip + 3)
    ]
    if regions:
        # (1, K, 3) x (1, K, H W) for each: as maps of the picture's size.
        flat = graph.op("Reshape", "weights", graph.ints(0, 0, -1))
        shape = graph.op("Shape", x)
        maps = [graph.op("Transpose", part, perm=[0, 2, 1]) for part in parts]
        mean, std = (graph.op("Reshape", graph.op("MatMul", m, flat), shape) for m in maps)
    else:
        mean, std = (graph.op("Reshape", part, graph.ints(-1, 3, 1, 1)) for part in parts)
    painted = graph.op("Add", graph.op("Mul", norm, std), mean)
    change = graph.op("Mul", graph.op("Sub", painted, x), "strength")
    graph.finish(graph.op("Add", x, change))
    numbers = NUMBERS + skip
    inputs = [
        port("image", TensorProto.UINT8, ["N", "H", "W", 3]),
        port("statistics", TensorProto.FLOAT, [1, "K", numbers] if regions else ["K", numbers]),
        port("strength", TensorProto.FLOAT, [1]),
    ]
    if regions:
        inputs.append(port("weights", TensorProto.FLOAT, [1, "K", "H", "W"]))
    return build(graph, inputs, port("stylized", TensorProto.UINT8, ["N", "H", "W", 3]))


AWAY = 5.0
"""How far from the painting's own numbers the best ones are, by `refine_model`."""
SIDE = 16


def vgg_model() -> bytes:
    """Statistics as of `style_model`; every eighth pixel takes the place of features."""
    model = onnx.load_from_string(style_model())
    for node in model.graph.node:
        node.input[:] = ["image" if name == "painting" else name for name in node.input]
    model.graph.input[0].name = "image"
    steps = numpy_helper.from_array(np.array([8, 8], np.int64), "steps")
    zeros = numpy_helper.from_array(np.zeros(2, np.int64), "zeros")
    ends = numpy_helper.from_array(np.full(2, 1 << 40, np.int64), "ends")
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    model.graph.initializer.extend([steps, zeros, ends, axes])
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Slice", ["planes", "zeros", "ends", "axes", "steps"], ["relu4_1"]),
        ]
    )
    model.graph.output.append(port("relu4_1", TensorProto.FLOAT, ["N", 3, "R", "C"]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def refine_model(worse: bool = False) -> bytes:
    """Squared distance of the numbers from those of the painting and `AWAY`, and its gradient.

    `worse` gives the gradient's opposite.
    """
    graph = Graph()
    best = graph.op("Add", "goal", graph.const(np.array(AWAY, np.float32)))
    away = graph.op("Sub", "numbers", best)
    graph.op("ReduceSum", graph.op("Mul", away, away), out="objective", keepdims=0)
    graph.op("Mul", away, graph.const(np.array(-2 if worse else 2, np.float32)), out="gradient")
    inputs = [port(name, TensorProto.FLOAT, [1, NUMBERS]) for name in ("numbers", "goal")]
    # As that of `fast`, it sees only the frame; its features have strides of 8.
    inputs.append(port("image", TensorProto.UINT8, [1, SIDE, SIDE, 3]))
    inputs.append(port("relu4_1", TensorProto.FLOAT, [1, 3, SIDE // 8, SIDE // 8]))
    made = build(graph, inputs, port("objective", TensorProto.FLOAT, []))
    model = onnx.load_from_string(made)
    model.graph.output.append(port("gradient", TensorProto.FLOAT, [1, NUMBERS]))
    return bytes(model.SerializeToString())


def write_refine(folder: Path, model: bytes | None = None) -> None:
    """Add what fits vectors to both sizes of a folder of `write_any`."""
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    for part, content in (("vgg", vgg_model()), ("refine", model or refine_model())):
        (folder / f"any-{part}.onnx").write_bytes(content)
        for parts in data["any"].values():
            parts[part] = entry(folder / f"any-{part}.onnx")
    manifest.write_text(json.dumps(data), encoding="utf-8")


def entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path.name, "sha256": digest, "bytes": len(content), "training": {"steps": 0}}


def write_any(folder: Path, paintings: dict[str, NDArray[np.float32]] | None = None) -> None:
    """Add networks for any style, and `paintings` (name: (6,)), to a folder with a manifest."""
    plain, regions, style = content_model(False), content_model(True), style_model()
    sizes = {
        "fast": {"style": style, "content": plain, "regions": regions},
        "paper": {"style": style, "content": regions},
    }
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    data["any"] = {}
    for size, parts in sizes.items():
        for part, model in parts.items():
            (folder / f"any-{size}-{part}.onnx").write_bytes(model)
        data["any"][size] = {p: entry(folder / f"any-{size}-{p}.onnx") for p in parts}
    known = {f"{s}/{n}": v for s in sizes for n, v in (paintings or {}).items()}
    np.savez(folder / "any-paintings.npz", **known)  # type: ignore[arg-type]
    data["paintings"] = entry(folder / "any-paintings.npz")
    manifest.write_text(json.dumps(data), encoding="utf-8")


def write_linear(folder: Path) -> None:
    """Add a linear transform of `fast` to a folder of `write_any`, of numbers that do nothing."""
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    parts = {"style": style_model(), "content": content_model(False, NUMBERS)}
    for part, model in parts.items():
        (folder / f"any-fast-linear-{part}.onnx").write_bytes(model)
    data["any"]["fast-linear"] = {p: entry(folder / f"any-fast-linear-{p}.onnx") for p in parts}
    manifest.write_text(json.dumps(data), encoding="utf-8")


DIMENSIONS = 4
"""Of the codes of `write_latent`."""


def code_model() -> bytes:
    """Codes of vectors: the first `DIMENSIONS` numbers over 10; their deviation is 0.5, then 1."""
    graph = Graph()
    axis = graph.ints(1)
    first = graph.op("Slice", "statistics", graph.ints(0), graph.ints(DIMENSIONS), axis)
    mean = graph.op("Mul", first, graph.const(np.array(0.1, np.float32)), out="mean")
    deviation = np.array([0.5, *[1.0] * (DIMENSIONS - 1)], np.float32)
    nothing = graph.op("Mul", mean, graph.const(np.array(0, np.float32)))
    graph.op("Add", nothing, graph.const(deviation), out="deviation")
    made = build(
        graph,
        [port("statistics", TensorProto.FLOAT, ["N", NUMBERS])],
        port("mean", TensorProto.FLOAT, ["N", DIMENSIONS]),
    )
    model = onnx.load_from_string(made)
    model.graph.output.append(port("deviation", TensorProto.FLOAT, ["N", DIMENSIONS]))
    return bytes(model.SerializeToString())


def sample_model() -> bytes:
    """Vectors of codes: 10 times the code and 1 more, and nothing after it."""
    graph = Graph()
    spread = np.zeros((DIMENSIONS, NUMBERS), np.float32)
    spread[range(DIMENSIONS), range(DIMENSIONS)] = 10
    known = graph.op("MatMul", "code", graph.const(spread))
    graph.op("Add", known, graph.const(np.array(1, np.float32)), out="statistics")
    return build(
        graph,
        [port("code", TensorProto.FLOAT, ["N", DIMENSIONS])],
        port("statistics", TensorProto.FLOAT, ["N", NUMBERS]),
    )


def write_latent(folder: Path) -> None:
    """Add a latent space to the size `fast` of a folder of `write_any`."""
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    for part, content in (("code", code_model()), ("sample", sample_model())):
        path = folder / f"any-fast-{part}.onnx"
        path.write_bytes(content)
        data["any"]["fast"][part] = entry(path)
    manifest.write_text(json.dumps(data), encoding="utf-8")
