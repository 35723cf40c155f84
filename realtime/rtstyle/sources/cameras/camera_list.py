"""Which cameras this machine has, and what they are called."""

from __future__ import annotations

import sys

from rtstyle.errors import SourceError
from rtstyle.sources.cameras.info import CameraInfo, Mode
from rtstyle.sources.cameras.quiet import quiet_opencv
from rtstyle.sources.cameras.v4l2 import list_v4l2_cameras

MOST_PROBED = 6
"""Indices tried where the system has no list of its cameras."""


def list_cameras() -> list[CameraInfo]:
    """Return the cameras of this machine by rising index; never raises, may be empty."""
    if sys.platform.startswith("linux"):
        return list_v4l2_cameras()
    try:
        return _listed()
    except Exception:
        # The list is a courtesy of another library: without it the indices still work.
        return _probed()


def _listed() -> list[CameraInfo]:
    """Ask the system of macOS or Windows, through cv2-enumerate-cameras."""
    from cv2_enumerate_cameras import enumerate_cameras

    found = enumerate_cameras(camera_api())
    # Paths of these systems name a device, but OpenCV opens none by them: it takes them for files.
    return [CameraInfo(c.index, c.name) for c in sorted(found, key=lambda c: c.index)]


def camera_api() -> int:
    """Return the API of OpenCV by which cameras are listed and opened here.

    An index means a camera of one API only.
    """
    import cv2

    known = {"darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_MSMF}
    return known.get(sys.platform, cv2.CAP_ANY)


def _probed() -> list[CameraInfo]:
    """Open one index after the other, until one does not exist."""
    import cv2

    found = []
    with quiet_opencv():
        for index in range(MOST_PROBED):
            capture = cv2.VideoCapture(index, camera_api())
            there = capture.isOpened()
            size = (int(capture.get(3)), int(capture.get(4))) if there else (0, 0)
            capture.release()
            if not there:
                break
            found.append(CameraInfo(index, f"camera {index}", modes=(Mode("", *size),)))
    return found


def find_camera(text: str, cameras: list[CameraInfo]) -> CameraInfo:
    """Return the camera whose name has `text` as its only one, whatever the case.

    A name that is wholly `text` wins over those that merely contain it. Raises `SourceError`
    that lists the cameras if none or several fit.
    """
    wanted = text.casefold().strip()
    whole = [camera for camera in cameras if camera.name.casefold() == wanted]
    fitting = whole or [camera for camera in cameras if wanted in camera.name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SourceError(
            f"Several cameras are called {text!r}.",
            say_cameras(fitting),
            "Choose one by its index, or by more of its name.",
        )
    raise SourceError(
        f"No camera is called {text!r}.",
        say_cameras(cameras),
        "Choose another --camera (an index, a name, a URL or a video file), or --camera test.",
    )


def say_cameras(cameras: list[CameraInfo]) -> str:
    """Return one sentence that lists the cameras, for an error message."""
    if not cameras:
        return "This machine shows no camera."
    each = (f"{c.index} ({c.name}{': ' + c.problem if c.problem else ''})" for c in cameras)
    return f"Cameras here: {', '.join(each)}."
