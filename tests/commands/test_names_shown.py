"""Names of files are shown on a terminal, never obeyed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.console import rtstyle
from helpers.media import write_clip
from PIL import Image

from rtstyle.errors import UsageError, printable
from rtstyle.files.names import shown_name

NAME = "red\x1b[31m\nline"


def test_control_characters_become_a_sign() -> None:
    assert printable(f"{NAME}.png") == "red�[31m�line.png"
    assert printable("Öl, 油画.png") == "Öl, 油画.png"
    assert "\x1b" not in str(UsageError(f"{NAME} is not a file.", "\x9b1m"))
    assert "\x1b" not in shown_name(f"https://example.org/{NAME.replace(chr(10), '')}.mp4")


@pytest.mark.parametrize("there", [True, False])
def test_a_photo_and_a_clip_of_such_a_name(tmp_path: Path, there: bool) -> None:
    photo, clip = tmp_path / f"{NAME}.png", tmp_path / f"{NAME}.mp4"
    if there:
        Image.new("RGB", (64, 48), "navy").save(photo)
        write_clip(clip, frames=2)
    for command, source in (("image", photo), ("video", clip)):
        out = tmp_path / f"{NAME}-out{source.suffix}"
        done = rtstyle(command, source, out, "--style", "identity", "--size", "fast")
        assert done.code == (0 if there else 2), done.output
        assert out.exists() == there
        assert "\x1b[31m" not in done.output
        assert "red�" in done.output
