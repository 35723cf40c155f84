"""A style file that sees a canvas, in the jobs: video with and without coherence, photos, masks."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from helpers.models import canvas_model
from PIL import Image as Pil

from rtstyle import Stylizer
from rtstyle.commands.options import read_coherence
from rtstyle.errors import StyleError, UsageError
from rtstyle.frame import Frame, Image
from rtstyle.frame_queue import Policy
from rtstyle.jobs.video import stylize_video
from rtstyle.painting.upsampling import Upsampler
from rtstyle.pipeline import Pipeline
from rtstyle.testing import FakeSink, FakeSource


@pytest.fixture
def style(tmp_path: Path) -> str:
    path = tmp_path / "reverse.onnx"
    path.write_bytes(canvas_model())
    return str(path)


def scene(seed: int = 0, height: int = 120, width: int = 160) -> Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def write_frames(folder: Path, frames: list[Image]) -> Path:
    folder.mkdir()
    folder.with_name("out").mkdir()
    for number, frame in enumerate(frames):
        Pil.fromarray(frame).save(folder / f"in_{number:03d}.png")
    return folder / "in_%03d.png"


def read_frames(folder: Path) -> list[Image]:
    return [np.asarray(Pil.open(path)).copy() for path in sorted(folder.iterdir())]


def flickering() -> list[Image]:
    """A still picture whose brightness changes, then a cut."""
    first = scene()
    shown = [np.clip(first.astype(int) + step, 0, 255).astype(np.uint8) for step in (0, 6, -5, 4)]
    return [*shown, scene(9), scene(9)]


def test_what_was_painted_stays_until_a_cut(style: str, tmp_path: Path) -> None:
    frames = flickering()
    source = write_frames(tmp_path / "in", frames)
    report = stylize_video(source, tmp_path / "out" / "p_%03d.png", style, size="fast")
    assert report.frames == 6
    painted = read_frames(tmp_path / "out")
    inner = (slice(8, -8), slice(8, -8))
    for frame in painted[1:4]:
        assert np.abs(frame[inner].astype(int) - painted[0][inner]).max() <= 1
    np.testing.assert_array_equal(painted[4], 255 - frames[4])


def test_without_coherence_every_frame_is_painted_anew(style: str, tmp_path: Path) -> None:
    frames = flickering()
    source = write_frames(tmp_path / "in", frames)
    stylize_video(source, tmp_path / "out" / "p_%03d.png", style, size="fast", coherence=0.0)
    for frame, painted in zip(frames, read_frames(tmp_path / "out"), strict=True):
        np.testing.assert_array_equal(painted, 255 - frame)


def test_strength_and_the_original_beside_come_after_the_canvas(style: str, tmp_path: Path) -> None:
    frames = [scene()] * 3
    source = write_frames(tmp_path / "in", frames)
    stylize_video(
        source, tmp_path / "out" / "p_%03d.png", style, size="fast", strength=0.5, side_by_side=True
    )
    for painted in read_frames(tmp_path / "out"):
        np.testing.assert_array_equal(painted[:, :160], frames[0])
        # Half of a picture and half of its reverse: were strength painted over, it would drift.
        assert np.abs(painted[8:-8, 168:-8].astype(int) - 127).max() <= 2


def test_a_photo_is_painted_on_an_empty_canvas(style: str) -> None:
    with Stylizer(style, "fast") as stylizer:
        assert stylizer.network.sees_canvas
        np.testing.assert_array_equal(stylizer(scene()), 255 - scene())
        odd = scene(2)[:77, :91].copy()
        np.testing.assert_array_equal(stylizer(odd), 255 - odd)


def test_a_large_photo_is_painted_small_and_enlarged(style: str) -> None:
    photo = scene(3, 1200, 900)
    with Stylizer(style, "fast") as stylizer:
        painted = stylizer(photo)
    small = cv2.resize(photo, (480, 640), interpolation=cv2.INTER_AREA)
    with Upsampler() as upsampler:
        wanted = upsampler(photo, np.asarray(255 - small, np.uint8))
    np.testing.assert_array_equal(painted, wanted)


def test_wider_strokes_begin_at_fewer_rows(style: str) -> None:
    photo = scene(3, 480, 640)
    with Stylizer(style, "fast", stroke_size=2.0) as stylizer:
        painted = stylizer(photo)
    assert (painted != 255 - photo).any()
    with pytest.raises(UsageError, match="out of range"):
        Stylizer(style, "fast", stroke_size=9.0)


def test_regions_of_a_mask_paint_on_empty_canvases(style: str, tmp_path: Path) -> None:
    mask = np.zeros((120, 160, 3), np.uint8)
    mask[:, 80:] = 255
    with Stylizer([style, style], "fast", mask=mask) as stylizer:
        assert not stylizer.network.sees_canvas
        assert np.abs(stylizer(scene()).astype(int) - (255 - scene())).max() <= 1


def test_files_with_other_inputs_are_still_no_styles(style: str, tmp_path: Path) -> None:
    model = onnx.load(style)
    model.graph.input[1].name = "something"
    for node in model.graph.node:
        node.input[:] = ["something" if name == "canvas" else name for name in node.input]
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    with pytest.raises(StyleError):
        Stylizer(str(other), "fast")


@pytest.mark.parametrize(("text", "value"), [("on", 1.0), ("off", 0.0), ("0.5", 0.5), ("1", 1.0)])
def test_coherence_is_on_off_or_a_share(text: str, value: float) -> None:
    assert read_coherence(text) == value


@pytest.mark.parametrize("text", ["", "yes", "-1", "1.1", "nan"])
def test_other_coherences_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="coherence"):
        read_coherence(text)


class Counting:
    """Prepares and paints, and notes in which order and thread."""

    def __init__(self, fail_at: int = -1) -> None:
        self.seen: list[tuple[str, int]] = []
        self.threads: set[tuple[str, str]] = set()
        self.fail_at = fail_at

    def prepare(self, frame: Frame) -> int:
        self.seen.append(("prepare", frame.index))
        self.threads.add(("prepare", threading.current_thread().name))
        if frame.index == self.fail_at:
            raise ValueError("cannot prepare")
        return frame.index

    def paint_prepared(self, frame: Frame, found: int) -> Image:
        assert found == frame.index
        self.seen.append(("paint", frame.index))
        self.threads.add(("paint", threading.current_thread().name))
        return 255 - frame.image


def test_a_stage_prepares_frames_in_order() -> None:
    painter, sink = Counting(), FakeSink()
    report = Pipeline(FakeSource(9), painter, [sink]).run()
    assert report.frames_out == 9
    for kind in ("prepare", "paint"):
        assert [index for name, index in painter.seen if name == kind] == list(range(9))
    assert painter.threads == {("prepare", "rtstyle-prepare"), ("paint", "rtstyle-stylize-0")}
    assert set(report.busy) == {"capture", "prepare", "stylize", "sinks"}


def test_what_fails_while_preparing_ends_the_run() -> None:
    with pytest.raises(ValueError, match="cannot prepare"):
        Pipeline(FakeSource(9), Counting(fail_at=4), [FakeSink()]).run()


@pytest.mark.slow
def test_live_every_prepared_frame_is_painted() -> None:
    painter, sink = Counting(), FakeSink()
    Pipeline(FakeSource(30), painter, [sink], policy=Policy.LATEST).run()
    prepared = [index for name, index in painter.seen if name == "prepare"]
    assert prepared == [index for name, index in painter.seen if name == "paint"]


def test_frames_that_depend_on_each_other_take_one_worker() -> None:
    with pytest.raises(UsageError, match="one worker"):
        Pipeline(FakeSource(1), Counting(), [FakeSink()], workers=2)


def keyframe_folder(folder: Path, moments: dict[float, Image]) -> Path:
    folder.mkdir()
    rows = []
    for number, (time, image) in enumerate(moments.items(), 1):
        name = f"key_{number:05d}.png"
        Pil.fromarray(image).save(folder / name)
        rows.append({"file": name, "time": time, "frame": 0, "shot": 0, "done": True})
    (folder / "index.json").write_text(json.dumps({"keyframes": rows}))
    return folder


def test_a_video_goes_on_from_painted_keyframes(style: str, tmp_path: Path) -> None:
    frames = [scene()] * 4 + [scene(9)] * 3
    source = write_frames(tmp_path / "in", frames)
    first, second = scene(20, 60, 80), scene(21)
    keys = keyframe_folder(tmp_path / "keys", {0.0: first, 5 / 25: second})
    report = stylize_video(
        source, tmp_path / "out" / "p_%03d.png", style, size="fast", keyframes=keys
    )
    painted = read_frames(tmp_path / "out")
    enlarged = cv2.resize(first, (160, 120), interpolation=cv2.INTER_CUBIC)
    for frame in painted[:4]:
        assert np.abs(frame.astype(int) - enlarged).mean() < 1
    # A cut, then the second keyframe.
    np.testing.assert_array_equal(painted[4], 255 - frames[4])
    for frame in painted[5:]:
        assert np.abs(frame.astype(int) - second).mean() < 1
    assert "2 of 2 keyframes were painted on" in report.notes


@pytest.mark.parametrize("options", [{"coherence": 0.0}, {"style": "invert"}])
def test_keyframes_need_a_canvas(style: str, tmp_path: Path, options: dict[str, Any]) -> None:
    source = write_frames(tmp_path / "in", [scene()])
    keys = keyframe_folder(tmp_path / "keys", {0.0: scene(2)})
    given: dict[str, Any] = {"style": style, "size": "fast", "keyframes": keys, **options}
    with pytest.raises(UsageError, match="Keyframes are for networks that see"):
        stylize_video(source, tmp_path / "out" / "p_%03d.png", **given)
    with pytest.raises(UsageError, match="holds no keyframes"):
        stylize_video(
            source, tmp_path / "out" / "p_%03d.png", style, keyframes=tmp_path / "in", size="fast"
        )
