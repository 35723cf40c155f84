"""Several trained networks, one for each region of a mask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.engines.base import Batch, Engine, Input, check_batch, check_extra
from rtstyle.engines.canvas import empty
from rtstyle.engines.noise import noise_feeds
from rtstyle.errors import EngineError
from rtstyle.frame import Image

WEIGHTS = "weights"


class RegionalEngine(Closing):
    """Runs K engines, and mixes their pictures by `weights`, (1, K, H, W) float32 that sum to 1.

    Each sees the whole picture, as instance normalisation does in training, so that no region
    changes with the shape of the others. See `rtstyle.engines.base.Engine`; what tells about an
    engine tells about the first. They are closed with it.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = tuple(engines)
        first = self.engines[0]
        self.name, self.device, self.precision = first.name, first.device, first.precision
        self.streams = min(engine.streams for engine in self.engines)
        self.extras: Mapping[str, Input] = {WEIGHTS: Input((1, len(engines), -1, -1), "float32")}
        # What only one of them is, such as its name, is not what they are together.
        self.metadata: Mapping[str, str] = dict(
            set.intersection(*(set(engine.metadata.items()) for engine in self.engines))
        )

    def run(self, image: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> Batch:
        """Run every network on (1, H, W, 3) uint8 RGB; see `Engine.run`."""
        batch = check_batch(image)
        weights = check_extra(self.extras, extra)[WEIGHTS]
        wanted = (1, len(self.engines), *batch.shape[1:3])
        if len(batch) != 1 or weights.shape != wanted:
            raise EngineError(f"Pictures of {batch.shape} take no weights of {weights.shape}.")
        painted = [engine.run(batch, own_feeds(engine, batch))[0] for engine in self.engines]
        return mix(painted, weights[0])[None]

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if every engine does; see `Engine.holds`."""
        return all(engine.holds(size) for engine in self.engines)

    def keep(self, sizes: Collection[tuple[int, int]]) -> None:
        """Let go of other sizes in every engine; see `Engine.keep`."""
        for engine in self.engines:
            engine.keep(sizes)

    def close(self) -> None:
        """Close the engines."""
        for engine in self.engines:
            engine.close()


def own_feeds(engine: Engine, batch: Batch) -> Mapping[str, NDArray[Any]] | None:
    """Return what an engine takes besides pictures (N, H, W, 3): an empty canvas, or noise."""
    size = (batch.shape[1], batch.shape[2])
    if "canvas" not in engine.extras:
        return noise_feeds(engine, size) or None

    return empty(size).feeds()


def mix(pictures: Sequence[Image], weights: NDArray[np.float32]) -> Image:
    """Return the mean of K (H, W, 3) uint8 pictures by `weights` (K, H, W), which sum to 1.

    Right to a level for each picture after the second.
    """
    mixed, total = pictures[0], np.ascontiguousarray(weights[0])
    for picture, weight in zip(pictures[1:], weights[1:], strict=True):
        mixed = np.asarray(
            cv2.blendLinear(mixed, picture, total, np.ascontiguousarray(weight)), np.uint8
        )
        total = total + weight
    return mixed
