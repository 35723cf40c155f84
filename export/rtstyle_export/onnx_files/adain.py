"""The networks of `rtstyle train-adain` in the forms that are exported, and their files.

`style` maps a painting to a small vector, `content` paints a frame with such a vector, and
`regions` paints with several vectors and a map of weights. `vgg` gives what VGG-19 sees in a
picture, and `refine` how a vector must change for a painted frame to come nearer to the painting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import channel_statistics, content_distance
from rtstyle_export.maths.gradient import with_gradient
from rtstyle_export.maths.losses import relative_distance
from rtstyle_export.networks.adain import (
    COLOURS,
    COLOURS_EPS,
    PaperAdain,
    PaperPair,
    by_layer,
    mix,
    painting_statistics,
    recolour,
)
from rtstyle_export.networks.adain_fast import CanvasAdain, FastAdain, FastPair
from rtstyle_export.networks.encoder import STYLE_LAYERS, Encoder
from rtstyle_export.networks.realtime import (
    fold_unshuffle,
    fold_upsample,
    interleave,
)
from rtstyle_export.onnx_files.adain_canvas import (
    CanvasContentNet,
    FoldedCanvasContentNet,
    modulated,
)
from rtstyle_export.onnx_files.ranges import add_ranges, measure_ranges
from rtstyle_export.onnx_files.storage import brief, store_small, write_model
from rtstyle_export.onnx_files.writer import PICTURE_AXES, VGG_CREDIT, from_picture, label, trace

PARTS = ("style", "content", "regions", "vgg", "refine")
REFINED = ("objective", "style", "content", "gradient")
"""What `refine` gives: see `RefineNet`, and the gradient of the first."""
SIDE = 128
"""Rows and columns of the frames on which a vector is refined."""
STYLE_WEIGHT = 10.0
"""Weight of the style in refining."""
CONTENT_WEIGHTS = {"fast": 1.5, "paper": 0.5}
"""That of the content, by size: the skips of `paper` keep it anyway."""
STEPS = {"fast": 16, "paper": 40}
"""How often a vector is changed, by size: that of `paper` has four times as many numbers."""


class StyleNet(nn.Module):
    """A painting to its statistics: (N, H, W, 3) uint8 RGB, sides from 32, to (N, M) float32.

    That of `fast` also gives those for `paper`, which then needs no encoder of its own.
    """

    def __init__(self, encoder: Encoder, pair: FastPair | PaperPair) -> None:
        super().__init__()
        self.encoder, self.pair = encoder, pair

    def forward(self, painting: Tensor) -> tuple[Tensor, ...]:
        """Return the vector that the content network takes, of `fast` both."""
        x = from_picture(painting)
        found = painting_statistics(x, self.encoder(x))
        paper = PaperAdain.from_all(found)
        return (self.pair.head(found), paper) if isinstance(self.pair, FastPair) else (paper,)


class ContentNet(nn.Module):
    """Paints (N, H, W, 3) uint8 with `statistics` (N or 1, M) and `strength` (N or 1,) float32."""

    def __init__(self, net: FastAdain | PaperAdain) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        x = from_picture(image)
        return to_picture(self.net(x, statistics, strength))


class FoldedContentNet(nn.Module):
    """`ContentNet` of a `FastAdain` in its cheapest form (see `FoldedRealTimeNet`)."""

    def __init__(self, net: FastAdain) -> None:
        super().__init__()
        self.net = net
        self.stem = nn.Conv2d(3, net.spec.stem, 6, stride=2, bias=False)
        assert net.up.bias is not None
        assert net.out.bias is not None
        self.up = fold_upsample(net.up.weight.detach(), net.up.bias.detach())
        self.out = fold_upsample(net.out.weight.detach(), net.out.bias.detach())
        with torch.no_grad():
            self.stem.weight.copy_(fold_unshuffle(net.stem.weight / 127.5))

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        spec, (h, w) = self.net.spec, image.shape[1:3]
        x = spec.extended(image.permute(0, 3, 1, 2).float())
        m = [part[:, :, None, None] for part in self.net.modulations(statistics, strength)]
        y = self.net.bottleneck(self.net.body(self.stem(x), modulated(m)), statistics, strength)
        # Of each pair of pixels that a row's convolution makes.
        scale, shift = (part.repeat(1, 2, 1, 1) for part in m[-1].chunk(2, dim=1))
        rows = (F.relu(up(y) * (1 + scale) + shift) for up in self.up)
        y = interleave(*(row.permute(0, 2, 3, 1) for row in rows)).permute(0, 3, 1, 2)
        y = interleave(*(out(y).permute(0, 2, 3, 1) for out in self.out))
        first = spec.border - spec.eaten
        y = y[:, first : first + h, first : first + w].permute(0, 3, 1, 2)
        mean, std = statistics[:, -COLOURS:, None, None].chunk(2, dim=1)
        # Scale and shift tell the exporter how many channels there are.
        even = F.instance_norm(y, weight=torch.ones(3), bias=torch.zeros(3), eps=COLOURS_EPS)
        return to_picture(mix(y, even * std + mean, strength))


class PaperContentNet(nn.Module):
    """`ContentNet` of a `PaperAdain` with its statistics in instance norms.

    Engines know these as one operator, and `rtstyle.painting.tiling` paints large photos by fixing
    them.
    """

    def __init__(self, net: PaperAdain) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return the painted picture, uint8."""
        x, (h, w) = from_picture(image), image.shape[1:3]
        seen = self.net.encoder(self.net.padded(x))
        painted = self.net.decode(seen, statistics, strength, normed)[:, :, :h, :w]
        mean, std = statistics[:, -COLOURS:].chunk(2, dim=1)
        return to_picture(mix(painted, normed(painted, mean, std, COLOURS_EPS), strength))


