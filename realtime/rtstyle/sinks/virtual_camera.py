"""A camera that other programs see: OBS, Zoom, Meet and Teams, through pyvirtualcam."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError, SinkError
from rtstyle.frame import Frame, Image
from rtstyle.sinks.base import Sink

DEFAULT_RATE = 30.0
REPEAT_AFTER = 0.1
"""Seconds without a frame after which the last one is sent again."""
USUAL_SIZES = ((1920, 1080), (1280, 720), (640, 480))
"""Sizes that every back end takes, for pictures whose own size it refuses."""

MAKE_ONE = {
    "linux": (
        "Make one: sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback devices=1 "
        "video_nr=10 card_label=rtstyle exclusive_caps=1"
    ),
    "win32": (
        "Install OBS Studio (winget install OBSProject.OBSStudio), then press "
        "Start Virtual Camera in it once, and Stop again."
    ),
    "darwin": (
        "Install OBS Studio (brew install --cask obs), then press Start Virtual Camera in it "
        "once, allow it in System Settings, and press Stop again."
    ),
}


class VirtualCameraSink(Sink):
    """Shows frames as a camera of this machine, at the moment they are ready.

    `width` and `height` are those of the frames, `rate` theirs too (frames a second). `device` is
    a back end's name for one of its cameras, such as `/dev/video10`; None takes the first free
    one. Frames of an odd size get their last row or column twice, and a size that the back end
    refuses is scaled into one that it takes, with black bars; `sent_size` tells which.

    Pace: nothing here ever sleeps (`sleep_until_next_frame` would hold the picture back and slow
    the window down besides). A frame that comes more than one frame time ahead of `rate` is
    dropped, so that bursts pass and the mean rate holds; when none comes for 0.1 s, `idle` sends
    the last one again, because some programs take a silent camera for a dead one. `counts` has
    "dropped" and "repeated".

    Raises `MissingExtraError` without pyvirtualcam, and `SinkError` if there is no device.
    """

    def __init__(
        self,
        width: int,
        height: int,
        rate: Fraction | float | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "virtual camera"
        self.sent_size = (width, height)
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self._size = (width, height)
        self._rate = float(rate or DEFAULT_RATE)
        self._device, self._backend, self._clock = device, backend, clock
        self._camera: Any = None
        self._due = self._last_at = -math.inf
        self._last: Image | None = None

    def open(self) -> None:
        """Connect to the virtual camera; a second call does nothing."""
        if self._camera is not None:
            return
        library = load_library()
        problem = ""
        for width, height in sizes_to_try(*self._size):
            try:
                self._camera = library.Camera(
                    width,
                    height,
                    self._rate,
                    fmt=library.PixelFormat.RGB,
                    device=self._device,
                    backend=self._backend,
                )
            except (RuntimeError, ValueError, OSError, KeyError) as error:
                # The first size is the one that was wanted, so its reason is the one to tell.
                problem = problem or str(error)
                continue
            self.sent_size = (width, height)
            self.name = f"virtual camera {self._camera.device}"
            return
        raise no_device(problem)

    def describe(self) -> str:
        """Say which device it is and what it shows."""
        width, height = self.sent_size
        return f"{self.name}: {width}x{height} at {self._rate:g} FPS"

    def write(self, frame: Frame) -> None:
        """Send the frame, unless it comes too early. Raises `SinkError` if the device is gone."""
        self.open()
        now, step = self._clock(), 1 / self._rate
        if now < self._due - step:
            self.counts["dropped"] += 1
            return
        self._due = max(self._due + step, now)
        self._last = fit(frame.image, *self.sent_size)
        self._send(now)

    def idle(self) -> None:
        """Send the last frame again if nothing was sent for a while."""
        now = self._clock()
        if self._last is not None and now - self._last_at >= REPEAT_AFTER:
            self.counts["repeated"] += 1
            self._send(now)

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - nothing is kept
        """Let go of the device."""
        self.abort()

    def abort(self) -> None:
        """Let go of the device."""
        camera, self._camera, self._last = self._camera, None, None
        if camera is not None:
            # A device that is gone cannot be closed, and need not.
            with suppress(RuntimeError, OSError):
                camera.close()

    def _send(self, now: float) -> None:
        try:
            self._camera.send(self._last)
        except (RuntimeError, OSError) as error:
            raise SinkError(f"The {self.name} takes no more frames.", str(error)) from error
        self._last_at = now
        self.sent += 1


def load_library() -> ModuleType:
    """Return pyvirtualcam. Raises `MissingExtraError` if it is not installed."""
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingExtraError(
            "A virtual camera needs pyvirtualcam.",
            str(error),
            "pip install 'rtstyle[virtual-camera]'",
        ) from error
    module: ModuleType = pyvirtualcam
    return module


def no_device(why: str) -> SinkError:
    """Return the error for a machine without a virtual camera: how to make one on this system."""
    todo = MAKE_ONE.get(sys.platform, "This system has no virtual camera that is known here.")
    return SinkError("There is no virtual camera that can be used.", " ".join(why.split()), todo)


def sizes_to_try(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Return the sizes to ask of a back end, best first.

    Its own size made even (most cameras halve the colours), in fours and sixteens (some back ends
    pack pixels), then the usual sizes, from the nearest on.
    """
    seen = set()
    own = [(-(-width // by) * by, -(-height // by) * by) for by in (2, 4, 16)]
    near = sorted(USUAL_SIZES, key=lambda size: abs(size[0] * size[1] - width * height))
    for size in (*own, *near):
        if size not in seen:
            seen.add(size)
            yield size


def fit(image: Image, width: int, height: int) -> Image:
    """Return `image` as (height, width, 3) uint8 RGB, C-contiguous.

    Up to 15 missing rows or columns are filled with the last one; any other size is scaled with
    its shape kept, between black bars.
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(image)
    down, right = height - rows, width - columns
    if 0 <= down < 16 and 0 <= right < 16:
        filled = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(filled, np.uint8)
    scale = min(width / columns, height / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else 1)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas
