"""Transparency: decoded, painted, kept where the output can, else laid over a colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers.console import command
from helpers.media import write_clip
from PIL import Image as Pil

from rtstyle.errors import UsageError
from rtstyle.jobs.video import stylize_video
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sources import open_camera, open_video

WIDTH, HEIGHT, COUNT = 96, 64, 4
ORANGE, HIDDEN = (255, 60, 20), (0, 255, 0)
INSIDE, OUTSIDE, HALF = (32, 48), (4, 4), (32, 90)


def figure(width: int, height: int, index: int) -> Any:
    """An orange block, a half transparent edge to the right, and hidden green around them."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[..., :3] = HIDDEN
    rgba[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = (*ORANGE, 255)
    rgba[:, -16:] = (*ORANGE, 128)
    return rgba


def yuva(array: Any) -> Any:
    return av.VideoFrame.from_ndarray(array, "rgba").reformat(format="yuva420p")


def write_sequence(folder: Path) -> Path:
    folder.mkdir()
    for index in range(COUNT):
        Pil.fromarray(figure(WIDTH, HEIGHT, index)).save(folder / f"in_{index:03}.png")
    return folder / "in_%03d.png"


def write_source(folder: Path, kind: str) -> Path:
    if kind == "pictures":
        return write_sequence(folder / "in")
    if kind in ("gif", "webp"):
        images = [Pil.fromarray(figure(WIDTH, HEIGHT, n)) for n in range(COUNT)]
        for index, image in enumerate(images):
            # Pillow joins equal frames.
            image.paste((0, 0, 0, 255), (30 + 2 * index, 40, 36 + 2 * index, 46))
        path = folder / f"in.{kind}"
        lossless = {"lossless": True, "exact": True} if kind == "webp" else {"disposal": 2}
        images[0].save(path, save_all=True, append_images=images[1:], duration=40, **lossless)
        return path
    names = {"vp9": ("libvpx-vp9", "webm"), "vp8": ("libvpx", "webm"), "png": ("png", "mov")}
    codec, suffix = names[kind]
    fast = {"deadline": "realtime", "cpu-used": "8", "crf": "4", "b": "4M"}
    return write_clip(
        folder / f"in.{suffix}",
        width=WIDTH,
        height=HEIGHT,
        frames=COUNT,
        codec=codec,
        pix_fmt="rgba" if kind == "png" else "yuva420p",
        options={} if kind == "png" else {**fast, "auto-alt-ref": "0"},
        image=figure,
        to_frame=(lambda a: av.VideoFrame.from_ndarray(a, "rgba")) if kind == "png" else yuva,
    )


KINDS = ("vp9", "vp8", "png", "pictures", "gif", "webp")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_hidden_appears(tmp_path: Path, kind: str) -> None:
    path = write_source(tmp_path, kind)
    with open_video(path) as source:
        frames = list(source)
        assert source.has_alpha
    assert len(frames) == COUNT
    for frame in frames:
        assert frame.alpha is None
        assert np.abs(frame.image[INSIDE].astype(int) - ORANGE).max() <= 6
        assert frame.image[OUTSIDE].max() <= 2
        # GIF has no half transparency.
        if kind != "gif":
            assert np.abs(frame.image[HALF] - np.array(ORANGE) * 128 / 255).max() <= 6
    with open_video(path, keep_alpha=True) as source:
        for frame in source:
            assert frame.alpha is not None
            assert frame.alpha[INSIDE] >= 253
            assert frame.alpha[OUTSIDE] <= 2
            # The networks see the mean of what is visible in place of what is hidden.
            assert np.abs(frame.image[OUTSIDE].astype(int) - ORANGE).max() <= 12


def test_a_camera_shows_nothing_hidden(tmp_path: Path) -> None:
    with open_camera(str(write_source(tmp_path, "vp9"))) as source:
        frame = next(iter(source))
    assert frame.image[OUTSIDE].max() <= 2


@pytest.mark.parametrize("start", [0.04, 0.1])
def test_a_start_in_the_middle(tmp_path: Path, start: float) -> None:
    with open_video(write_source(tmp_path, "vp9"), start, keep_alpha=True) as source:
        frames = list(source)
    assert 1 <= len(frames) < COUNT
    assert all(f.alpha is not None and f.alpha[OUTSIDE] <= 2 for f in frames)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["out.webm", "out.mov", "out_%03d.png", "out_%03d.webp"])
