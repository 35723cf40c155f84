"""What moved since the last frame, and how far what was painted can be trusted.

A network that sees a canvas (`rtstyle_export.networks.canvas`) keeps what it has painted where the
picture only moves. Everything here is a function of a frame and a state that is passed in and
handed back: `look` finds the motion since the last frame and needs no painting, so that it can run
beside the network; `laying.lay` moves the last painting along.

Flow is dense inverse search (Kroeger et al. 2016) on small grey pictures. A pixel is trusted where
the last frame, moved along, shows the same colour, and where the flow stays inside the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.canvas import half
from rtstyle.frame import Image

FLOW_SIDE = 288
"""Rows, or columns if these are fewer, of the pictures whose flow is computed, at most."""
SAME = 30.0
"""Difference in levels of 255, of the worst channel, up to which a colour counts as the same."""
CUT = 0.25
"""Share of a frame that must be trusted; below it the shot has changed, and the canvas is empty."""
STILL, STEADY = 0.25, 8
"""Pixels of the small picture, and levels of 255, up to which nothing moves or changes: what is
there stays where it is. Flow in a camera's noise is a fifth of a pixel."""
LOCAL, GAIN = 15, 1.2
"""Pixels of the small picture around which moving must show the last frame so much better than
staying does: by less, flow follows noise."""
FLAT = 60.0
"""Mean squared gradient (Sobel) that is no more than noise."""
AROUND, DRIFT = 61, 0.1
"""Pixels of the small picture whose mean flow, by texture, is the drift of what seems still, and
its least length in pixels. A camera's noise comes to a third of that; a slow pan, under which the
painting would stand like a pane of glass, to two or three times as much."""
OUTSIDE = 0.05
"""Pixels of the small picture by which paint may come from beyond the border. What a slow pan
brings into sight was never painted, and would be drawn out into streaks."""
MOVING = 204
"""Trust in what moves: moves by parts of a pixel take sharpness, which new paint gives back."""


Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a picture."""
Flow = NDArray[np.float32]
"""(h, w, 2): for each pixel, how far to the right and below it was in the last frame, in pixels."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A frame as its flow is computed: index, grey (h, w), colour (h, w, 3), and its own size."""

    index: int
    grey: NDArray[np.uint8]
    colour: Image
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Motion:
    """What moved since the last frame.

    `flow` is None where nothing is known of that: the canvas is then empty. `trust` is
    (H / 2, W / 2) uint8, rounded up: 255 where the last painting may be kept as it is, less where
    it moves, 0 where it shows something else. `worn`, of any size, is 255 where the trust is 0
    although the last painting shows the same, since its strokes have lost their shape.
    """

    flow: Flow | None
    trust: NDArray[np.uint8]
    worn: NDArray[np.uint8] | None = None


NO_MOTION = Motion(None, np.zeros((0, 0), np.uint8))
"""Of a picture before which nothing was painted."""


def unmoved(size: tuple[int, int]) -> Motion:
    """Return the motion of a frame (H, W) that is the one before it: all is trusted."""
    return Motion(np.zeros((2, 2, 2), np.float32), np.full(half(size), 255, np.uint8))


def sight(image: Image, index: int) -> Sight:
    """Make the small pictures of a frame (H, W, 3) that its flow is computed from."""
    height, width = image.shape[:2]
    factor = min(1.0, FLOW_SIDE / min(height, width))
    small = (max(16, round(width * factor)), max(16, round(height * factor)))
    colour = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    return Sight(index, np.asarray(grey), np.asarray(colour), (height, width))


class FlowEstimator:
    """Dense inverse search with buffers of its own: one a thread.

    Flow down to half of its pictures' size, where OpenCV's "fast" preset stops at a quarter: twice
    as far from frame by frame, for 3 ms; its "medium" gains another twentieth for 4 ms more.
    """

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._search.setFinestScale(1)
        self._search.setGradientDescentIterations(12)
        self._search.setVariationalRefinementIterations(2)

    def __call__(self, now: Sight, before: Sight) -> Flow:
        """Return where each pixel of `now` was in `before`."""
        return np.asarray(self._search.calc(now.grey, before.grey, None), np.float32)  # type: ignore[call-overload]


