"""Numbered pictures in a folder."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from pathlib import Path

import cv2

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink
from rtstyle.sinks.pending import check_folder, writing_to

PRINTF = re.compile(r"%0?\d*d")
SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
# PNG at 1 is three times as fast as at OpenCV's 3, and a tenth larger.
QUALITY = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
}


class ImageSequenceSink(Sink):
    """Writes pictures 1, 2, 3, ... to `path`, a folder or a pattern like `out/frame_%05d.png`.

    They are collected in a temporary folder and moved into place on `close`; what is cut short
    goes to a folder whose name ends in `.partial`, and `path` then names that.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(path)
        if PRINTF.search(self.path.name):
            self._folder, self._pattern = self.path.parent, self.path.name
        else:
            self._folder, self._pattern = self.path, "%05d.png"
        self._temporary: Path | None = None
        self._count = self._bytes = 0

    def open(self) -> None:
        """Check the folder above and make the temporary one."""
        if self._temporary is not None:
            return
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
        temporary = beside / f".rtstyle.{secrets.token_hex(4)}.tmp"
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
            bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            good, data = cv2.imencode(suffix, bgr, QUALITY.get(suffix.lower(), []))
            if not good:
                raise SinkError(f"{self.path} cannot be written.", f"{suffix} cannot be encoded.")
            (self._temporary / (self._pattern % self._count)).write_bytes(data.tobytes())
            self._bytes += data.size

    def close(self, complete: bool = True) -> None:
        """Move the pictures into place; nothing if no frame came."""
        if self._temporary is None or not self._count:
            self.abort()
            return
        target = self._folder if complete else self._partial_folder()
        with writing_to(self.path):
            target.mkdir(exist_ok=True)
            for file in sorted(self._temporary.iterdir()):
                os.replace(file, target / file.name)  # noqa: PTH105 - says that it replaces
        self.path = target if not complete or self.path == target else self.path
        self.abort()

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._bytes

    def abort(self) -> None:
        """Throw the temporary folder away."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _partial_folder(self) -> Path:
        if self.path == self._folder:
            return self._folder.with_name(f"{self._folder.name}.partial")
        stem = PRINTF.sub("", Path(self._pattern).stem).strip("_-. ") or "frames"
        return self._folder / f"{stem}.partial"
