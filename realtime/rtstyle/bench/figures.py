"""The arithmetic of benchmarks: medians, percentiles, efficiency, and targets reached or not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtstyle.errors import UsageError


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value beside the one to reach.

    `at_least` tells whether more is better. Without a `target` there is nothing to reach.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the target was reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the `percent` (0 to 100) percentile, interpolated linearly between neighbours.

    Raises `UsageError` without values or outside that range.
    """
    if not values or not 0 <= percent <= 100:
        raise UsageError(f"There is no {percent:g}th percentile of {len(values)} values.")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    if ordered[above] == math.inf:
        # Between a number and infinity there is nothing to interpolate.
        return ordered[below] if place == below else math.inf
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median over the runs of every value that all of them have."""
    shared = set.intersection(*(set(run) for run in runs)) if runs else set()
    return {name: statistics.median(run[name] for run in runs) for name in sorted(shared)}


def slowest(stages: Mapping[str, float]) -> str:
    """Return the name of the stage with the fewest frames a second."""
    return min(stages, key=lambda name: stages[name])


def efficiency(whole: float, stages: Mapping[str, float]) -> float:
    """Return the FPS of the whole over that of its slowest stage alone: 1 loses nothing."""
    return whole / stages[slowest(stages)]


def growth(short: float, long: float) -> float:
    """Return by which share `long` exceeds `short`: 0.05 is five per cent more."""
    return long / short - 1


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return figures as JSON can say them: None for what is infinite or not a number."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
