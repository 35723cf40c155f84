"""Arbitrary style transfer by adaptive instance normalisation, Huang and Belongie 2017.

`PaperAdain` is the network of the paper; `FastAdain` is our own for CPUs: the layers of
`RealTimeNet`, whose norms take their scales and shifts from the painting instead of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import (
    adain,
    channel_statistics,
    regional_adain,
)
from rtstyle_export.maths.vgg import CAFFE_MEAN, VGG, layer_names
from rtstyle_export.maths.winograd import accelerate
from rtstyle_export.networks.layers import upsample_nearest
from rtstyle_export.networks.realtime import STRIDE, RealTimeSpec

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Where the paper compares statistics; the last is also where content is compared and AdaIN is."""
WIDTHS = (64, 128, 256, 512)
COLOURS = 6
"""Numbers for a painting's colours: mean and standard deviation of R, G and B, in -1 to 1."""
STATISTICS = 2 * sum(WIDTHS) + COLOURS
"""Length of `painting_statistics`: means and standard deviations of four layers and of RGB."""
COLOURS_EPS = 2.5e-3
"""Added to the variance of a painted colour, so that the noise of a flat picture stays noise."""
FAST_ADAIN = RealTimeSpec(stem=16, body=48, blocks=3, tail=16, border=32)


class Encoder(nn.Module):
    """VGG-19 from conv1_1 to `last` (such as relu4_1) with reflection padding, frozen.

    `state` has torchvision's key names. `scales` are the mean activations by which each ReLU layer
    is divided (see `mean_activations`), so that every filter's mean activation is 1 as in Gatys
    et al. 2016; None keeps the weights as they are. `mean` and `std` are per RGB channel for
    pictures in 0 to 255.
    """

    def __init__(
        self,
        state: dict[str, Tensor],
        scales: Sequence[Tensor] | None = None,
        mean: Sequence[float] = CAFFE_MEAN,
        std: Sequence[float] = (1.0, 1.0, 1.0),
        last: str = STYLE_LAYERS[-1],
    ) -> None:
        super().__init__()
        names = layer_names("vgg19")
        self.names = names[: names.index(last) + 1]
        state = state if scales is None else normalised(state, scales)
        self.convs = nn.ModuleList()
        for index in conv_indexes(last):
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
            conv.weight = nn.Parameter(weight.float().clone())
            conv.bias = nn.Parameter(bias.float().clone())
            self.convs.append(conv)
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.quick = False

    @classmethod
    def of(
        cls, vgg: VGG, scales: Sequence[Tensor] | None = None, last: str = STYLE_LAYERS[-1]
    ) -> Encoder:
        """Return the encoder with the weights and the input range of a loss network."""
        state = {f"features.{key}": value for key, value in vgg.features.state_dict().items()}
        mean, std = (cast(Tensor, x).flatten().tolist() for x in (vgg.mean, vgg.std))
        return cls(state, scales, mean, std, last)

    def prepared(self, image: Tensor) -> Tensor:
        """Map RGB in -1 to 1 to what the first layer takes."""
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.std, Tensor)
        return ((image + 1) * 127.5 - self.mean) / self.std

    def accelerate(self) -> None:
        """Use the quick convolutions of `rtstyle_export.maths.winograd`, for training on a CPU."""
        made: list[nn.Module] = []
        for conv in self.layers():
            padded = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1)
            padded.weight, padded.bias = conv.weight, conv.bias
            padded.requires_grad_(False)
            made.append(accelerate(nn.Sequential(padded)))
        self.convs, self.quick = nn.ModuleList(made), True

    def layers(self) -> list[nn.Conv2d]:
        """Return the convolutions in order."""
        return [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map RGB (N, 3, H, W) in -1 to 1 to the activations of relu1_1, relu2_1, ... `last`."""
        x = self.prepared(image)
        found, convs = {}, iter(self.convs)
        for name in self.names:
            if name.startswith("conv"):
                x = next(convs)(F.pad(x, (1, 1, 1, 1), "reflect"))
                if self.quick:
                    # These pad by zeros besides, around the reflection.
                    x = x[:, :, 1:-1, 1:-1]
            elif name.startswith("relu"):
                x = F.relu(x)
                if name.endswith("_1"):
                    found[name] = x
            else:
                x = F.max_pool2d(x, 2)
        return found


def conv_indexes(last: str = "pool5") -> list[int]:
    """Return where the convolutions up to the layer `last` are in VGG-19."""
    names = layer_names("vgg19")
    upto = names[: names.index(last) + 1]
    return [i for i, name in enumerate(upto) if name.startswith("conv")]


def normalised(state: dict[str, Tensor], scales: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the first convolutions of VGG-19, each filter divided by its mean activation.

    There are as many as there are `scales`, the mean activations (C,) of each layer.

    ReLU and max pooling commute with a positive scale, so the next layer undoes it.
    """
    found, before = {}, None
    for index, scale in zip(conv_indexes()[: len(scales)], scales, strict=True):
        weight = state[f"features.{index}.weight"].float()
        if before is not None:
            weight = weight * before.view(1, -1, 1, 1)
        found[f"features.{index}.weight"] = weight / scale.view(-1, 1, 1, 1)
        found[f"features.{index}.bias"] = state[f"features.{index}.bias"].float() / scale
        before = scale
    return found


def mean_activations(encoder: Encoder, photos: Iterable[Tensor]) -> list[Tensor]:
    """Mean activation of every filter of `encoder` over photos (1, 3, H, W) in -1 to 1.

    Gatys et al. 2016, section 2: over images and positions, after the ReLU.
    """
    sums = [torch.zeros(conv.out_channels) for conv in encoder.layers()]
    count = 0
    with torch.no_grad():
        for photo in photos:
            count += 1
            x, number = encoder.prepared(photo), 0
            for name in encoder.names:
                if name.startswith("conv"):
                    x = F.relu(encoder.layers()[number](F.pad(x, (1, 1, 1, 1), "reflect")))
                    sums[number] += x.mean(dim=(0, 2, 3))
                    number += 1
                elif name.startswith("pool"):
                    x = F.max_pool2d(x, 2)
    # A filter that never fires on photographs keeps its scale.
    return [torch.where(total > 0, total / count, torch.ones(())) for total in sums]


Plan: TypeAlias = tuple[tuple[int, int] | str, ...]
"""Layers of a decoder in order: a convolution's input and output channels, or `up`."""

PAPER_PLAN: Plan = ((512, 256), "up", (256, 256), (256, 256), (256, 256), (256, 128), "up",
                    (128, 128), (128, 64), "up", (64, 64), (64, 3))  # fmt: skip
"""The encoder up to relu4_1, mirrored."""
PAPER_SIZES = [2 * step[1] for step in PAPER_PLAN if not isinstance(step, str)][:-1]
"""How many numbers scale and shift what each layer of this decoder gives, but for the last."""


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


class FastAdain(nn.Module):
    """Our network for CPUs: 2 C numbers of the painting for each of its norms of C channels.

    `StyleHead` makes them from the painting's VGG statistics, once per painting; the painting's
    colours for `recolour` follow, `numbers` in all. At strength 0 the learned `identity` takes
    the place of the former, which is trained to give the photo back.
    """

    stride = STRIDE

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN) -> None:
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

    def modulations(self, statistics: Tensor, strength: Tensor) -> list[Tensor]:
        """Mix (..., `numbers`) with `identity` by `strength` (N,), and split it by layer."""
        own = statistics[..., :-COLOURS]
        mixed = mix(self.identity.expand_as(own), own, strength)
        return list(torch.split(mixed, self.sizes, dim=-1))

    def forward(self, image: Tensor, statistics: Tensor, strength: Tensor) -> Tensor:
        """Paint (N, 3, H, W) in -1 to 1; `statistics` (N, `numbers`), `strength` (N,) in 0 to 1."""
        m = self.modulations(statistics, strength)
        y = self.encode(self.spec.extended(image), lambda i, x: self.norms[i](x, m[i]))
        scale, shift = m[-1][:, :, None, None].chunk(2, dim=1)
        y = F.relu(self.up(upsample_nearest(y)) * (1 + scale) + shift)
        painted = self.spec.cropped(self.out(upsample_nearest(y)), image)
        return recolour(painted, statistics[:, -COLOURS:], strength)

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
    """A `FastAdain` with the head that feeds it, as they are trained."""

    def __init__(self, spec: RealTimeSpec = FAST_ADAIN) -> None:
        super().__init__()
        self.net = FastAdain(spec)
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
    """Undo `painting_statistics` but for RGB: mean and standard deviation (..., C) by layer."""
    widths = [width for width in WIDTHS for _ in range(2)]
    parts = iter(torch.split(statistics, [*widths, COLOURS], dim=-1))
    return {layer: (next(parts), next(parts)) for layer in STYLE_LAYERS}
