"""Animated pictures, read as the films they are: GIF, PNG, WebP and AVIF by Pillow.

FFmpeg shows WebP and AVIF as stills or not at all, and GIF faster than browsers do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.limits import MAX_ANIMATION_PIXELS, check_pixels
from rtstyle.media.picture_file import hide_transparent, is_transparent, opened
from rtstyle.media.timestamps import exact_seconds
from rtstyle.media.yuv import Alpha, over, split_rgba
from rtstyle.sources.base import Source

if TYPE_CHECKING:
    from PIL import Image as Pil

MILLISECOND = Fraction(1, 1000)
SHORTEST, USUAL = 10, 100
"""Milliseconds: frames of at most the first are shown for the second, as browsers do."""
HEADS = ((0, b"GIF8"), (0, b"\x89PNG"), (8, b"WEBP"), (4, b"ftypavif"), (4, b"ftypavis"))


def is_animation(path: Path) -> bool:
    """Return True if the file is a picture that moves. False also for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
        if not any(head[at : at + len(mark)] == mark for at, mark in HEADS):
            return False
        with opened(path, "animation") as picture:
            return bool(getattr(picture, "is_animated", False))
    except SourceError as error:
        if "too large" in error.what:
            raise
        return False
    except Exception:
        # Pillow raises whatever a damaged file leads it to; who opens it as a video says more.
        return False


def shown_for(milliseconds: float | None) -> float:
    """Return for how many milliseconds a frame is shown whose file says so many."""
    return USUAL if milliseconds is None or milliseconds <= SHORTEST else milliseconds


class AnimationSource(Source):
    """Every frame of an animated picture between `start` and `end` (seconds).

    With `keep_alpha` frames keep their transparency, else they are laid over black. What cannot
    be decoded ends the source and is counted. Raises `SourceError` for what is not an animation.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        keep_alpha: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.name = self.path.name
        self.origin = exact_seconds(start)
        self._end = None if end is None else exact_seconds(end)
        self._keep_alpha = keep_alpha
        self._stopped = False

    def open(self) -> None:
        """Read the header and the first frame."""
        if self.width:
            return
        with opened(self.path, "animation") as file:
            todo = "Scale it down, or convert it to MP4."
            check_pixels(self.path, *file.size, most=MAX_ANIMATION_PIXELS, todo=todo)
            try:
                file.load()
                count = int(getattr(file, "n_frames", 1))
            except Exception as error:
                why = str(error) or type(error).__name__
                raise SourceError(f"No frame of {self.name} can be decoded.", why) from error
            self.has_alpha = is_transparent(file)
            lasts = Fraction(shown_for(file.info.get("duration"))).limit_denominator(1001)
            self.rate = 1000 / lasts
            self.frames = None if self.origin or self._end is not None else count
            self.width, self.height = file.size

    def stop(self) -> None:
        """End the iteration after the present frame."""
        self._stopped = True

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        index = 0
        for file, begins, lasts in self._pictures():
            if self._stopped:
                return
            pts, ends = round(begins), round(begins + lasts)
            if ends * MILLISECOND <= self.origin:
                continue
            if self._end is not None and pts * MILLISECOND >= self._end:
                break
            pts = max(pts, round(self.origin / MILLISECOND))
            if self._end is not None:
                ends = min(ends, round(self._end / MILLISECOND))
            image, alpha = self._picture(file)
            yield Frame(image, index, pts, MILLISECOND, time.monotonic(), ends - pts, alpha)
            index += 1
        if not index and not self._stopped:
            raise SourceError(
                f"{self.name} has no frame between --start and --end.", "", "Choose other times."
            )

    def _pictures(self) -> Iterator[tuple[Pil.Image, float, float]]:
        """Yield the file at each of its frames, with when it begins and how long it lasts."""
        begins = 0.0
        with opened(self.path, "animation") as file:
            for number in range(int(getattr(file, "n_frames", 1))):
                try:
                    file.seek(number)
                    file.load()
                except Exception:
                    # Each frame builds on the one before.
                    self.counts["damaged frames"] += 1
                    return
                lasts = shown_for(file.info.get("duration"))
                yield file, begins, lasts
                begins += lasts

    def _picture(self, file: Pil.Image) -> tuple[Image, Alpha]:
        """Return the present frame of the file, and its alpha if that is kept."""
        if file.size != (self.width, self.height):
            # A GIF may draw beside its canvas; browsers show the canvas.
            file = file.crop((0, 0, self.width, self.height))
        if not is_transparent(file):
            return np.array(file.convert("RGB")), None
        image, alpha = split_rgba(np.array(file.convert("RGBA")))
        if alpha is None:
            return image, None
        if not self._keep_alpha:
            return over(image, alpha), None
        hide_transparent(image, alpha)
        return image, alpha
