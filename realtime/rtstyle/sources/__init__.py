"""Where frames come from. Each source is a file here; `open_video` and `open_camera` choose.

Knows nothing of painting, sinks or the terminal.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtstyle.errors import UsageError
from rtstyle.files.names import read_name

if TYPE_CHECKING:
    from fractions import Fraction

    from rtstyle.media.container import Media
    from rtstyle.sources.base import Source


def open_video(
    path: str | Path | Media,
    start: float | None = None,
    end: float | None = None,
    rate: Fraction | None = None,
    *,
    deinterlace: str = "auto",
    keep_alpha: bool = False,
    decoder: str = "cpu",
) -> Source:
    """Return the source for a video, an animation, or pictures named by folder, glob or `%05d`.

    A video is a file, an address, or `-` for standard input.

    It is not opened yet. `start` and `end` are seconds, `rate` the pictures a second (25),
    `deinterlace` one of `DEINTERLACE`. With `keep_alpha` frames keep their transparency, else they
    are laid over black. `decoder` is one of `DECODERS`. Raises `UsageError` for times that are
    none, another decoder, and for the rate of a video file, which has time stamps.
    """
    from rtstyle.media.container import DECODERS, as_media
    from rtstyle.media.timestamps import check_times
    from rtstyle.sources.images import DEFAULT_RATE, ImageSequenceSource, is_image_pattern
    from rtstyle.sources.video_file import VideoFileSource

    check_times(start, end)
    if decoder not in DECODERS:
        known = " or ".join(DECODERS)
        raise UsageError(f"There is no decoder {decoder!r}.", "", f"Use {known}.")
    media = as_media(read_name(path) if isinstance(path, str) else path)
    media.decoder = decoder
    if decoder != "cpu":
        media.notes = ["decoded on the CPU: NVDEC is for video files"]
    file = media.path
    # The name of a file that exists wins over a pattern.
    if file is not None and (file.is_dir() or (is_image_pattern(file) and not file.is_file())):
        return ImageSequenceSource(
            file, rate=rate or DEFAULT_RATE, start=start, end=end, keep_alpha=keep_alpha
        )
    if rate is not None:
        raise UsageError(
            f"--fps is for numbered pictures; {media.name} has time stamps of its own.",
            "",
            "Leave it out.",
        )
    from rtstyle.sources.animation import AnimationSource, is_animation

    if file is not None and not media.pipe and is_animation(file):
        return AnimationSource(file, start=start, end=end, keep_alpha=keep_alpha)
    return VideoFileSource(
        media, start=start, end=end, deinterlace=deinterlace, keep_alpha=keep_alpha
    )


def open_camera(
    camera: str, *, width: int = 640, height: int = 480, rate: float = 30, loop: bool = False
) -> Source:
    """Return the live source for `camera`, not opened yet.

    `camera` is an index (`0`), `test` for the test pattern, a video file or `file://` URL that is
    played in real time, a network stream's URL, `screen` or `screen:N`, `ndi` or `ndi:NAME`
    (also `spout`, `syphon`), a device path, or a part of a camera's name.
    """
    if camera == "test":
        from rtstyle.sources.pattern import TestPatternSource

        return TestPatternSource(width, height, rate=round(rate), live=True)
    from rtstyle.sources.screen import ScreenSource, is_screen

    if is_screen(camera):
        return ScreenSource(camera, rate=rate)
    from rtstyle.sources.programs.choice import open_program

    if (program := open_program(camera, rate)) is not None:
        return program
    path = local_file(camera)
    if path is not None:
        from rtstyle.sources.realtime import RealTimeFileSource

        return RealTimeFileSource(path, loop=loop)
    from rtstyle.sources.cameras.camera import CameraSource

    index = int(camera) if camera.isdecimal() else camera
    return CameraSource(index, width=width, height=height, rate=rate)


def local_file(camera: str) -> Path | None:
    """Return the file that is meant, or None for an index, a name, a device or a network URL."""
    if camera[:7].lower() == "file://":
        # Kept out of the start-up: only needed here.
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(camera).path))
    return Path(camera) if looks_like_file(camera) else None


def looks_like_file(camera: str) -> bool:
    """Say whether this is a file, or at least named like one: `clip.mp4`, not `Camera v2.0`."""
    if camera.isdecimal() or "://" in camera or camera.startswith("/dev/"):
        return False
    suffix = Path(camera).suffix[1:]
    named = suffix.isalnum() and not suffix.isdecimal() and len(suffix) <= 5
    return Path(camera).is_file() or named
