"""Paints one photo or video that somebody sent, in a process of its own, and reports in JSON lines.

What `rtstyle.serve.apart` says of decoders holds here as well.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtstyle.errors import RtstyleError
from rtstyle.jobs.image import stylize_image
from rtstyle.jobs.video import stylize_video
from rtstyle.machine.bounds import bound
from rtstyle.media.container import as_media
from rtstyle.report import Progress
from rtstyle.serve.gallery.pictures import check_picture
from rtstyle.sources import open_video

NICENESS = 10
"""It lets everything else go first."""
MEMORY = 6 << 30
"""Bytes that it may write to."""
LARGEST_FILE = 1 << 30
"""Bytes of the largest file that it may write."""
VIDEO_SECONDS = 60.0
"""Seconds of a video that are painted."""
SHORT_SIDE = 720
"""Rows, or columns of an upright one, to which a larger video is scaled down."""
REPORT_STEP = 0.005
"""Progress is told in steps of this share."""


def tell(**report: Any) -> None:
    """Write a line. Raises `BrokenPipeError` once nobody listens, which ends the process."""
    print(json.dumps(report), flush=True)


def paint_photo(source: Path, output: Path, options: dict[str, Any]) -> list[str]:
    """Paint a photo; return notes. Raises `RtstyleError`."""
    check_picture(source)
    return list(stylize_image(source, output, **options).notes)


def paint_video(source: Path, output: Path, options: dict[str, Any]) -> list[str]:
    """Paint the first `VIDEO_SECONDS` of a video; return notes. Raises `RtstyleError`."""
    with open_video(as_media(source)) as frames:
        height, width = frames.height, frames.width
        long = (frames.frames or 0) / float(frames.rate) > VIDEO_SECONDS if frames.rate else False
    told = 0.0

    def progress(now: Progress) -> None:
        nonlocal told
        share = min(1.0, now.frames_out / now.total) if now.total else 0.0
        if share >= told + REPORT_STEP:
            told = share
            tell(progress=round(share, 3))

    short = min(height, width)
    if short > SHORT_SIDE:
        options["height"] = 2 * round(height * SHORT_SIDE / short / 2)
    end = VIDEO_SECONDS if long else None
    done = stylize_video(source, output, end=end, progress=progress, **options)
    notes = list(done.notes)
    if long:
        notes.insert(0, f"only the first {VIDEO_SECONDS:.0f} seconds were painted")
    return notes


def main() -> None:
    """Read a request on standard input; report on standard output."""
    with suppress(AttributeError, OSError):
        os.nice(NICENESS)
    bound(MEMORY, LARGEST_FILE)
    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    os.chdir(request.pop("started_in"))
    source, output = Path(request.pop("source")), Path(request.pop("output"))
    try:
        paint = paint_video if output.suffix == ".mp4" else paint_photo
        notes = paint(source, output, request)
    except RtstyleError as error:
        tell(error=str(error))
    except MemoryError:
        tell(error=f"{source.name} needs too much memory.")
    else:
        tell(notes=notes)


if __name__ == "__main__":
    main()
