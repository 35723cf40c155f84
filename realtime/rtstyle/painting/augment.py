"""Pictures painted in styles that are drawn at random, each by a key of its own.

Style augmentation (Geirhos et al. 2019, Jackson et al. 2019): networks that are trained on such
pictures look at shapes more than at textures. Styles are samples of the latent space of
`rtstyle.styles.latent`, so there is no end of them, and no painting is needed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rtstyle.closeable import Closing
from rtstyle.errors import EngineError, UsageError
from rtstyle.frame import Image
from rtstyle.media.limits import WHOLE_PIXELS
from rtstyle.painting.network import Network
from rtstyle.painting.stylizer import check_image
from rtstyle.painting.tiling import paint
from rtstyle.styles import latent, manifest
from rtstyle.styles.model import Model, at_vector
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.recipe import Recipe, check_range
from rtstyle.styles.spec import MOST_SEED

Range: TypeAlias = tuple[float, float]
"""Least and largest strength: 0 (the picture) to 1 (the painting)."""

STEP = 32
"""Sides are extended to a multiple of this: an engine is compiled for each size."""

_painters: set[int] = set()
"""Processes that have opened an engine here: this one, and those that it was forked from."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is done to one picture: painted in the style `random:SEED` at a `strength`."""

    seed: int
    strength: float

    @property
    def style(self) -> str:
        """The style as `--style` takes it."""
        return f"random:{self.seed}"


def draw(key: str, strength: Range, p: float = 1.0) -> Draw | None:
    """Return what happens to the picture of this key; None, with a chance of 1 - `p`, is nothing.

    It depends on nothing else, so that pictures may come in any order. The strength has at most
    four decimals, as a manifest tells it.
    """
    rng = np.random.default_rng(
        list(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest())
    )
    chance, share = rng.random(2)
    seed = int(rng.integers(MOST_SEED, endpoint=True))
    if chance >= p:
        return None
    return Draw(seed, round(strength[0] + share * (strength[1] - strength[0]), 4))


def check_strength(strength: float | Range) -> Range:
    """Return the range of a strength, or of one that is drawn. Raises `UsageError`."""
    low, high = strength if isinstance(strength, tuple) else (strength, strength)
    check_range("A strength", low, (0, 1))
    check_range("A strength", high, (0, 1))
    if low > high:
        raise UsageError(f"The strengths {low:g} to {high:g} are the wrong way round.")
    return low, high


def read_strength(text: str) -> Range:
    """Return the range of `0.7` or `0.3..1`. Raises `UsageError`."""
    first, dots, last = text.partition("..")
    try:
        return check_strength((float(first), float(last if dots else first)))
    except ValueError:
        raise UsageError(
            f"{text!r} is not a strength.", "", "Write 0.7, or 0.3..1 for a range."
        ) from None


class AugmentPainter(Closing):
    """Paints pictures, each in a style of its own; up to `streams` threads may call it at once.

    `size` is a network that paints like any picture and has a latent space; the other parameters
    are those of `rtstyle.engines.open_engine`. Raises `StyleError`, `DeviceError`, `EngineError`.
    """

    def __init__(
        self,
        size: str = "fast",
        *,
        device: str = "auto",
        streams: int = 1,
        threads: int = 0,
        precision: str = "auto",
    ) -> None:
        refuse_fork()
        self.size = size
        space = latent.open_space(size)
        _painters.add(os.getpid())
        model = Model(
            (manifest.find_any("content", size).path,), np.zeros((1, space.numbers), np.float32)
        )
        self.network = Network.open(
            model, device, streams=streams, threads=threads, precision=precision
        )

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self.network.engine.precision

    def style(self, seed: int) -> Statistics:
        """Return the vector (M,) of the style `random:SEED`."""
        return latent.random_vector(f"random:{seed}", self.size)

    def paint(self, image: Image, style: Statistics, strength: float = 1.0) -> Image:
        """Return the painting of an (H, W, 3) uint8 picture of any size, of the same shape."""
        network = self.network.given(at_vector(self.network.model, style))
        image = check_image(image)
        height, width = image.shape[:2]
        if height * width > WHOLE_PIXELS:
            return paint(network, image, Recipe(size=self.size, strength=strength))[0]
        return network.paint(extended(image), strength)[:height, :width]

    def close(self) -> None:
        """Free the engine; a second call does nothing."""
        self.network.close()


def extended(image: Image) -> Image:
    """Return (H, W, 3) mirrored at its lower and right border up to multiples of `STEP`."""
    below, right = (-side % STEP for side in image.shape[:2])
    if not (below or right):
        return image
    return np.pad(image, ((0, below), (0, right), (0, 0)), mode="symmetric")


def refuse_fork() -> None:
    """Raise `EngineError` in a process that was forked from one that had painted.

    The threads of its engines stayed behind, and this process could wait for them for ever.
    """
    if _painters and os.getpid() not in _painters:
        raise EngineError(
            "Pictures cannot be painted in this process.",
            "It was forked from one that had painted already.",
            'Give the DataLoader multiprocessing_context="spawn".',
        )
