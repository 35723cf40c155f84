"""Diversity of what a generator makes of different noise, Ulyanov et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

CLOSEST = 1e-4
"""Root mean square differences below this count as this, so that equal pictures have a loss."""
SQUARES = (1, 4, 16)
"""Sides in pixels of the squares over whose means pictures are compared."""


def pairwise_distances(pictures: Tensor) -> Tensor:
    """Return the root mean square differences of samples (N, ...) from each other: (N, N).

    With a gradient, which is 0 where two are equal.
    """
    flat = pictures.flatten(1)
    squares = (flat[:, None] - flat[None]).square().mean(dim=2)
    return squares.clamp_min(CLOSEST**2).sqrt()


def diversity_loss(pictures: Tensor) -> Tensor:
    """Return minus the mean logarithm of each sample's distance from its nearest other: a scalar.

    Ulyanov, Vedaldi and Lempitsky 2017, "Improved Texture Networks", equation 8: the estimator of
    Kozachenko and Leonenko 1987 of the entropy of the pictures (N, C, H, W), N >= 2, that a
    generator makes, up to a factor and a constant. Minimising it moves apart what different noise
    becomes. Raises `ValueError` for a single sample, whose entropy is not known.
    """
    if len(pictures) < 2:
        raise ValueError("the entropy of one sample is not known")
    apart = pairwise_distances(pictures)
    itself = torch.eye(len(pictures), dtype=torch.bool, device=pictures.device)
    return -apart.masked_fill(itself, float("inf")).amin(dim=1).log().mean()


def diversity_at_all_sizes(pictures: Tensor, squares: Sequence[int] = SQUARES) -> Tensor:
    """Return the mean of `diversity_loss` of pictures (N, C, H, W) averaged over squares: a scalar.

    The paper compares pixels, which differ most easily in the finest detail: other noise then makes
    the same picture with other brush hairs. A logarithm for each size rewards what doubles the
    difference of large shapes as much as what doubles that of pixels. Squares that are larger than
    the pictures are cut to their shorter side.
    """
    least = min(pictures.shape[-2:])
    sizes = [min(side, least) for side in squares]
    return torch.stack([diversity_loss(F.avg_pool2d(pictures, side)) for side in sizes]).mean()


def mean_difference(pictures: Tensor) -> float:
    """Return the mean root mean square difference of all pairs of samples (N, ...), N >= 2."""
    rows, columns = torch.triu_indices(len(pictures), len(pictures), offset=1)
    return float(pairwise_distances(pictures)[rows, columns].mean())
