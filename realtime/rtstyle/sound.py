"""A piece of sound on its way from a microphone into a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound: `samples` (N, channels) int16, `rate` samples a second.

    `at` is `time.monotonic()` at its first sample.
    """

    samples: NDArray[np.int16]
    rate: int
    at: float

    @property
    def end(self) -> float:
        """The moment after its last sample."""
        return self.at + len(self.samples) / self.rate
