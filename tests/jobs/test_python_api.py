"""What callers from Python meet first: Pillow, a list of styles, arguments in their order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.media import decode, write_clip
from PIL import Image

import rtstyle
from rtstyle.errors import UsageError
from rtstyle.jobs.grid import cell_of
from rtstyle.styles.spec import as_mixture


def test_pictures_of_pillow_are_painted() -> None:
    with rtstyle.Stylizer("invert", "fast", device="cpu") as stylizer:
        painted = stylizer(Image.new("RGBA", (40, 30), (10, 20, 30, 255)))  # type: ignore[arg-type]
        assert painted.shape == (30, 40, 3)
        assert painted[3, 3].tolist() == [245, 235, 225]
        with pytest.raises(UsageError, match="one of Pillow"):
            stylizer("photo.jpg")  # type: ignore[arg-type]


def test_pictures_are_no_names_of_files(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 30))
    for paint in (rtstyle.stylize_image, rtstyle.stylize_video):
        with pytest.raises(UsageError, match=r"Image is not the name of a file\..*Stylizer"):
            paint(picture, tmp_path / "out.png", "invert", "fast")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="not the name"):
            paint(tmp_path / "in.png", None, "invert", "fast")  # type: ignore[arg-type]


def test_styles_are_listed() -> None:
    assert rtstyle.styles() == ["mosaic", "identity", "invert"]
    assert rtstyle.styles.manifest.DEFAULT_SIZE
    assert all(hasattr(rtstyle, name) for name in rtstyle.__all__)


def test_style_and_size_come_in_their_order(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", frames=3)
    rtstyle.stylize_video(clip, tmp_path / "out.mp4", "identity", "fast", device="cpu")
    assert len(decode(tmp_path / "out.mp4")) == 3
    Image.new("RGB", (40, 30)).save(tmp_path / "in.png")
    rtstyle.stylize_image(tmp_path / "in.png", tmp_path / "out.png", "identity", "fast")
    assert (tmp_path / "out.png").exists()


def test_encoding_is_at_hand() -> None:
    assert rtstyle.Encoding(codec="hevc").wants_depth is False


@pytest.mark.parametrize("width", [400, 900, 1600])
def test_a_grid_is_as_wide_as_it_should_be(width: int) -> None:
    photo = np.zeros((480, 712, 3), np.uint8)
    ends = [as_mixture(name) for name in ("mosaic", "identity", "invert", "mosaic")]
    cell = cell_of(photo, ends, 5, width)
    sheet = 5 * cell.shape[1] + 6 * 6
    assert width - 12 <= sheet <= width + 6
    assert cell_of(photo, ends, 5, None).shape[1] * 5 > 2000
    with pytest.raises(UsageError, match="too few"):
        cell_of(photo, ends, 5, 60)
