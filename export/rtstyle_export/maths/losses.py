"""The training objective: perceptual losses of Johnson et al. 2016 and stability under motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import (
    adain,
    channel_statistics,
    content_distance,
    gram_matrix,
    lattice,
    out_of_range,
    statistics_distance,
    style_distance,
    total_variation,
)
from rtstyle_export.maths.vgg import VGG


@dataclass(frozen=True, slots=True)
class LossSpec:
    """Layers and weights of the objective.

    Content and style terms are relative squared distances (see `functional`), so that the same
    weights serve every painting and loss network. In the paper's plain distances with Caffe's
    scales the four style layers weigh about 45, 45, 10 and 0.001 %; these weights give the deeper,
    coarser layers a little more say, which shows as larger strokes.
    """

    content_layers: Mapping[str, float] = field(default_factory=lambda: {"relu3_3": 1.0})
    style_layers: Mapping[str, float] = field(
        default_factory=lambda: {"relu1_2": 0.3, "relu2_2": 0.35, "relu3_3": 0.3, "relu4_3": 0.05}
    )
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 1.0
    range_weight: float = 10.0

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer of the loss network that is read."""
        return tuple(dict.fromkeys([*self.content_layers, *self.style_layers]))


@dataclass(frozen=True, slots=True)
class CanvasLossSpec(LossSpec):
    """Layers and weights of the objective of networks that see a canvas.

    `coherence_weight` is that of the squared change along trusted motion, `lattice_weight` that of
    a grid of eight pixels, `waves_weight` that of `colour_waves`.
    """

    style_weight: float = 12.0
    tv_weight: float = 0.5
    coherence_weight: float = 15.0
    lattice_weight: float = 50.0
    waves_weight: float = 5.0


@dataclass(frozen=True, slots=True)
class TextureLossSpec(LossSpec):
    """Layers and weights of the objective of texture networks.

    `diversity_weight` is that of the entropy of what one photo becomes by different noise, see
    `rtstyle_export.maths.diversity`. Pure texture has no `content_layers`.
    """

    diversity_weight: float = 0.1


@dataclass(frozen=True, slots=True)
class FramesLossSpec(CanvasLossSpec):
    """Layers and weights of the objective of networks that learn from painted frames.

    `pixel_weight` is that of the mean absolute difference from the painted frame (L1), as in
    Texler et al. 2020. `content_weight` and `style_weight` are of patches, compared with the same
    patch of the painted frame: relative squared distances of features, and of Gram matrices.
    """

    content_layers: Mapping[str, float] = field(
        default_factory=lambda: {"relu2_1": 0.5, "relu3_1": 0.5}
    )
    style_layers: Mapping[str, float] = field(
        default_factory=lambda: {"relu1_1": 0.25, "relu2_1": 0.25, "relu3_1": 0.25, "relu4_1": 0.25}
    )
    pixel_weight: float = 4.0
    content_weight: float = 0.5
    style_weight: float = 1.0
    coherence_weight: float = 2.0
    tv_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class UpsamplerLossSpec:
    """Layers and weights of the objective of the upsampler.

    `pixel_weight` is that of the mean absolute difference from the painting that was reduced (L1),
    `even_weight` that of what shows as a grid on even areas. Features and Gram matrices are
    compared with that painting's own, by relative squared distances: edges become as sharp as its
    edges are, where L1 alone leaves them softer.
    """

    layers: tuple[str, ...] = ("relu1_2", "relu2_2")
    pixel_weight: float = 10.0
    even_weight: float = 10.0
    content_weight: float = 0.5
    style_weight: float = 1.0


