"""Arbitrary style transfer by adaptive instance normalisation, Huang and Belongie 2017.

`PaperAdain` is the network of the paper; `FastAdain` is our own for CPUs: the layers of
`RealTimeNet`, whose norms take their scales and shifts from the painting instead of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import (
    adain,
    channel_statistics,
    regional_adain,
)
from rtstyle_export.networks.encoder import STYLE_LAYERS, WIDTHS, Encoder
from rtstyle_export.networks.layers import upsample_nearest

COLOURS = 6
"""Numbers for a painting's colours: mean and standard deviation of R, G and B, in -1 to 1."""
STATISTICS = 2 * sum(WIDTHS) + COLOURS
"""Length of `painting_statistics`: means and standard deviations of four layers and of RGB."""
COLOURS_EPS = 2.5e-3
"""Added to the variance of a painted colour, so that the noise of a flat picture stays noise."""


Plan: TypeAlias = tuple[tuple[int, int] | str, ...]
"""Layers of a decoder in order: a convolution's input and output channels, or `up`."""

PAPER_PLAN: Plan = ((512, 256), "up", (256, 256), (256, 256), (256, 256), (256, 128), "up",
                    (128, 128), (128, 64), "up", (64, 64), (64, 3))  # fmt: skip
"""The encoder up to relu4_1, mirrored."""
PAPER_SIZES = [2 * step[1] for step in PAPER_PLAN if not isinstance(step, str)][:-1]
"""How many numbers scale and shift what each layer of this decoder gives, except for the last."""


def halvings(plan: Plan) -> list[int]:
    """Return how often the resolution of each convolution of a plan is halved."""
    return [plan[i:].count("up") for i, step in enumerate(plan) if not isinstance(step, str)]


def _as_it_is(_number: int, x: Tensor) -> Tensor:
    return x


class PaperDecoder(nn.Module):
    """The mirrored decoder: reflection padding, nearest upsampling, no norm."""

    def __init__(self, plan: Plan = PAPER_PLAN) -> None:
        super().__init__()
        self.plan = plan
        convs = [nn.Conv2d(*s, 3) for s in plan if not isinstance(s, str)]
        for conv in convs:
            # He et al. 2015: without a norm, PyTorch's default fades to nothing over nine layers.
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, conv.bias))
        with torch.no_grad():
            convs[-1].weight.mul_(0.1)  # begin with grey, not beyond the range
        self.convs = nn.ModuleList(convs)

    def forward(
        self,
        x: Tensor,
        modulate: Callable[[int, Tensor], Tensor] = _as_it_is,
        join: Callable[[int, Tensor], Tensor] = _as_it_is,
    ) -> Tensor:
        """Map relu4_1 (N, 512, H, W) to RGB (N, 3, 8 H, 8 W) around -1 to 1, not clamped.

        Other plans take the channels of their first layer, and double H and W at each `up`.
        `modulate(i, x)` changes what convolution i gives, before its ReLU; `join(i, x)` what
        upsampling i gives.
        """
        convs, last = iter(self.convs), len(self.convs) - 1
        number = ups = 0
        for step in self.plan:
            if isinstance(step, str):
                x = join(ups, upsample_nearest(x))
                ups += 1
                continue
            x = next(convs)(F.pad(x, (1, 1, 1, 1), "reflect"))
            if number < last:
                x = F.relu(modulate(number, x))
            number += 1
        return x


def mix(identity: Tensor, style: Tensor, strength: Tensor) -> Tensor:
    """Interpolate between (N, ...) tensors by `strength` (N,) in 0 to 1 (the paper's alpha)."""
    weight = strength.view(-1, *[1] * (identity.dim() - 1)).to(identity)
    return identity + weight * (style - identity)


def recolour(painted: Tensor, colours: Tensor, strength: Tensor) -> Tensor:
    """Give pictures (N, 3, H, W) the painting's mean and standard deviation of R, G and B.

    AdaIN of the pixels: exact, where a decoder only comes near. `colours` is (N, 6),
    `strength` (N,) in 0 to 1.
    """
    mean, std = colours.chunk(2, dim=1)
    return mix(painted, adain(painted, mean, std, COLOURS_EPS), strength)


def regional_recolour(
    painted: Tensor, colours: Tensor, strength: Tensor, weights: Tensor
) -> Tensor:
    """`recolour` by regions: `colours` (N, K, 6), `weights` (N, K, H, W), summing to 1."""
    mean, std = colours.transpose(1, 2).chunk(2, dim=1)
    return mix(painted, regional_adain(painted, weights, mean, std, COLOURS_EPS), strength)


