"""360-degree video: what its tag says, and the tag of the painted file.

Written as Google's "Spherical Video V1": an XML text in a `uuid` box of the track in MP4 and MOV,
and as the tag SPHERICAL-VIDEO in Matroska and WebM. FFmpeg reads both kinds of MP4 tags, V2 too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtstyle.media.orientation import side_data

MATROSKA_TAG = "SPHERICAL-VIDEO"
UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
EQUIRECTANGULAR = 0
PROJECTIONS = ("equirectangular", "cube map", "tiled", "half", "rectilinear", "fisheye")
LONGEST_INDEX = 256 << 20
"""Bytes of the largest index of an MP4 file that is looked through for a tag."""
STEREO_MODES = {1: "left-right", 2: "top-bottom"}


@dataclass(frozen=True, slots=True)
class Spherical:
    """A 360-degree tag: `projection` as in FFmpeg, first view in degrees, `stereo` layout.

    `stereo` is 0 for one picture, 1 for two side by side, 2 for two on top of each other.
    """

    projection: int = EQUIRECTANGULAR
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    stereo: int = 0

    @property
    def wraps(self) -> bool:
        """Whether the left edge of the picture continues at the right one."""
        return self.projection == EQUIRECTANGULAR and self.stereo != 1

    @property
    def name(self) -> str:
        """The projection, for the user."""
        known = 0 <= self.projection < len(PROJECTIONS)
        return PROJECTIONS[self.projection] if known else "unknown"

    def xml(self) -> str:
        """Return the V1 tag. Raises `ValueError` where that has no such projection."""
        if self.projection != EQUIRECTANGULAR:
            raise ValueError(f"the tag has no projection {self.name}")
        values = {
            "Spherical": "true",
            "Stitched": "true",
            "StitchingSoftware": "rtstyle",
            "ProjectionType": "equirectangular",
        }
        if self.stereo in STEREO_MODES:
            values["StereoMode"] = STEREO_MODES[self.stereo]
        for axis, degrees in (("Heading", self.yaw), ("Pitch", self.pitch), ("Roll", self.roll)):
            if degrees:
                values[f"InitialView{axis}Degrees"] = str(round(degrees))
        inner = "".join(f"<GSpherical:{k}>{v}</GSpherical:{k}>" for k, v in values.items())
        return (
            '<?xml version="1.0"?><rdf:SphericalVideo '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
            'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
            f"{inner}</rdf:SphericalVideo>"
        )


def read_spherical(
    frame: Any, metadata: dict[str, str], path: Path | None = None
) -> Spherical | None:
    """Return the tag of a decoded frame or of its stream's metadata, None if there is none.

    `path` is the MP4 or MOV file that it comes from: FFmpeg does not tell the first view of its V1
    tags.
    """
    data = side_data(frame, "SPHERICAL")
    if data is None:
        text = next((v for k, v in metadata.items() if k.upper() == MATROSKA_TAG), "")
        if "Spherical>true<" not in text:
            return None
        stereo = next((k for k, v in STEREO_MODES.items() if f">{v}<" in text), 0)
        return Spherical(EQUIRECTANGULAR, *read_view(text), stereo)
    # AVSphericalMapping: projection, then yaw, pitch and roll in degrees as 16.16 numbers.
    projection, *angles = np.frombuffer(data, np.int32)[:4].tolist()
    stereo_data = side_data(frame, "STEREO3D")
    stereo = 0 if stereo_data is None else int(np.frombuffer(stereo_data, np.int32)[0])
    yaw, pitch, roll = (angle / 65536 for angle in angles)
    found = Spherical(projection, yaw, pitch, roll, stereo)
    if path is None or any(angles):
        return found
    yaw, pitch, roll = read_view(find_tag(path))
    return replace(found, yaw=yaw, pitch=pitch, roll=roll)


def read_view(text: str) -> tuple[float, float, float]:
    """Return heading, pitch and roll of a V1 tag in degrees; 0 for what it does not say."""
    found = dict(re.findall(r"InitialView(Heading|Pitch|Roll)Degrees>\s*(-?\d{1,3})\s*<", text))
    return float(found.get("Heading", 0)), float(found.get("Pitch", 0)), float(found.get("Roll", 0))


def find_tag(path: Path) -> str:
    """Return the text of the V1 tag of an MP4 or MOV file, "" if there is none."""
    try:
        with path.open("rb") as file:
            _, moov = find_moov(file, LONGEST_INDEX)
    except (OSError, ValueError):
        return ""
    for begin, end in boxes(moov, b"trak", 8, len(moov)):
        for tag, tag_end in boxes(moov, b"uuid", begin + 8, end):
            if moov[tag + 8 : tag + 24] == UUID:
                return moov[tag + 24 : tag_end].decode(errors="replace")
    return ""


def tag_mp4(path: Path, spherical: Spherical) -> None:
    """Put the tag into the first video track of an MP4 or MOV file.

    Raises `OSError`, and `ValueError` where the file has no such track.
    """
    with path.open("r+b") as file:
        at, moov = find_moov(file)
        text = UUID + spherical.xml().encode()
        tag = struct.pack(">I4s", len(text) + 8, b"uuid") + text
        changed = insert(moov, tag)
        file.seek(0, 2)
        size = file.tell()
        if at + len(moov) < size:
            # The index is in front: all that follows moves back, and the index says where it is.
            shift_chunks(changed, len(tag), at)
            move_back(file, at + len(moov), len(tag))
        file.seek(at)
        file.write(changed)


def find_moov(file: Any, most: int | None = None) -> tuple[int, bytearray]:
    """Return where the index of an MP4 file is, and its bytes.

    Raises `ValueError` if there is none, or it has more than `most` bytes.
    """
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            raise ValueError("the file has no index")
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1:
            size = struct.unpack_from(">Q", head, 8)[0]
        if size < 8:
            raise ValueError("the file has no index")
        if kind == b"moov":
            if most is not None and size > most:
                raise ValueError("the index is too long")
            file.seek(at)
            return at, bytearray(file.read(size))
        at += size


def insert(moov: bytearray, tag: bytes) -> bytearray:
    """Return the index with `tag` at the end of its first video track."""
    for begin, end in boxes(moov, b"trak", 8, len(moov)):
        if any(moov[h + 16 : h + 20] == b"vide" for h in handlers(moov, begin, end)):
            changed = moov[:end] + tag + moov[end:]
            for at, size in ((0, len(moov)), (begin, end - begin)):
                struct.pack_into(">I", changed, at, size + len(tag))
            return changed
    raise ValueError("the file has no video track")


def handlers(data: bytearray, begin: int, end: int) -> Iterator[int]:
    """Yield where the handler boxes of a track begin."""
    for media, media_end in boxes(data, b"mdia", begin + 8, end):
        for handler, _ in boxes(data, b"hdlr", media + 8, media_end):
            yield handler


def boxes(data: bytearray, kind: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the boxes of one kind between `at` and `end`."""
    while at + 8 <= end:
        size, found = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            return
        if found == kind:
            yield at, at + size
        at += size


