"""How large the frames of a video may be to be painted whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtstyle.errors import SourceError
from rtstyle.media.limits import MAX_WHOLE_PIXELS

if TYPE_CHECKING:
    from rtstyle.sources.base import Source

BYTES_PER_PIXEL = 130
"""Memory for a pixel of the frames of a video, in all places where one is."""


def check_whole(name: str, frames: Source, height: int | None) -> None:
    """Raise `SourceError` for frames of more than `MAX_WHOLE_PIXELS` and no `height` in rows."""
    width, rows = frames.width, frames.height
    if height is None and width * rows > MAX_WHOLE_PIXELS:
        gigabytes = 0.25 + width * rows * BYTES_PER_PIXEL / 1e9
        raise SourceError(
            f"{name} is too large to be painted whole.",
            f"It is {width}x{rows} pixels, which would take {gigabytes:.1f} GB of memory",
            f"Pass --height 1080 to paint it smaller, or --height {rows} to do it all the same.",
        )
