"""Cameras and network streams, as sources that outlive an unplugged or silent camera."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import SourceError
from rtstyle.files.names import without_password
from rtstyle.sources.cameras.camera_list import (
    camera_api,
    find_camera,
    list_cameras,
    say_cameras,
)
from rtstyle.sources.cameras.info import CameraInfo
from rtstyle.sources.cameras.quiet import quiet_opencv
from rtstyle.sources.cameras.resilient import Capture, ResilientSource, Shot
from rtstyle.sources.cameras.stream import SEGMENT_PATIENCE, StreamCapture, is_segmented

LINUX = sys.platform.startswith("linux")
OLDEST_STAMP = 1.0
"""Seconds: a driver's time stamp older than this does not belong to this picture."""
CAMERA_PATIENCE, URL_PATIENCE = 2.0, 3.0
CAMERA_OPEN_PATIENCE, URL_OPEN_PATIENCE = 30.0, 10.0
"""Windows can take twenty seconds to open a healthy camera."""
OTHERS = "Choose another --camera (an index, a name, a URL or a video file), or --camera test."


class CameraSource(ResilientSource):
    """A camera by index, device path or a part of its name, or a stream by URL.

    Of a camera it asks MJPG (raw pictures do not fit through USB 2 at full rate), `width`,
    `height` and `rate`, and then reads back what it got into the attributes of the same names. A
    URL gives what it gives. `captured_at` is the driver's own time stamp where there is one, else
    the moment at which the picture arrived. A camera that comes back under another index is found
    by its name. Raises `SourceError` if there never was a picture; see `ResilientSource`.
    """

    def __init__(
        self,
        camera: int | str,
        *,
        width: int = 640,
        height: int = 480,
        rate: float = 30,
        patience: float | None = None,
        cameras: Callable[[], list[CameraInfo]] = list_cameras,
        **options: Any,
    ) -> None:
        self.camera = camera
        self._asked = (width, height, rate)
        self._cameras = cameras
        self._known = ""
        self.is_url = isinstance(camera, str) and "://" in camera
        self._quiet = ExitStack()
        longest = URL_OPEN_PATIENCE if self.is_url else CAMERA_OPEN_PATIENCE
        options.setdefault("open_patience", longest)
        super().__init__(
            self._title(),
            self._open_capture,
            patience=self._usual_patience() if patience is None else patience,
            **options,
        )

    def _usual_patience(self) -> float:
        """Return the seconds of silence after which the camera counts as lost."""
        if not self.is_url:
            return CAMERA_PATIENCE

        return SEGMENT_PATIENCE if is_segmented(str(self.camera)) else URL_PATIENCE

    def _title(self) -> str:
        if not self.is_url:
            return f"camera {self.camera}"

        return without_password(str(self.camera))

    def open(self) -> None:
        """Open the camera and wait for its first picture, which shows the true size."""
        # OpenCV prints a warning of its own for every read that fails.
        self._quiet.enter_context(quiet_opencv())
        try:
            if not self.is_url:
                ask_for_cameras()
            super().open()
        except BaseException:
            self._quiet.close()
            raise

    def close(self) -> None:
        """Release the camera."""
        super().close()
        self._quiet.close()

    def describe(self) -> str:
        """Say what was asked for, what the camera gives, and what it gave when measured."""
        if self.is_url:
            return super().describe()
        width, height, rate = self._asked
        return f"{super().describe()} (asked for {width}x{height} at {rate:g})"

    def missing(self, why: str) -> SourceError:
        """Return the error for a camera without a first picture, with a list of those there."""
        if not self.is_url:
            why = f"{why} {say_cameras(self._cameras())}"
        return SourceError(f"There is no picture from {self.name}.", why, OTHERS)

    def _open_capture(self) -> Capture:
        if self.is_url:
            return StreamCapture(str(self.camera))
        where = self._locate()
        capture = open_device(where, self._asked)
        if capture is None:
            raise self.missing("It cannot be opened.")
        return capture

    def _locate(self) -> int | str:
        """Return the index or path where the camera is now."""
        if isinstance(self.camera, str) and not self.camera.startswith("/dev/"):
            found = find_camera(self.camera, self._cameras())
            return found.path or found.index
        here = self._cameras()
        at = [c for c in here if self.camera in (c.index, c.path)]
        if at and self._known in ("", at[0].name):
            self._known = at[0].name
            return self.camera
        # Plugged in again, a camera often gets another number.
        same = [c for c in here if self._known and c.name == self._known]
        return same[0].path or same[0].index if len(same) == 1 else self.camera


class DeviceCapture:
    """A camera opened by OpenCV; satisfies `Capture`."""

    def __init__(self, capture: Any, asked: tuple[int, int, float]) -> None:
        self._capture = capture
        width, height, rate = asked
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        capture.set(cv2.CAP_PROP_FPS, rate)
        # One picture in the driver's queue: older ones are only delay.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        given = capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(given).limit_denominator(1001) if 1 <= given <= 1000 else None
        code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        text = code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
        self.note = text if text.isascii() and text.isprintable() else ""

    def read(self) -> Shot | None:
        """Wait for the next picture; None if the camera gives none."""
        if not self._capture.grab():
            return None
        now = time.monotonic()
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        good, picture = self._capture.retrieve()
        if not good or picture is None:
            return None
        # Video4Linux stamps a picture on the monotonic clock when it was taken.
        stamped = LINUX and now - OLDEST_STAMP < stamp <= now
        code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
        return Shot(np.asarray(cv2.cvtColor(picture, code), np.uint8), stamp if stamped else now)

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


def ask_for_cameras() -> None:
    """Let macOS ask its user whether this program may use cameras.

    OpenCV can have that asked in the main thread only; the camera is then opened in another one.
    """
    if sys.platform != "darwin" or threading.current_thread() is not threading.main_thread():
        return
    cv2.VideoCapture(0, camera_api()).release()


def open_device(where: int | str, asked: tuple[int, int, float]) -> DeviceCapture | None:
    """Open a camera by index or path; None if that fails."""
    # A path is of Linux; an index belongs to an API.
    capture = cv2.VideoCapture(where, camera_api() if isinstance(where, int) else cv2.CAP_ANY)
    if capture.isOpened():
        return DeviceCapture(capture, asked)
    capture.release()
    return None
