"""Weights in fewer bytes: in half precision or 8 bits, or only once for several ONNX files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rtstyle.files.temporary import replacing
from rtstyle_export.networks.canvas_body import UpConv2d
from rtstyle_export.networks.realtime import RealTimeNet

SMALL_FROM = 4096
"""Weights of at least this many values are stored in fewer bytes."""

_LOW_BITS = (1 << 13) - 1
"""Of float32, what lies below its first 11 bits."""


def halved(net: nn.Module) -> None:
    """Round the large weights of `net` to half precision, as they are stored, in place.

    Those beyond its range, as of filters that hardly ever fire, stay as they are, and so do those
    of `quantized`.
    """
    with torch.no_grad():
        for weight in net.parameters():
            rounded = weight.half().float()
            if weight.numel() < SMALL_FROM or not bool(torch.isfinite(rounded).all()):
                continue
            if _in_steps(weight.detach().numpy()) is None:
                weight.copy_(rounded)


def quantized(net: nn.Module) -> None:
    """Round the large convolutions of `net` to 8 bits for each output channel, in place.

    As they are stored: a whole number from -127 to 127 times the channel's `_scales`.
    """
    for weight in _kernels(net):
        scales = _scales(weight)
        weight.copy_((weight / scales).round() * scales)


@contextmanager
def rounded(net: nn.Module) -> Iterator[None]:
    """`quantized` while the context lasts, after which the weights are as they were.

    Gradients taken within, at the rounded weights, serve the exact ones (Courbariaux et al. 2015,
    BinaryConnect), so that a network learns to live with its rounding.
    """
    kernels = _kernels(net)
    exact = [weight.clone() for weight in kernels]
    quantized(net)
    try:
        yield
    finally:
        for weight, value in zip(kernels, exact, strict=True):
            weight.copy_(value)


def _kernels(net: nn.Module) -> list[torch.Tensor]:
    """Return the large kernels of `net`, detached: what is written to them is not tracked.

    Without those that are stored folded (`fold_upsample`): 8 bits cannot hold sums of steps.
    """
    modules = list(net.modules())
    folded = [module.up for module in modules if isinstance(module, RealTimeNet)]
    folded += [module for module in modules if isinstance(module, UpConv2d)]
    found = [m.weight.detach() for m in modules if isinstance(m, nn.Conv2d) and m not in folded]
    return [weight for weight in found if weight.numel() >= SMALL_FROM]


def _in_steps(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Return weights as steps, and their `_scales`; None if `quantized` changes them."""
    if values.ndim != 4:
        return None
    scales = _scales(torch.tensor(values)).numpy()
    whole = np.rint(values / scales).clip(-127, 127).astype(np.int8)
    return (whole, scales) if np.array_equal(whole * scales, values) else None


def _scales(weight: torch.Tensor) -> torch.Tensor:
    """Steps of 8-bit weights (C, ...) for each channel: (C, 1, ...).

    Rounded up to 11 bits, so that 127 steps are exact and lead back to the same scale. Without a
    word to the host: training rounds within a CUDA graph.
    """
    largest = weight.abs().amax(dim=tuple(range(1, weight.ndim)), keepdim=True).clamp_min(1e-12)
    bits = (largest / 127).view(torch.int32)
    return ((bits + _LOW_BITS) & ~_LOW_BITS).view(torch.float32)


def store_small(model: onnx.ModelProto) -> None:
    """Store rounded weights in the fewest bytes that keep their values, in place.

    Those of `quantized` as int8 with a cast and a scale behind each, those of `halved` as float16
    with a cast. Engines do this once, as they load the file.
    """
    before: list[onnx.NodeProto] = []
    scales: list[onnx.TensorProto] = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALL_FROM:
            continue
        name, stored = tensor.name, f"{tensor.name}.stored"
        steps = _in_steps(values)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if steps is not None:
            tensor.CopyFrom(numpy_helper.from_array(steps[0], stored))
            scales.append(numpy_helper.from_array(steps[1], f"{name}.scale"))
            cast = helper.make_node("Cast", [stored], [f"{name}.whole"], to=TensorProto.FLOAT)
            scale = helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name])
            before += [cast, scale]
        elif np.array_equal(half.astype(np.float32), values):
            tensor.CopyFrom(numpy_helper.from_array(half, stored))
            before.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    model.graph.initializer.extend(scales)
    for node in reversed(before):
        model.graph.node.insert(0, node)


def brief(model: onnx.ModelProto) -> None:
    """Write a graph of many small operators in fewer bytes, in place.

    Equal constants become one, and names inside the graph numbers.
    """
    graph = model.graph
    known: dict[bytes, str] = {}
    names = {port.name: port.name for port in (*graph.input, *graph.output)}
    nodes, constants = [], []
    for node in graph.node:
        node.name = ""
        if node.op_type == "Constant":
            value = node.attribute[0].t
            value.name = ""
            key = value.SerializeToString(deterministic=True)
            if key not in known:
                known[key] = value.name = str(len(names))
                constants.append(value)
            # Taken, so that the next number is another one.
            names[node.output[0]] = known[key]
        else:
            nodes.append(node)
    for tensor in graph.initializer:
        tensor.name = names.setdefault(tensor.name, str(len(names)))
    graph.initializer.extend(constants)
    for node in nodes:
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names.setdefault(name, str(len(names))) for name in node.output]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]


def share(path: Path, donor: Path) -> bool:
    """Take out of the file `path` what large weights the file `donor` beside it holds too.

    They become ONNX external data at their place in `donor`, which must not change from then on.
    Returns whether there were any.
    """
    model, content = onnx.load(path, load_external_data=False), donor.read_bytes()
    found = False
    for tensor in model.graph.initializer:
        offset = content.find(tensor.raw_data) if len(tensor.raw_data) >= SMALL_FROM else -1
        if offset >= 0:
            place = {"location": donor.name, "offset": offset, "length": len(tensor.raw_data)}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            tensor.data_location = TensorProto.EXTERNAL
            tensor.ClearField("raw_data")
            found = True
    if found:
        replace_file(path, model.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path))
    return found


def donors_of(path: Path) -> list[str]:
    """Return the names of the files that hold weights of the file `path`; see `share`."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    places = (entry for tensor in tensors for entry in tensor.external_data)
    return sorted({entry.value for entry in places if entry.key == "location"})


def write_model(model: onnx.ModelProto, path: Path) -> str:
    """Check a model and write it to `path`, replaced only once all is written; its SHA-256."""
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    replace_file(path, data)
    return hashlib.sha256(data).hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that what was there stays until all of it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
