"""Interlaced frames are made whole: where they say so, everywhere, or not at all."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from console import command
from media import write_clip

from rtstyle.errors import UsageError
from rtstyle.sources import open_camera, open_video
from rtstyle.sources.deinterlace import COUNTED, deinterlaced
from rtstyle.sources.stream import StreamCapture
from rtstyle.video import stylize_video

FRAMES = 8
STEP = 6


def moving_edge(width: int, height: int, index: int) -> Any:
    """Two moments woven together: an edge that moves STEP pixels from field to field."""
    image = np.full((height, width, 3), (40, 60, 90), np.uint8)
    for field in range(2):
        right = 20 + STEP * (2 * index + field)
        image[field::2, :right] = (200, 180, 60)
    return image


def top_field_first(array: Any) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(array).reformat(format="yuv420p", interpolation="POINT")
    graph = av.filter.Graph()
    steps = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                         time_base=Fraction(1, 25)),
        graph.add("setfield", "tff"), graph.add("buffersink"),
    ]  # fmt: skip
    steps[0].link_to(steps[1])
    steps[1].link_to(steps[2])
    graph.configure()
    graph.push(frame)
    return graph.pull()


def write_interlaced(path: Path, flagged: bool = True) -> Path:
    flags = {"flags": "+ildct+ilme", "field_order": "tt", "top": "1", "qscale": "1"}
    return write_clip(
        path,
        width=160,
        frames=FRAMES,
        codec="mpeg2video",
        options=flags if flagged else {"qscale": "1"},
        image=moving_edge,
        to_frame=top_field_first if flagged else None,
        setup=lambda stream: setattr(stream.codec_context, "bit_rate", 8_000_000),
    )


def combs(image: Any) -> float:
    """Return how much lines differ from the mean of their neighbours, as levels of the middle."""
    light = image[8:-8].astype(float).mean(axis=2)
    return float(np.abs(light[1:-1] - (light[:-2] + light[2:]) / 2).max(axis=1).mean())


def read(path: Path, mode: str) -> tuple[list[Any], int]:
    with open_video(path, deinterlace=mode) as source:
        frames = list(source)
        return frames, source.counts[COUNTED]


@pytest.mark.parametrize("suffix", ["mpg", "mkv", "mp4"])
def test_frames_that_say_so_are_made_whole(tmp_path: Path, suffix: str) -> None:
    path = write_interlaced(tmp_path / f"a.{suffix}")
    plain, none = read(path, "off")
    whole, all_of_them = read(path, "auto")
    assert (none, all_of_them) == (0, FRAMES)
    assert [f.pts for f in whole] == [f.pts for f in plain]
    assert [f.duration for f in whole] == [f.duration for f in plain]
    for before, after in zip(plain[1:-1], whole[1:-1], strict=True):
        assert combs(before.image) > 60
        assert combs(after.image) < 25
        # The edge stands where the first of the two fields had it.
        assert np.abs(after.image[10:-10:2].astype(int) - before.image[10:-10:2]).mean() < 2


def test_frames_that_do_not_say_so_are_left_alone(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.mkv", flagged=False)
    plain, _ = read(path, "off")
    found, count = read(path, "auto")
    assert count == 0
    assert all(np.array_equal(a.image, b.image) for a, b in zip(plain, found, strict=True))
    forced, count = read(path, "on")
    assert count == FRAMES
    assert max(combs(frame.image) for frame in forced[1:-1]) < 25


def test_a_start_in_the_middle(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.mkv")
    whole, _ = read(path, "auto")
    with open_video(path, 0.12) as source:
        cut = list(source)
    assert [f.pts for f in cut] == [f.pts for f in whole[3:]]
    assert np.array_equal(cut[2].image, whole[5].image)


def test_tags_and_formats_outlive_the_filter() -> None:
    def woven() -> Any:
        for index in range(4):
            width = 64 if index < 2 else 96
            frame = top_field_first(moving_edge(width, 64, index))
            frame.pts, frame.time_base = 10 * index, Fraction(1, 250)
            frame.colorspace, frame.color_range = 9, 2
            frame.color_trc, frame.color_primaries = 16, 9
            yield frame

    counts: Counter[str] = Counter()
    frames = list(deinterlaced(woven(), "auto", Fraction(1, 250), counts))
    assert [f.pts for f in frames] == [0, 10, 20, 30]
    assert [f.width for f in frames] == [64, 64, 96, 96]
    assert {f.format.name for f in frames} == {"yuv420p"}
    tags = {(f.colorspace, f.color_range, f.color_trc, f.color_primaries) for f in frames}
    assert tags == {(9, 2, 16, 9)}
    assert counts == {COUNTED: 4}


def test_streams_and_cameras_are_deinterlaced(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path / "a.ts")
    clock = iter(range(1000))
    capture = StreamCapture(path.as_uri(), clock=lambda: next(clock), sleep=lambda _: None)
    try:
        shots = [shot for shot in (capture.read() for _ in range(FRAMES)) if shot]
    finally:
        capture.close()
    assert len(shots) == FRAMES
    assert max(combs(shot.image) for shot in shots[1:-1]) < 25
    arrived = [shot.at for shot in shots]
    assert arrived == sorted(arrived)
    with open_camera(str(path)) as camera:
        assert max(combs(frame.image) for frame in list(camera)[1:-1]) < 25


def test_the_command_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_interlaced(tmp_path / "a.mpg"), tmp_path / "out.mp4"
    assert command("video", path, out, "--style", "identity") == 0
    assert f"note: {FRAMES} frames deinterlaced" in capsys.readouterr().err
    assert command("video", path, out, "--overwrite", "--deinterlace", "off") == 0
    assert "deinterlaced" not in capsys.readouterr().err
    with pytest.raises(UsageError, match="auto, on or off"):
        stylize_video(path, out, overwrite=True, deinterlace="bob")
