"""`--resume`: a video that was interrupted at any moment ends as one that never was."""

from __future__ import annotations

import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import write_clip
from helpers.models import canvas_model
from numpy.typing import NDArray
from PIL import Image as Pil

from rtstyle.errors import UsageError
from rtstyle.jobs.video import VideoReport, stylize_video
from rtstyle.report import Progress
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks import picture_track
from rtstyle.sinks.tracks.segment_file import segment_path, state_path

FRAMES = 60
X264 = Encoding(encoder="libx264")


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_track, "SEGMENT", Fraction(8, 25))


class Broken(Exception):  # noqa: N818 - stands for a power cut
    """Ends a run in the middle."""


def paint(source: Path, out: Path, until: int = 10**9, **options: Any) -> VideoReport:
    def progress(status: Progress) -> None:
        if status.frames_out >= until:
            raise Broken

    given = {"device": "cpu", "encoding": X264, "style": "invert", "size": "fast", **options}
    return stylize_video(source, out, progress=progress, **given)


def packets(path: Path) -> list[tuple[Any, ...]]:
    """Return all packets of pictures, sound and subtitles."""
    with av.open(str(path)) as container:
        return [
            (p.stream.index, p.pts, p.dts, p.duration, bytes(p))
            for p in container.demux()
            if p.pts is not None
        ]


def pictures(path: Path) -> NDArray[np.int16]:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray() for f in container.decode(video=0)]).astype(np.int16)


def check_same(path: Path, whole: Path) -> None:
    """Hold a file to one that was never interrupted."""
    assert packets(path) == packets(whole)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    return write_clip(path, frames=FRAMES, sound="aac", subtitles="mov_text")


@pytest.fixture
def whole(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "whole.mp4"
    assert paint(source, path).frames == FRAMES
    return path


@pytest.mark.slow
def test_ten_random_moments(source: Path, tmp_path: Path, whole: Path) -> None:
    chance = random.Random(7)
    for number in range(10):
        out = tmp_path / f"{number}.mp4"
        moment = chance.randrange(1, FRAMES)
        with pytest.raises(Broken):
            paint(source, out, moment, resume=True)
        assert not out.exists()
        report = paint(source, out, resume=True)
        check_same(out, whole)
        assert report.frames == FRAMES
        assert report.pipeline.frames_out == FRAMES - (moment - 1) // 8 * 8
        assert not segment_path(out).exists()


PROGRAM = """
import os, sys
from fractions import Fraction
from rtstyle.jobs.video import stylize_video
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks import picture_track
picture_track.SEGMENT = Fraction(8, 25)
stylize_video(
    sys.argv[1], sys.argv[2], "invert", size="fast", device="cpu",
    encoding=Encoding(encoder="libx264"),
    progress=lambda status: os._exit(9) if status.frames_out == 37 else None,
)
"""


@pytest.mark.slow
def test_a_process_that_is_killed(source: Path, tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "a.mp4"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(source), str(out)], check=False)
    assert done.returncode == 9
    assert segment_path(out).exists()
    report = paint(source, out, resume=True)
    assert "32 frames were there from the run before" in report.notes
    check_same(out, whole)


def test_without_anything_to_go_on_with_it_begins(source: Path, tmp_path: Path) -> None:
    assert paint(source, tmp_path / "a.mp4", resume=True).frames == FRAMES


@pytest.mark.slow
def test_colours_are_matched_to_the_first_frame(source: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 40, 20)).save(tmp_path / "style.png")
    asked = {"style": str(tmp_path / "style.png"), "match_color": True}
    paint(source, tmp_path / "whole.mp4", **asked)
    with pytest.raises(Broken):
        paint(source, tmp_path / "a.mp4", 30, **asked)
    paint(source, tmp_path / "a.mp4", resume=True, **asked)
    check_same(tmp_path / "a.mp4", tmp_path / "whole.mp4")


def test_other_options_are_refused_by_name(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Broken):
        paint(source, tmp_path / "a.mp4", 30)
    with pytest.raises(UsageError, match="strength"):
        paint(source, tmp_path / "a.mp4", resume=True, strength=0.5)
    with pytest.raises(UsageError, match="for video files"):
        paint(source, tmp_path / "a.gif", resume=True)


@pytest.fixture
def seeing(tmp_path: Path) -> dict[str, str]:
    """A style that sees what it has painted."""
    path = tmp_path / "reverse.onnx"
    path.write_bytes(canvas_model())
    return {"style": str(path)}


@pytest.fixture
def flickering(tmp_path: Path) -> Path:
    """A still picture whose brightness changes from frame to frame, as numbered pictures."""
    (tmp_path / "in").mkdir()
    chance = np.random.default_rng(3)
    still = np.kron(chance.integers(60, 190, (12, 16, 3)), np.ones((8, 8, 1)))
    for number in range(FRAMES):
        shown = (still + 12 * np.sin(number)).astype(np.uint8)
        Pil.fromarray(shown).save(tmp_path / "in" / f"{number:03d}.png")
    return tmp_path / "in" / "%03d.png"


@pytest.mark.slow
def test_the_canvas_of_the_interruption_is_gone_on_with(
    flickering: Path, tmp_path: Path, seeing: dict[str, str]
) -> None:
    source = flickering
    whole, out = tmp_path / "whole.mp4", tmp_path / "a.mp4"
    paint(source, whole, **seeing)
    apart = np.abs(pictures(whole) - pictures_alone(source, tmp_path, seeing))
    assert apart[20:].mean() > 1, "the canvas must count in this clip"
    for moment in (13, 30, 12):
        with pytest.raises(Broken):
            paint(source, out, moment, resume=True, **seeing)
        assert state_path(out, 0).exists()
    report = paint(source, out, resume=True, **seeing)
    assert report.pipeline.frames_out < FRAMES - 30
    check_same(out, whole)
    assert sorted(path.name for path in tmp_path.glob("a.mp4*")) == ["a.mp4"]


def pictures_alone(source: Path, folder: Path, seeing: dict[str, str]) -> NDArray[np.int16]:
    paint(source, folder / "alone.mp4", coherence=0.0, **seeing)
    return pictures(folder / "alone.mp4")


def test_without_its_canvas_it_does_not_go_on(
    flickering: Path, tmp_path: Path, seeing: dict[str, str]
) -> None:
    source, out = flickering, tmp_path / "a.mp4"
    with pytest.raises(Broken):
        paint(source, out, 30, **seeing)
    for number in range(2):
        state_path(out, number).write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(UsageError, match="canvas of the interruption"):
        paint(source, out, resume=True, **seeing)
