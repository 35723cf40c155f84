"""Old strokes dissolve into new ones where worn paint was laid anew.

Strokes that change from one frame to the next are a flash, and somewhere in nearly every frame worn
paint is renewed (`bending`). So what the last painting showed beyond the new one stays on top of
it, moves along and fades: the canvas has the new strokes at once, the eye sees them come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image
from rtstyle.painting.canvas.laying import at_half, full_size
from rtstyle.painting.canvas.motion import Flow, Motion, Part, enclosing, positions

STAY = 0.5
"""Share of the old strokes that stays from frame to frame. A change in one step of d levels then
counts as d / sqrt(3) in the rms of a clip, and is gone after five frames."""
SEEN = 3
"""Levels of 255 below which nothing of them is seen."""

NONE = 128
Change: TypeAlias = NDArray[np.uint8]
"""(h, w, 3): what is shown minus the painting, in levels of 255, plus `NONE`: one byte is quick."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of old strokes: a `change` of the painting from (row, column) on."""

    row: int
    column: int
    change: Change

    @property
    def part(self) -> Part:
        """The rows and columns that differ."""
        rows, columns = self.change.shape[:2]
        return slice(self.row, self.row + rows), slice(self.column, self.column + columns)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name, to be written to a file."""
        return {"rest": self.change, "rest_at": np.array([self.row, self.column])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Rest | None:
        """Undo `to_arrays`; None where there is none. Raises `KeyError` or `ValueError`."""
        if "rest" not in arrays:
            return None
        row, column = (int(value) for value in arrays["rest_at"])
        return cls(row, column, np.asarray(arrays["rest"], np.uint8))


def rest_after(
    before: Rest | None, moved: Image, painted: Image, motion: Motion, where: Flow, share: float
) -> Rest | None:
    """Return what is left of old strokes after a frame; `share` of it stays.

    `moved` is the last painting moved along by `motion` from the pixels `where` (`canvas.places`),
    `painted` the new one, both (H, W, 3). What worn paint showed is added to what was left
    `before`; what is hidden now leaves nothing.
    """
    size = (painted.shape[0], painted.shape[1])
    old = _reached(before, motion, size)
    new = None if motion.worn is None else enclosing(motion.worn, size)
    part = _joined(old, new)
    if part is None:
        return None
    worn = None if motion.worn is None else at_half(motion.worn, painted)
    change = np.full((*(one.stop - one.start for one in part), 3), NONE, np.uint8)
    if before is not None and old is not None:
        source = cv2.subtract(where[old], (before.column, before.row, 0, 0))  # type: ignore[call-overload]
        left = cv2.remap(  # type: ignore[call-overload]
            before.change, source, None, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(NONE,) * 3,
        )  # fmt: skip
        left = cv2.addWeighted(left, share, left, 0, NONE * (1 - share))
        known = motion.trust if worn is None else np.asarray(cv2.max(motion.trust, worn), np.uint8)
        cv2.copyTo(left, full_size(known, painted)[old], _inside(change, part, old))
    if worn is not None and new is not None:
        there = _inside(change, part, new)
        apart = cv2.addWeighted(moved[new], share, painted[new], -share, NONE)
        # Where something is left already, old strokes lie upon older ones.
        apart = cv2.addWeighted(apart, 1, there, 1, -NONE)
        cv2.copyTo(apart, full_size(worn, painted)[new], there)
    least, most = NONE - SEEN + 1, NONE + SEEN - 1
    seen = cv2.bitwise_not(cv2.inRange(change, (least,) * 3, (most,) * 3))
    x, y, columns, rows = cv2.boundingRect(seen)
    if not columns:
        return None
    inner = change[y : y + rows, x : x + columns]
    return Rest(part[0].start + y, part[1].start + x, np.ascontiguousarray(inner))


def shown(painted: Image, rest: Rest | None) -> Image:
    """Return a painting (H, W, 3) as it is shown: with what is left of old strokes on it."""
    if rest is None:
        return painted
    found = painted.copy()
    cv2.addWeighted(found[rest.part], 1, rest.change, 1, -NONE, dst=found[rest.part])
    return found


def _reached(before: Rest | None, motion: Motion, size: tuple[int, int]) -> Part | None:
    """Return the part of a painting of a size (H, W) that what was left `before` moves to."""
    if before is None or motion.flow is None:
        return None
    rows, columns = motion.flow.shape[:2]
    down, across = rows / size[0], columns / size[1]
    high, wide = before.part
    came_from = cv2.add(motion.flow, positions(rows, columns))
    low = (wide.start * across - 1, high.start * down - 1)
    reached = cv2.inRange(came_from, low, (wide.stop * across + 1, high.stop * down + 1))
    return enclosing(np.asarray(reached, np.uint8), size)


def _joined(one: Part | None, two: Part | None) -> Part | None:
    if one is None or two is None:
        return one or two
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, two, strict=True)
    )
    return rows, columns


def _inside(change: Change, part: Part, inner: Part) -> Change:
    """Return the `inner` part of a painting of what is its `part`, as a view."""
    rows, columns = (
        slice(b.start - a.start, b.stop - a.start) for a, b in zip(part, inner, strict=True)
    )
    return change[rows, columns]
