"""What a pipeline calls for each frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from rtstyle.frame import Frame, Image


@runtime_checkable
class FramePainter(Protocol):
    """Paints frames where the moment counts, as in a sweep or under a mask video."""

    def paint_frame(self, frame: Frame) -> NDArray[Any]:
        """Return the painted picture of a frame: (H, W, 3), uint8, or uint16 of 256 a level."""
        ...


@runtime_checkable
class PreparingPainter(Protocol):
    """Paints frames of which something must be found first, in order: a stage of its own.

    The pipeline calls `prepare` for one frame while it paints the one before.
    """

    def prepare(self, frame: Frame) -> object:
        """Return what `paint_prepared` takes besides the frame."""
        ...

    def paint_prepared(self, frame: Frame, found: Any) -> NDArray[Any]:
        """Return the painted picture of a frame."""
        ...


def paint_one(
    stylize: Callable[[Image], Image] | FramePainter | PreparingPainter,
) -> Callable[[Frame], NDArray[Any]]:
    """Return a function of frames for any kind of painter."""
    if isinstance(stylize, PreparingPainter):
        return lambda frame: stylize.paint_prepared(frame, stylize.prepare(frame))
    if isinstance(stylize, FramePainter):
        return stylize.paint_frame
    return lambda frame: stylize(frame.image)