def look(now: Sight, before: Sight | None, estimate: FlowEstimator) -> Motion:
    """Find the motion since `before`.

    Nothing is known after a gap in the indexes, at another size, and at a cut.
    """
    nothing = Motion(None, np.zeros(half(now.size), np.uint8))
    if before is None or now.index != before.index + 1 or now.size != before.size:
        return nothing
    flow = estimate(now, before)
    where = positions(*now.grey.shape) + flow
    there = cv2.remap(before.colour, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    moved = _difference(now.colour, np.asarray(there, np.uint8))
    stayed = _difference(now.colour, before.colour)
    same = trusted(where, moved)
    if cv2.countNonZero(same) < CUT * same.size:
        return nothing
    slow = cv2.inRange(cv2.magnitude(*cv2.split(flow)), (0,), (STILL,))
    mean, calm = drift(now.grey, flow, np.asarray(slow, np.uint8))
    # An even wall looks the same wherever noise lets it move.
    idle = cv2.bitwise_and(calm, _no_better(moved, stayed))
    steady = cv2.inRange(stayed, (0,), (STEADY,))
    stays = cv2.bitwise_and(steady, cv2.bitwise_or(slow, idle))
    flow = np.asarray(cv2.copyTo(mean, stays, flow), np.float32)
    still = cv2.bitwise_and(stays, cv2.inRange(cv2.magnitude(*cv2.split(flow)), (0,), (0,)))
    trust = cv2.min(cv2.max(same, still), cv2.max(still, (MOVING, 0, 0, 0)))  # type: ignore[call-overload]
    rows, columns = half(now.size)
    trust = cv2.resize(trust, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return Motion(flow, np.asarray(trust, np.uint8))


def drift(
    grey: NDArray[np.uint8], flow: Flow, slow: NDArray[np.uint8]
) -> tuple[Flow, NDArray[np.uint8]]:
    """Return how the `slow` pixels (h, w) around each move as a whole, and where that says enough.

    The mean flow is (h, w, 2), 0 where it is no more than noise; it says enough, 255 in place of 0,
    where most of what can be followed is slow, or nothing can. Flow of less than `STILL` is mostly
    noise, but around a pixel the noise cancels. It is weighed by gradients (Lucas and Kanade 1981):
    an even wall says nothing of its motion, a texture does.
    """
    height, width = grey.shape
    size = (max(1, width // 2), max(1, height // 2))
    # At half the size, for a quarter of the time.
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    seen = cv2.resize(slow, size, interpolation=cv2.INTER_NEAREST)
    by_x, by_y = (cv2.Sobel(small, cv2.CV_32F, x, 1 - x) for x in (1, 0))
    texture = by_x * by_x + by_y * by_y
    followed = np.where(seen > 0, texture, np.float32(0))
    box = (AROUND // 2, AROUND // 2)
    total = np.asarray(cv2.blur(followed, box), np.float32)
    moved = cv2.resize(flow, size, interpolation=cv2.INTER_NEAREST) * followed[..., None]
    mean = np.asarray(cv2.blur(moved, box)) / np.maximum(total, 1e-3)[..., None]
    mean[cv2.magnitude(*cv2.split(mean)) < DRIFT] = 0
    all_texture = np.asarray(cv2.blur(texture, box))
    enough = (2 * total >= all_texture) | (all_texture < FLAT)
    found = [
        cv2.resize(x, (width, height), interpolation=cv2.INTER_NEAREST)
        for x in (mean, np.where(enough, np.uint8(255), np.uint8(0)))
    ]
    return np.asarray(found[0], np.float32), np.asarray(found[1], np.uint8)


def trusted(where: NDArray[np.float32], moved: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where the last frame shows the same: (h, w), 255 or 0.

    `where` (h, w, 2) says where each pixel was, `moved` (h, w) how many levels it has changed.
    """
    height, width = moved.shape
    same = cv2.inRange(moved, (0,), (SAME - 1,))
    most = (width - 1 + OUTSIDE, height - 1 + OUTSIDE)
    inside = cv2.inRange(where, (-OUTSIDE, -OUTSIDE), most)
    known = cv2.erode(cv2.bitwise_and(same, inside), np.ones((3, 3), np.uint8))
    return np.asarray(known, np.uint8)


def _no_better(moved: NDArray[np.uint8], stayed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where the last frame, `moved`, is hardly nearer than where it `stayed`: (h, w)."""
    box = (LOCAL, LOCAL)
    one, two = (cv2.blur(np.asarray(x, np.float32), box) for x in (moved, stayed))
    return np.asarray(cv2.compare(two, cv2.multiply(one, (GAIN, 0, 0, 0)), cv2.CMP_LE), np.uint8)  # type: ignore[call-overload]


def _difference(one: Image, two: Image) -> NDArray[np.uint8]:
    """Return how far colours (h, w, 3) are apart, by the worst channel and without noise: (h, w).

    Each step is one pass of OpenCV: the same in NumPy takes three times as long.
    """
    red, green, blue = cv2.split(cv2.absdiff(one, two))
    # Single pixels differ by noise; what is hidden is larger.
    return np.asarray(cv2.blur(cv2.max(cv2.max(red, green), blue), (3, 3)), np.uint8)


def enclosing(mask: NDArray[np.uint8], size: tuple[int, int]) -> Part | None:
    """Return the part of a picture of a size (H, W) that holds all of a smaller mask (h, w)."""
    x, y, columns, rows = cv2.boundingRect(mask)
    if not columns:
        return None
    parts = []
    for first, count, small, large in (
        (y, rows, mask.shape[0], size[0]),
        (x, columns, mask.shape[1], size[1]),
    ):
        # One pixel of the mask more on both sides: it is enlarged by interpolation.
        low = math.floor((first - 1) * large / small)
        high = math.ceil((first + count + 1) * large / small)
        parts.append(slice(max(0, low), min(large, high)))
    return parts[0], parts[1]


_grids: dict[tuple[int, int], NDArray[np.float32]] = {}


def positions(height: int, width: int) -> NDArray[np.float32]:
    """Return x and y of each pixel, (H, W, 2); that of the last sizes is kept."""
    found = _grids.get((height, width))
    if found is None:
        columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        found = np.stack(np.meshgrid(columns, rows), axis=2)
        if len(_grids) >= 6:
            _grids.clear()
        _grids[height, width] = found
    return found
