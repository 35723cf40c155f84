"""The networks of `rtstyle train-adain` in the forms that are exported, and their files.

`style` maps a painting to a small vector, `content` paints a frame with such a vector, and
`regions`, which only `fast` needs, paints with several vectors and a map of weights.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.networks.adain import (
    COLOURS,
    COLOURS_EPS,
    Encoder,
    FastAdain,
    FastPair,
    PaperAdain,
    PaperPair,
    mix,
    painting_statistics,
)
from rtstyle_export.networks.realtime import fold_upsample
from rtstyle_export.onnx_writer import PICTURE_AXES, content_hash, trace, write_model

PARTS = ("style", "content", "regions")
SMALL_FROM = 4096
"""Weights of at least this many values are stored in fewer bytes."""


class StyleNet(nn.Module):
    """A painting to its statistics: (N, H, W, 3) uint8 RGB, sides from 32, to (N, M) float32.

    That of `fast` also gives those for `paper`, which then needs no encoder of its own.
    """

    def __init__(self, encoder: Encoder, pair: FastPair | PaperPair) -> None:
        super().__init__()
        self.encoder, self.pair = encoder, pair

    def forward(self, painting: Tensor) -> tuple[Tensor, ...]:
        """Return the vector that the content network takes, of `fast` both."""
        x = painting.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        found = painting_statistics(x, self.encoder(x))
        paper = found[:, -PaperAdain.numbers :]
        return (self.pair.head(found), paper) if isinstance(self.pair, FastPair) else (paper,)


class ContentNet(nn.Module):
    """Paints (N, H, W, 3) uint8 with `statistics` (N or 1, M) and `strength` (N or 1,) float32."""

    def __init__(self, net: FastAdain | PaperAdain) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        x = image.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        return to_picture(self.net(x, statistics, strength))


class FoldedContentNet(nn.Module):
    """`ContentNet` of a `FastAdain` in its cheapest form; the same function."""

    def __init__(self, net: FastAdain) -> None:
        super().__init__()
        self.net = net
        assert net.up.bias is not None
        assert net.out.bias is not None
        self.up = fold_upsample(net.up.weight.detach(), net.up.bias.detach())
        self.out = fold_upsample(net.out.weight.detach(), net.out.bias.detach())

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        x = image.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        b, (h, w) = self.net.spec.border, x.shape[-2:]
        m = [part[:, :, None, None] for part in self.net.modulations(statistics, strength)]

        def norm(i: int, y: Tensor) -> Tensor:
            scale, shift = m[i].chunk(2, dim=1)
            return F.instance_norm(y) * (1 + scale) + shift

        y = self.net.body(self.net.padded(x), norm)
        scale, shift = m[-1].chunk(2, dim=1)
        y = F.relu(F.pixel_shuffle(self.up(y), 2) * (1 + scale) + shift)
        y = F.pixel_shuffle(self.out(y), 2)
        # The rings of both folded steps, 2 and 1 pixels wide, go in the one crop at the end.
        first = b + 3
        y = y[:, :, first : first + h, first : first + w]
        mean, std = statistics[:, -COLOURS:, None, None].chunk(2, dim=1)
        return to_picture(mix(y, F.instance_norm(y, eps=COLOURS_EPS) * std + mean, strength))


class RegionsNet(nn.Module):
    """Paints one picture with K styles; see `FastAdain.regional`. All float32 but `image`."""

    def __init__(self, net: FastAdain | PaperAdain) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, image: Tensor, statistics: Tensor, strength: Tensor, weights: Tensor
    ) -> Tensor:
        """Return the painted picture, uint8."""
        x = image.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        return to_picture(self.net.regional(x, statistics, strength, weights))


def encoder_hash(encoder: Encoder) -> str:
    """SHA-256 of an encoder's weights."""
    digest = hashlib.sha256()
    for weight in encoder.parameters():
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()


def to_picture(painted: Tensor) -> Tensor:
    """Turn (N, 3, H, W) in -1 to 1 into (N, H, W, 3) uint8."""
    scaled = (painted.clamp(-1, 1) + 1) * 127.5
    return scaled.permute(0, 2, 3, 1).round().to(torch.uint8)


def halved(net: nn.Module) -> None:
    """Round the large weights of `net` to half precision, as they are stored, in place.

    Those beyond its range, as of filters that hardly ever fire, stay as they are.
    """
    with torch.no_grad():
        for weight in net.parameters():
            rounded = weight.half().float()
            if weight.numel() >= SMALL_FROM and bool(torch.isfinite(rounded).all()):
                weight.copy_(rounded)


