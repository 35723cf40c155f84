"""Where frames come from. Each source is a file here; `open_video` and `open_camera` choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtstyle.sources.base import Source


def open_video(path: str | Path, start: float | None = None, end: float | None = None) -> Source:
    """Return the source for a video file, or for pictures named by folder, glob or `%05d`.

    It is not opened yet. `start` and `end` are seconds.
    """
    from rtstyle.sources.images import ImageSequenceSource, is_image_pattern
    from rtstyle.sources.video_file import VideoFileSource, check_times

    check_times(start, end)
    if Path(path).is_dir() or is_image_pattern(path):
        return ImageSequenceSource(path, start=start, end=end)
    return VideoFileSource(path, start=start, end=end)


def open_camera(
    camera: str, *, width: int = 640, height: int = 480, rate: float = 30, loop: bool = False
) -> Source:
    """Return the live source for `camera`, not opened yet.

    `camera` is an index (`0`), `test` for the test pattern, a video file that is played in real
    time, or else a device path or URL for OpenCV.
    """
    if camera == "test":
        from rtstyle.sources.pattern import TestPatternSource

        return TestPatternSource(width, height, rate=round(rate), live=True)
    if looks_like_file(camera):
        from rtstyle.sources.realtime import RealTimeFileSource

        return RealTimeFileSource(camera, loop=loop)
    from rtstyle.sources.camera import CameraSource

    index = int(camera) if camera.isdecimal() else camera
    return CameraSource(index, width=width, height=height, rate=rate)


def looks_like_file(camera: str) -> bool:
    """Say whether this is meant as a file: no index, no URL, no device, and it has a suffix."""
    if camera.isdecimal() or "://" in camera or camera.startswith("/dev/"):
        return False
    return Path(camera).is_file() or bool(Path(camera).suffix)
