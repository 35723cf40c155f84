"""The upsampler that ships: sharper than interpolation, local, calm, and left out where missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtstyle import Stylizer
from rtstyle.frame import Image
from rtstyle.painting import upsampling
from rtstyle.painting.upsampling import Upsampler
from rtstyle.samples import sample_frames
from rtstyle.styles import manifest

CPU = "openvino:cpu"


def reduced(image: Image, factor: float) -> Image:
    size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def cubic(image: Image, like: Image) -> Image:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def roughness(image: Image) -> float:
    plain = image.astype(np.float32)
    return float((plain - cv2.GaussianBlur(plain, (0, 0), 1)).std())


@pytest.fixture(scope="module", autouse=True)
def _what_ships() -> Iterator[None]:
    """Use the styles that ship, in place of the small ones of other tests."""
    with pytest.MonkeyPatch.context() as patch:
        shipped = Path(__file__).resolve().parents[2] / "pretrained"
        patch.setenv(manifest.FOLDER_VARIABLE, str(shipped))
        yield


@pytest.fixture(scope="module")
def pair(_what_ships: None) -> tuple[Image, Image]:
    """A frame, and its painting by a style at the frame's own size."""
    frame = next(iter(sample_frames(1)))
    with Stylizer("mosaic", "fast") as paint:
        return frame, paint(frame)


@pytest.mark.parametrize("factor", [1.5, 2.25])
def test_a_reduced_painting_comes_back_nearer_and_sharper_than_by_interpolation(
    pair: tuple[Image, Image], factor: float
) -> None:
    frame, painting = pair
    coarse = reduced(painting, factor)
    with Upsampler(CPU) as upsampler:
        found = upsampler(frame, coarse)
    plain = cubic(coarse, frame)
    errors = [np.abs(x.astype(int) - painting).mean() for x in (found, plain)]
    assert errors[0] < 0.93 * errors[1]
    lost = [roughness(painting) - roughness(x) for x in (found, plain)]
    assert lost[0] < 0.8 * lost[1]
    # What the coarse painting shows stays.
    assert np.abs(reduced(found, factor).astype(int) - coarse).mean() < 4


def test_any_part_comes_out_as_in_the_whole(
    pair: tuple[Image, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, painting = pair
    coarse = reduced(painting, 2)
    with Upsampler(CPU, precision="fp32") as upsampler:
        whole = upsampler(frame, coarse)
        monkeypatch.setattr(upsampling, "TILE_ROWS", 64)
        tiled = upsampler(frame, coarse)
    assert frame.shape[0] > 64 + 2 * upsampling.OVERLAP
    np.testing.assert_array_equal(whole, tiled)


@pytest.mark.parametrize("size", [(33, 47), (4, 5), (1, 1), (130, 66)])
def test_pictures_of_any_size_are_enlarged(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (*size, 3), np.uint8)
    with Upsampler(CPU) as upsampler:
        assert upsampler(frame, frame[: max(1, size[0] // 2)]).shape == frame.shape


def test_an_even_painting_stays_even() -> None:
    """No grid of the four pixels that are seen as one."""
    frame = np.full((96, 128, 3), 120, np.uint8)
    coarse = np.full((48, 64, 3), (200, 90, 30), np.uint8)
    with Upsampler(CPU) as upsampler:
        found = upsampler(frame, coarse).astype(int)
    assert np.abs(found - coarse[0, 0]).max() <= 6
    assert found.std(axis=(0, 1)).max() < 1.5


def test_a_folder_of_styles_without_an_upsampler_is_interpolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[Image, Image]
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 1, "styles": {}}))
    monkeypatch.setenv(manifest.FOLDER_VARIABLE, str(tmp_path))
    frame, painting = pair
    coarse = reduced(painting, 2)
    with Upsampler(CPU) as upsampler:
        np.testing.assert_array_equal(upsampler(frame, coarse), cubic(coarse, frame))


@pytest.mark.parametrize("height", [1, 80, 96, 97, 200, 320])
def test_strips_answer_for_every_row_once(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsampling, "TILE_ROWS", 64)
    strips = upsampling.strips(height)
    answered = [row for first, last, *_ in strips for row in range(first, last)]
    assert answered == list(range(height))
    for first, last, start, end in strips:
        assert start == max(0, first - upsampling.OVERLAP) or len(strips) == 1
        assert end == min(height, last + upsampling.OVERLAP)


def test_it_says_which_sizes_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsampling, "TILE_ROWS", 64)
    with Upsampler(CPU) as upsampler:
        assert not upsampler.holds((140, 60))
        upsampler.prepare((140, 60))
        assert upsampler.holds((140, 60))
        assert not upsampler.holds((140, 64))


def test_it_may_be_closed_twice_and_used_again(pair: tuple[Image, Image]) -> None:
    frame, painting = pair
    upsampler = Upsampler(CPU)
    first = upsampler(frame, reduced(painting, 2))
    upsampler.close()
    upsampler.close()
    np.testing.assert_array_equal(upsampler(frame, reduced(painting, 2)), first)
    upsampler.close()
