"""The size `fast` of the networks for any style: a small network, modulated by the painting.

`CanvasAdain` is `FastAdain` with what `canvas` adds to networks of one style: the last painting,
moved along the optical flow, as a second input, and a learned gate that mixes it with new paint at
full resolution. The layers of `FastAdain` are the same ones: they paint a still picture by
themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import adain, regional_adain
from rtstyle_export.networks.adain import (
    COLOURS,
    STATISTICS,
    blend,
    mix,
    recolour,
    regional_recolour,
)
from rtstyle_export.networks.canvas import MOST, SHUT, quarter
from rtstyle_export.networks.canvas_body import OPEN, CanvasSpec, inside
from rtstyle_export.networks.layers import upsample_nearest
from rtstyle_export.networks.realtime import STRIDE, RealTimeSpec

FAST_ADAIN = RealTimeSpec(stem=16, body=48, blocks=3, tail=16, border=32)
ADAPTED = 128
"""Width of the layer in which a `FastAdain` adapts a painting's numbers to its layers."""


class ModulatedNorm(nn.Module):
    """Instance norm whose scale and shift come with the call. Statistics in float32."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Normalise (N, C, H, W); `modulation` is (N, 2 C): offsets of the scales, and shifts."""
        scale, shift = modulation.chunk(2, dim=1)
        return adain(x, shift, 1 + scale, self.eps)

    def regional(self, x: Tensor, modulation: Tensor, weights: Tensor) -> Tensor:
        """Normalise by regions: `modulation` is (N, K, 2 C), `weights` (N, K, H, W)."""
        scale, shift = modulation.transpose(1, 2).chunk(2, dim=1)
        return regional_adain(x, weights, shift, 1 + scale, self.eps)