def test_it_is_kept(tmp_path: Path, kind: str, output: str) -> None:
    report = stylize_video(write_source(tmp_path, kind), tmp_path / output, "invert", device="cpu")
    assert report.frames == COUNT
    assert not [note for note in report.notes if "transparency" in note]
    with open_video(tmp_path / output, keep_alpha=True) as painted:
        frames = list(painted)
    assert len(frames) == COUNT
    for frame in frames:
        assert frame.alpha is not None
        assert frame.alpha[INSIDE] >= 253
        assert frame.alpha[OUTSIDE] <= 2
        if kind != "gif":
            assert abs(int(frame.alpha[HALF]) - 128) <= 4
        assert np.abs(frame.image[INSIDE].astype(int) - (255 - np.array(ORANGE))).max() <= 12


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.gif", "out_%03d.jpg"])
@pytest.mark.parametrize(
    ("background", "ground"), [("black", (0, 0, 0)), ("#3050ff", (48, 80, 255))]
)
def test_it_is_laid_over_a_colour_elsewhere(
    tmp_path: Path, output: str, background: str, ground: tuple[int, int, int]
) -> None:
    source = write_source(tmp_path, "png")
    report = stylize_video(source, tmp_path / output, "invert", device="cpu", background=background)
    assert f"transparency laid over {background}: this output does not keep it" in report.notes
    expected = 255 - np.array(ORANGE)
    with open_video(tmp_path / output) as painted:
        image = next(iter(painted)).image.astype(int)
    assert np.abs(image[INSIDE] - expected).max() <= 12
    assert np.abs(image[OUTSIDE] - ground).max() <= 12
    half = (expected * 128 + np.array(ground) * 127) / 255
    assert np.abs(image[HALF] - half).max() <= 12


def test_an_encoder_without_alpha_lays_it_over(tmp_path: Path) -> None:
    source, out = write_source(tmp_path, "png"), tmp_path / "out.webm"
    report = stylize_video(
        source, out, "identity", encoding=Encoding(encoder="libvpx"), device="cpu"
    )
    assert any("laid over black" in note for note in report.notes)
    with open_video(out) as painted:
        assert not painted.has_alpha


def test_alpha_follows_height_and_side_by_side(tmp_path: Path) -> None:
    source = write_source(tmp_path, "png")
    stylize_video(source, tmp_path / "a_%d.png", "identity", device="cpu", height=32)
    small = cv2.imread(str(tmp_path / "a_1.png"), cv2.IMREAD_UNCHANGED)
    assert small.shape == (32, 48, 4)
    assert (small[16, 24, 3], small[2, 2, 3]) == (255, 0)
    report = stylize_video(source, tmp_path / "b_%d.png", "invert", device="cpu", side_by_side=True)
    both = cv2.imread(str(tmp_path / "b_1.png"), cv2.IMREAD_UNCHANGED)
    assert both.shape == (HEIGHT, 2 * WIDTH, 3)
    assert both[OUTSIDE].max() <= 2
    assert any("laid over black" in note for note in report.notes)


def test_opaque_pictures_in_formats_with_alpha_are_as_before(tmp_path: Path) -> None:
    def opaque(width: int, height: int, index: int) -> Any:
        rgba = figure(width, height, index)
        rgba[..., 3] = 255
        return rgba

    path = write_clip(
        tmp_path / "in.mov", codec="png", pix_fmt="rgba", image=opaque, options={}, frames=2,
        to_frame=lambda a: av.VideoFrame.from_ndarray(a, "rgba"),
    )  # fmt: skip
    report = stylize_video(path, tmp_path / "out.mov", "identity", device="cpu")
    assert report.notes == []
    with av.open(str(tmp_path / "out.mov")) as painted:
        assert painted.streams.video[0].codec_context.name == "h264"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_source(tmp_path, "vp9"), tmp_path / "out.mp4"
    assert command("video", source, out, "--style", "identity", "--background", "red") == 0
    assert "note: transparency laid over red" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is not a colour"):
        stylize_video(source, out, overwrite=True, background="ultra")
