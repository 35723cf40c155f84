"""PNG files whose side notes are damaged: browsers skip those, and show the picture."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZES = {b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"sRGB": 1, b"tIME": 7}
"""Bytes that these chunks have (PNG, third edition, section 11.3)."""
MOST_CHECKED = 1 << 24
"""Longer side notes are not looked at."""


def without_damaged_notes(picture: Path | BytesIO) -> Path | BytesIO:
    """Return a picture as it is, or without its damaged ancillary chunks if it is a PNG with any.

    It is a file, or the content of one. Raises `OSError`.
    """
    if isinstance(picture, Path) and not picture.is_file():
        return picture
    with picture.open("rb") if isinstance(picture, Path) else BytesIO(picture.getvalue()) as file:
        if file.read(8) != SIGNATURE:
            return picture
        damaged = damaged_chunks(file)
        if not damaged:
            return picture
        file.seek(0)
        content = file.read()
    for begin, end in reversed(damaged):
        content = content[:begin] + content[end:]
    return BytesIO(content)


def damaged_chunks(file: BinaryIO) -> list[tuple[int, int]]:
    """Return begin and end of the ancillary chunks with a wrong sum or size."""
    found = []
    size = file.seek(0, 2)
    at = len(SIGNATURE)
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        end = at + 12 + length
        if end > size:
            break
        # A small letter first: a chunk that a picture can be shown without.
        if kind[:1].islower() and length <= MOST_CHECKED:
            content, total = file.read(length), file.read(4)
            wrong = zlib.crc32(kind + content) != int.from_bytes(total, "big")
            if wrong or SIZES.get(kind, length) != length:
                found.append((at, end))
        at = end
    return found