def shift_chunks(moov: bytearray, by: int, behind: int) -> None:
    """Add `by` to the places of all chunks that lie behind the place `behind`."""
    for track, end in boxes(moov, b"trak", 8, len(moov)):
        for at, stop in nested(moov, (b"mdia", b"minf", b"stbl"), track, end):
            for kind, form, width in ((b"stco", ">I", 4), (b"co64", ">Q", 8)):
                for table, _ in boxes(moov, kind, at + 8, stop):
                    count = struct.unpack_from(">I", moov, table + 12)[0]
                    for place in range(table + 16, table + 16 + count * width, width):
                        value = struct.unpack_from(form, moov, place)[0]
                        if value > behind:
                            struct.pack_into(form, moov, place, value + by)


def nested(
    data: bytearray, path: tuple[bytes, ...], begin: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the boxes at the end of a path inside the box at `begin`."""
    if not path:
        yield begin, end
        return
    for inner, inner_end in boxes(data, path[0], begin + 8, end):
        yield from nested(data, path[1:], inner, inner_end)


def move_back(file: Any, begin: int, by: int, piece: int = 1 << 20) -> None:
    """Move everything from `begin` to the end of the file `by` bytes on."""
    file.seek(0, 2)
    at = file.tell()
    while at > begin:
        first = max(begin, at - piece)
        file.seek(first)
        data = file.read(at - first)
        file.seek(first + by)
        file.write(data)
        at = first