class PerceptualLoss(nn.Module):
    """Content, style and total variation of pictures against photos and paintings.

    `targets` holds, per style layer, the Gram matrices of all paintings: (S, C, C).
    """

    def __init__(self, vgg: VGG, spec: LossSpec, paintings: Sequence[Tensor]) -> None:
        """Take paintings as (1, 3, H, W) RGB in -1 to 1, each of its own size."""
        super().__init__()
        self.vgg, self.spec = vgg, spec
        with torch.no_grad():
            found = [vgg(painting) for painting in paintings]
        self.targets = {
            layer: torch.cat([gram_matrix(item[layer]) for item in found])
            for layer in spec.style_layers
        }

    def content_targets(self, photo: Tensor) -> dict[str, Tensor]:
        """Activations of photos (N, 3, H, W) in -1 to 1 at the content layers, if there are any."""
        if not self.spec.content_layers:
            return {}
        places = {layer: index for index, layer in self.vgg.taps.items()}
        deepest = max(self.spec.content_layers, key=places.__getitem__)
        with torch.no_grad():
            found = self.vgg(photo, until=deepest)
        return {layer: found[layer] for layer in self.spec.content_layers}

    def terms(
        self, image: Tensor, content: Mapping[str, Tensor], style: Tensor
    ) -> dict[str, Tensor]:
        """Unweighted terms of pictures (N, 3, H, W) in -1 to 1, each of shape (N,).

        `style` is (N,) int64, the painting of each picture.
        """
        found = self.vgg(image)
        none = image.new_zeros(len(image))
        content_term = sum(
            (
                weight * content_distance(found[layer], content[layer])
                for layer, weight in self.spec.content_layers.items()
            ),
            start=none,
        )
        style_term = sum(
            (
                weight * style_distance(gram_matrix(found[layer]), self.targets[layer][style])
                for layer, weight in self.spec.style_layers.items()
            ),
            start=none,
        )
        return {"content": content_term, "style": style_term, "tv": total_variation(image)}

    def weigh(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum the terms by their weights: (N,)."""
        spec = self.spec
        return (
            spec.content_weight * terms["content"]
            + spec.style_weight * terms["style"]
            + spec.tv_weight * terms["tv"]
        )

    def forward(
        self, raw: Tensor, content: Mapping[str, Tensor], style: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the objective of raw network output (mean over N) and its terms' means.

        The loss network sees the picture as shown, clamped; what was cut off is penalised apart.
        """
        terms = self.terms(raw.clamp(-1, 1), content, style)
        excess = out_of_range(raw)
        total = (self.weigh(terms) + self.spec.range_weight * excess).mean()
        report = {name: value.detach().mean() for name, value in terms.items()}
        return total, report


Statistics: TypeAlias = Mapping[str, tuple[Tensor, Tensor]]
"""Mean and standard deviation (N, C) by layer."""


@dataclass(frozen=True, slots=True)
class Blends:
    """What 2 N pictures are blends of, N photos twice: first with the larger share of the first.

    `shares` (2 N, 2) sum to 1, `styles` are the statistics of the two, of 2 N pictures each.
    """

    shares: Tensor
    styles: tuple[Statistics, Statistics]


@dataclass(frozen=True, slots=True)
class AdainLossSpec:
    """Weights of the objective of Huang and Belongie 2017, in relative squared distances.

    `distil_weight` is that of the mean squared difference to what the paper's network paints, for
    the small one; `lattice_weight` that of a grid of eight pixels, `order_weight` that of `order`.
    """

    content_weight: float = 1.0
    style_weight: float = 4.0
    tv_weight: float = 0.2
    lattice_weight: float = 50.0
    range_weight: float = 10.0
    distil_weight: float = 2.0
    order_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class LinearLossSpec(AdainLossSpec):
    """Weights of the objective of Li et al. 2018, in relative squared distances.

    Content is compared at relu4_1, style by Gram matrices of four layers.
    """

    style_weight: float = 5.0
    lattice_weight: float = 20.0
    distil_weight: float = 0.0


def relative_distance(found: Statistics, style: Statistics, layers: Sequence[str]) -> Tensor:
    """Squared distance of statistics, relative to the square of `style`, mean over layers: (N,)."""
    parts = []
    for layer in layers:
        mean, std = style[layer]
        size = (mean.square() + std.square()).mean(dim=1).clamp_min(1e-12)
        parts.append(statistics_distance(found[layer], (mean, std)) / size)
    return torch.stack(parts).mean(dim=0)


class AdainLoss(nn.Module):
    """Content and style of Huang and Belongie 2017, equations 12 and 13, in relative distances.

    `vgg` is a loss network with the four layers of `layers`; content is compared at the last.
    """

    def __init__(self, vgg: VGG, spec: AdainLossSpec, layers: Sequence[str]) -> None:
        super().__init__()
        self.vgg, self.spec, self.layers = vgg, spec, tuple(layers)

    def target(self, photo: Tensor, style: Statistics, strength: Tensor) -> Tensor:
        """Return what the content layer shall show: AdaIN, mixed by `strength` (N,).

        There may be several styles and strengths for each photo: of the whole batch, in turn.
        """
        deepest = self.layers[-1]
        with torch.no_grad():
            content = self.vgg(photo)[deepest]
            content = torch.cat([content] * (len(strength) // len(content)))
            weight = strength.view(-1, 1, 1, 1)
            mixed: Tensor = content + weight * (adain(content, *style[deepest]) - content)
            return mixed

    def terms(
        self,
        image: Tensor,
        target: Tensor,
        style: Statistics,
        strength: Tensor,
        blends: Blends | None = None,
    ) -> dict[str, Tensor]:
        """Unweighted terms of pictures (N, 3, H, W) in -1 to 1, each of shape (N,) or, for `order`,
        (N / 2,)."""
        found = self.vgg(image)
        shown = {layer: channel_statistics(found[layer]) for layer in self.layers}
        terms = {
            "content": content_distance(found[self.layers[-1]], target),
            "style": strength * self.distance(shown, style),
            "tv": total_variation(image),
            "lattice": lattice(image),
        }
        if blends is not None:
            # At a lower strength no style is meant to be reached.
            terms["order"] = (strength == 1).chunk(2)[0] * self.order(shown, blends)
        return terms

    def distance(self, found: Statistics, style: Statistics) -> Tensor:
        """Relative squared distance of statistics from those of a style, mean over layers: (N,)."""
        return relative_distance(found, style, self.layers)

    def order(self, found: Statistics, blends: Blends) -> Tensor:
        """How far pictures fail to come nearer to a style as its share in them grows: (N,).

        `found` are the statistics of 2 N pictures. Were they mixed exactly, a share w would lie at
        (1 - w)^2 of the distance between the styles: of what a change of w makes, half is asked.
        """
        parts = []
        for k, style in enumerate(blends.styles):
            ideal = self.distance(blends.styles[1 - k], style) * (1 - blends.shares[:, k]).square()
            rows = (x.chunk(2) for x in (ideal, self.distance(found, style)))
            wanted, real = ((second - first) * (1 - 2 * k) for first, second in rows)
            parts.append(F.relu(wanted / 2 - real))
        return parts[0] + parts[1]

    def forward(
        self,
        raw: Tensor,
        target: Tensor,
        style: Statistics,
        strength: Tensor,
        blends: Blends | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the objective of raw network output (mean over N) and its terms' means."""
        spec = self.spec
        terms = self.terms(raw.clamp(-1, 1), target, style, strength, blends)
        total = (
            spec.content_weight * terms["content"]
            + spec.style_weight * terms["style"]
            + spec.tv_weight * terms["tv"]
            + spec.lattice_weight * terms["lattice"]
            + spec.range_weight * out_of_range(raw)
        ).mean()
        if blends is not None:
            total = total + spec.order_weight * terms["order"].mean()
        return total, {name: value.detach().mean() for name, value in terms.items()}


@dataclass(frozen=True, slots=True)
class VariationalLossSpec:
    """Weights of the objective of sampled styles, in relative distances.

    `vector_weight` is that of the squared distance of a decoded vector from its painting's, mean
    over its normalised numbers, `kl_weight` that of the divergence in nats. `content_weight`,
    `style_weight` (Gram matrices) and `tv_weight` are of painted pictures. `disentangle_weight` and
    `triplet_weight` are of style codes, as is `margin`, a squared distance.
    """

    vector_weight: float = 1.0
    kl_weight: float = 3e-4
    content_weight: float = 0.15
    style_weight: float = 1.0
    tv_weight: float = 0.0
    disentangle_weight: float = 0.01
    triplet_weight: float = 0.01
    margin: float = 4.0
