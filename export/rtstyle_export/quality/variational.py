"""Figures of sampled styles, measured with VGG-19 on photos painted by the network for any style.

Style distances are those of training: of Gram matrices, relative, mean over four layers. The
distance of two pictures (`apart`) is that of their channel statistics, relative likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtstyle.styles.latent import WIDTH
from rtstyle_export.maths.functional import channel_statistics, gram_matrix, style_distance
from rtstyle_export.maths.losses import relative_distance
from rtstyle_export.maths.variational import kl_divergence, share_disentangled
from rtstyle_export.networks.adain import painting_statistics
from rtstyle_export.networks.encoder import STYLE_LAYERS, Encoder
from rtstyle_export.networks.variational import VariationalStyle, active_dimensions
from rtstyle_export.runs.checkpoint import Checkpoint, scales_of, without_scales
from rtstyle_export.runs.loss_network import find_vgg
from rtstyle_export.runs.onnx_reader import sampled_checkpoint_of
from rtstyle_export.runs.variational_config import VariationalConfig
from rtstyle_export.train.variational import SampledStyles

MONOTONE = 1e-3
"""By how much of its range a style distance may go the wrong way from one step to the next."""


@dataclass(frozen=True, slots=True)
class Look:
    """What VGG-19 sees in one picture."""

    grams: dict[str, Tensor]
    statistics: dict[str, tuple[Tensor, Tensor]]
    all: Tensor


class Judge:
    """Paints with the picture network of a latent space, and measures with its VGG-19.

    `source` is the checkpoint of a run of `rtstyle train-variational`, or the code file of a latent
    space beside its other files. Raises `TrainingError` for others.
    """

    def __init__(self, source: Path, vgg_weights: Path | None = None) -> None:
        vgg = find_vgg("vgg19", STYLE_LAYERS, vgg_weights)
        stored = source.suffix == ".onnx"
        found = sampled_checkpoint_of(source, vgg) if stored else Checkpoint.load(source)
        self.net = SampledStyles(found.config_as(VariationalConfig))
        self.net.load_state_dict(without_scales(found.model))
        self.net.eval()
        self.encoder = Encoder.of(vgg, scales_of(found.model))
        self.encoder.accelerate()

    @property
    def style(self) -> VariationalStyle:
        """The latent space."""
        return self.net.style

    def paint(self, photo: Tensor, vectors: Tensor) -> Tensor:
        """Paint (1, 3, H, W) in -1 to 1 with vectors (N, M): (N, 3, H, W), clamped."""
        with torch.no_grad():
            photos = photo.expand(len(vectors), -1, -1, -1)
            painted: Tensor = self.net.pair.net(photos, vectors, torch.ones(len(vectors)))
            return painted.clamp(-1, 1)

    def look(self, pictures: Tensor) -> list[Look]:
        """Look at pictures (N, 3, H, W) in -1 to 1."""
        looks = []
        for picture in torch.split(pictures, 1):
            with torch.no_grad():
                seen = self.encoder(picture)
                looks.append(
                    Look(
                        {layer: gram_matrix(seen[layer]) for layer in STYLE_LAYERS},
                        {layer: channel_statistics(seen[layer]) for layer in STYLE_LAYERS},
                        painting_statistics(picture, seen),
                    )
                )
        return looks

    def codes(self, looks: Sequence[Look]) -> Tensor:
        """Return the style codes (N, L) of pictures."""
        with torch.no_grad():
            glances = self.net.pair.head(torch.cat([look.all for look in looks]))
            return self.style.encode(glances)[0]


def style_of(found: Look, painting: Look) -> float:
    """Distance of a picture's Gram matrices from a painting's."""
    parts = [style_distance(found.grams[x], painting.grams[x]) for x in STYLE_LAYERS]
    return float(torch.stack(parts).mean())


def apart(a: Look, b: Look) -> float:
    """Distance of two pictures' statistics, relative to those of both alike."""
    ways = [
        relative_distance(x.statistics, y.statistics, STYLE_LAYERS) for x, y in ((a, b), (b, a))
    ]
    return float(sum(ways)) / 2


def neighbours(style: VariationalStyle, vector: Tensor, variation: float, noise: Tensor) -> Tensor:
    """Return neighbours (N, M) of a vector (M,), as `rtstyle.styles.latent.neighbour` draws them.

    `noise` is (N, L).
    """
    with torch.no_grad():
        mean, log_variance = style.encode(vector[None])
        codes = mean + WIDTH * variation * (0.5 * log_variance).exp() * noise
        moved: Tensor = vector + style.decode(codes) - style.decode(mean)
        return moved


def through_codes(style: VariationalStyle, first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """Return the vectors (T, M) between two (M,) at shares (T,) of the last, by their codes."""
    with torch.no_grad():
        ends = torch.stack([first, last])
        codes = style.encode(ends)[0]
        weights = torch.stack([1 - shares, shares], dim=1)
        mixed: Tensor = style.decode(weights @ codes) + weights @ (ends - style.decode(codes))
        return mixed


def spread(looks: Sequence[Look]) -> float:
    """Mean distance of all pairs of pictures."""
    return float(np.mean([apart(a, b) for a, b in combinations(looks, 2)]))


def unevenness(looks: Sequence[Look]) -> float:
    """Variance of the steps along a path of pictures, over the square of their mean.

    A step is the root of the distance, so that as many equal steps are as far as one.
    """
    steps = np.array([apart(a, b) ** 0.5 for a, b in pairwise(looks)])
    return float(steps.var() / steps.mean() ** 2)


def monotone(looks: Sequence[Look], first: Look, last: Look) -> bool:
    """Return True if the style goes away from the first painting and comes to the last, always."""
    for painting, sign in ((first, 1), (last, -1)):
        row = sign * np.array([style_of(look, painting) for look in looks])
        if (np.diff(row) < -MONOTONE * np.ptp(row)).any():
            return False
    return True


@dataclass(frozen=True, slots=True)
class Space:
    """Of a latent space, over paintings: `kl` (L,) in nats by dimension, `active` dimensions, and
    the share of the variance of vectors that decoded codes explain."""

    kl: Tensor
    active: int
    explained: float


def space_of(style: VariationalStyle, vectors: Tensor) -> Space:
    """Return the figures of a latent space over the vectors (P, M) of paintings."""
    with torch.no_grad():
        mean, log_variance = style.encode(vectors)
        error = style.normalised(style.decode(mean)) - style.normalised(vectors)
        own = style.normalised(vectors)
        explained = 1 - float(error.square().sum() / (own - own.mean(dim=0)).square().sum())
        kl = kl_divergence(mean, log_variance).mean(dim=0)
    return Space(kl, int(active_dimensions(mean).sum()), explained)


def disentangled(judge: Judge, photos: Sequence[Tensor], vectors: Tensor, own: Tensor) -> float:
    """Share of triples (photo A, photo B, style) whose paintings' codes are nearer to each other
    than the first is to its style's.

    `photos` follow each other in pairs; `vectors` (S, M) are those of styles, `own` (S, L) codes.
    """
    first, second, goals = [], [], []
    for vector, goal in zip(vectors, own, strict=True):
        looks = [judge.look(judge.paint(photo, vector[None]))[0] for photo in photos]
        codes = judge.codes(looks)
        first.append(codes[:-1])
        second.append(codes[1:])
        goals.append(goal.expand(len(photos) - 1, -1))
    return share_disentangled(torch.cat(first), torch.cat(second), torch.cat(goals))
