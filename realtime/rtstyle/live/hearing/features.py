"""Figures of sound as it comes: loudness, three bands, onsets. Pure NumPy, one hop at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOP_SECONDS = 0.02
"""What is judged at once, and so the delay that the figures add."""
BANDS = {"low": (20.0, 200.0), "mid": (200.0, 2000.0), "high": (2000.0, 10_000.0)}
"""Frequencies in Hz: bass and kick, voices, cymbals."""
SPAN = 40.0
"""Decibels below the loudest of late that come to 0."""
FLOOR = -60.0
"""Decibels, of full scale, that always come to 0: the noise of a room is not music."""
FORGET = 6.0
"""Decibels a minute by which the loudest of late is forgotten."""
RELEASE = 0.15
"""Seconds in which a figure falls to a third; it rises at once."""
COMPRESSION = 100.0
MEMORY, SPACING = 0.8, 0.12
"""Seconds over which the flux is compared, and between two onsets."""
JUST = 5
"""Hops that count as the last moments."""
FACTOR, OFFSET = 2.0, 0.08
"""An onset is over `FACTOR` medians of the flux of late and `OFFSET` together."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One hop: figures from 0 to 1, whether a note or beat begins in it, and the hop's end.

    `at` is on the clock of the sound, in seconds.
    """

    loudness: float
    low: float
    mid: float
    high: float
    onset: bool
    at: float


class Follower:
    """Brings decibels to 0 to 1, by the loudest of late, and lets them fall softly."""

    def __init__(self, hop: float) -> None:
        self._peak, self._value = FLOOR + SPAN, 0.0
        self._forget = FORGET * hop / 60
        self._keep = float(np.exp(-hop / RELEASE))

    def __call__(self, level: float) -> float:
        """Return the figure for a level in decibels of full scale."""
        self._peak = max(level, self._peak - self._forget, FLOOR + SPAN / 2)
        bottom = max(FLOOR, self._peak - SPAN)
        now = min(1.0, max(0.0, (level - bottom) / (self._peak - bottom)))
        self._value = max(now, self._value * self._keep)
        return self._value


class Features:
    """Hears sound of `rate` samples a second, in pieces of any length.

    Onsets are peaks of the spectral flux, the summed rises of compressed magnitudes (Dixon 2006,
    "Onset Detection Revisited"; Boeck et al. 2012 for the threshold that needs no future).
    """

    def __init__(self, rate: int) -> None:
        self.rate, self._hop = rate, round(rate * HOP_SECONDS)
        size = 2 * self._hop
        self._window = np.hanning(size).astype(np.float32)
        self._scale = 2.0 / float(self._window.sum())
        hertz = np.fft.rfftfreq(size, 1 / rate)
        self._bins = {name: (hertz >= low) & (hertz < high) for name, (low, high) in BANDS.items()}
        self._followers = {name: Follower(HOP_SECONDS) for name in ("loudness", *BANDS)}
        self._recent = np.zeros(size, np.float32)
        self._before = np.zeros(len(hertz), np.float32)
        self._flux: deque[float] = deque(maxlen=round(MEMORY / HOP_SECONDS))
        self._left: NDArray[np.float32] = np.zeros(0, np.float32)
        self._since = SPACING

    def hear(self, samples: NDArray[np.int16], at: float) -> list[Heard]:
        """Take (N, channels) int16 that begin at the moment `at`; return the hops that are full."""
        mono = samples.astype(np.float32).mean(axis=1) / 32768.0
        begin = at - len(self._left) / self.rate
        self._left = np.concatenate([self._left, mono])
        heard = []
        for number in range(len(self._left) // self._hop):
            hop = self._left[number * self._hop : (number + 1) * self._hop]
            heard.append(self._one(hop, begin + (number + 1) * self._hop / self.rate))
        self._left = self._left[len(heard) * self._hop :]
        return heard

    def _one(self, hop: NDArray[np.float32], at: float) -> Heard:
        self._recent = np.concatenate([self._recent[self._hop :], hop])
        magnitudes = np.abs(np.fft.rfft(self._recent * self._window)) * self._scale
        levels = {"loudness": decibels(float(np.sqrt(np.mean(hop**2))))}
        for name, bins in self._bins.items():
            levels[name] = decibels(float(np.sqrt(np.sum(magnitudes[bins] ** 2) / 2)))
        figures = {name: self._followers[name](level) for name, level in levels.items()}
        return Heard(**figures, onset=self._is_onset(magnitudes, levels["loudness"]), at=at)

    def _is_onset(self, magnitudes: NDArray[np.floating], level: float) -> bool:
        compressed = np.log1p(COMPRESSION * magnitudes).astype(np.float32)
        rises = np.maximum(0.0, compressed - self._before)
        # By the size of the spectrum: the same for every sample rate.
        flux = float(rises.sum() / len(rises) * 10)
        late = list(self._flux)
        # Of the last moments, too: noise that has just begun is not a series of onsets.
        usual = max(float(np.median(late)), float(np.median(late[-JUST:]))) if late else 0.0
        self._before = compressed
        self._flux.append(flux)
        self._since += HOP_SECONDS
        if level < FLOOR or self._since < SPACING or flux <= FACTOR * usual + OFFSET:
            return False
        self._since = 0.0
        return True


def decibels(amplitude: float) -> float:
    """Return an amplitude in decibels of full scale."""
    return 20.0 * float(np.log10(max(amplitude, 1e-6)))
