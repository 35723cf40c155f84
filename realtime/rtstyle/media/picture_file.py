"""Opening picture files: which kinds there are, how large they may be, and what a cut one has."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import SourceError, reason
from rtstyle.frame import Image
from rtstyle.media.limits import (
    HUNGRY,
    MAX_HUNGRY_PIXELS,
    MAX_PIXELS,
    check_pixels,
    too_large,
)
from rtstyle.media.png_chunks import without_damaged_notes

if TYPE_CHECKING:
    from PIL import Image as Pil

JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"))
HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
RAW_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef"),
        *("mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf"),
        *("srw", "x3f"),
    )
)
"""Endings of what cameras store before it is developed into a picture."""

FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF", "PPM", "JPEG2000"),
    *("DIB", "TGA", "PCX", "PSD", "QOI", "SGI"),
)
"""What is opened, in this order. Pillow knows others that start programs, such as PostScript."""

_DNG_VERSION, _PHOTOMETRIC, _SUBFILE, _SUB_IFDS = 50706, 262, 254, 330
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_RAW_PHOTOMETRIC = (32803, 34892)

LEAST = 0.5
"""Share of a picture that must be there."""
TOO_LITTLE = "Less than half of the picture is there."
MAX_SCANS, MAX_SCANNED = 100, 3_000_000_000
"""A progressive JPEG refines its pixels scan by scan; real ones have up to 20 scans."""

MAX_JPEG_BYTES = 1 << 28
"""Some JPEGs are read into memory; none of `MAX_PIXELS` is larger."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_truncated = threading.Lock()


