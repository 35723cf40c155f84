"""An NDI source of the network as a camera: `--camera ndi`, `--camera ndi:NAME`, by cyndilib."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError
from rtstyle.frame import Image
from rtstyle.sources.programs import latest
from rtstyle.sources.programs.latest import LatestSource


class NdiSource(LatestSource):
    """A source of the network; a part of its name, in small letters or large, is enough."""

    kind = "NDI"

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__(camera, rate=rate)
        self._finder: Any = None
        self._receiver: Any = None
        self._picture: Any = None
        self._last = 0.0

    def _connect(self) -> str:
        try:
            from cyndilib.finder import Finder
            from cyndilib.receiver import Receiver
            from cyndilib.video_frame import VideoFrameSync
            from cyndilib.wrapper.ndi_recv import RecvBandwidth, RecvColorFormat
        except ImportError as error:
            raise MissingExtraError(
                "NDI needs cyndilib.", str(error), "Install rtstyle[ndi]."
            ) from error
        self._finder = Finder()
        self._finder.open()
        found = self._find()
        self._receiver = Receiver(
            color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest
        )
        self._picture = VideoFrameSync()
        self._receiver.frame_sync.set_video_frame(self._picture)
        self._receiver.set_source(self._finder.get_source(found))
        return found

    def _find(self) -> str:
        until, names = time.monotonic() + latest.FIND, []
        while time.monotonic() < until and not self._stop.is_set():
            self._finder.wait_for_sources(0.2)
            names = self._finder.get_source_names()
            for name in names:
                if self._wanted.lower() in name.lower():
                    return str(name)
        raise self.missing(
            names,
            "None is found in this network.",
            "Sources are found by mDNS: is a firewall, or another network, between them?",
        )

    def _take(self) -> Image | None:
        if not self._receiver.is_connected():
            return None
        self._receiver.frame_sync.capture_video()
        picture = self._picture
        stamp = picture.get_timestamp_posix()
        if not picture.xres or stamp == self._last:
            return None
        self._last = stamp
        rows = np.frombuffer(picture, np.uint8).reshape(picture.yres, -1)
        pixels = rows[:, : 4 * picture.xres].reshape(picture.yres, picture.xres, 4)
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.uint8)

    def _release(self) -> None:
        receiver, self._receiver = self._receiver, None
        finder, self._finder = self._finder, None
        if receiver is not None:
            receiver.disconnect()
        if finder is not None:
            finder.close()
