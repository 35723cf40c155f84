"""`rtstyle still` and `rtstyle texture` by WCT, on small random networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.console import command
from helpers.wct_files import ship_wct
from PIL import Image

from rtstyle.jobs.slow.wct import parse_levels


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, two paintings, a mask of two halves, and networks that ship."""
    monkeypatch.setenv("RTSTYLE_STYLES", str(ship_wct(tmp_path / "styles")))
    rng = np.random.default_rng(0)
    for name, size in (("photo", (90, 60)), ("a", (40, 50)), ("b", (64, 32))):
        small = Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    halves = np.zeros((60, 90, 3), np.uint8)
    halves[:, 45:] = 255
    Image.fromarray(halves).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def still(*words: object) -> int:
    return command("still", "photo.png", "out.png", "--method", "wct", "--threads", 1, *words)


def out() -> np.ndarray:
    with Image.open("out.png") as picture:
        return np.asarray(picture)


def test_a_still(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert still("--style", "a.png") == 0
    assert out().shape == (60, 90, 3)
    assert "levels 3:0.6,2:0.6,1:0.6" in capsys.readouterr().out
    assert still("--style", "a.png") == 2
    assert "exists already" in capsys.readouterr().err
    assert still("--style", "a.png", "--overwrite", "--long-side", 45, "--levels", "1:0.2,3") == 0
    assert out().shape == (30, 45, 3)
    assert "levels 3:0.6,1:0.2" in capsys.readouterr().out


def test_what_is_lost_in_writing_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "rtstyle.media.picture.kept_exif", lambda _: b"Exif\0\0this is no TIFF at all"
    )
    words = ["still", "photo.png", "out.tif", "--style", "a.png", "--method", "wct"]
    assert command(*words, "--threads", 1) == 0
    assert "note: the EXIF was left out" in capsys.readouterr().err


def test_mixtures_masks_and_colours(place: Path) -> None:
    pictures = []
    for words in (
        ["--style", "a.png"],
        ["--style", "b.png"],
        ["--style", "a.png:0.5,b.png:0.5"],
        ["--style", "a.png", "--style", "b.png", "--mask", "mask.png"],
        ["--style", "a.png", "--style-scale", 2],
    ):
        assert still(*words, "--overwrite") == 0
        pictures.append(out())
    for first in range(len(pictures)):
        for second in range(first):
            assert not np.array_equal(pictures[first], pictures[second])


@pytest.mark.parametrize("name", ["a.png", "mask.png"])
def test_what_is_read_is_never_replaced(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(name).read_bytes()
    words = ["--method", "wct", "--style", "a.png", "--style", "b.png", "--mask", "mask.png"]
    assert command("still", "photo.png", name, *words, "--overwrite") == 2
    assert "read here" in capsys.readouterr().err
    assert Path(name).read_bytes() == before


def test_a_texture_never_replaces_its_paintings(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("b.png").read_bytes()
    mixed = "a.png:0.5,b.png:0.5"
    assert command("texture", mixed, "b.png", "--method", "wct", "--overwrite") == 2
    assert "read here" in capsys.readouterr().err
    assert Path("b.png").read_bytes() == before


def test_luminance_keeps_the_colours(place: Path) -> None:
    import cv2

    assert still("--style", "a.png", "--keep-color", "luminance") == 0
    with Image.open("photo.png") as photo:
        wanted = cv2.cvtColor(np.asarray(photo.convert("RGB")), cv2.COLOR_RGB2YCrCb)
    found = cv2.cvtColor(out(), cv2.COLOR_RGB2YCrCb)
    assert np.abs(found[..., 1:].astype(int) - wanted[..., 1:]).mean() < 12


def test_a_texture(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["texture", "a.png", "out.png", "--method", "wct", "--threads", 1]
    assert command(*words, "--width", 48, "--height", 32) == 0
    assert out().shape == (32, 48, 3)
    assert command(*words, "--overwrite", "--pooling", "max") == 2
    assert "--pooling belongs to --method gatys" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--levels", "5"], "Train it with"),
        (["--levels", "1:x"], "is not a level"),
        (["--alpha", "2"], "not 0 to 1"),
        (["--style-scale", "9"], "out of range"),
        (["--style-weight", "9"], "--style-weight belongs to --method gatys"),
        (["--iterations", "9"], "--iterations belongs to --method gatys"),
        (["--style", "b.png"], "no --mask"),
        (["--device", "nowhere"], "is not available"),
    ],
)
def test_bad_options_are_one_line(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still("--style", "a.png", *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("out.png").exists()


def test_without_networks(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "none").mkdir()
    (place / "none" / "manifest.json").write_text('{"version": 1, "styles": {}}')
    monkeypatch.setenv("RTSTYLE_STYLES", str(place / "none"))
    assert still("--style", "a.png") == 2
    assert "No level" in capsys.readouterr().err


def test_levels_are_read() -> None:
    assert parse_levels("4:0.8, 2", 0.5) == ([4, 2], {4: 0.8, 2: 0.5})
    assert parse_levels(None, None)[0] is None
