"""What a program on this Windows machine shares by Spout: `--camera spout:NAME`, by SpoutGL."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError
from rtstyle.frame import Image
from rtstyle.sources.programs.latest import LatestSource

GL_RGBA = 0x1908
"""The number that OpenGL has for this order of channels."""


class SpoutSource(LatestSource):
    """A sender of Spout by its whole name; without one, the sender that is chosen as active."""

    kind = "Spout"

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__(camera, rate=rate)
        self._receiver: Any = None
        self._pixels: Any = None

    def _connect(self) -> str:
        try:
            import SpoutGL
        except ImportError as error:
            raise MissingExtraError(
                "Spout needs SpoutGL, on Windows.", str(error), "Install rtstyle[spout]."
            ) from error
        self._receiver = SpoutGL.SpoutReceiver()
        names = list(self._receiver.getSenderList())
        found = self._wanted or str(self._receiver.getActiveSender() or "")
        if found not in names:
            raise self.missing(names, "None is on this machine.", "Start it, and try again.")
        self._receiver.setReceiverName(found)
        return found

    def _take(self) -> Image | None:
        # The first call, and each after the sender has changed its size, only tells the size.
        received = self._receiver.receiveImage(self._pixels, GL_RGBA, False, 0)
        if self._receiver.isUpdated():
            shape = (self._receiver.getSenderHeight(), self._receiver.getSenderWidth(), 4)
            self._pixels = np.zeros(shape, np.uint8)
            return None
        if not received or self._pixels is None or not self._receiver.isFrameNew():
            return None
        return np.asarray(cv2.cvtColor(self._pixels, cv2.COLOR_RGBA2RGB), np.uint8)

    def _release(self) -> None:
        receiver, self._receiver = self._receiver, None
        self._pixels = None
        if receiver is not None:
            receiver.releaseReceiver()