class Adapter(nn.Module):
    """Changes a painting's numbers (..., M) by what two layers make of them; at first not at all.

    What numbers mean can be learnt anew with it, while the numbers themselves, and with them the
    latent space of styles and vectors that users have kept, stay what they are.
    """

    def __init__(self, numbers: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(numbers, hidden)
        self.last = nn.Linear(hidden, numbers)
        # Always the same: older networks, which have none, are the same wherever they are read.
        generator = torch.Generator().manual_seed(0)
        nn.init.kaiming_uniform_(self.first.weight, math.sqrt(5), generator=generator)
        for fresh in (self.first.bias, self.last.weight, self.last.bias):
            nn.init.zeros_(fresh)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return (..., M)."""
        # As in `StyleHead`: Adam moves all weights at once.
        return torch.add(numbers, self.last(F.relu(self.first(numbers))), alpha=0.1)


class FastAdain(nn.Module):
    """Our network for CPUs: 2 C numbers of the painting for each of its norms of C channels.

    `StyleHead` makes them from the painting's VGG statistics, once per painting; the painting's
    colours for `recolour` follow, `numbers` in all. `adapted` is the width of their `Adapter`, 0
    for none. At strength 0 the learned `identity` takes the place of the former, which is trained
    to give the photo back.
    """

    stride = STRIDE

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN, adapted: int = ADAPTED) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.stem, spec.body, *[spec.body] * (2 * spec.blocks), spec.tail]
        self.sizes = [2 * width for width in widths]
        self.numbers = sum(self.sizes) + COLOURS
        self.stem = nn.Conv2d(12, spec.stem, 3, bias=False)
        self.down = nn.Conv2d(spec.stem, spec.body, 3, stride=2, bias=False)
        self.blocks = nn.ModuleList(
            nn.Conv2d(spec.body, spec.body, 3, bias=False) for _ in range(2 * spec.blocks)
        )
        self.up = nn.Conv2d(spec.body, spec.tail, 3)
        self.out = nn.Conv2d(spec.tail, 3, 3)
        self.norms = nn.ModuleList(ModulatedNorm(width) for width in widths[:-1])
        self.identity = nn.Parameter(torch.zeros(1, sum(self.sizes)))
        self.adapter = Adapter(sum(self.sizes), adapted) if adapted else nn.Identity()

    def modulations(self, statistics: Tensor, strength: Tensor) -> list[Tensor]:
        """Mix (..., `numbers`) with `identity` by `strength` (N,), and split it by layer."""
        own = self.adapter(statistics[..., :-COLOURS])
        mixed = mix(self.identity.expand_as(own), own, strength)
        return list(torch.split(mixed, self.sizes, dim=-1))

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1; `statistics` (N, `numbers`), `strength` (N,) in 0 to 1."""
        m = self.modulations(statistics, strength)
        y = self.encode(self.spec.extended(image), lambda i, x: self.norms[i](x, m[i]))
        y = self.bottleneck(y, statistics, strength)
        return self.decode(y, m[-1], image, statistics[:, -COLOURS:], strength)

    def bottleneck(self, y: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Return features (N, C, H, W) as they are: for networks that change them here."""
        del statistics, strength
        return y

    def decode(
        self, y: Tensor, last: Tensor, image: Tensor, colours: Tensor, strength: Tensor
    ) -> Tensor:
        """Turn features into a picture like `image`; `last` modulates the layer `up`."""
        return self.finish(upsample_nearest(y), last, image, colours, strength)

    def finish(
        self, y: Tensor, last: Tensor, image: Tensor, colours: Tensor, strength: Tensor
    ) -> Tensor:
        """`decode` features that are at half the size already."""
        scale, shift = last[:, :, None, None].chunk(2, dim=1)
        y = F.relu(self.up(y) * (1 + scale) + shift)
        painted = self.spec.cropped(self.out(upsample_nearest(y)), image)
        return recolour(painted, colours, strength)

    def encode(self, extended: Tensor, norm: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Map an extended picture to features as `RealTimeNet.encode`; `norm(i, x)` is norm i."""
        return self.body(self.stem(F.pixel_unshuffle(extended, 2)), norm)

    def body(self, y: Tensor, norm: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Map what the stem gives to features; see `encode`."""
        y = F.relu(norm(0, y))
        y = F.relu(norm(1, self.down(y)))
        for k in range(0, len(self.blocks), 2):
            z = F.relu(norm(2 + k, self.blocks[k](y)))
            y = torch.add(y[:, :, 2:-2, 2:-2], norm(3 + k, self.blocks[k + 1](z)))
        return y

    def regional(
        self, image: Tensor, statistics: Tensor, strength: Tensor, weights: Tensor
    ) -> Tensor:
        """`forward` with K styles: `weights` (N, K, H, W), summing to 1."""
        m = self.modulations(statistics, strength)
        half = F.avg_pool2d(self.spec.extended(weights), 2)
        quarter = F.avg_pool2d(half, 2)

        def norm(i: int, x: Tensor) -> Tensor:
            layer = self.norms[i]
            assert isinstance(layer, ModulatedNorm)
            return layer.regional(x, m[i], middle(half if i == 0 else quarter, x))

        y = self.up(upsample_nearest(self.encode(self.spec.extended(image), norm)))
        scale, shift = m[-1].transpose(1, 2).chunk(2, dim=1)
        flat = middle(half, y).flatten(2)
        y = F.relu(y * ((1 + scale) @ flat).view_as(y) + (shift @ flat).view_as(y))
        painted = self.spec.cropped(self.out(upsample_nearest(y)), image)
        return regional_recolour(painted, statistics[..., -COLOURS:], strength, weights)


class CanvasAdain(FastAdain):
    """`FastAdain` with a canvas: `paint_over` takes it, `forward` paints without.

    `layout` says how pictures are extended and cut, as for a `CanvasNet` of the same widths.
    """

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN, adapted: int = ADAPTED) -> None:
        super().__init__(spec, adapted)
        self.layout: CanvasSpec = quarter(spec)
        gate = self.layout.gate
        self.stem_canvas = nn.Conv2d(13, spec.stem, 3, bias=False)
        self.up_gate = nn.Conv2d(spec.body, gate, 3)
        self.known = nn.Conv2d(1, gate, 1, bias=False)
        self.gate = nn.Conv2d(gate, 1, 3)
        assert self.up_gate.bias is not None
        assert self.gate.bias is not None
        with torch.no_grad():
            self.stem_canvas.weight.mul_(0.1)
            self.up_gate.weight.mul_(0.1)
            self.up_gate.bias.fill_(OPEN)
            # Without trust next to nothing of the canvas shows; with it, at first, most.
            self.known.weight.fill_(1)
            self.gate.weight.fill_(6 / (9 * gate))
            self.gate.bias.fill_(SHUT)

    def paint_over(
        self, image: Tensor, canvas: Tensor, trust: Tensor, statistics: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paint (N, 3, H, W) in -1 to 1 over a canvas: the painting, and the gate (N, 1, H, W).

        `canvas` and `trust` are as `CanvasNet.forward` takes them, `statistics` and `strength` as
        `forward` does. The gate says how much of each pixel is canvas.
        """
        spec, m = self.spec, self.modulations(statistics, strength)
        both = F.pixel_unshuffle(spec.extended(torch.cat([image, canvas], 1)), 2)
        trust = self.layout.extended_trust(trust, *both.shape[-2:])
        y = self.stem(both[:, :12]) + self.stem_canvas(torch.cat([both[:, 12:], trust], 1))
        y = self.body(y, lambda i, x: self.norms[i](x, m[i]))
        half = upsample_nearest(self.bottleneck(y, statistics, strength))
        colours = statistics[:, -COLOURS:]
        paint = self.finish(half, m[-1], image, colours, strength).float()
        told = F.relu(self.up_gate(half)) * self.known(inside(trust, self.layout.rim))
        gate = spec.cropped(self.gate(upsample_nearest(told)), image)
        gate = MOST * torch.sigmoid(gate.float())
        return paint + gate * (canvas - paint), gate


def middle(x: Tensor, like: Tensor) -> Tensor:
    """Cut (N, C, H, W) alike on all sides to the height and width of `like`, an even difference."""
    top, left = ((x.shape[i] - like.shape[i]) // 2 for i in (2, 3))
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


class StyleHead(nn.Module):
    """Maps `painting_statistics` (N, `STATISTICS`) to the numbers of a `FastAdain`.

    `outputs` are made of those of VGG; the colours follow as they are.
    """

    def __init__(self, outputs: int, hidden: int = 256) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(STATISTICS - COLOURS)
        self.first = nn.Linear(STATISTICS - COLOURS, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, statistics: Tensor) -> Tensor:
        """Return (N, outputs + `COLOURS`)."""
        deep, colours = statistics[:, :-COLOURS], statistics[:, -COLOURS:]
        # The logarithm: activations of neighbouring filters differ by orders of magnitude.
        x = self.norm(deep.clamp_min(0).add(1e-3).log())
        y: Tensor = self.last(F.relu(self.second(F.relu(self.first(x)))))
        # Adam moves every weight by the learning rate, and all of them act on each output at once.
        return torch.cat([0.1 * y, colours.to(y)], dim=1)


class FastPair(nn.Module):
    """A `FastAdain`, perhaps one that sees a canvas, with the head that feeds it, as trained."""

    def __init__(self, net: FastAdain | None = None) -> None:
        super().__init__()
        self.net = FastAdain() if net is None else net
        self.head = StyleHead(sum(self.net.sizes))

    def forward(
        self, image: Tensor, statistics: Tensor, strength: Tensor, shares: Tensor
    ) -> Tensor:
        """Paint (N, 3, H, W) like a blend of K paintings each.

        `statistics` (N, K, `STATISTICS`) are `painting_statistics`; `shares` (N, K) sum to 1.
        """
        numbers = self.head(statistics.flatten(0, 1)).view(*shares.shape, -1)
        painted: Tensor = self.net(image, blend(numbers, shares), strength)
        return painted


CANVAS_LAYERS = ("stem_canvas", "up_gate", "known", "gate")
"""What a `CanvasAdain` has beside the layers of a `FastAdain`."""


def fitting(weights: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a `FastPair` for one with the state `target`.

    What only a canvas needs is left out where that sees none; what older networks have not, or
    those without a canvas, is as in `target`, where it changes nothing yet.
    """
    later = (*CANVAS_LAYERS, "adapter")
    new = {key: value for key, value in target.items() if key.split(".")[1] in later}
    known = {
        key: value
        for key, value in weights.items()
        if key in target or key.split(".")[1] not in CANVAS_LAYERS
    }
    return new | known
