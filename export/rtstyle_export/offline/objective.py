"""The objective of Gatys, Ecker and Bethge 2016: the content of a photo, the style of paintings.

Distances are relative to the target's own square, as in training (see `functional`), so that one
pair of weights serves every layer, painting and resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from rtstyle.errors import UsageError
from rtstyle_export.maths.functional import (
    content_distance,
    gram_matrix,
    guided_gram_matrix,
    out_of_range,
    style_distance,
    total_variation,
    total_variation_absolute,
    total_variation_power,
)
from rtstyle_export.offline.network import ARCHITECTURE, Network, check_layers, check_pooling
from rtstyle_export.runs.loss_network import NOTE, reachable

VARIATIONS = ("squared", "absolute", "power")

Mix = Sequence[tuple[Tensor, float]]
"""Paintings (1, 3, H, W) in -1 to 1 with their weights, for one region."""


@dataclass(frozen=True, slots=True)
class GatysSpec:
    """Layers and weights. `gamma` is the power of the total variation of that name.

    With less total variation, even areas of small pictures are speckled (`scripts/README.md`).
    """

    content_layers: Mapping[str, float] = field(default_factory=lambda: {"conv4_2": 1.0})
    style_layers: Mapping[str, float] = field(
        default_factory=lambda: {f"conv{block}_1": 0.2 for block in range(1, 6)}
    )
    content_weight: float = 1.0
    style_weight: float = 5.0
    tv_weight: float = 2.0
    tv: str = "squared"
    gamma: float = 1.5
    range_weight: float = 10.0
    pooling: str = "average"

    def __post_init__(self) -> None:
        check_layers(self.layers)
        check_pooling(self.pooling)
        if self.tv not in VARIATIONS:
            raise UsageError(
                f"There is no total variation {self.tv!r}.", "", f"Use {', '.join(VARIATIONS)}."
            )
        if not 0 < self.gamma <= 4:
            raise UsageError(f"A power of {self.gamma:g} is out of range.", "", "Use 0 to 4.")
        weights = [self.content_weight, self.style_weight, self.tv_weight, self.range_weight]
        if min(*weights, *self.content_layers.values(), *self.style_layers.values()) < 0:
            raise UsageError("Weights cannot be negative.", "", "Use 0 or more.")
        if not self.layers or self.content_weight == self.style_weight == 0:
            raise UsageError(
                "There is nothing to optimise.", "", "Give content or style a layer and a weight."
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer of the network that is read."""
        return tuple(dict.fromkeys([*self.content_layers, *self.style_layers]))

    def variation(self, image: Tensor) -> Tensor:
        """Total variation of (N, 3, H, W) in the form chosen: (N,)."""
        if self.tv == "absolute":
            return total_variation_absolute(image)
        if self.tv == "power":
            return total_variation_power(image, self.gamma)
        return total_variation(image)


def suited(
    spec: GatysSpec, weights: Path | None, tell: Callable[[str], None], **chosen: object
) -> GatysSpec:
    """Return the objective for the weights at hand; `tell` is told if that is another one.

    `chosen` are the layers that the user gave, or None.
    """
    keep = [name for name, value in chosen.items() if value is not None]
    found = without_download(spec, weights, keep)
    if found != spec:
        tell(f"note: {NOTE}")
    return found


def without_download(
    spec: GatysSpec, weights: Path | None, keep: Collection[str] = ()
) -> GatysSpec:
    """Return an objective that VGG-19 as it ships can compute, unless there is a file of `weights`.

    `keep` names the fields that somebody chose, which stay as they are.
    """
    fields = {"content_layers": spec.content_layers, "style_layers": spec.style_layers}
    moved = {
        name: reachable(ARCHITECTURE, layers, weights)
        for name, layers in fields.items()
        if name not in keep
    }
    return replace(spec, **moved)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Region:
    """Part of the picture and its style.

    `guide` is (H, W) in 0 to 1, or None for the whole picture; `share` is its part of the area.
    """

    mix: Mix
    guide: Tensor | None = None
    share: float = 1.0


