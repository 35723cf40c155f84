"""Figures of networks for any style, measured with VGG-19 as in Huang and Belongie 2017.

Distances are relative squared ones, as in training (`rtstyle_export.maths.losses.AdainLoss`); the
filters of VGG-19 are divided by their mean activation on the photos at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle_export.data import to_tensor
from rtstyle_export.maths.functional import (
    adain,
    channel_statistics,
    content_distance,
    lattice,
    statistics_distance,
)
from rtstyle_export.networks.encoder import STYLE_LAYERS, Encoder, mean_activations
from rtstyle_export.runs.loss_network import find_vgg

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Features: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Distances:
    """Of a painted photo: `style` to the painting (mean and standard deviation, mean over four
    layers), `content` of relu4_1 to the photo's, `target` of relu4_1 to the AdaIN target; `grid`
    see `grid`."""

    style: float
    content: float
    target: float
    grid: float


class Judge:
    """Measures paintings of photos with VGG-19."""

    def __init__(self, photos: Sequence[Picture], vgg_weights: Path | None = None) -> None:
        vgg = find_vgg("vgg19", STYLE_LAYERS, vgg_weights)
        scales = mean_activations(Encoder.of(vgg), map(to_tensor, photos))
        self._encoder = Encoder.of(vgg, scales)
        self._encoder.accelerate()

    def features(self, picture: Picture) -> Features:
        """Return the activations of a picture at the four layers."""
        with torch.no_grad():
            found: Features = self._encoder(to_tensor(picture))
            return found

    def style(self, found: Features, painting: Features, where: Tensor | None = None) -> float:
        """Distance of channel statistics; `where` (H, W) in 0 to 1 picks a part of the picture."""
        total = 0.0
        for layer in STYLE_LAYERS:
            mean, std = channel_statistics(painting[layer])
            chosen = found[layer] if where is None else cut_out(found[layer], where)
            own = statistics_distance(channel_statistics(chosen), (mean, std))
            size = (mean.square() + std.square()).mean(dim=1).clamp_min(1e-12)
            total += float(own / size) / len(STYLE_LAYERS)
        return total

    def distances(self, painted: Picture, photo: Features, painting: Features) -> Distances:
        """Return all distances of a painted photo."""
        found = self.features(painted)
        own = photo["relu4_1"]
        target = adain(own, *channel_statistics(painting["relu4_1"]))
        return Distances(
            self.style(found, painting),
            float(content_distance(found["relu4_1"], own)),
            float(content_distance(found["relu4_1"], target)),
            grid(painted),
        )


def grid(picture: Picture) -> float:
    """How much of a grid of 8 pixels is in a picture of at least 72x72: 1 is none, on average.

    Its `lattice` over the mean of those of 7 and 9 pixels, which no network draws.
    """
    here, below, above = (float(lattice(to_tensor(picture), period)) for period in (8, 7, 9))
    return 2 * here / max(below + above, 1e-12)


def cut_out(features: Tensor, where: Tensor) -> Tensor:
    """Return the positions of (1, C, H, W) features well inside `where`, as (1, C, 1, P)."""
    small = torch.nn.functional.interpolate(where[None, None], features.shape[-2:], mode="area")
    return features[:, :, small[0, 0] > 0.99][:, :, None]
