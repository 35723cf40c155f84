"""PNG with damaged side notes (Pillow #6843), and alpha that hides everything (Pillow #9473)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rtstyle.errors import SourceError
from rtstyle.picture import read_picture

COLOUR = (200, 90, 30)


def chunk(kind: bytes, content: bytes, total: int | None = None) -> bytes:
    total = zlib.crc32(kind + content) if total is None else total
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", total)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.new("RGB", (20, 10), COLOUR).save(path)
    return path


NOTES = {
    "a wrong sum": chunk(b"tEXt", b"Comment\0hi", 123),
    "a wrong size": chunk(b"gAMA", b"\0"),
    "both, twice": 2 * (chunk(b"pHYs", b"") + chunk(b"zTXt", b"x", 1)),
}


@pytest.mark.parametrize("notes", NOTES.values(), ids=NOTES.keys())
def test_damaged_notes_are_skipped(png: Path, notes: bytes) -> None:
    content = png.read_bytes()
    at = content.index(b"IDAT") - 4
    png.write_bytes(content[:at] + notes + content[at:])
    picture = read_picture(png)
    assert (picture.rgb == COLOUR).all()
    assert picture.rgb.shape == (10, 20, 3)


def test_what_the_picture_needs_is_not_skipped(png: Path) -> None:
    content = bytearray(png.read_bytes())
    content[content.index(b"IHDR") + 4] ^= 0xFF
    png.write_bytes(content)
    with pytest.raises(SourceError):
        read_picture(png)


@pytest.mark.parametrize("kind", ["tga", "png"])
def test_alpha_that_hides_everything_is_left_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    Image.new("RGBA", (20, 10), (*COLOUR, 0)).save(path)
    picture = read_picture(path)
    assert picture.alpha is None
    assert (picture.rgb == COLOUR).all()
    assert picture.notes == ("its alpha hides everything and is left out",)


def test_alpha_that_shows_anything_is_kept(tmp_path: Path) -> None:
    image = np.full((10, 20, 4), (*COLOUR, 0), np.uint8)
    image[5, 5, 3] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").alpha is not None