def quantized(net: nn.Module) -> None:
    """Round the large convolutions of `net` to 8 bits for each output channel, in place.

    As they are stored: a whole number from -127 to 127 times the channel's `_scales`.
    """
    with torch.no_grad():
        for conv in net.modules():
            if isinstance(conv, nn.Conv2d) and conv.weight.numel() >= SMALL_FROM:
                values = conv.weight.numpy()
                scales = _scales(values)
                conv.weight.copy_(torch.from_numpy(np.rint(values / scales) * scales))


def _scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps of 8-bit weights (C, ...) for each channel: (C, 1, ...).

    Of 11 bits, so that 127 steps are exact and lead back to the same scale.
    """
    axes = tuple(range(1, weight.ndim))
    largest = np.maximum(np.abs(weight).max(axis=axes, keepdims=True), 1e-12)
    mantissa, exponent = np.frexp(largest / 127)
    return np.asarray(np.ldexp(np.ceil(mantissa * 2048) / 2048, exponent), np.float32)


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
        steps = _scales(values)
        whole = np.rint(values / steps).clip(-127, 127).astype(np.int8)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.ndim == 4 and np.array_equal(whole * steps, values):
            tensor.CopyFrom(numpy_helper.from_array(whole, stored))
            scales.append(numpy_helper.from_array(steps, f"{name}.scale"))
            cast = helper.make_node("Cast", [stored], [f"{name}.whole"], to=TensorProto.FLOAT)
            scale = helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name])
            before += [cast, scale]
        elif np.array_equal(half.astype(np.float32), values):
            tensor.CopyFrom(numpy_helper.from_array(half, stored))
            before.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    model.graph.initializer.extend(scales)
    for node in reversed(before):
        model.graph.node.insert(0, node)


def export_form(part: str, encoder: Encoder, pair: FastPair | PaperPair) -> nn.Module:
    """Return one of `PARTS` as a module for export."""
    if part == "style":
        return StyleNet(encoder, pair).eval()
    if part == "regions" or isinstance(pair, PaperPair):
        return RegionsNet(pair.net).eval()
    return FoldedContentNet(pair.net).eval()


def reference_form(part: str, encoder: Encoder, pair: FastPair | PaperPair) -> nn.Module:
    """Return the same function as it was trained."""
    if part == "content" and isinstance(pair, FastPair):
        return ContentNet(pair.net).eval()
    return export_form(part, encoder, pair)


def write_part(
    part: str,
    net: nn.Module,
    path: Path,
    *,
    size: str,
    numbers: int,
    training: dict[str, Any],
) -> str:
    """Write one of `PARTS` as ONNX to `path`; return the SHA-256 of the file.

    `net` is its `export_form`, `numbers` the length M of the statistics.
    """
    inputs, outputs, example = _ports(net, numbers)
    axes = _REGION_AXES if isinstance(net, RegionsNet) else _AXES
    model = trace(net, example, inputs, outputs, axes)
    store_small(model)
    model.producer_name = "rtstyle"
    model.doc_string = f"AdaIN, size {size}: {part}."
    helper.set_model_props(
        model,
        {
            "rtstyle.name": "any",
            "rtstyle.part": part,
            "rtstyle.size": size,
            "rtstyle.credit": "VGG-19: K. Simonyan, A. Zisserman, CC BY 4.0",
            "rtstyle.training": json.dumps(training, sort_keys=True),
            "rtstyle.content_hash": content_hash(model),
            "rtstyle.encoder": encoder_hash(net.encoder) if isinstance(net, StyleNet) else "",
        },
    )
    return write_model(model, path)


_AXES = {
    **PICTURE_AXES,
    "painting": PICTURE_AXES["image"],
    "statistics": {0: "styles"},
    "paper": {0: "styles"},
}
_REGION_AXES = {
    **PICTURE_AXES,
    "statistics": {1: "styles"},
    "weights": {1: "styles", 2: "height", 3: "width"},
}


def _ports(net: nn.Module, numbers: int) -> tuple[list[str], list[str], tuple[Tensor, ...]]:
    """Return the names of inputs and outputs, and an example."""
    picture = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    one = torch.ones(1)
    if isinstance(net, StyleNet):
        both = isinstance(net.pair, FastPair)
        return ["painting"], ["statistics", "paper"] if both else ["statistics"], (picture,)
    if isinstance(net, RegionsNet):
        weights = torch.full((1, 2, 64, 64), 0.5)
        names = ["image", "statistics", "strength", "weights"]
        return names, ["stylized"], (picture, torch.zeros(1, 2, numbers), one, weights)
    names = ["image", "statistics", "strength"]
    return names, ["stylized"], (picture, torch.zeros(1, numbers), one)