def normed(content: Tensor, mean: Tensor, std: Tensor, eps: float = 1e-5) -> Tensor:
    """`adain` by an instance norm: the same function, another form in the file."""
    # Scale and shift tell the exporter how many channels there are.
    count = int(content.shape[1])
    even = F.instance_norm(content, weight=torch.ones(count), bias=torch.zeros(count), eps=eps)
    return even * std[:, :, None, None] + mean[:, :, None, None]


class RegionsNet(nn.Module):
    """Paints one picture with K styles; see `FastAdain.regional`. All float32 but `image`."""

    def __init__(self, net: FastAdain | PaperAdain) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, image: Tensor, statistics: Tensor, strength: Tensor, weights: Tensor
    ) -> Tensor:
        """Return the painted picture, uint8."""
        x = from_picture(image)
        return to_picture(self.net.regional(x, statistics, strength, weights))


class VggNet(nn.Module):
    """What VGG-19 sees in a picture, (N, H, W, 3) uint8 RGB, sides from 32."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return its `painting_statistics`, and its `STYLE_LAYERS` (N, C, H, W), each halved."""
        x = from_picture(image)
        found = self.encoder(x)
        return painting_statistics(x, found), *(found[layer] for layer in STYLE_LAYERS)


class RefineNet(nn.Module):
    """How well a vector paints a frame like a painting.

    As in training (`rtstyle_export.maths.losses.AdainLoss`), except for content, which is compared
    with the frame itself.
    """

    def __init__(self, encoder: Encoder, net: FastAdain | PaperAdain) -> None:
        super().__init__()
        self.encoder, self.net = encoder, net
        self.content_weight = CONTENT_WEIGHTS["fast" if isinstance(net, FastAdain) else "paper"]

    def forward(
        self, numbers: Tensor, image: Tensor, goal: Tensor, *features: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the objective, and the distances of style and content in it, all scalars.

        `numbers` (1, M) is the vector; `image` (1, H, W, 3) uint8 the frame, sides multiples of 8,
        and `features` its `STYLE_LAYERS`; `goal` (1, `STATISTICS`) are the painting's statistics.
        """
        seen = dict(zip(STYLE_LAYERS, features, strict=True))
        # The colours are those of the painting already.
        numbers = torch.cat([numbers[:, :-COLOURS], numbers[:, -COLOURS:].detach()], dim=1)
        found = self.encoder(self.paint(from_picture(image), numbers, seen).clamp(-1, 1))
        shown = {layer: channel_statistics(found[layer]) for layer in STYLE_LAYERS}
        style = relative_distance(shown, by_layer(goal), STYLE_LAYERS).sum()
        content = content_distance(found[STYLE_LAYERS[-1]], seen[STYLE_LAYERS[-1]]).sum()
        return STYLE_WEIGHT * style + self.content_weight * content, style, content

    def paint(self, x: Tensor, numbers: Tensor, seen: dict[str, Tensor]) -> Tensor:
        """Paint (1, 3, H, W) in -1 to 1, of which VGG-19 has `seen` so much, at full strength."""
        one = torch.ones(1)
        if isinstance(self.net, FastAdain):
            painted: Tensor = self.net(x, numbers, one)
            return painted
        return recolour(self.net.decode(seen, numbers, one), numbers[:, -COLOURS:], one)


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


def export_form(part: str, encoder: Encoder, pair: FastPair | PaperPair) -> nn.Module:
    """Return one of `PARTS` as a module for export."""
    if part == "style":
        return StyleNet(encoder, pair).eval()
    if part == "vgg":
        return VggNet(encoder).eval()
    if part == "refine":
        return RefineNet(encoder, pair.net).eval()
    if part == "regions":
        return RegionsNet(pair.net).eval()
    if isinstance(pair, PaperPair):
        return PaperContentNet(pair.net).eval()
    if isinstance(pair.net, CanvasAdain):
        return FoldedCanvasContentNet(pair.net).eval()
    return FoldedContentNet(pair.net).eval()


def reference_form(part: str, encoder: Encoder, pair: FastPair | PaperPair) -> nn.Module:
    """Return the same function as it was trained."""
    if part == "content" and isinstance(pair.net, CanvasAdain):
        return CanvasContentNet(pair.net).eval()
    if part == "content":
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
    feeds: Sequence[Mapping[str, NDArray[Any]]] = (),
) -> str:
    """Write one of `PARTS` as ONNX to `path`; return the SHA-256 of the file.

    `refine` is written with its gradient (`with_gradient`), for frames of `SIDE` pixels.

    `net` is its `export_form`, `numbers` the length M of the statistics. With `feeds`, the file
    can run in int8, too.
    """
    inputs, outputs, example = _ports(net, numbers)
    if isinstance(net, RefineNet):
        both = with_gradient(net.requires_grad_(False), example)
        model = trace(both, example, inputs, outputs, {})
        brief(model)
    else:
        axes = _REGION_AXES if isinstance(net, RegionsNet) else AXES
        model = trace(net, example, inputs, outputs, axes)
    store_small(model)
    encoder = encoder_hash(net.encoder) if isinstance(net, StyleNet | VggNet) else ""
    steps = {"steps": str(STEPS[size])} if part == "refine" else {}
    label(
        model, f"AdaIN, size {size}: {part}.", training, name="any", part=part, size=size,
        credit=VGG_CREDIT, encoder=encoder, **steps,
    )  # fmt: skip
    add_ranges(model, measure_ranges(model, feeds))
    return write_model(model, path)


def _refine_ports(net: RefineNet, numbers: int) -> tuple[list[str], list[str], tuple[Tensor, ...]]:
    picture = torch.arange(SIDE * SIDE * 3).view(1, SIDE, SIDE, 3).to(torch.uint8)
    names = ["numbers", "image", "goal", *STYLE_LAYERS]
    vector = torch.full((1, numbers), 0.5)
    return names, list(REFINED), (vector, picture, *VggNet(net.encoder)(picture))


AXES = {
    **PICTURE_AXES,
    **{x: {0: "batch", 2: f"rows of {x}", 3: f"columns of {x}"} for x in STYLE_LAYERS},
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
    if isinstance(net, VggNet):
        return ["image"], ["statistics", *STYLE_LAYERS], (picture,)
    if isinstance(net, RefineNet):
        return _refine_ports(net, numbers)
    if isinstance(net, RegionsNet):
        weights = torch.full((1, 2, 64, 64), 0.5)
        names = ["image", "statistics", "strength", "weights"]
        return names, ["stylized"], (picture, torch.zeros(1, 2, numbers), one, weights)
    if isinstance(net, FoldedCanvasContentNet):
        names = ["image", "canvas", "trust", "statistics", "strength"]
        trust = torch.zeros(1, 32, 32, 1, dtype=torch.uint8)
        return names, ["stylized"], (picture, picture, trust, torch.zeros(1, numbers), one)
    names = ["image", "statistics", "strength"]
    return names, ["stylized"], (picture, torch.zeros(1, numbers), one)
