"""Small random files of universal style transfer, in the form of the real ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from helpers.models import OPSET, Graph

WIDTHS = {1: 8, 2: 12, 3: 16}


def write_wct(folder: Path, levels: tuple[int, ...] = (1, 2, 3)) -> Path:
    """Write an encoder up to the last of `levels` and a decoder for each; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wct-encoder.onnx").write_bytes(encoder(max(levels)))
    for level in levels:
        (folder / f"wct-decoder-{level}.onnx").write_bytes(decoder(level))
    return folder


def ship_wct(folder: Path, levels: tuple[int, ...] = (1, 2, 3)) -> Path:
    """Write the files with a manifest, as a folder of styles that ships nothing else."""
    write_wct(folder, levels)
    parts = {}
    for path in folder.glob("*.onnx"):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entry = {"path": path.name, "sha256": digest, "bytes": len(content)}
        parts[path.stem.removeprefix("wct-")] = entry
    manifest = {"version": 1, "styles": {}, "wct": parts}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def encoder(deepest: int) -> bytes:
    graph = Graph(seed=1)
    x = graph.op("Mul", graph.planes("image"), graph.scalar(1 / 127.5))
    x = graph.op("Sub", x, graph.scalar(1))
    before, outputs = 3, []
    for level in range(1, deepest + 1):
        if level > 1:
            x = graph.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        name = f"relu{level}_1"
        x = graph.op("Relu", graph.conv(x, before, WIDTHS[level]), out=name)
        shape = ["N", WIDTHS[level], f"h{level}", f"w{level}"]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        before = WIDTHS[level]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    return whole(graph, [image], outputs)


def decoder(level: int) -> bytes:
    graph = Graph(seed=10 + level)
    x, channels = "features", WIDTHS[level]
    for _ in range(level - 1):
        x = graph.up(graph.op("Relu", graph.conv(x, channels, 8)))
        channels = 8
    x = graph.op("Mul", graph.conv(x, channels, 3), graph.scalar(45))
    graph.finish(graph.op("Add", x, graph.scalar(128)))
    features = ["N", WIDTHS[level], "h", "w"]
    return whole(
        graph,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, features)],
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, ["N", "H", "W", 3])],
    )


def whole(
    graph: Graph, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
) -> bytes:
    made = helper.make_graph(graph.nodes, "wct", inputs, outputs, graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()
