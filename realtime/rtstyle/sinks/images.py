"""Numbered pictures in a folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rtstyle.errors import SinkError, reason
from rtstyle.files.numbered import PRINTF, SUFFIXES, numbers_well, split_target
from rtstyle.files.pending import check_folder, keep_aside, rename, writing_to
from rtstyle.files.space import cut_short, why_full
from rtstyle.files.temporary import sweep, temporary_name, with_addition
from rtstyle.frame import Frame
from rtstyle.media.color import resize, with_square_pixels
from rtstyle.media.limits import DEFAULT_QUALITY
from rtstyle.sinks.base import FileSink
from rtstyle.sinks.encoding.alpha import with_alpha

# PNG at 1 is three times as fast as at OpenCV's 3, and a tenth larger.
QUALITY = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, DEFAULT_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, DEFAULT_QUALITY],
}


class ImageSequenceSink(FileSink):
    """Writes pictures 1, 2, 3, ... to `path`, a folder or a pattern like `out/frame_%05d.png`.

    They are collected in a temporary folder and moved into place on `close`, where they replace an
    older sequence as a whole: what it has more is removed. What is cut short goes to a folder
    whose name ends in `.partial`, and `path` then names that. Pictures of other than square
    pixels are made wider or narrower by `sample_aspect_ratio`. With `alpha` the transparency of
    the frames is kept, where `keeps_alpha` says so of `path`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sample_aspect_ratio: Fraction | None = None,
        alpha: bool = False,
    ) -> None:
        self._alpha = alpha
        self.path = Path(path)
        self._ratio = sample_aspect_ratio
        self.name = str(path)
        self._folder, self._pattern = split_target(self.path)
        self._temporary: Path | None = None
        self._count = self._bytes = 0

    def open(self) -> None:
        """Check the folder above and make the temporary one."""
        if self._temporary is not None:
            return
        if not numbers_well(self._pattern):
            raise SinkError(
                f"{self._pattern} cannot number pictures.",
                "It needs one place for the number, and any other % twice.",
                "Write it like out_%05d.png.",
            )
        if Path(self._pattern).suffix.lower() not in SUFFIXES:
            raise SinkError(
                f"{self._pattern} is not a kind of picture that can be written.",
                "",
                f"Use one of {' '.join(sorted(SUFFIXES))}.",
            )
        if self._folder.exists() and not self._folder.is_dir():
            raise SinkError(f"{self._folder} is a file.", "", "Name a folder, or out_%05d.png.")
        # The last folder of a name is made, but nobody asked for the folder of a pattern.
        named = self.path == self._folder and not self._folder.exists()
        beside = self._folder.parent if named else self._folder
        check_folder(beside)
        sweep(beside)
        temporary = temporary_name(beside / "pictures")
        with writing_to(self.path):
            temporary.mkdir()
        self._temporary = temporary

    def write(self, frame: Frame) -> None:
        """Write one picture."""
        self.open()
        if self._temporary is None:
            return
        self._count += 1
        with writing_to(self.path):
            suffix = Path(self._pattern).suffix
            image = with_square_pixels(frame.image, self._ratio)
            bgr = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
            if frame.alpha is not None and self._alpha:
                bgr = with_alpha(bgr, resize(frame.alpha, *image.shape[:2]))
            good, data = cv2.imencode(suffix, bgr, QUALITY.get(suffix.lower(), []))
            if not good:
                raise SinkError(f"{self.path} cannot be written.", f"{suffix} cannot be encoded.")
            self._write_picture(self._temporary / (self._pattern % self._count), data.tobytes())
            self._bytes += data.size

    def _write_picture(self, picture: Path, data: bytes) -> None:
        """Write a picture. Raises `SinkError` on a full disk, and keeps the pictures before it."""
        try:
            picture.write_bytes(data)
        except OSError as error:
            why = why_full(error)
            if not why:
                raise
            with suppress(OSError):
                picture.unlink(missing_ok=True)
            kept = None
            if self._count > 1 and self._temporary is not None:
                kept = keep_aside(self._temporary, self._partial_folder())
                self._temporary = None
            raise cut_short(self.path, why, kept) from error

    def close(self, complete: bool = True) -> None:
        """Move the pictures into place; nothing if no frame came."""
        if self._temporary is None or not self._count:
            self.abort()
            return
        if complete:
            self._move_pictures(self._temporary)
            self.abort()
            self._remove_rest()
        else:
            self.path = keep_aside(self._temporary, self._partial_folder())
            self._temporary = None

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._bytes

    def abort(self) -> None:
        """Throw the temporary folder away."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _move_pictures(self, temporary: Path) -> None:
        """Move all into place. What cannot be moved is kept aside, and a `SinkError` says where."""
        done = 0
        try:
            self._folder.mkdir(exist_ok=True)
            for name in self._names(1, self._count + 1):
                rename(temporary / name, self._folder / name)
                done += 1
        except OSError as error:
            self._temporary = None
            kept = keep_aside(temporary, self._partial_folder())
            why, todo = reason(error), f"Pictures from {done + 1} on are in {kept}."
            raise SinkError(f"{self.path} cannot be written.", why, todo) from error

    def _remove_rest(self) -> None:
        """Remove what an older, longer sequence of this name has more."""
        with writing_to(self.path):
            for name in self._names(self._count + 1, sys.maxsize):
                picture = self._folder / name
                if not picture.is_file():
                    return
                picture.unlink()

    def _names(self, first: int, end: int) -> Iterator[str]:
        return (self._pattern % number for number in range(first, end))

    def _partial_folder(self) -> Path:
        if self.path == self._folder:
            return with_addition(self._folder, f"{self._folder.suffix}.partial", "")
        stem = PRINTF.sub("", Path(self._pattern).stem).strip("_-. ") or "frames"
        return with_addition(self._folder / stem, ".partial", "")
