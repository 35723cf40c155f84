"""A video painted in parts and joined has the packets that painting it at once gives."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import picture, write_clip
from helpers.models import canvas_model
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtstyle.errors import SinkError
from rtstyle.jobs.parts.join import join_parts
from rtstyle.jobs.parts.paint import Clip, Work, as_known, find_cuts, paint_part
from rtstyle.jobs.parts.part_source import OtherFramesError, PartSource
from rtstyle.jobs.parts.survey import (
    FARTHEST,
    WASTE,
    Part,
    Survey,
    parts_of,
    survey,
    where_cuts_count,
)
from rtstyle.jobs.video import open_stylizer, stylize_video
from rtstyle.media.container import as_media
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks import picture_track
from rtstyle.sinks.tracks.segment_file import segment_path
from rtstyle.sinks.video_file import encoder_threads
from rtstyle.sources import open_video
from rtstyle.styles.recipe import Recipe

LENGTH = 8
X264 = Encoding(encoder="libx264")


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_track, "SEGMENT", Fraction(LENGTH, 25))


def look(source: Path, start: float | None = None, end: float | None = None) -> Survey:
    with open_video(source, start, end, keep_alpha=True) as opened:
        return survey(opened, start, end)


def scenes(width: int, height: int, index: int) -> NDArray[np.uint8]:
    """Shots of 11 frames, each a still picture of its own."""
    rng = np.random.default_rng(index // 11)
    coarse = rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8)
    shot = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    shot[:16] = picture(width, height, index)[:16]
    return shot


def paint_in_parts(
    source: Path, output: Path, recipe: Recipe, encoding: Encoding = X264, **options: Any
) -> list[Part]:
    """Paint as a cluster does, one part after the other, the last one first."""
    found = look(source, options.get("start"), options.get("end"))
    assert found.whole == ""
    known = as_known({"encoding": encoding}, found)
    work = Work(
        recipe, known, CONTAINERS[output.suffix], LENGTH, encoder_threads(),
        deep=found.depth > 8 and known.wants_depth, **options,
    )  # fmt: skip
    folder = output.parent / f"{output.name}.parts"
    folder.mkdir()
    with open_stylizer(recipe, device="openvino:cpu") as stylizer:
        cuts = None
        if stylizer.coherent() is not None:
            cuts = find_cuts(as_media(source), work, Clip.of(found, 0, len(found.times)))
        parts = parts_of(len(found.times), LENGTH, cuts)
        for part in reversed(parts):
            clip = Clip.of(found, part.first, part.end)
            painted = paint_part(as_media(source), work, clip, part, folder / part.name, stylizer)
            assert painted.frames == part.end - part.begin
    files = [partial(segment_path(folder / part.name).open, "rb") for part in parts]
    join_parts(as_media(source), output, work, files)
    return parts


def check(source: Path, folder: Path, recipe: Recipe, suffix: str = ".mp4", **options: Any) -> int:
    """Hold a video painted in parts to the same at once, and return the number of parts."""
    encoding = options.pop("encoding", X264)
    joined, whole = folder / f"joined{suffix}", folder / f"whole{suffix}"
    parts = paint_in_parts(source, joined, recipe, encoding, **options)
    stylize_video(source, whole, recipe, device="openvino:cpu", encoding=encoding, **options)
    assert packets(joined) == packets(whole)
    return len(parts)


def packets(path: Path) -> list[tuple[Any, ...]]:
    """Return all packets of all streams. Matroska has random numbers in its header."""
    with av.open(str(path)) as container:
        return [
            (p.stream.index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
        ]


INVERT = Recipe("invert", "fast")


def test_sound_subtitles_and_frames_between_key_frames(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "in.mp4", frames=45, sound="aac", subtitles="mov_text",
        options={"crf": "12", "g": "13", "bf": "3", "preset": "medium"},
    )  # fmt: skip
    assert check(source, tmp_path, INVERT) == 6


def test_matroska_with_uneven_times(tmp_path: Path) -> None:
    times = np.cumsum([40, 40, 80, 33, 50] * 6).tolist()
    source = write_clip(tmp_path / "in.mkv", frames=30, time_base=Fraction(1, 1000), pts=times)
    assert check(source, tmp_path, INVERT, ".mkv") >= 3


def test_a_part_of_the_clip_beside_the_original(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=60)
    assert check(source, tmp_path, INVERT, start=0.4, end=1.9, side_by_side=True) == 5


def test_a_sweep_goes_on_from_part_to_part(tmp_path: Path) -> None:
    from PIL import Image

    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, colour in zip(paths, ((200, 40, 20), (10, 90, 220)), strict=True):
        Image.new("RGB", (64, 64), colour).save(path)
    source = write_clip(tmp_path / "in.mp4", frames=20)
    assert check(source, tmp_path, Recipe(size="fast", sweep=f"{paths[0]}..{paths[1]}")) == 3


def test_colours_of_the_first_frame_are_those_of_all_parts(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 40, 20)).save(tmp_path / "style.png")
    source = write_clip(tmp_path / "in.mp4", frames=20)
    recipe = Recipe(str(tmp_path / "style.png"), "fast", match_color=True, coherence=0.0)
    assert check(source, tmp_path, recipe) == 3


def test_ten_bits_stay_ten(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=20, codec="libx265", pix_fmt="yuv420p10le",
                        options={"x265-params": "log-level=none"})  # fmt: skip
    encoding = Encoding(encoder="libx265")
    assert check(source, tmp_path, Recipe("invert", "fast", 0.5), encoding=encoding) == 3


@pytest.fixture
def canvas(tmp_path: Path) -> Recipe:
    path = tmp_path / "reverse.onnx"
    path.write_bytes(canvas_model())
    return Recipe(str(path), "fast")


@pytest.mark.slow
def test_with_a_canvas_parts_begin_at_cuts(tmp_path: Path, canvas: Recipe) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=88, image=scenes)
    assert check(source, tmp_path, canvas) > 1


def test_without_a_cut_a_canvas_keeps_the_clip_whole(tmp_path: Path, canvas: Recipe) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=30)
    assert check(source, tmp_path, canvas) == 1


def test_cuts_are_where_the_canvas_is_empty(tmp_path: Path, canvas: Recipe) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=44, image=scenes)
    found = look(source)
    work = Work(canvas, X264, "mp4", LENGTH, 1)
    assert find_cuts(as_media(source), work, Clip.of(found, 0, 44)) == [11, 22, 33]
    # From the frame before on, a stretch finds its own.
    assert find_cuts(as_media(source), work, Clip.of(found, 21, 30)) == [22]


@given(
    st.integers(1, 400), st.integers(1, 40),
    st.none() | st.lists(st.integers(1, 399), unique=True, max_size=40),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_parts_are_whole_segments_in_order(
    frames: int, length: int, cuts: list[int] | None
) -> None:
    parts = parts_of(frames, length, cuts)
    assert [part.begin for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == frames
    for part in parts:
        assert part.begin % length == 0
        assert part.first == part.begin or part.first in (cuts or ())
        # The last cut there is: a canvas that began earlier would be another.
        assert not [cut for cut in cuts or () if part.first < cut <= part.begin]
    besides = sum(part.begin - part.first for part in parts)
    assert besides <= WASTE * frames
    # What is looked for in a few frames is all that counts.
    seen = [range(begin + 1, end) for begin, end in where_cuts_count(frames, length)]
    counted = [cut for cut in cuts or () if any(cut in span for span in seen)]
    assert parts == parts_of(frames, length, None if cuts is None else counted)
    assert sum(map(len, seen)) <= frames / length * (FARTHEST * length + 1)


def test_only_what_can_be_found_again_is_cut(tmp_path: Path) -> None:
    assert look(write_clip(tmp_path / "a.ts", codec="mpeg2video")).whole != ""
    assert look(write_clip(tmp_path / "a.avi", codec="mpeg4")).whole != ""
    raw = write_clip(tmp_path / "a.h264")
    assert look(raw).whole == "its frames have no time stamps"
    clear = write_clip(
        tmp_path / "a.webm", codec="libvpx-vp9", pix_fmt="yuva420p", options={"auto-alt-ref": "0"}
    )
    assert look(clear).whole in ("it is transparent", "")
    assert look(write_clip(tmp_path / "a.mp4")).whole == ""


def test_other_frames_than_promised_are_noticed(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=20)
    found = look(source)
    wrong = (*found.times[8:11], found.times[11] + 1)
    part = PartSource(
        as_media(source), 8, wrong, found.times[4:8], zero=found.zero, time_base=found.time_base
    )
    with part, pytest.raises(OtherFramesError):
        list(part)
    late = (*found.times[18:], found.times[-1] + 512)
    part = PartSource(
        as_media(source), 18, late, found.times[14:18], zero=found.zero, time_base=found.time_base
    )
    with part, pytest.raises(OtherFramesError):
        list(part)


def test_parts_that_were_encoded_otherwise_are_refused(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=16)
    found = look(source)
    files = []
    with open_stylizer(INVERT, device="openvino:cpu") as stylizer:
        for part, crf in zip(parts_of(16, LENGTH), (20.0, 30.0), strict=True):
            known = as_known({"encoding": Encoding(encoder="libx264", crf=crf)}, found)
            work = Work(INVERT, known, "mp4", LENGTH, 1)
            target = tmp_path / part.name
            clip = Clip.of(found, part.first, part.end)
            paint_part(as_media(source), work, clip, part, target, stylizer)
            files.append(partial(segment_path(target).open, "rb"))
    with pytest.raises(SinkError, match="encoded"):
        join_parts(as_media(source), tmp_path / "out.mp4", work, files)
    assert not (tmp_path / "out.mp4").exists()
