"""An NDI source of the network as a camera: `--camera ndi`, `--camera ndi:NAME`, by cyndilib."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError, SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize
from rtstyle.sources.base import Source

PREFIX = "ndi"
OTHERS = {"spout": "Spout", "syphon": "Syphon"}
FIND = 5.0
"""Seconds in which a source must be found, and send its first picture."""
TICK = Fraction(1, 90_000)


def is_ndi(camera: str) -> bool:
    """Return True for `ndi` and `ndi:NAME`. Raises `SourceError` for what is like it.

    Spout and Syphon share textures of a graphics card within one machine.
    """
    kind = camera.partition(":")[0].lower()
    if kind in OTHERS and (":" in camera or camera.lower() == kind):
        raise SourceError(
            f"{OTHERS[kind]} is not available.",
            "rtstyle takes pictures from other programs by NDI.",
            "Send NDI there, and use --camera ndi:NAME.",
        )
    return kind == PREFIX and (":" in camera or camera.lower() == kind)


class NdiSource(Source):
    """The latest picture of an NDI source, `rate` times a second where there is a new one.

    `camera` is `ndi` for the first that is found, or `ndi:NAME` with a part of its name. A source
    that ends and comes again is followed: no pictures come meanwhile. Pictures of another size than
    the first are scaled. Raises `MissingExtraError` without cyndilib, `SourceError` where no source
    of that name is found.
    """

    live = True

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__()
        self._wanted = camera.partition(":")[2]
        self.name = f"NDI {self._wanted}".strip()
        self.rate = Fraction(rate).limit_denominator(1001)
        self._step = 1 / rate
        self._stop = threading.Event()
        self._finder: Any = None
        self._receiver: Any = None
        self._picture: Any = None
        self._last = 0.0

    def open(self) -> None:
        """Find the source, and wait for its first picture."""
        if self._receiver is not None:
            return
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
        self.name = f"NDI {found}"
        self._receiver = Receiver(
            color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest
        )
        self._picture = VideoFrameSync()
        self._receiver.frame_sync.set_video_frame(self._picture)
        self._receiver.set_source(self._finder.get_source(found))
        until = time.monotonic() + FIND
        while (image := self._take()) is None:
            if time.monotonic() > until or self._stop.wait(0.01):
                self.close()
                raise SourceError(f"{found} sends no picture.", "", "Start it, and try again.")
        self.height, self.width = image.shape[:2]
        self._last = 0.0  # It counts as new once more.

    def _find(self) -> str:
        until, names = time.monotonic() + FIND, []
        while time.monotonic() < until and not self._stop.is_set():
            self._finder.wait_for_sources(0.2)
            names = self._finder.get_source_names()
            for name in names:
                if self._wanted.lower() in name.lower():
                    return str(name)
        self.close()
        wanted = f" {self._wanted!r}" if self._wanted else ""
        raise SourceError(
            f"There is no NDI source{wanted}.",
            f"There are {', '.join(names)}." if names else "None is found in this network.",
            "Sources are found by mDNS: is a firewall, or another network, between them?",
        )

    def _take(self) -> Image | None:
        """Return the latest picture, (H, W, 3), where it is a new one."""
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

    def close(self) -> None:
        """Let go of the source."""
        receiver, self._receiver = self._receiver, None
        finder, self._finder = self._finder, None
        if receiver is not None:
            receiver.disconnect()
        if finder is not None:
            finder.close()

    def stop(self) -> None:
        """Wake the wait for the next picture and end the iteration."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        began, index = time.monotonic(), 0
        while not self._stop.is_set():
            now = time.monotonic()
            if (image := self._take()) is not None:
                image = resize(image, self.height, self.width)
                yield Frame(image, index, round((now - began) / TICK), TICK, now)
                index += 1
            # Half a step: a picture is never a whole one late.
            self._stop.wait(max(0.0, now + self._step / 2 - time.monotonic()))
