"""Time stamps made whole: none missing, always rising."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TypeVar

from rtstyle.errors import UsageError

JUMP_BACK, JUMP_AHEAD = 1.0, 3600.0
"""Seconds from which a step counts as a break in the time line, not as jitter."""
LEAP = 1.0
"""Seconds ahead from which a time stamp is only believed if the next one agrees."""


class TimestampMender:
    """Keeps good time stamps as they are, and makes up those that are missing or fall back.

    `step` is the usual distance of two frames in ticks of `time_base`. `mended` counts the time
    stamps that were there and wrong; a stream without any (raw H.264) is nothing to report.
    """

    def __init__(self, time_base: Fraction, step: int) -> None:
        self.mended = 0
        self._step = max(1, step)
        self._back = int(JUMP_BACK / time_base)
        self._ahead = int(JUMP_AHEAD / time_base)
        self._leap = self._step + int(LEAP / time_base)
        self._shift = self._change = 0
        self._last: int | None = None

    def __call__(self, pts: int | None, following: int | None = None) -> int:
        """Return a time stamp above all earlier ones; `pts` itself if it is sound.

        `following` is the time stamp after it, if known: it tells a stray one from a real leap.
        """
        if self._last is None:
            self._last = pts or 0
            return self._last
        if pts is None:
            self._last += self._step
            return self._last
        change = pts + self._shift - self._last
        if not self._goes_on(pts) and following is not None and self._goes_on(following):
            change = self._step
            self.mended += 1
        elif change < -self._back or change > self._ahead or self._falls_back(change, following):
            self._shift += self._step - change
            change = self._step
            self.mended += 1
        elif change <= 0:
            # One tick, so that the next sound time stamp is still ahead of this one.
            change = 1
            self.mended += 1
        self._last += change
        self._change = change
        return self._last

    def _falls_back(self, change: int, following: int | None) -> bool:
        """Tell a short recording that begins anew from late time stamps, or one too early."""
        if following is None or self._last is None or change >= -self._step:
            return False
        if self._change > 3 * self._step:
            return False
        return following + self._shift <= self._last

    def _goes_on(self, pts: int) -> bool:
        assert self._last is not None
        return -self._back <= pts + self._shift - self._last <= self._leap


def exact_seconds(seconds: float | None) -> Fraction:
    """Return a time that a person wrote in decimals as the fraction that was meant; None is 0."""
    return Fraction(seconds or 0).limit_denominator(1_000_000)


def check_times(start: float | None, end: float | None) -> None:
    """Raise `UsageError` unless 0 <= start < end, as far as given."""
    if start is not None and not start >= 0:
        raise UsageError(f"--start {start:g} is before the beginning.", "", "Use 0 or more.")
    if end is not None and not end > (start or 0):
        raise UsageError(
            f"--end {end:g} is not after --start {start or 0:g}.", "", "Use a later --end."
        )


Item = TypeVar("Item")


def with_following(frames: Iterator[Item]) -> Iterator[tuple[Item, Item | None]]:
    """Yield each item with the one after it, None for the last."""
    present = next(frames, None)
    while present is not None:
        following = next(frames, None)
        yield present, following
        present = following
