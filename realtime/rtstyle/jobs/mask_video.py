"""A mask that is a video: each frame of a clip gets the regions of its moment."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rtstyle.closeable import Closing
from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.picture import INPUT_SUFFIXES
from rtstyle.sources import open_video
from rtstyle.sources.animation import is_animation
from rtstyle.sources.images import is_image_pattern

KEPT = 8
"""Mask frames that are kept: workers ask for them a little out of order."""


def is_video(path: Path) -> bool:
    """Return True for a mask video, an animation or numbered pictures, False for a picture."""
    still = path.suffix.lower() in INPUT_SUFFIXES and path.suffix.lower() != ".gif"
    if not still or (is_image_pattern(path) and not path.is_file()):
        return True
    return is_animation(path)


def as_video(mask: Path | str | Image | None) -> Path | None:
    """Return the path of a mask that is a video, None for a picture or no mask."""
    if not isinstance(mask, (str, Path)):
        return None
    return Path(mask) if is_video(Path(mask)) else None


class MovingMask(Closing):
    """The frames of a mask video by time; the last one is held if it is shorter than the clip.

    `start` is where the clip is cut, in seconds: the mask is taken from the same moment on. `rate`
    is that of the clip: where the mask is numbered pictures, each of them is of one frame.
    `at` may be called from several threads, for frames a little out of order. Raises
    `SourceError` if the video cannot be read.
    """

    def __init__(
        self, path: Path, start: float | None = None, rate: Fraction | None = None
    ) -> None:
        pictures = path.is_dir() or is_image_pattern(path)
        self._source = open_video(path, start, None, rate if pictures else None)
        self._source.open()
        self._frames: Iterator[Frame] = iter(self._source)
        self._lock = threading.Lock()
        self._kept: OrderedDict[float, Image] = OrderedDict()
        self._next: Frame | None = next(self._frames, None)
        self._origin: float | None = None
        if self._next is None:
            self._source.close()
            raise SourceError(f"The mask {path} has no frame.", "", "Check the file.")
        self._first = self._next.time

    def at(self, frame: Frame) -> Image:
        """Return the mask of a frame, (h, w, 3) uint8: the last one that is not later."""
        with self._lock:
            if self._origin is None:
                self._origin = frame.time - self._first if frame.index == 0 else 0.0
            # A thousandth of a second: time bases round differently.
            moment = frame.time - self._origin + 1e-3
            while self._next is not None and self._next.time <= moment:
                self._kept[self._next.time] = self._next.image
                self._next = next(self._frames, None)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            fitting = [time for time in self._kept if time <= moment]
            return self._kept[max(fitting) if fitting else min(self._kept)]

    def close(self) -> None:
        """Close the video."""
        self._source.close()
