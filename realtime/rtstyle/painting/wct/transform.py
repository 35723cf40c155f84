"""Whitening and colouring of features, Li et al. 2017, "Universal Style Transfer via Feature
Transforms": pure functions on NumPy arrays.

The transform of a picture is one affine map of its feature vectors. It follows from the moments
of content and style alone, so that tiles, masks, mixtures and strengths are sums of such maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Features: TypeAlias = NDArray[np.float32]
"""Activations of one layer: (C, H, W)."""
Matrix: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float32]
"""How much each position counts: (H, W), 0 or more."""

TRUNCATION = 1e-5
"""Whitening drops directions with less than this share of the largest variance: below it lie
rounding errors, and what few pixels cannot tell."""

FLAT = 1e-8
"""A largest variance below this is that of a flat picture; features have means around 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """`count` (or sum of weights), `mean` (C,) and `covariance` (C, C) of feature vectors.

    The covariance is the population's: divided by `count`.
    """

    count: float
    mean: Matrix
    covariance: Matrix

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if count == 0:
            return self
        share = other.count / count
        delta = other.mean - self.mean
        spread = self.covariance * (1 - share) + other.covariance * share
        mean = self.mean + delta * share
        return Moments(count, mean, spread + np.outer(delta, delta) * (share * (1 - share)))


@dataclass(frozen=True, eq=False, slots=True)
class Affine:
    """The map x -> `matrix` x + `bias` of feature vectors (C,)."""

    matrix: Matrix
    bias: Matrix

    def __call__(self, features: Features) -> Features:
        """Return the mapped features (C, H, W), float32."""
        flat = features.reshape(len(features), -1)
        made = self.matrix.astype(np.float32) @ flat
        made += self.bias.astype(np.float32)[:, None]
        return made.reshape(features.shape)


def moments(features: Features, weights: Weights | None = None) -> Moments:
    """Return the moments of features (C, H, W), each position counted by `weights` (H, W)."""
    flat = features.reshape(len(features), -1)
    if weights is None:
        count = float(flat.shape[1])
        mean = flat.mean(axis=1)
        centred = flat - mean[:, None]
        spread = (centred @ centred.T).astype(np.float64) / count
        return Moments(count, mean.astype(np.float64), spread)
    shares = weights.reshape(-1).astype(np.float32)
    count = float(shares.sum(dtype=np.float64))
    if count <= 0:
        return Moments(0.0, np.zeros(len(flat)), np.zeros((len(flat), len(flat))))
    mean = (flat @ shares).astype(np.float64) / count
    centred = (flat - mean.astype(np.float32)[:, None]) * np.sqrt(shares)
    return Moments(count, mean, (centred @ centred.T).astype(np.float64) / count)


def spectrum(covariance: Matrix) -> tuple[Matrix, Matrix]:
    """Return the kept eigenvalues (K,) of a covariance (C, C) and their vectors (C, K).

    K is 0 for a flat picture, and below C for features of deficient rank.
    """
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    kept = values > max(float(values[-1]) * TRUNCATION, FLAT)
    return values[kept], vectors[:, kept]


def whitening(covariance: Matrix) -> Matrix:
    """Return the (C, C) matrix that makes centred features uncorrelated (equation 2)."""
    values, vectors = spectrum(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def colouring(covariance: Matrix) -> Matrix:
    """Return the (C, C) matrix that gives white features this covariance (equation 3)."""
    values, vectors = spectrum(covariance)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)


def transform(content: Moments, style: Moments, alpha: float = 1.0) -> Affine:
    """Return the map that gives content features the moments of the style.

    `alpha`, 0 to 1, mixes it with the identity (equation 4).
    """
    matrix = colouring(style.covariance) @ whitening(content.covariance)
    return blend([Affine(matrix, style.mean - matrix @ content.mean)], [1.0], alpha)


def blend(maps: Sequence[Affine], shares: Sequence[float], alpha: float = 1.0) -> Affine:
    """Return the sum of maps weighted by `shares`, mixed with the identity by `alpha`.

    Section 4.3: the sum of the features transformed to each of several styles.
    """
    size = len(maps[0].bias)
    matrix, bias = np.eye(size) * (1 - alpha), np.zeros(size)
    for one, share in zip(maps, shares, strict=True):
        matrix += alpha * share * one.matrix
        bias += alpha * share * one.bias
    return Affine(matrix, bias)


def apply_regions(features: Features, maps: Sequence[Affine], masks: Sequence[Weights]) -> Features:
    """Return the sum of maps of (C, H, W) features, weighted at each position by masks (H, W)."""
    made = np.zeros_like(features)
    for one, mask in zip(maps, masks, strict=True):
        made += one(features) * mask.astype(np.float32)
    return made


def wct(content: Features, style: Features, alpha: float = 1.0) -> Features:
    """Give content features (C, H, W) mean and covariance of style features (C, H', W').

    With `alpha` 0 the content comes back unchanged.
    """
    if alpha == 0:
        return content
    return transform(moments(content), moments(style), alpha)(content)
