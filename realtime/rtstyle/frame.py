"""One picture on its way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""An RGB picture: (H, W, 3), uint8, 0 to 255, C-contiguous."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture with its place in time.

    `image` is (H, W, 3) uint8 RGB. `index` counts from 0 in source order; a gap means that frames
    were dropped. `pts` is the presentation time stamp in units of `time_base` seconds.
    `captured_at` is `time.monotonic()` at the moment the source produced the frame. `duration` is
    how long it is shown, in the same units; 0 where that is up to the next frame. `alpha` is the
    opacity of the source's picture, (h, w) uint8, or None where all of it is opaque. `deep` is the
    source's picture in (H, W, 3) uint16, 256 to a level, where more than 8 bits are asked for.
    What is painted may be uint16 likewise, for sinks that encode more than 8 bits.
    """

    image: Image
    index: int
    pts: int
    time_base: Fraction
    captured_at: float
    duration: int = 0
    alpha: NDArray[np.uint8] | None = None
    deep: NDArray[np.uint16] | None = None

    @property
    def time(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def with_image(self, image: NDArray[Any]) -> Frame:
        """Return the same moment with another picture."""
        return replace(self, image=image, deep=None)
