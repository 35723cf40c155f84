"""Frames out of numbered pictures: a folder, a glob or a printf pattern."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rtstyle.color import resize
from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.limits import MAX_FRAME_PIXELS, check_pixels
from rtstyle.picture import read_picture
from rtstyle.picture_file import JPEG_SUFFIXES, is_transparent, opened
from rtstyle.sources.base import Source, exact_seconds
from rtstyle.yuv import Alpha, over

IMAGE_SUFFIXES = frozenset((*JPEG_SUFFIXES, ".bmp", ".png", ".ppm", ".tif", ".tiff", ".webp"))
PRINTF = re.compile(r"%0?\d*d(?![A-Za-z])")
"""A place for a number; in `100%done.png` there is none."""
DEFAULT_RATE = 25
"""Pictures a second, which their files do not tell."""


def is_image_pattern(path: str | Path) -> bool:
    """Say whether this names a picture sequence by a printf pattern (`%05d`) or a glob."""
    text = Path(path).name
    if Path(text).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    return bool(PRINTF.search(text)) or any(mark in text for mark in "*?[")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort `frame_2` before `frame_10`."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def list_images(path: str | Path) -> list[Path]:
    """Return the pictures of a folder, a glob or a printf pattern, in natural order."""
    path = Path(path)
    if path.is_dir():
        # macOS lays `._` files without a picture beside those of other file systems.
        seen = (p for p in path.iterdir() if not p.name.startswith("."))
        found = [p for p in seen if p.suffix.lower() in IMAGE_SUFFIXES]
    elif PRINTF.search(path.name):
        head, tail = PRINTF.split(path.name, maxsplit=1)
        name = re.compile(re.escape(head) + r"\d+" + re.escape(tail))
        folder = path.parent if path.parent.is_dir() else None
        found = [p for p in folder.iterdir() if name.fullmatch(p.name)] if folder else []
    else:
        found = list(path.parent.glob(path.name))
    return sorted((p for p in found if p.is_file()), key=natural_key)


def read_image(path: Path) -> tuple[Image, Alpha] | None:
    """Read a picture upright as (H, W, 3) uint8 RGB with its alpha, (H, W) uint8 or None.

    Returns None if it cannot be read. Raises `SourceError` if it is too large for a frame.
    """
    try:
        with opened(path, "picture") as file:
            size, transparent = file.size, is_transparent(file)
    except SourceError as error:
        if "too large" in error.what:
            raise
        return None
    except Exception:
        # Pillow raises whatever a damaged file leads it to.
        return None
    check_pixels(path, *size, most=MAX_FRAME_PIXELS)
    if transparent:
        with suppress(SourceError):
            picture = read_picture(path)
            return picture.rgb, picture.alpha
        return None
    try:
        # Through memory, because OpenCV cannot open every file name on Windows.
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if decoded is None:
        return None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), None


class ImageSequenceSource(Source):
    """The pictures of a folder, a glob or a printf pattern as a video of `rate` frames a second.

    The first readable picture sets the size; others are scaled to it. Unreadable ones are skipped
    and counted. `start` and `end` are seconds. With `keep_alpha` frames keep their transparency,
    else they are laid over black.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: Fraction | int = DEFAULT_RATE,
        start: float | None = None,
        end: float | None = None,
        keep_alpha: bool = False,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.name = str(path)
        self.rate = Fraction(rate)
        self.origin = exact_seconds(start)
        self._end = None if end is None else exact_seconds(end)
        self._files: list[tuple[int, Path]] = []
        self._keep_alpha = keep_alpha
        self._stopped = False

    def open(self) -> None:
        """List the pictures and read the first."""
        if self._files:
            return
        files = list(enumerate(list_images(self.path)))
        if not files:
            raise SourceError(
                f"{self.path} matches no picture.",
                "",
                "Use a folder or a pattern like in_%05d.png.",
            )
        rate = self.rate or Fraction(DEFAULT_RATE)
        self._files = [
            (number, file)
            for number, file in files
            if number / rate >= self.origin and (self._end is None or number / rate < self._end)
        ]
        first = next((i for _, f in self._files if (i := read_image(f)) is not None), None)
        if first is None:
            raise SourceError(
                f"No picture of {self.path} can be read.",
                "They are damaged, or none lies between --start and --end.",
            )
        self.height, self.width = first[0].shape[:2]
        self.has_alpha = first[1] is not None
        self.frames = len(self._files)

    def stop(self) -> None:
        """End the iteration after the present picture."""
        self._stopped = True

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        index, time_base = 0, 1 / (self.rate or Fraction(DEFAULT_RATE))
        for number, file in self._files:
            if self._stopped:
                return
            picture = read_image(file)
            if picture is None:
                self.counts["unreadable pictures"] += 1
                continue
            image, alpha = picture
            if alpha is not None and not self._keep_alpha:
                image, alpha = over(image, alpha), None
            if image.shape[:2] != (self.height, self.width):
                self.counts["frames of another size"] += 1
                size = (self.width, self.height)
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
                alpha = None if alpha is None else resize(alpha, self.height, self.width)
            yield Frame(image, index, number, time_base, time.monotonic(), alpha=alpha)
            index += 1
