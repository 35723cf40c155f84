"""Styles drawn out of a latent space: neighbours of a painting, styles that nobody painted, paths.

Variational style transfer (Kingma and Welling 2013; Kotovenko et al. 2019). Two small files of the
network for any style know the space: `code` gives the Gaussian of a style vector, `sample` the
vector of a code. All else is arithmetic here: nothing of it costs time per pixel. A vector is a
little more than its code tells, and this rest goes with it, so that no painting loses anything by
being a point of the space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.base import EngineOptions, first_line, read_model
from rtstyle.errors import EngineError, StyleError
from rtstyle.styles import manifest
from rtstyle.styles.spec import seed_of

Vector: TypeAlias = NDArray[np.float32]
"""Numbers of a style (M,), as the network for any style takes them, or of a code (L,)."""

CODE, SAMPLE = "code", "sample"
"""The files: vectors to Gaussians, and codes to vectors."""
WIDTH = 2.0
"""Deviations of a style's Gaussian at a variation of 1: at 0.5 it is the Gaussian itself."""


class LatentSpace:
    """The two files, open."""

    def __init__(self, code: Path, sample: Path) -> None:
        from rtstyle.engines.onnxrt import open_session

        self._code, self._sample = (
            open_session(read_model(path), EngineOptions(threads=1)) for path in (code, sample)
        )
        self.numbers = int(self._code.get_inputs()[0].shape[1])
        self.dimensions = int(self._sample.get_inputs()[0].shape[1])

    def code(self, vectors: Vector) -> tuple[Vector, Vector]:
        """Return mean and deviation of the Gaussians of style vectors (N, M): two of (N, L)."""
        mean, deviation = _run(self._code, {"statistics": vectors.astype(np.float32)})
        return mean, deviation

    def vectors(self, codes: Vector) -> Vector:
        """Return the style vectors (N, M) of codes (N, L)."""
        return _run(self._sample, {"code": codes.astype(np.float32)})[0]

    def moved(
        self, vector: Vector, code: Vector, rest: float = 1.0, own: Vector | None = None
    ) -> Vector:
        """Return the vector (M,) at another code (L,), with a share `rest` of what codes leave out.

        At its own code, which may be given as `own`, and with all of the rest a vector is what it
        was.
        """
        if own is None:
            own = self.code(vector[None])[0][0]
        here, there = self.vectors(np.stack([own, code]))
        return np.asarray(there + np.float32(rest) * (vector - here), np.float32)


def _run(session: Any, feeds: dict[str, Vector]) -> list[Vector]:
    from rtstyle.engines.onnxrt import run_session

    try:
        names = [port.name for port in session.get_outputs()]
        return [np.asarray(x, np.float32) for x in run_session(session, names, feeds)]
    except Exception as error:
        raise EngineError("A style cannot be drawn.", first_line(error)) from error


def available(size: str) -> bool:
    """Return True if the network of a size has a latent space."""
    known = manifest.load_manifest().any.get(manifest.any_size(size), {})
    return CODE in known and SAMPLE in known


def check_space(size: str) -> None:
    """Raise `StyleError` if a size has no latent space."""
    if not available(size):
        known = manifest.load_manifest().any
        sizes = [name for name in known if available(name)]
        raise StyleError(
            f"Styles cannot be sampled at the size {size}.",
            f"They can at {', '.join(sizes)}." if sizes else "This folder of styles has no codes.",
            f"Use --size {sizes[0]}." if sizes else "",
        )


def open_space(size: str) -> LatentSpace:
    """Return the latent space of a size. Raises `StyleError` if there is none."""
    check_space(size)
    code, sample = (manifest.find_any(part, size) for part in (CODE, SAMPLE))
    return _opened(code.path, sample.path, code.sha256 + sample.sha256)


@lru_cache(maxsize=2)
def _opened(code: Path, sample: Path, _sha256: str) -> LatentSpace:
    return LatentSpace(code, sample)


def noise(dimensions: int, seed: int, number: int = 0) -> Vector:
    """Return sample `number` of a seed, of the standard normal distribution: (`dimensions`,)."""
    drawn = np.random.Generator(np.random.PCG64((seed, number))).standard_normal(dimensions)
    return drawn.astype(np.float32)


def random_vector(name: str, size: str) -> Vector:
    """Return the style (M,) that `random:7` names, a sample of the prior.

    Raises `UsageError` for a seed out of range, `StyleError` where there is no latent space.
    """
    space = open_space(size)
    found: Vector = space.vectors(noise(space.dimensions, seed_of(name))[None])[0]
    return found


def neighbour(vector: Vector, variation: float, seed: int, size: str) -> Vector:
    """Return a style near a vector (M,), drawn from the Gaussian around its code.

    0 is the vector itself, 0.5 the Gaussian, 1 one twice as wide (`WIDTH`).
    """
    if variation == 0:
        return vector
    space = open_space(size)
    mean, deviation = space.code(vector[None])
    step = np.float32(WIDTH * variation) * deviation[0] * noise(space.dimensions, seed)
    return space.moved(vector, mean[0] + step)


def mixed(vectors: Vector, shares: Sequence[float], size: str) -> Vector:
    """Return the style (M,) among styles (N, M) at the mean of their codes by `shares` (N,).

    Shares sum to 1. What codes leave out is mixed alike, so that a share of 1 is the style itself.
    Pictures change more evenly along the shares than by a mean of the vectors themselves
    (`scripts/variational_quality`). Raises `StyleError` where there is no latent space.
    """
    space = open_space(size)
    weights = np.asarray(shares, np.float32)
    codes = space.code(vectors)[0]
    there, *own = space.vectors(np.stack([weights @ codes, *codes]))
    return np.asarray(there + weights @ (vectors - np.stack(own)), np.float32)


@dataclass(frozen=True)
class Walk:
    """A smooth path through the space: from a style to sample after sample.

    It begins at the vector `start` (M,). On each leg the code turns from one sample to the next,
    so that all of the path is as probable as its samples are, and it rests a moment at each.
    """

    start: Vector
    seed: int
    size: str

    def at(self, place: float) -> Vector:
        """Return the style vector (M,) after so many legs, from 0 up."""
        place = max(0.0, place)
        number = int(place)
        turn = 0.5 * math.pi * smooth(place - number)
        near, far = math.cos(turn), math.sin(turn)
        space = open_space(self.size)
        code = np.float32(near) * self._stop(number) + np.float32(far) * self._stop(number + 1)
        if number:
            found: Vector = space.vectors(code[None])[0]
            return found
        return space.moved(self.start, code, near, own=self._own)

    @cached_property
    def _own(self) -> Vector:
        """The code of the start, which every frame of the first leg needs."""
        own: Vector = open_space(self.size).code(self.start[None])[0][0]
        return own

    def _stop(self, number: int) -> Vector:
        if number == 0:
            return self._own
        return noise(open_space(self.size).dimensions, self.seed, number)


def smooth(share: float) -> float:
    """Return 0 to 1 for 0 to 1, at rest at both ends: 3 x^2 - 2 x^3."""
    return share * share * (3 - 2 * share)
