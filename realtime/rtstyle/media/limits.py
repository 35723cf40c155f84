"""How large pictures may be, asked before anything is decoded, and how well they are kept.

A small file can hold a huge picture.
"""

from __future__ import annotations

from rtstyle.errors import SourceError, UsageError

DEFAULT_QUALITY = 95
"""Of JPEG and WebP, 1 to 100."""
MAX_PIXELS = 120_000_000
"""Pixels of the largest photo, painting or mask: the largest cameras take 102 million."""
MAX_HUNGRY_PIXELS = 64_000_000
"""The same for decoders that take four times the memory of the picture, as of progressive JPEG."""
HUNGRY = frozenset(("AVIF", "HEIF", "JPEG2000", "WEBP"))
WHOLE_PIXELS = 2_000_000
"""Pictures up to this size are painted whole, without a look at the memory the model takes."""
MAX_FRAME_PIXELS = 36_000_000
"""Pixels of the largest frame of a video or animation: 8K, of which a dozen are in memory."""
LARGE_FRAME_PIXELS = 8_000_000
"""Pixels from which on as few frames as possible are in memory at once: 4K."""
MAX_WHOLE_PIXELS = 9_000_000
"""Pixels of the largest frame of a video that is painted whole unasked: 4096x2160, in 1.5 GB. The
network takes about half of that."""
BYTES_PER_PIXEL = 130
"""Memory for a pixel of a video's frames, in all places where one is."""
MAX_ANIMATION_PIXELS = 4_200_000
"""The same for animated pictures, which a kilobyte can give any size: 2048x2048."""


def is_large(pixels: int) -> bool:
    """Return True if frames of so many pixels are so large that few may be in memory at once."""
    return pixels > LARGE_FRAME_PIXELS


def check_pixels(
    name: object, width: int, height: int, most: int = MAX_PIXELS, todo: str = ""
) -> None:
    """Raise `SourceError` if a picture of this size, called `name`, has over `most` pixels.

    `todo` is what to do then; by default, to scale it down.
    """
    if width * height > most:
        raise too_large(name, f"It is {width}x{height} pixels", most, todo)


def too_large(name: object, what: str, most: int = MAX_PIXELS, todo: str = "") -> SourceError:
    """Return the error for a picture of which `what` is more than `most` pixels allow."""
    limit = f"the most is {most / 1e6:g} million"
    return SourceError(f"{name} is too large.", f"{what}; {limit}", todo or "Scale it down first.")


def check_whole(name: object, width: int, rows: int, height: int | None) -> None:
    """Raise `SourceError` for a video of over `MAX_WHOLE_PIXELS` without a `height` to paint at."""
    if height is None and width * rows > MAX_WHOLE_PIXELS:
        gigabytes = 0.25 + width * rows * BYTES_PER_PIXEL / 1e9
        raise SourceError(
            f"{name} is too large to be painted whole.",
            f"It is {width}x{rows} pixels, which would take {gigabytes:.1f} GB of memory",
            f"Pass --height 1080 to paint it smaller, or --height {rows} to paint it whole anyway.",
        )


def check_quality(quality: int) -> None:
    """Raise `UsageError` unless `quality` is 1 to 100."""
    if not 1 <= quality <= 100:
        raise UsageError(f"A quality of {quality} is out of range.", "", "Use 1 to 100.")
