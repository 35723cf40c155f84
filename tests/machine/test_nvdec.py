"""Decoding on an NVIDIA card: what is said without one, and that its frames are the same frames."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from helpers.console import rtstyle
from helpers.media import Clip, write_clip

from rtstyle.engines.gpu.cuda_card import CudaCard
from rtstyle.errors import DeviceError, SourceError, UsageError
from rtstyle.jobs.video import stylize_video
from rtstyle.machine import nvdec
from rtstyle.media.container import Media
from rtstyle.sources import open_video, packets


def frames_of(path: Path, decoder: str = "cpu") -> list[Any]:
    with open_video(path, decoder=decoder) as source:
        return [(frame.index, frame.pts, frame.image) for frame in source]


def check_equal(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted) > 2
    for one, other in zip(found, wanted, strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_array_equal(one[2], other[2])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", Clip(frames=6))


@pytest.fixture
def no_card() -> None:
    try:
        CudaCard()
    except DeviceError:
        return
    pytest.skip("this machine has a card")


@pytest.mark.usefixtures("no_card")
def test_without_a_card_the_cpu_decodes_and_says_so_once(clip: Path, tmp_path: Path) -> None:
    check_equal(frames_of(clip, "nvdec"), frames_of(clip))
    painted = stylize_video(clip, tmp_path / "out.mp4", "invert", "fast", decoder="nvdec")
    assert painted.frames == 6
    [note] = [note for note in painted.notes if "decoded on the CPU" in note]
    assert "NVIDIA's driver" in note
    done = rtstyle("video", clip, tmp_path / "told.mp4", "--style", "invert", "--decoder", "nvdec")
    assert (done.code, done.output.count("decoded on the CPU")) == (0, 1), done.output


def test_nothing_is_said_where_nothing_was_asked(clip: Path, tmp_path: Path) -> None:
    notes = stylize_video(clip, tmp_path / "out.mp4", "invert", "fast").notes
    assert not [note for note in notes if "decoded" in note]


def visible(plane: Any) -> Any:
    """The bytes of a plane's picture, without those that fill its lines up."""
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


@pytest.mark.parametrize("packed", ["nv12", "p010le"])
def test_frames_of_a_card_become_those_of_the_cpu(packed: str) -> None:
    planar = av.VideoFrame(48, 32, nvdec.PLANAR[packed])
    rng = np.random.default_rng(0)
    for plane in planar.planes:
        values = rng.integers(16, 235 if packed == "nv12" else 940, plane.buffer_size // (
            1 if packed == "nv12" else 2))  # fmt: skip
        plane.update(values.astype(np.uint8 if packed == "nv12" else np.uint16).tobytes())
    planar.pts, planar.color_range, planar.colorspace = 7, 2, 1
    from_card = planar.reformat(format=packed)
    assert from_card.format.name == packed
    found = nvdec.as_planar(from_card)
    assert (found.format.name, found.pts) == (planar.format.name, 7)
    assert (found.color_range, found.colorspace) == (2, 1)
    for one, other in zip(found.planes, planar.planes, strict=True):
        np.testing.assert_array_equal(visible(one), visible(other))
    assert nvdec.as_planar(planar) is planar


class FakeDecoder:
    """A FAKE of a decoder on a card: the CPU decodes, and the frames come as a card gives them."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def decode(self, packet: Any) -> list[Any]:
        return [frame.reformat(format="nv12") for frame in self._decoder.decode(packet)]


def test_a_source_paints_the_frames_of_a_card_as_those_of_the_cpu(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = frames_of(clip)
    opened = packets.open_decoder
    monkeypatch.setattr(packets, "open_decoder", lambda *given: FakeDecoder(opened(*given)))
    check_equal(frames_of(clip), wanted)


def test_a_codec_that_the_card_does_not_decode_is_named(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(is_hwaccel=False, name="ffv1")
    video = [SimpleNamespace(codec_context=context)]
    container = SimpleNamespace(streams=SimpleNamespace(video=video))
    monkeypatch.setattr(nvdec.av, "open", lambda *_, **__: container)
    found, why = nvdec.open_with_card(clip)
    assert found is container
    assert "NVDEC does not decode ffv1" in why
    context.is_hwaccel = True
    assert nvdec.open_with_card(clip) == (container, "")


def test_what_is_wrong_with_a_file_is_said_as_ever(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    media = Media(tmp_path / "empty.mp4")
    media.decoder = "nvdec"
    with pytest.raises(SourceError, match="is empty"):
        media.open()


def test_pictures_are_decoded_on_the_cpu_with_a_word(tmp_path: Path) -> None:
    media = Media(tmp_path / "in_%03d.png")
    open_video(media, decoder="nvdec")
    assert media.notes == ["decoded on the CPU: NVDEC is for video files"]


def test_another_decoder_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no decoder 'cuda'"):
        open_video(clip, decoder="cuda")
    done = rtstyle(
        "video", clip, tmp_path / "out.mp4", "--decoder", "nvdec", "--cluster", "auto"
    )  # fmt: skip
    assert isinstance(done.error, UsageError)
