"""Paints frame after frame with a network that sees a canvas.

A frame of more rows than the network was trained for is painted at fewer rows, as in `strokes`, and
enlarged. The canvas has those fewer rows, too: what is enlarged is as calm as what was painted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.canvas import UNKNOWN, Canvas, empty
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.painting.canvas.bending import BENT, Bend, bent_on, in_colours_of, primed
from rtstyle.painting.canvas.dissolve import STAY, Rest, rest_after, shown
from rtstyle.painting.canvas.laying import at_half, full_size, lay, places
from rtstyle.painting.canvas.motion import Flow, FlowEstimator, Motion, Sight, look, sight, unmoved
from rtstyle.painting.strokes import TRAINED_ROWS, Enlarge, enlarged, levels, reduced

FRESH = 0.05
"""Share of new paint where nothing moves. Changes of less than ten levels are rounded away: with a
share of 0.15 a camera's noise alone changed strokes within 200 frames, for the worse."""

Run = Callable[[Image, Mapping[str, NDArray[np.uint8]]], Image]
"""Paints (H, W, 3) uint8 with the further inputs `canvas` and `trust`, (1, H, W, C) uint8 each."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept from frame to frame: sight, the painting before it was enlarged, its bend, and
    what is left of old strokes."""

    sight: Sight
    painted: Image
    bend: Bend | None = None
    rest: Rest | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name, to be written to a file."""
        now = self.sight
        place = np.array([now.index, *now.size])
        bend = {} if self.bend is None else {"bend": self.bend}
        seen = {"place": place, "grey": now.grey, "colour": now.colour}
        rest = {} if self.rest is None else self.rest.to_arrays()
        return {**seen, "painted": self.painted, **bend, **rest}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Memory:
        """Undo `to_arrays`. Raises `KeyError` or `ValueError` for other arrays."""
        index, rows, columns = (int(value) for value in arrays["place"])
        seen = Sight(index, arrays["grey"], arrays["colour"], (rows, columns))
        painted = np.asarray(arrays["painted"], np.uint8)
        return cls(seen, painted, arrays.get("bend"), Rest.from_arrays(arrays))


def paint(
    run: Run,
    frame: Image,
    motion: Motion,
    before: Image | None,
    *,
    coherence: float = 1.0,
    fresh: bool = False,
    where: Flow | None = None,
) -> tuple[Image, Image | None]:
    """Paint a frame (H, W, 3) over `before`, the last painting of the same size, if there is one.

    `coherence` (0 to 1) is the trust in the last painting; with `fresh` it is painted over even
    where nothing moves. `where` is as in `lay`. Returns the painting, and the last one moved along.
    """
    size = (frame.shape[0], frame.shape[1])
    if before is None or before.shape != frame.shape or coherence <= 0:
        return run(frame, empty(size).feeds()), None
    moved = lay(before, motion, where)
    canvas = faded(moved, coherence)
    if motion.worn is not None:
        canvas = primed(canvas, moved.picture, motion.worn)
    painted = run(frame, canvas.feeds())
    if motion.worn is not None:
        painted = in_colours_of(moved.picture, painted, motion.worn)
    if not fresh:
        painted = settled(before, painted, motion.trust, coherence)
    return painted, moved.picture


def settled(
    before: Image, painted: Image, trust: NDArray[np.uint8], coherence: float = 1.0
) -> Image:
    """Return a painting (H, W, 3) that changes slowly where nothing moves, by `coherence`.

    Painted over and over, strokes would grow there without end.
    """
    kept = (1 - FRESH) * coherence
    mixed = cv2.addWeighted(before, kept, painted, 1 - kept, 0)
    moves = full_size(np.asarray(cv2.inRange(trust, (0,), (254,)), np.uint8), painted)
    return np.asarray(cv2.copyTo(painted, moves, mixed), np.uint8)


def faded(canvas: Canvas, coherence: float) -> Canvas:
    """Trust a canvas by a share `coherence` only; what is not trusted is unknown."""
    trust = at_half(canvas.trust, canvas.picture)
    unknown = np.full_like(canvas.picture, UNKNOWN)
    known = full_size(trust, canvas.picture)
    picture = np.asarray(cv2.copyTo(canvas.picture, known, unknown), np.uint8)
    if coherence < 1:
        trust = np.rint(trust * np.float32(coherence)).astype(np.uint8)
    return Canvas(picture, trust)


@dataclass(frozen=True, slots=True)
class Step:
    """What is known of a frame before it is painted: its motion, and a painting of it, if any.

    `frame` is the frame at the size at which it is painted, `bend` that of its painting, `where`
    are the `places` of its pixels in the last one.
    """

    frame: Image
    sight: Sight
    motion: Motion
    keyframe: Image | None = None
    bend: Bend | None = None
    where: Flow | None = None


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """Return a picture (h, w, 3) at another size (rows, columns)."""
    kind = cv2.INTER_AREA if image.shape[0] > size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size[::-1], interpolation=kind), np.uint8)


class CoherentPainter:
    """Paints the frames of one clip in order.

    `prepare` and `paint` are each called from one thread, `prepare` perhaps some frames ahead.
    """

    def __init__(
        self,
        run: Run,
        enlarge: Enlarge,
        *,
        stroke_size: float = 1.0,
        coherence: float = 1.0,
        bend: float = BENT,
    ) -> None:
        """`run` paints at up to some 600 rows, `enlarge` serves larger frames.

        `bend` is how far strokes may be bent. Raises `UsageError` for a value out of range.
        """
        levels((TRAINED_ROWS, TRAINED_ROWS), stroke_size)
        if not 0 <= coherence <= 1:
            raise UsageError(f"A coherence of {coherence} is out of range.", "", "Use 0 to 1.")
        self._run, self._enlarge = run, enlarge
        self._stroke_size, self._coherence = stroke_size, coherence
        self._estimate = FlowEstimator()
        self._most = bend
        self._seen: Sight | None = None
        self._bend: Bend | None = None
        self._painted: Image | None = None
        self._rest: Rest | None = None

    def go_on(self, memory: Memory) -> None:
        """Take the next frame as the one after that of `memory`, which another painter painted."""
        self._seen, self._bend = memory.sight, memory.bend
        self._painted, self._rest = memory.painted, memory.rest

    def memory_after(self, step: Step) -> Memory:
        """Return what is kept of the frame that was painted last, whose step is `step`."""
        assert self._painted is not None
        return Memory(step.sight, self._painted, step.bend, self._rest)

    def prepare(self, image: Image, index: int, keyframe: Image | None = None) -> Step:
        """Find what moved since the frame that was prepared last.

        `keyframe` is a painting of this very frame, of any size, that was made by other means: it
        is the canvas then.
        """
        frame = reduced(image, levels((image.shape[0], image.shape[1]), self._stroke_size)[0])
        now = sight(frame, index)
        before, self._seen = self._seen, now
        if keyframe is not None:
            self._bend = None
            return Step(frame, now, unmoved(now.size), keyframe)
        motion = look(now, before if self._coherence else None, self._estimate)
        self._bend, motion = bent_on(self._bend, motion, self._most)
        where = places(motion, now.size)
        return Step(frame, now, motion, bend=self._bend, where=where)

    def paint(self, image: Image, step: Step) -> Image:
        """Paint a frame, given what `prepare` found for it."""
        before = self._painted if step.motion.flow is not None else None
        if step.keyframe is not None:
            before = fitted(step.keyframe, step.sight.size)
        painted, moved = paint(
            self._run,
            step.frame,
            step.motion,
            before,
            coherence=self._coherence,
            fresh=step.keyframe is not None,
            where=step.where,
        )
        rest, share = None, STAY * self._coherence
        if moved is not None and step.where is not None:
            rest = rest_after(self._rest, moved, painted, step.motion, step.where, share)
        self._painted, self._rest = painted, rest
        _, *larger = levels((image.shape[0], image.shape[1]), self._stroke_size)
        return enlarged(self._enlarge, image, shown(painted, rest), larger)
