"""Enlarges a coarse painting to the size of its frame: by a small network, the same for all styles.

It sees the painting, enlarged by cubic interpolation, beside the frame: joint upsampling (Kopf et
al. 2007), learnt; see `rtstyle_export.networks.upsampler`. Without its file, as in a folder of
styles of one's own, the interpolation is what is left.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from rtstyle.closeable import Closing
from rtstyle.engines import Engine, open_engine
from rtstyle.frame import Image
from rtstyle.styles.manifest import find_upsampler

TILE_ROWS = 1152
"""Rows that are enlarged at once: what the network keeps of a picture is four times its size."""
OVERLAP = 16
"""Rows beyond that which are seen as well: more than the network looks, and whole squares of it."""


class Upsampler(Closing):
    """Enlarges paintings. The network is opened with the first one. Use as a context manager.

    `device` and `options` are those of `rtstyle.engines.open_engine`.
    """

    def __init__(self, device: str = "auto", **options: Any) -> None:
        self._device, self._options = device, options
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._path = find_upsampler()

    def __call__(self, frame: Image, coarse: Image) -> Image:
        """Return the painting `coarse` (h, w, 3) at the size of its frame (H, W, 3).

        Raises `DeviceError` or `EngineError`.
        """
        height, width = frame.shape[:2]
        enlarged = np.asarray(
            cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        if self._path is None:
            return enlarged
        engine = self._open()
        found = np.empty_like(enlarged)
        for first, last, start, end in strips(height):
            part = np.s_[start:end]
            painted = _run(engine, frame[part], enlarged[part])
            found[first:last] = painted[first - start : last - start]
        return found

    def holds(self, size: tuple[int, int]) -> bool:
        """Return True if paintings are enlarged to a size (rows, columns) without preparation."""
        if self._path is None:
            return True
        engine = self._engine
        parts = {(end - start, size[1]) for *_, start, end in strips(size[0])}
        return engine is not None and all(engine.holds(part) for part in parts)

    def prepare(self, size: tuple[int, int]) -> None:
        """Do what the first painting of a size (rows, columns) would wait for; raises as that."""
        nothing = np.zeros((*size, 3), np.uint8)
        self(nothing, nothing)

    def _open(self) -> Engine:
        with self._opening:
            if self._engine is None:
                assert self._path is not None
                self._engine = open_engine(self._path, self._device, **self._options)
            return self._engine

    def close(self) -> None:
        """Free the network; a second call does nothing. A later painting opens it again."""
        with self._opening:
            if self._engine is not None:
                self._engine.close()
            self._engine = None


def strips(height: int) -> list[tuple[int, int, int, int]]:
    """Cut rows into strips: each answers for [first, last), and sees [start, end)."""
    if height <= TILE_ROWS + 2 * OVERLAP:
        return [(0, height, 0, height)]
    edges = [*range(0, height, TILE_ROWS), height]
    return [
        (first, last, max(0, first - OVERLAP), min(height, last + OVERLAP))
        for first, last in pairwise(edges)
    ]


def _run(engine: Engine, frame: Image, enlarged: Image) -> Image:
    painted: Image = engine.run(
        np.ascontiguousarray(frame)[None], {"canvas": np.ascontiguousarray(enlarged)[None]}
    )[0]
    return painted
