"""A recording that broke off, cut back to what is whole in it.

Both kinds of container are a row of parts that can be played one by one: movie fragments in MP4 and
MOV (ISO/IEC 14496-12, section 8.8), clusters in Matroska and WebM (RFC 9559).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

SEGMENT = 0x18538067
CLUSTER = 0x1F43B675
EBML = b"\x1a\x45\xdf\xa3"


def cut_to_whole(path: Path) -> int:
    """Cut the last part of a recording off where it is not whole, and return the bytes cut.

    Leaves a file alone in which no whole part is found. Raises `OSError`.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        matroska = file.read(4) == EBML
        file.seek(0)
        end = (end_of_clusters if matroska else end_of_fragments)(file, size)
        if not 0 < end < size:
            return 0
        file.truncate(end)
    return size - end


def end_of_fragments(file: BinaryIO, size: int) -> int:
    """Return where the last whole `mdat` ends, 0 if there is none."""
    at = end = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            break
        at += length
        if kind == b"mdat" and at <= size:
            end = at
    return end


def end_of_clusters(file: BinaryIO, size: int) -> int:
    """Return where the last whole cluster ends, 0 if there is none."""
    at = end = 0
    while at < size:
        file.seek(at)
        element, begins, length = read_element(file)
        if element is None:
            break
        if element == SEGMENT:
            at = begins
            continue
        if length is None:
            break
        at = begins + length
        if element == CLUSTER and at <= size:
            end = at
    return end


def read_element(file: BinaryIO) -> tuple[int | None, int, int | None]:
    """Return the id of the element here, where its content begins, and its length if known."""
    element, _ = read_number(file, keep_marker=True)
    length, width = read_number(file, keep_marker=False)
    if element is None or length is None:
        return None, 0, None
    unknown = length == (1 << 7 * width) - 1
    return element, file.tell(), None if unknown else length


def read_number(file: BinaryIO, *, keep_marker: bool) -> tuple[int | None, int]:
    """Read a number of 1 to 8 bytes; its leading zeros say how many."""
    first = file.read(1)
    if not first or not first[0]:
        return None, 0
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    if len(rest) < width - 1:
        return None, 0
    value = first[0] if keep_marker else first[0] & (1 << 8 - width) - 1
    return int.from_bytes(bytes([value]) + rest, "big"), width
