"""Animated pictures as films: their times, their pictures, and what is damaged."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console import command
from media import number_of, picture, write_clip
from PIL import Image as Pil

from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.moving_mask import MovingMask, is_video
from rtstyle.sources import open_camera, open_video
from rtstyle.sources.animation import AnimationSource, is_animation
from rtstyle.sources.video_file import VideoFileSource
from rtstyle.video import stylize_video

KINDS = ("gif", "png", "webp", "avif")
COUNT = 6


def write_animation(path: Path, durations: list[int] | int = 100, count: int = COUNT) -> Path:
    first, *others = (Pil.fromarray(picture(96, 64, index)) for index in range(count))
    exact: dict[str, Any] = {"webp": {"lossless": True}, "avif": {"quality": 95}}
    options = exact.get(path.suffix[1:], {})
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **options)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_with_its_own_times(tmp_path: Path, kind: str) -> None:
    path = write_animation(tmp_path / f"a.{kind}", [40, 100, 40, 250, 40, 60])
    with open_video(path) as source:
        assert isinstance(source, AnimationSource)
        assert (source.width, source.height, source.frames) == (96, 64, COUNT)
        frames = list(source)
    assert [number_of(frame.image, 4) for frame in frames] == list(range(COUNT))
    assert [frame.pts for frame in frames] == [0, 40, 140, 180, 430, 470]
    assert [frame.duration for frame in frames] == [40, 100, 40, 250, 40, 60]
    assert frames[0].time_base == Fraction(1, 1000)
    assert np.abs(frames[3].image.astype(int) - picture(96, 64, 3)).mean() < 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("written", "shown"), [(0, 100), (10, 100), (20, 20)])
def test_tiny_delays_are_those_of_browsers(
    tmp_path: Path, kind: str, written: int, shown: int
) -> None:
    if kind == "avif" and not written:
        pytest.skip("AVIF has no delay of 0")
    path = write_animation(tmp_path / f"a.{kind}", written)
    with open_video(path) as source:
        assert source.rate == Fraction(1000, shown)
        assert [frame.pts for frame in source] == [shown * n for n in range(COUNT)]


def test_start_and_end(tmp_path: Path) -> None:
    with open_video(write_animation(tmp_path / "a.webp"), 0.25, 0.43) as source:
        frames = list(source)
        assert source.origin == Fraction(1, 4)
    assert [number_of(frame.image, 4) for frame in frames] == [2, 3, 4]
    assert [(frame.pts, frame.duration) for frame in frames] == [(250, 50), (300, 100), (400, 30)]
    with (
        open_video(tmp_path / "a.webp", 5, 6) as source,
        pytest.raises(SourceError, match="no frame between"),
    ):
        list(source)


def test_stills_and_films_are_none(tmp_path: Path) -> None:
    for name in ("a.gif", "a.png", "a.webp", "a.avif"):
        Pil.fromarray(picture(96, 64, 0)).save(tmp_path / name)
        assert not is_animation(tmp_path / name)
        assert isinstance(open_video(tmp_path / name), VideoFileSource)
    assert not is_animation(write_clip(tmp_path / "a.mp4"))
    assert not is_animation(tmp_path / "none.gif")
    (tmp_path / "broken.webp").write_bytes(b"RIFF\0\0\0\0WEBP" + bytes(50))
    assert not is_animation(tmp_path / "broken.webp")


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_what_is_cut_off_gives_what_is_there(tmp_path: Path, kind: str) -> None:
    path = write_animation(tmp_path / f"a.{kind}")
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * 0.6)])
    try:
        with open_video(path) as source:
            frames = list(source)
    except SourceError:
        # WebP's decoder wants the whole file.
        assert kind == "webp"
        return
    assert 2 <= len(frames) < COUNT
    assert source.counts == {"damaged frames": 1}


def test_a_frame_beside_the_canvas_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    Pil.new("P", (4, 4), 1).save(path)
    content = path.read_bytes()
    palette = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    image = content[content.index(b",", palette) : -1]
    pixel = b"\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"
    path.write_bytes(content[:6] + b"\1\0\1\0" + content[10:palette] + pixel + image * 2 + b";")
    with open_video(path) as source:
        assert [frame.image.shape for frame in source] == [(1, 1, 3)] * 3
        assert source.counts == {}


def test_a_camera_may_be_an_animation(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "a.webp", 20)
    with open_camera(str(path)) as source:
        assert [number_of(frame.image, 4) for frame in source] == list(range(COUNT))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_painted_at_its_own_speed(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out.mp4"
    source = write_animation(tmp_path / f"a.{kind}", 10)
    report = stylize_video(source, out, "identity", device="cpu")
    assert report.frames == COUNT
    with open_video(out) as painted:
        assert [float(frame.pts * frame.time_base) for frame in painted] == pytest.approx(
            [0.1 * n for n in range(COUNT)]
        )


def test_a_mask_may_be_an_animation(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "a.webp")
    assert is_video(path)
    Pil.fromarray(picture(96, 64, 0)).save(tmp_path / "still.webp")
    assert not is_video(tmp_path / "still.webp")
    with MovingMask(path) as mask:
        frame = Frame(picture(96, 64, 0), 0, 0, Fraction(1, 10), 0.0)
        assert number_of(mask.at(frame), 4) == 0
        assert number_of(mask.at(replace(frame, index=3, pts=3)), 4) == 3


def test_the_photo_command_names_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("image", write_animation(tmp_path / "a.webp"), tmp_path / "o.png") == 2
    assert "is animated. Use `rtstyle video` for it." in capsys.readouterr().err
