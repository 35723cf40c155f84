"""Reads a one-style network back out of its ONNX file, so that training can start from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from rtstyle.errors import TrainingError
from rtstyle_export.networks.johnson import SIZES, build_network
from rtstyle_export.networks.realtime import unfold_unshuffle, unfold_upsample
from rtstyle_export.train.checkpoint import Checkpoint
from rtstyle_export.train.config import TrainConfig


def checkpoint_of(path: Path) -> Checkpoint:
    """Return a style file as a checkpoint at step 0, to start others from.

    Its weights are rounded as they are stored. Raises `TrainingError` for what is no such file.
    """
    try:
        model = onnx.load(path)
    except Exception as error:
        raise TrainingError(f"{path} cannot be read.", str(error).split("\n")[0]) from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    name, size = metadata.get("rtstyle.name", ""), metadata.get("rtstyle.size", "")
    try:
        if size not in SIZES:
            raise ValueError(f"Its size is {size!r}.")
        weights = _network_weights(_layers(model), size)
        build_network(size).load_state_dict(weights)
    except (ValueError, KeyError, RuntimeError) as error:
        why = f"It has no layer {error}." if isinstance(error, KeyError) else str(error)
        raise TrainingError(
            f"Training cannot start from {path}.",
            f"It is no style that this version of rtstyle exported. {why.splitlines()[0]}",
            "Name a built-in style, another file, or a checkpoint.",
        ) from error
    painting = metadata.get("rtstyle.painting") or name
    config = TrainConfig(styles=(name,), paintings=(painting,), size=size)
    steps = json.loads(metadata.get("rtstyle.training", "{}")).get("steps", 0)
    return Checkpoint(config, int(steps), weights, None, 0.0, {})


def _layers(model: onnx.ModelProto) -> dict[str, list[Tensor]]:
    """Return weight and bias, if any, of convolutions and norms, by their place in the network."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    layers: dict[str, list[Tensor]] = {}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].astype(np.float32)
        elif node.op_type == "Mul" and all(name in values for name in node.input):
            values[node.output[0]] = values[node.input[0]] * values[node.input[1]]
        elif node.op_type in ("Conv", "InstanceNormalization"):
            # Such as /net/blocks.0/conv1/Conv_output_0.
            place = ".".join(node.output[0].split("/")[1:-1]).removeprefix("net.")
            layers[place] = [torch.tensor(values[name]) for name in node.input[1:]]
    return layers


def _network_weights(layers: dict[str, list[Tensor]], size: str) -> dict[str, Tensor]:
    """Return the state of `build_network(size)` with these layers."""
    layers = dict(layers)
    if size != "paper":
        layers["stem"] = [unfold_unshuffle(layers["stem"][0]) * 127.5]
        for name, gain, offset in (("up", 1.0, 0.0), ("out", 127.5, 127.5)):
            rows = [layers.pop(f"{name}.{phase}") for phase in (0, 1)]
            kernel, bias = unfold_upsample(*(row[0] for row in rows)), rows[0][1]
            layers[name] = [kernel / gain, (bias[: len(kernel)] - offset) / gain]
    target = build_network(size).state_dict()
    return {
        key: _part(layers, key).reshape(value.shape).float().contiguous()
        for key, value in target.items()
    }


def _part(layers: dict[str, list[Tensor]], key: str) -> Tensor:
    place, kind = key.rsplit(".", 1)
    return layers[place][("weight", "bias").index(kind)]