@contextmanager
def opened(path: Path, kind: str, piped: BytesIO | None = None) -> Iterator[Pil.Image]:
    """Open a picture, which messages call a `kind`, without decoding it.

    `piped` is what came out of `path`, if that is a pipe. Raises `SourceError` for what is no
    picture, a raw file, or too large.
    """
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    with warnings.catch_warnings():
        # Our own limit is asked instead.
        warnings.simplefilter("ignore", Pil.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            file = _identify(piped or path)
        except UnidentifiedImageError as error:
            if path.suffix.lower() in RAW_SUFFIXES:
                raise raw_error(path) from error
            empty = piped is None and path.stat().st_size == 0
            raise SourceError(
                f"{path} is {'empty' if empty else f'not a {kind} that can be read'}.",
                "It has 0 bytes." if empty else "",
                "Fetch it again." if empty else "Use JPEG, PNG, WebP, HEIC or TIFF.",
            ) from error
        except Pil.DecompressionBombError as error:
            raise too_large(path, "It has over 178 million pixels") from error
        with file:
            if file.format == "TIFF" and _is_raw(path, file):
                raise raw_error(path)
            _check_size(path, file, piped)
            yield file


def unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error for a picture that the system, or its decoder, does not read."""
    why = reason(error) or type(error).__name__
    damaged = not getattr(error, "errno", None)
    return SourceError(
        f"{path} cannot be read.", why, "The file may be damaged." if damaged else ""
    )


def raw_error(path: Path) -> SourceError:
    """Return the error for a camera's raw file."""
    return SourceError(
        f"{path} is a raw file of a camera.",
        "It holds a preview only, not a finished picture.",
        "Export it as JPEG, PNG or TIFF first.",
    )


def _identify(picture: Path | BytesIO) -> Pil.Image:
    """Open a file as one of `FORMATS`; the rarer ones are imported only where they are needed."""
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    Pil.preinit()
    source = without_damaged_notes(picture)
    try:
        return Pil.open(source, formats=[name for name in FORMATS if name in Pil.OPEN])
    except UnidentifiedImageError:
        head = _content(picture, 12)
        if head[4:8] == b"ftyp" and head[8:] not in (b"avif", b"avis"):
            import pi_heif

            pi_heif.register_heif_opener()
        Pil.init()
        return Pil.open(source, formats=[name for name in FORMATS if name in Pil.OPEN])


def _is_raw(path: Path, file: Pil.Image) -> bool:
    """Return True if a TIFF is a camera's: Pillow would read the small preview in front of it."""
    tags = getattr(file, "tag_v2", {})
    preview = bool(tags.get(_SUBFILE, 0) & 1) and _SUB_IFDS in tags
    raw = _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _RAW_PHOTOMETRIC
    return raw or preview or path.suffix.lower() in RAW_SUFFIXES


def _check_size(path: Path, file: Pil.Image, piped: BytesIO | None) -> None:
    width, height = file.size
    progressive = file.format in ("JPEG", "MPO") and bool(file.info.get("progressive"))
    hungry = progressive or file.format in HUNGRY
    check_pixels(path, width, height, MAX_HUNGRY_PIXELS if hungry else MAX_PIXELS)
    if file.format == "TIFF":
        tags = getattr(file, "tag_v2", {})
        across, down = (int(tags.get(tag) or 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        # A tile is decoded whole, even where the picture takes but a corner of it.
        check_pixels(path, across, down)
    if file.format in ("JPEG", "MPO") and _size(piped or path) > MAX_JPEG_BYTES:
        raise SourceError(f"{path} is too large.", f"It has over {MAX_JPEG_BYTES >> 20} MiB.")
    if progressive:
        scans = len(jpeg_scans(_content(piped or path))[0])
        if scans > MAX_SCANS or scans * width * height > MAX_SCANNED:
            raise SourceError(
                f"{path} takes too long to decode.",
                f"It refines {width}x{height} pixels {scans} times.",
                "Save it anew in an image editor.",
            )


def is_transparent(image: Pil.Image) -> bool:
    """Return True if a picture has transparency, a layer or a colour of its own."""
    layered = image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    return layered or ("transparency" in image.info and not image.mode.startswith("I"))


def _content(picture: Path | BytesIO, most: int = -1) -> bytes:
    """Return the bytes of a picture, the first `most` of them if that is not below 0."""
    with picture.open("rb") if isinstance(picture, Path) else BytesIO(picture.getvalue()) as file:
        return file.read(most)


def _size(picture: Path | BytesIO) -> int:
    return picture.stat().st_size if isinstance(picture, Path) else picture.getbuffer().nbytes


def decode(
    path: Path, file: Pil.Image, whole: bool, piped: BytesIO | None = None
) -> tuple[Pil.Image, str]:
    """Decode an opened picture; return it and what is missing at its end, or an empty text.

    `piped` is what came out of `path`, if that is a pipe.
    What is missing is grey or black. Raises `SourceError` if less than half of it is there or,
    with `whole`, not all of it, and whatever Pillow's decoders raise on damage.
    """
    try:
        file.load()
        return file, ""
    except OSError as error:
        if "truncated" not in str(error):
            raise
        if whole:
            raise cut_off(path, "Its end is missing.") from error
    if file.format in ("JPEG", "MPO"):
        return _decode_cut_jpeg(path, piped or path)
    return _decode_cut(path, piped or path)


def _decode_cut_jpeg(path: Path, picture: Path | BytesIO) -> tuple[Pil.Image, str]:
    from PIL import Image as Pil

    content = _content(picture)
    scans, end = jpeg_scans(content)
    # With its end marked, libjpeg fills up what is missing with grey.
    image = Pil.open(BytesIO(content[:end] + b"\xff\xd9"), formats=["JPEG", "MPO"])
    image.load()
    if image.info.get("progressive") and not any(scans):
        raise cut_off(path, TOO_LITTLE)
    return image, _missing_note(path, _empty_rows(image, (127, 128)) / image.height)


def _decode_cut(path: Path, picture: Path | BytesIO) -> tuple[Pil.Image, str]:
    from PIL import Image as Pil
    from PIL import ImageFile

    # Pillow has only one switch for all threads: another cut picture that is decoded at this very
    # moment is then not told.
    with _truncated:
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            image = Pil.open(
                without_damaged_notes(picture), formats=[n for n in FORMATS if n in Pil.OPEN]
            )
            image.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
    # BMP begins at the lowest row.
    upside_down = image.transpose(Pil.Transpose.FLIP_TOP_BOTTOM)
    missing = max(_empty_rows(image, (0,)), _empty_rows(upside_down, (0,)))
    return image, _missing_note(path, missing / image.height)


def _empty_rows(image: Pil.Image, levels: tuple[int, ...]) -> int:
    """Return how many rows at the end hold nothing but a decoder's filling."""
    for missing in range(image.height):
        top = image.height - missing - 1
        row = np.asarray(image.crop((0, top, image.width, top + 1)))
        if not np.isin(row, levels).all():
            return missing
    return image.height


def _missing_note(path: Path, missing: float) -> str:
    if missing > 1 - LEAST:
        raise cut_off(path, TOO_LITTLE)
    share = "less than 1" if missing < 0.005 else str(round(missing * 100))
    return f"the file is cut off: {share} % of the picture is missing"


def cut_off(path: Path, why: str) -> SourceError:
    """Return the error for a file of which too much is missing."""
    return SourceError(f"{path} is cut off.", why, "Fetch or copy it again.")


def jpeg_scans(content: bytes) -> tuple[list[bool], int]:
    """Return the scans of a JPEG, and where its last segment begins if that is cut off.

    A scan is True if it holds more than means of 8x8 pixels.
    """
    scans: list[bool] = []
    at = 2
    while found := _MARKER.search(content, at):
        at = found.end()
        kind = content[at - 1]
        if kind in (0xD8, 0x01):
            continue
        if kind == 0xD9:
            break
        length = int.from_bytes(content[at : at + 2], "big")
        if at + max(2, length) > len(content):
            return scans, found.start()
        if kind == 0xDA and length >= 6:
            scans.append(content[at + length - 2] > 0)
        at += max(2, length)
    return scans, len(content)


def check_levels(path: Path, image: Pil.Image) -> None:
    """Raise `SourceError` for grey values that are neither 8 nor 16 bits."""
    fits = not image.mode.startswith("F")
    if image.mode.startswith("I"):
        low, high = (float(str(level)) for level in image.getextrema())
        fits = low >= 0 and high <= 65535
    if not fits:
        raise SourceError(
            f"{path} cannot be painted.",
            "Its values are not 8 or 16 bits of grey or colour.",
            "Save it with 8 or 16 bits.",
        )


def hide_transparent(rgb: Image, alpha: NDArray[np.uint8], least: int = 1) -> None:
    """Give pixels of `rgb` whose `alpha` is below `least` the mean visible colour, in place.

    They often hold leftovers, which would enter the network's statistics.
    """
    seen = np.where(alpha >= least, np.uint8(255), np.uint8(0))
    if seen.any() and not seen.all():
        mean = cv2.mean(rgb, seen)[:3]
        rgb[seen == 0] = np.rint(mean).astype(np.uint8)
