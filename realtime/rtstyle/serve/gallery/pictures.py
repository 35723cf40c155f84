"""Pictures that a page sends as styles: checked, scaled down, kept in a private folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.frame import Image
from rtstyle.media.picture import Picture, write_picture
from rtstyle.serve.gallery.thumbnail import covering, encode_thumbnail
from rtstyle.styles.paintings import read_painting

MAX_PIXELS = 64_000_000
"""Pixels of the largest picture that is decoded for a page: the best phones take 50 million."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
"""What is decoded for a page. Pillow knows others that start programs, such as PostScript."""
LONGEST = 1024
"""Pixels of the long side that is kept; encoding looks at no more."""
QUALITY = 95
TITLE = 60
"""Characters of the longest title."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture in the folder; `name` comes from its content, `title` from its file's name."""

    name: str
    title: str
    path: Path
    thumbnail: bytes


def name_of(content: bytes) -> str:
    """Return what a picture goes by: the same for the same bytes."""
    return f"picture-{hashlib.sha256(content).hexdigest()[:16]}"


def keep_upload(content: bytes, file_name: str, folder: Path) -> Kept:
    """Check and keep a picture that somebody sent; `file_name` is only ever shown.

    Raises `UsageError`, in words without paths, for what is not a still picture of bounded size.
    """
    shown = tidy(file_name) or "The file"
    incoming = folder / f"{name_of(content)}.incoming"
    try:
        incoming.write_bytes(content)
        check_picture(incoming)
        return keep_picture(incoming, shown, folder)
    except OSError as error:
        raise UsageError(f"{shown} cannot be kept.", f"{error.strerror}.") from error
    except RtstyleError as error:
        text = str(error).replace(str(incoming), shown).replace(str(folder), "the folder")
        raise UsageError(text) from error
    finally:
        incoming.unlink(missing_ok=True)


def check_picture(path: Path) -> None:
    """Raise `UsageError` for a format or a number of pixels that is not decoded for a page."""
    from PIL import Image as Pil

    Pil.init()
    try:
        with Pil.open(path, formats=[name for name in FORMATS if name in Pil.OPEN]) as file:
            width, height = file.size
    except Pil.DecompressionBombError:
        width = height = MAX_PIXELS
    except Exception as error:
        todo = "Use JPEG, PNG or WebP."
        raise UsageError(f"{path} is not a picture that can be read.", "", todo) from error
    if width * height > MAX_PIXELS:
        limit = f"A style has at most {MAX_PIXELS // 1_000_000} million pixels."
        raise UsageError(f"{path} is too large.", limit)


def keep_picture(path: Path, file_name: str, folder: Path) -> Kept:
    """Keep a scaled copy of a picture file. Raises `StyleError` or `SinkError`."""
    painting = shrink(read_painting(path))
    name = name_of(path.read_bytes())
    kept = folder / f"{name}.jpg"
    write_picture(Picture(painting), kept, QUALITY)
    title = PurePosixPath(file_name).stem
    return Kept(name, title, kept, encode_thumbnail(covering(painting)))


def shrink(painting: Image) -> Image:
    """Return an (H, W, 3) uint8 picture whose long side is at most `LONGEST`."""
    height, width = painting.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return painting
    columns, rows = (max(1, round(side * factor)) for side in (width, height))
    return np.asarray(cv2.resize(painting, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def tidy(file_name: str) -> str:
    """Return the last part of a file's name as it may be shown: one short line."""
    last = file_name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable()).strip()[:TITLE]