class PaperAdain(nn.Module):
    """The network of the paper with `recolour` at its end; its encoder is not trained.

    It goes beyond the paper in two ways. What the encoder sees at relu1_1, 2_1 and 3_1 joins the
    decoder at the same resolution, by `skips`, with the painting's statistics too: one layer in an
    eighth of the resolution does not hold a picture. And each painting can scale and shift what the
    decoder's layers give, as in Dumoulin et al. 2017: `rtstyle.styles.fit` finds these numbers, at
    first they are 0. A painting's vector has them first and then its `painting_statistics`:
    `numbers` in all.
    """

    stride = 8
    numbers = sum(PAPER_SIZES) + STATISTICS

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, PaperDecoder()
        self.depths = halvings(PAPER_PLAN)
        self.skips = nn.ModuleList(
            nn.Conv2d(width, width, 1, bias=False) for width in reversed(WIDTHS[:-1])
        )
        for skip in self.skips:
            nn.init.zeros_(cast(Tensor, skip.weight))

    def statistics(self, painting: Tensor) -> Tensor:
        """Return what the network takes of (N, 3, H, W) in -1 to 1: (N, `numbers`)."""
        return self.from_all(painting_statistics(painting, self.encoder(painting)))

    @staticmethod
    def from_all(statistics: Tensor) -> Tensor:
        """Make the vector of a painting that was not fitted of its `painting_statistics`."""
        return F.pad(statistics, (sum(PAPER_SIZES), 0))

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1; `strength` is (N,) in 0 to 1."""
        h, w = image.shape[-2:]
        painted = self.decode(self.encoder(self.padded(image)), statistics, strength)
        return recolour(painted[:, :, :h, :w], statistics[:, -COLOURS:], strength)

    def decode(
        self,
        seen: dict[str, Tensor],
        statistics: Tensor,
        strength: Tensor,
        even: Callable[[Tensor, Tensor, Tensor], Tensor] = adain,
    ) -> Tensor:
        """Paint what the encoder has `seen`, whose sides are multiples of `stride`.

        Not recoloured. AdaIN, computed by `even`, is mixed with the features themselves (equation
        14).
        """
        *parts, known = torch.split(statistics, [*PAPER_SIZES, STATISTICS], dim=1)
        style = by_layer(known)

        def target(depth: int) -> Tensor:
            layer = STYLE_LAYERS[depth]
            mean, std = style[layer]
            return mix(seen[layer], even(seen[layer], mean, std), strength)

        def modulate(i: int, x: Tensor) -> Tensor:
            part = (strength[:, None] * parts[i])[:, :, None, None].to(x)
            scale, shift = part.chunk(2, dim=1)
            found: Tensor = x * (1 + scale) + shift
            return found

        def join(i: int, x: Tensor) -> Tensor:
            return torch.add(x, self.skips[i](target(-2 - i)))

        painted: Tensor = self.decoder(target(-1), modulate, join)
        return painted

    def padded(self, image: Tensor) -> Tensor:
        """Extend (N, C, H, W), H and W over `stride`, at its edges to a multiple of `stride`."""
        h, w = image.shape[-2:]
        return F.pad(image, (0, -w % self.stride, 0, -h % self.stride), "replicate")

    def regional(
        self, image: Tensor, statistics: Tensor, strength: Tensor, weights: Tensor
    ) -> Tensor:
        """`forward` with K styles: `weights` (N, K, H, W), summing to 1."""
        h, w = image.shape[-2:]
        seen, shares = self.encoder(self.padded(image)), [self.padded(weights)]
        for _ in STYLE_LAYERS[1:]:
            shares.append(F.avg_pool2d(shares[-1], 2))
        *parts, known = torch.split(statistics, [*PAPER_SIZES, STATISTICS], dim=2)
        style = by_layer(known)

        def target(depth: int) -> Tensor:
            layer = STYLE_LAYERS[depth]
            mean, std = (x.transpose(1, 2) for x in style[layer])
            even = regional_adain(seen[layer], shares[depth], mean, std)
            return mix(seen[layer], even, strength)

        def modulate(i: int, x: Tensor) -> Tensor:
            part = strength[:, None, None] * parts[i].transpose(1, 2)
            scale, shift = part.chunk(2, dim=1)
            share = shares[self.depths[i]].flatten(2)
            found: Tensor = x * ((1 + scale) @ share).view_as(x) + (shift @ share).view_as(x)
            return found

        def join(i: int, x: Tensor) -> Tensor:
            return torch.add(x, self.skips[i](target(-2 - i)))

        painted: Tensor = self.decoder(target(-1), modulate, join)
        colours = statistics[..., -COLOURS:]
        return regional_recolour(painted[:, :, :h, :w], colours, strength, weights)


class PaperPair(nn.Module):
    """A `PaperAdain` with the call of a `FastPair`."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.net = PaperAdain(encoder)

    def forward(
        self, image: Tensor, statistics: Tensor, strength: Tensor, shares: Tensor
    ) -> Tensor:
        """Paint (N, 3, H, W) like a blend of K paintings each, as `FastPair` does."""
        numbers = self.net.from_all(blend(statistics, shares))
        painted: Tensor = self.net(image, numbers, strength)
        return painted


def blend(statistics: Tensor, shares: Tensor) -> Tensor:
    """Mix K paintings' numbers (N, K, C) by `shares` (N, K), which sum to 1: (N, C)."""
    return (statistics * shares[..., None].to(statistics)).sum(dim=1)


def painting_statistics(painting: Tensor, features: dict[str, Tensor]) -> Tensor:
    """Join mean and standard deviation of all `STYLE_LAYERS` and of RGB: (N, `STATISTICS`).

    `painting` is (N, 3, H, W) in -1 to 1, `features` what VGG-19 makes of it.
    """
    parts = [part for layer in STYLE_LAYERS for part in channel_statistics(features[layer])]
    return torch.cat([*parts, *channel_statistics(painting)], dim=1)


def by_layer(statistics: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Undo `painting_statistics` except for RGB: mean and standard deviation (..., C) by layer."""
    widths = [width for width in WIDTHS for _ in range(2)]
    parts = iter(torch.split(statistics, [*widths, COLOURS], dim=-1))
    return {layer: (next(parts), next(parts)) for layer in STYLE_LAYERS}
