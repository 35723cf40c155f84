"""The styles that a page can choose from, and a painted thumbnail of each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from rtstyle import styles
from rtstyle.bank import StyleBank
from rtstyle.errors import StyleError
from rtstyle.frame import Image

THUMBNAIL = (180, 240)
"""Rows and columns of a thumbnail."""
SHIPPED = Path(__file__).parent / "static" / "thumbs"
SCALE = 2
"""The picture is painted so much larger than the thumbnail, or brush strokes would fill it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One style as the page names it; `model` is what the bank knows it by."""

    name: str
    title: str
    artist: str
    year: str
    model: str


class Catalogue:
    """The built-in styles that exist in `size`, and an .onnx file if the server was given one.

    `first` is the style that is shown before anything is chosen. Raises `StyleError` if it is
    unknown or does not exist in `size`.
    """

    def __init__(self, first: str, size: str) -> None:
        self.size = size
        self.entries: dict[str, Entry] = {}
        for style in styles.load_manifest().styles.values():
            if size in style.files:
                self._add(Entry(style.name, style.title, style.artist, style.year, style.name))
        if first.lower().endswith(".onnx"):
            # The page knows the file only by this name: a path never goes out or comes in.
            name = "file"
            self._add(Entry(name, Path(first).stem, "", "", first))
        else:
            name = styles.find_style(first).name
        styles.find_model(first, size)
        self.first = name
        self._painting = threading.Lock()
        self._painted: dict[str, bytes] = {}

    def _add(self, entry: Entry) -> None:
        self.entries[entry.name] = entry

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Entry:
        return self.entries[name]

    def thumbnail(self, name: str, bank: StyleBank) -> bytes:
        """Return a WebP picture: the shipped one, or one painted now and kept.

        Blocks while it paints. Raises `StyleError` for an unknown name, and as `StyleBank.paint`.
        """
        if name not in self.entries:
            raise StyleError("There is no such style.")
        shipped = SHIPPED / f"{name}.webp"
        if self.entries[name].model == name and shipped.is_file():
            return shipped.read_bytes()
        with self._painting:
            if name not in self._painted:
                painted = bank.paint(sample_picture(), self.entries[name].model, self.size)
                self._painted[name] = encode_thumbnail(painted)
            return self._painted[name]


@lru_cache(maxsize=1)
def sample_picture() -> Image:
    """Return the picture under every thumbnail: the middle of a frame of the bundled clip."""
    from rtstyle.samples import sample_frames

    frame = list(sample_frames(8))[3]
    rows, columns = (SCALE * side for side in THUMBNAIL)
    height, width = frame.shape[:2]
    across = round(height * columns / rows)
    left = (width - across) // 2
    middle = np.ascontiguousarray(frame[:, left : left + across])
    return np.asarray(cv2.resize(middle, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def encode_thumbnail(painted: Image, quality: int = 72) -> bytes:
    """Return an (H, W, 3) uint8 RGB picture as a small WebP."""
    rows, columns = THUMBNAIL
    small = cv2.resize(painted, (columns, rows), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(
        ".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    return data.tobytes()
