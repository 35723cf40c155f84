"""The bit rate of a stream, which follows what the network takes."""

from __future__ import annotations

BITS_PER_PIXEL = 0.1
LEAST, MOST = 400_000, 8_000_000
"""Bits a second that are chosen by themselves: 640x480 at 30 FPS comes to 0.9 million."""
FLOOR = 0.15
"""Share of the bit rate at the start below which it does not go."""
DOWN, UP = 0.7, 1.08
SETTLE, CALM = 2.0, 5.0
"""Seconds between two steps down, and without a drop before a step up."""


def usual_bitrate(width: int, height: int, rate: float) -> int:
    """Return the bits a second for pictures of this size and rate."""
    return int(min(MOST, max(LEAST, BITS_PER_PIXEL * width * height * rate)))


class Bitrate:
    """Goes down at once where frames wait too long to be sent, and slowly up again.

    `start` is the bits a second at the start and the most there will be. Multiplicative decrease
    and a slow increase, as in the congestion control of TCP.
    """

    def __init__(self, start: int, now: float) -> None:
        self.start = self.now = start
        self._moved = self._calm_since = now

    def note(self, dropped: bool, now: float) -> int:
        """Take in whether a frame had to be dropped at the moment `now`; return the bit rate."""
        if dropped:
            self._calm_since = now
            if now - self._moved >= SETTLE:
                self._move(DOWN, now)
        elif now - max(self._moved, self._calm_since) >= CALM:
            self._move(UP, now)
        return self.now

    def _move(self, factor: float, now: float) -> None:
        self.now = round(min(self.start, max(FLOOR * self.start, self.now * factor)))
        self._moved = now
