"""Frames that are far too large are refused before they are decoded, whoever decodes them."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from test_picture_files import png, tiled_tiff

from rtstyle import limits
from rtstyle.errors import SourceError
from rtstyle.sources import open_video
from rtstyle.sources.stream import StreamCapture

SIDE = 12_000
MOST_MIB = 400
"""What refusing one may take, imports included; decoding the smallest of them takes more."""


def jpeg(side: int) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(np.full((side, side), 90, np.uint8)).save(out, "JPEG", quality=10)
    return out.getvalue()


def canvas_gif(side: int) -> bytes:
    """A GIF of one-pixel frames on a huge canvas."""
    sides = side.to_bytes(2, "little") * 2
    frame = b"\x21\xf9\x04\x04\x0a\0\0\0\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"
    return b"GIF89a" + sides + b"\x80\0\0\0\0\0\xff\xff\xff" + frame * 60 + b";"


BOMBS = {
    "canvas.gif": lambda: canvas_gif(16_000),
    "canvas2.gif": lambda: canvas_gif(2_100),
    "still.gif": lambda: canvas_gif(16_000).replace(b"\x21\xf9", b";", 2),
    "one_bit.png": lambda: png(30_000, 30_000, 1, 0),
    "named.mp4": lambda: png(SIDE, SIDE, 1, 0),
    "frames.mjpeg": lambda: jpeg(SIDE) * 2,
    "in_%d.png": lambda: png(30_000, 30_000, 1, 0),
    "of_%d.png": lambda: png(6_100, 6_100, 8, 2, b"\0" * (1 + 3 * 6_100) * 6_100),
    "in_%d.jpg": lambda: jpeg(SIDE),
    "in_%d.tif": lambda: tiled_tiff(16_000),
}

CODE = """
import sys
from rtstyle.bench.memory import peak_memory
from rtstyle.errors import SourceError
from rtstyle.sources import open_video
try:
    with open_video(sys.argv[1]) as source:
        list(source)
except SourceError as error:
    print(error)
print(peak_memory() >> 20)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / name.replace("%d", "1")).write_bytes(BOMBS[name]())
    path = str(tmp_path / name)
    result = subprocess.run(
        [sys.executable, "-c", CODE, path], capture_output=True, text=True, check=True, timeout=60
    )
    told, peak = result.stdout.strip().split("\n")
    assert "is too large. It " in told
    limits_of = (limits.MAX_FRAME_PIXELS, limits.MAX_ANIMATION_PIXELS, limits.MAX_PIXELS)
    assert any(f"the most is {most / 1e6:g} million." in told for most in limits_of)
    assert int(peak) < MOST_MIB
    assert result.stderr == ""


def test_a_frame_that_grows_midway_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.mjpeg"
    path.write_bytes(jpeg(160) * 8 + jpeg(SIDE) + jpeg(160) * 8)
    with open_video(path) as source:
        assert [frame.image.shape for frame in source] == [(160, 160, 3)] * 16
        assert source.counts == {"damaged packets": 1}


def test_a_stream_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mjpeg"
    path.write_bytes(jpeg(SIDE) * 2)
    with pytest.raises(SourceError, match="too large"):
        StreamCapture(path.as_uri())


def test_what_is_small_enough_is_read(tmp_path: Path) -> None:
    side = 5_900
    (tmp_path / "in_1.png").write_bytes(png(side, side, 1, 0, b"\0" * (1 + -(-side // 8)) * side))
    with open_video(tmp_path / "in_%d.png") as source:
        assert next(iter(source)).image.shape == (side, side, 3)


def test_a_mask_takes_few_bytes_a_pixel(tmp_path: Path) -> None:
    code = (
        "import sys; import numpy as np; from rtstyle.regions import StillMask; "
        "from rtstyle.bench.memory import peak_memory as peak; "
        "mask = np.zeros((int(sys.argv[1]), 4096, 3), np.uint8); mask[: len(mask) // 2] = 255; "
        "height = 64 * len(mask) // 4096; before = peak(); "
        "assert StillMask(mask, 2).weights(height, 64).shape == (2, height, 64); "
        "print(peak() - before)"
    )
    grown = [
        int(subprocess.check_output([sys.executable, "-c", code, str(rows)]))
        for rows in (1024, 6144)
    ]
    assert grown[1] - grown[0] < 7.5 * (6144 - 1024) * 4096
