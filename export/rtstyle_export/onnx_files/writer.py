"""Writes a trained network as one ONNX file that takes and gives pictures as they are on screen."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rtstyle.engines.base import NOISE_PORT
from rtstyle_export.networks.canvas import BODIES, CanvasNet
from rtstyle_export.networks.realtime import FoldedRealTimeNet, RealTimeNet
from rtstyle_export.networks.texture import TextureNet
from rtstyle_export.networks.upsampler import UpsamplerNet
from rtstyle_export.onnx_files.canvas import FoldedCanvasNet
from rtstyle_export.onnx_files.ranges import add_ranges, measure_ranges
from rtstyle_export.onnx_files.storage import halved, store_small, write_model
from rtstyle_export.onnx_files.upsampler import FoldedUpsampler

OPSET = 17
VGG_CREDIT = "VGG-19: K. Simonyan, A. Zisserman, CC BY 4.0"
PICTURE_AXES = {
    **{n: {0: "batch", 1: "height", 2: "width"} for n in ("image", "canvas", "stylized")},
    "trust": {0: "batch", 1: "half_height", 2: "half_width"},
    NOISE_PORT: {0: "batch", 1: "noise_height", 2: "noise_width"},
}
"""What may vary of pictures, (N, H, W, 3), and of the trust in a canvas, at half the size."""


def from_picture(image: Tensor) -> Tensor:
    """Turn (N, H, W, 3) uint8 into (N, 3, H, W) in -1 to 1."""
    return image.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1


class PictureNet(nn.Module):
    """A network with its pre- and post-processing: uint8 NHWC RGB in and out, the same size.

    `net` maps (N, 3, H, W) in -1 to 1 to the same shape.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Paint (N, H, W, 3) uint8."""
        return _to_picture(self.net(from_picture(image)))


@dataclass(frozen=True, slots=True)
class Credits:
    """Whose painting a style is."""

    title: str = ""
    artist: str = ""
    year: str = ""
    licence: str = ""
    painting: str = ""


class CanvasPictureNet(nn.Module):
    """A `CanvasNet` on bytes as `FoldedCanvasNet` takes them, by the network itself."""

    def __init__(self, net: CanvasNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, canvas: Tensor, trust: Tensor) -> Tensor:
        """Paint (N, H, W, 3) uint8 over a canvas like it; `trust` is (N, h, w, 1) uint8."""
        known = trust.permute(0, 3, 1, 2).float() * (1 / 255)
        return _to_picture(self.net(from_picture(image), from_picture(canvas), known)[0])


class UpsamplerPictureNet(nn.Module):
    """An `UpsamplerNet` on bytes as `FoldedUpsampler` takes them, by the network itself."""

    def __init__(self, net: UpsamplerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, canvas: Tensor) -> Tensor:
        """Sharpen an enlarged painting `canvas` of `image`, (N, H, W, 3) uint8 each."""
        return _to_picture(self.net(from_picture(image), from_picture(canvas)))


class TexturePictureNet(nn.Module):
    """A `TextureNet` that paints photos, on bytes: a photo (N, H, W, 3), noise (N, h, w, C)."""

    def __init__(self, net: TextureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, z: Tensor) -> Tensor:
        """Paint (N, H, W, 3) uint8."""
        return _to_picture(self.net(from_picture(image), _from_noise(z)))


class PureTextureNet(nn.Module):
    """A `TextureNet` without a photo, on bytes: noise (N, H, W, C)."""

    def __init__(self, net: TextureNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        """Make textures (N, H, W, 3) uint8."""
        return _to_picture(self.net(None, _from_noise(z)))


def _from_noise(z: Tensor) -> Tensor:
    """Turn noise (N, h, w, C) uint8 into (N, C, h, w) in 0 to 1."""
    return z.permute(0, 3, 1, 2).float() * (1 / 255)


def _to_picture(y: Tensor) -> Tensor:
    """Turn (N, 3, H, W) in -1 to 1 into (N, H, W, 3) uint8."""
    return ((y.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).round().to(torch.uint8)


def on_bytes(net: nn.Module) -> nn.Module:
    """Wrap a one-style network so that it takes and gives bytes, without any change of its form."""
    if isinstance(net, TextureNet):
        return TexturePictureNet(net) if net.spec.photo else PureTextureNet(net)
    if isinstance(net, UpsamplerNet):
        return UpsamplerPictureNet(net)
    return CanvasPictureNet(net) if isinstance(net, CanvasNet) else PictureNet(net)


def exportable(net: nn.Module) -> nn.Module:
    """Wrap a one-style network for export, in its cheapest equal form."""
    folded: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
        RealTimeNet: FoldedRealTimeNet,
        CanvasNet: FoldedCanvasNet,
        TextureNet: on_bytes,
        UpsamplerNet: FoldedUpsampler,
    }
    whole: nn.Module = folded.get(type(net), PictureNet)(net)
    return whole.eval()


def ports_of(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return what a network's file takes: the shapes of an example by name, all uint8."""
    found: dict[str, tuple[int, ...]] = {"image": (1, 64, 64, 3)}
    if isinstance(net, CanvasNet | UpsamplerNet):
        found["canvas"] = (1, 64, 64, 3)
    if isinstance(net, CanvasNet):
        found["trust"] = (1, 32, 32, 1)
    if isinstance(net, TextureNet):
        found[NOISE_PORT] = (1, 64, 64, net.spec.noise_channels)
        if not net.spec.photo:
            del found["image"]
    return found