@dataclass(slots=True)
class _LayerLoss:
    """Weighted content and style terms of one layer: a reader of `Network`."""

    scale: Tensor
    content_weight: float = 0.0
    style_weight: float = 0.0
    content: Tensor | None = None
    grams: list[tuple[Tensor, Tensor | None, float]] = field(default_factory=list)

    def normalise(self, features: Tensor) -> Tensor:
        return features * self.scale.view(1, -1, 1, 1)

    def gram(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        found = gram_matrix(features) if guide is None else guided_gram_matrix(features, guide)
        # Scaling the small matrix gives what scaling all activations would.
        return found * self.scale[:, None] * self.scale

    def __call__(self, features: Tensor) -> Tensor:
        content = style = features.new_zeros(1)
        if self.content is not None:
            distance = content_distance(self.normalise(features), self.content)
            content = self.content_weight * distance
        for target, guide, share in self.grams:
            distance = style_distance(self.gram(features, guide), target)
            style = style + self.style_weight * share * distance
        return torch.stack([content, style])


class GatysLoss:
    """The objective for pictures of one size.

    `photo` is (1, 3, H, W) in -1 to 1, or None where only style counts; `regions` may be empty
    where only content counts. The styles of a region are mixed by mixing their Gram matrices.
    """

    def __init__(
        self,
        network: Network,
        spec: GatysSpec,
        photo: Tensor | None,
        regions: Sequence[Region],
        *,
        frugal: bool = False,
    ) -> None:
        self.network, self.spec, self.frugal = network, spec, frugal
        paintings = [painting for region in regions for painting, _ in region.mix]
        means = network.means([*paintings, *([] if photo is None else [photo])])
        self.layers = {layer: _LayerLoss(1 / means[layer]) for layer in spec.layers}
        if photo is not None:
            self._aim_content(photo)
        for region in regions:
            self._aim_style(region)

    @torch.no_grad()
    def _aim_content(self, photo: Tensor) -> None:
        weights = self.spec.content_layers
        readers = {layer: self.layers[layer].normalise for layer in weights}
        for layer, target in self.network(photo, readers).items():
            self.layers[layer].content = target
            self.layers[layer].content_weight = weights[layer]

    @torch.no_grad()
    def _aim_style(self, region: Region) -> None:
        weights = self.spec.style_layers
        total = sum(weight for _, weight in region.mix)
        readers = {layer: self.layers[layer].gram for layer in weights}
        found = [self.network(painting, readers) for painting, _ in region.mix]
        for layer, weight in weights.items():
            parts = [w / total * f[layer] for f, (_, w) in zip(found, region.mix, strict=True)]
            target = torch.stack(parts).sum(dim=0)
            self.layers[layer].style_weight = weight
            self.layers[layer].grams.append((target, None, region.share))
        if region.guide is not None:
            self._guide(region.guide)

    def _guide(self, guide: Tensor) -> None:
        """Confine the region that was added last to `guide`, scaled to each layer."""
        small = guide[None, None]
        for layer in self.spec.style_layers:
            size = tuple(n // 2 ** (int(layer[4]) - (layer[:4] != "pool")) for n in guide.shape)
            at = torch.nn.functional.adaptive_avg_pool2d(small, size)[0, 0]
            target, _, share = self.layers[layer].grams[-1]
            self.layers[layer].grams[-1] = (target, at, share)

    def terms(self, image: Tensor) -> dict[str, Tensor]:
        """Content, style and total variation of (1, 3, H, W) in -1 to 1, unweighted scalars."""
        found = self.network(image, self.layers, frugal=self.frugal)
        content, style = torch.stack(list(found.values())).sum(dim=0)[:, 0]
        return {"content": content, "style": style, "tv": self.spec.variation(image)[0]}

    def weigh(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum the terms by their weights: a scalar."""
        spec = self.spec
        return (
            spec.content_weight * terms["content"]
            + spec.style_weight * terms["style"]
            + spec.tv_weight * terms["tv"]
        )

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the objective and its terms.

        What lies beyond -1 to 1 is penalised, not clamped: L-BFGS needs a gradient there.
        """
        terms = self.terms(image)
        total = self.weigh(terms) + self.spec.range_weight * out_of_range(image)[0]
        return total, {name: float(value.detach()) for name, value in terms.items()}
