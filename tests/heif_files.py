"""HEIC files for tests: one HEVC picture in the boxes of ISO/IEC 23008-12."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def full_box(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def write_heic(path: Path, image: NDArray[np.uint8], quarter_turns: int = 0) -> Path:
    """Write (H, W, 3) uint8 RGB; viewers turn it to the left. Skips without an HEVC encoder."""
    height, width = image.shape[:2]
    try:
        video: Any = av.CodecContext.create("libx265", "w")
    except ValueError:
        pytest.skip("no HEVC encoder")
    video.width, video.height, video.pix_fmt = width, height, "yuv444p"
    video.time_base, video.framerate = Fraction(1, 25), Fraction(25)
    video.options = {"crf": "1", "x265-params": "log-level=none:pools=none:frame-threads=1"}
    video.colorspace, video.color_range = 6, 2
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(
        format="yuv444p", dst_colorspace=6, dst_color_range=2
    )
    frame.pts = 0
    annex_b = b"".join(bytes(p) for p in [*video.encode(frame), *video.encode(None)])
    units = [
        unit.lstrip(b"\0") for unit in annex_b.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    ]
    units = [unit for unit in units if unit]
    kinds = [unit[0] >> 1 & 63 for unit in units]
    parameters = [unit for unit, kind in zip(units, kinds, strict=True) if kind in (32, 33, 34)]
    slices = [unit for unit, kind in zip(units, kinds, strict=True) if kind < 32]
    data = b"".join(struct.pack(">I", len(unit)) + unit for unit in slices)
    # Profile, tier and level come from the sequence's own parameters, behind two bytes of header
    # and one of identifiers.
    sequence = next(unit for unit in parameters if unit[0] >> 1 & 63 == 33)
    head = sequence.replace(b"\0\0\3", b"\0\0")[3:15]
    hvcc = b"\1" + head + b"\xf0\0\xfc\xff\xf8\xf8\0\0\x0f" + bytes([len(parameters)])
    for unit in parameters:
        hvcc += struct.pack(">BHH", 0x80 | unit[0] >> 1 & 63, 1, len(unit)) + unit
    properties = [
        box(b"hvcC", hvcc),
        full_box(b"ispe", struct.pack(">II", width, height)),
        box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
    ]
    if quarter_turns:
        properties.append(box(b"irot", bytes([quarter_turns])))
    uses = bytes([len(properties)]) + b"\x81" + bytes(range(2, len(properties) + 1))
    ftyp = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(offset: int) -> bytes:
        place = struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, offset, len(data))
        item = full_box(b"infe", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0", version=2)
        return full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s12x", 0, b"pict"), b"\0"),
            full_box(b"pitm", struct.pack(">H", 1)),
            full_box(b"iloc", place),
            full_box(b"iinf", struct.pack(">H", 1), item),
            box(
                b"iprp",
                box(b"ipco", *properties),
                full_box(b"ipma", struct.pack(">IH", 1, 1), uses),
            ),
        )

    path.write_bytes(ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", data))
    return path