def stored_form(net: nn.Module) -> nn.Module:
    """Return what the file of a one-style network holds: large weights are in half precision."""
    stored = exportable(copy.deepcopy(net))
    halved(stored)
    return stored


def content_hash(model: onnx.ModelProto) -> str:
    """SHA-256 over graph and weights, without the metadata that holds it."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def trace(
    net: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """Trace `net` on an example into a model; `axes` names the axes that may vary, by port."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated but keeps H and W free in padding and cropping.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            example,
            cast(Any, buffer),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes[name]) for name in (*inputs, *outputs) if name in axes},
        )
    return onnx.load_from_string(buffer.getvalue())


def label(model: onnx.ModelProto, doc: str, training: Mapping[str, Any], **properties: str) -> None:
    """Say in a model what it is: `doc` in words, and `properties` as metadata, `rtstyle.KEY`.

    `training` joins them as JSON, and the hash of graph and weights as they are now.
    """
    model.producer_name, model.doc_string = "rtstyle", doc
    known = {f"rtstyle.{key}": value for key, value in properties.items()}
    known["rtstyle.training"] = json.dumps(training, sort_keys=True)
    onnx.helper.set_model_props(model, {**known, "rtstyle.content_hash": content_hash(model)})


def write_onnx(
    net: nn.Module,
    path: Path,
    *,
    name: str,
    size: str,
    credit: Credits,
    training: dict[str, Any],
    feeds: Iterable[Mapping[str, NDArray[Any]]] = (),
) -> str:
    """Export a one-style network to `path` and return the SHA-256 of the file.

    `net` maps (N, 3, H, W) in -1 to 1 to the same shape. `training` goes into the metadata as
    JSON. What was at `path` is replaced only once the new file is complete and checked. Weights
    are stored in half precision, which halves the file; engines compute with them in fp32. With
    `feeds` (`rtstyle_export.onnx_files.ranges.style_feeds`), the file can run in int8, too.
    """
    ports = ports_of(net)
    example = tuple(torch.zeros(shape, dtype=torch.uint8) for shape in ports.values())
    model = trace(stored_form(net), example, list(ports), ["stylized"], PICTURE_AXES)
    store_small(model)
    strides = {stride: body for body, stride in BODIES.items()}
    body = {"body": strides[net.spec.stride]} if isinstance(net, CanvasNet) else {}
    label(
        model, f"{name}, size {size}: uint8 NHWC RGB in and out.", training, **body, name=name,
        size=size, title=credit.title, artist=credit.artist, year=credit.year,
        licence=credit.licence, painting=credit.painting,
    )  # fmt: skip
    add_ranges(model, measure_ranges(model, feeds))
    return write_model(model, path)
