from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import av.error
import numpy as np
import pytest
from helpers.media import decode, exact_rgb, number_of, packets, picture, write_clip
from helpers.pictures import coarse_noise
from numpy.typing import NDArray

from rtstyle.errors import SinkError
from rtstyle.files import pending
from rtstyle.files.numbered import existing_pictures
from rtstyle.files.pending import writing_to
from rtstyle.files.space import NoRoomError, Room
from rtstyle.frame import Frame
from rtstyle.sinks import open_output
from rtstyle.sinks.base import Sink, SinkClosedError
from rtstyle.sinks.encoding import codecs, encoders
from rtstyle.sinks.encoding.palette import Palette
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.gif import GifSink
from rtstyle.sinks.images import ImageSequenceSink
from rtstyle.sinks.null import NullSink
from rtstyle.sinks.tracks.packet_copy import PacketCopy
from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sinks.window import WindowSink
from rtstyle.testing import FakeSink, FakeSource

COUNT, WIDTH, HEIGHT = 6, 96, 64
STEP = Fraction(1, 25)


def frame(index: int, pts: int | None = None, time_base: Fraction = STEP, **size: int) -> Frame:
    image = picture(size.get("width", WIDTH), size.get("height", HEIGHT), index)
    return Frame(image, index, index if pts is None else pts, time_base, time.monotonic())


def fill(sink: Sink, count: int = COUNT, complete: bool = True, **size: int) -> None:
    sink.open()
    for index in range(count):
        sink.write(frame(index, **size))
    sink.close(complete)


def noise(width: int, height: int, index: int) -> NDArray[np.uint8]:
    """A picture that hardly shrinks when it is encoded."""
    return coarse_noise(height, width, index)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def virtual_camera(folder: Path) -> Sink:
    library: Any = pytest.importorskip("pyvirtualcam", reason="needs the extra virtual-camera")
    from test_virtual_camera import Device

    from rtstyle.sinks.virtual_camera import VirtualCameraSink

    library.register_backend("fake", Device)
    return VirtualCameraSink(WIDTH, HEIGHT, backend="fake")


FILES = ("out.mp4", "out.m4v", "out.mov", "out.mkv", "out.webm", "out.gif")
SINKS: dict[str, Callable[[Path], Sink]] = {
    **{name: lambda folder, name=name: open_output(folder / name, FakeSource()) for name in FILES},
    "folder": lambda folder: ImageSequenceSink(folder / "out"),
    "pattern": lambda folder: ImageSequenceSink(folder / "out_%03d.jpg"),
    "null": lambda folder: NullSink(),
    "window": lambda folder: WindowSink(),
    "virtual camera": virtual_camera,
    "fake": lambda folder: FakeSink(),
}


@pytest.fixture(autouse=True)
def _no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    return SINKS[request.param](tmp_path)


class TestContract:
    def test_open_write_close(self, sink: Sink, tmp_path: Path) -> None:
        fill(sink)
        assert not [n for n in names(tmp_path) if "tmp" in n]

    def test_nothing_shows_before_the_end(self, sink: Sink, tmp_path: Path) -> None:
        sink.open()
        sink.write(frame(0))
        assert all(name.startswith(".") for name in names(tmp_path))
        sink.abort()

    def test_abort_leaves_nothing(self, sink: Sink, tmp_path: Path) -> None:
        sink.open()
        sink.write(frame(0))
        sink.abort()
        sink.abort()
        assert names(tmp_path) == []

    def test_closing_without_a_frame_leaves_nothing(self, sink: Sink, tmp_path: Path) -> None:
        sink.open()
        sink.close()
        assert names(tmp_path) == []

    def test_abort_after_close_keeps_the_output(self, sink: Sink, tmp_path: Path) -> None:
        fill(sink)
        before = names(tmp_path)
        sink.abort()
        assert names(tmp_path) == before

    def test_with_statement(self, sink: Sink, tmp_path: Path) -> None:
        def work() -> None:
            with sink:
                sink.write(frame(0))
                raise RuntimeError("inside")

        with pytest.raises(RuntimeError, match="inside"):
            work()
        assert names(tmp_path) == []

    def test_bytes_written_are_counted(self, sink: Sink) -> None:
        sink.open()
        assert sink.written >= 0
        sink.abort()


@pytest.mark.parametrize("name", FILES)
class TestFiles:
    def test_frames_come_back(self, tmp_path: Path, name: str) -> None:
        fill(open_output(tmp_path / name, FakeSource()))
        frames = decode(tmp_path / name)
        pictures = [f.to_ndarray(format="rgb24") for f in frames]
        assert [number_of(p, 5) for p in pictures] == list(range(COUNT))
        assert [f.pts * f.time_base for f in frames] == [index * STEP for index in range(COUNT)]

    def test_partial(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"old")
        sink: Any = open_output(tmp_path / name, FakeSource())
        fill(sink, complete=False)
        stem, suffix = name.split(".")
        assert names(tmp_path) == sorted([name, f"{stem}.partial.{suffix}"])
        assert (tmp_path / name).read_bytes() == b"old"
        assert sink.path == tmp_path / f"{stem}.partial.{suffix}"
        assert len(decode(sink.path)) == COUNT

    def test_old_file_survives_until_the_end(self, tmp_path: Path, name: str) -> None:
        old = tmp_path / name
        old.write_bytes(b"old")
        sink = open_output(old, FakeSource())
        sink.open()
        sink.write(frame(0))
        assert old.read_bytes() == b"old"
        sink.abort()
        assert old.read_bytes() == b"old"
        fill(open_output(old, FakeSource()))
        assert len(decode(old)) == COUNT

    def test_a_size_that_changes_is_refused(self, tmp_path: Path, name: str) -> None:
        sink = open_output(tmp_path / name, FakeSource())
        sink.open()
        sink.write(frame(0))
        with pytest.raises(SinkError, match="size"):
            sink.write(frame(1, width=48))
        sink.abort()

    def test_missing_folder(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SinkError, match="does not exist"):
            open_output(tmp_path / "no" / name, FakeSource()).open()

    def test_a_folder_of_that_name(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        sink_type = GifSink if name.endswith("gif") else VideoFileSink
        with pytest.raises(SinkError, match="is a folder"):
            sink_type(tmp_path / name).open()

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
    def test_folder_without_rights(self, tmp_path: Path, name: str) -> None:
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(SinkError, match="cannot be written to"):
            open_output(tmp_path / name, FakeSource()).open()


VIDEOS = ("out.mp4", "out.mov", "out.mkv", "out.webm")


class TestVideoFile:
    @pytest.mark.parametrize("name", VIDEOS)
    def test_colors_are_tagged_and_right(self, tmp_path: Path, name: str) -> None:
        fill(VideoFileSink(tmp_path / name, rate=Fraction(25)), 1, width=320, height=240)
        decoded = decode(tmp_path / name)[0]
        assert (decoded.colorspace, decoded.color_range) == (1, 1)
        assert (decoded.color_primaries, decoded.color_trc) == (1, 1)
        assert decoded.format.name == "yuv420p"
        mean = exact_rgb(decoded).mean(axis=(0, 1))
        assert np.abs(mean - picture(320, 240, 0).mean(axis=(0, 1))).max() < 0.6

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
    def test_variable_rate_keeps_its_time_stamps(self, tmp_path: Path, name: str) -> None:
        base, stamps = Fraction(1, 90000), [0, 2970, 3060, 18000, 20070, 90000]
        with VideoFileSink(tmp_path / name, rate=Fraction(30)) as sink:
            for index, pts in enumerate(stamps):
                sink.write(frame(index, pts, base))
        decoded = decode(tmp_path / name)
        assert [f.pts * f.time_base for f in decoded] == [pts * base for pts in stamps]

    def test_origin_becomes_zero_and_time_stamps_rise(self, tmp_path: Path) -> None:
        with VideoFileSink(tmp_path / "a.mp4", origin=Fraction(2)) as sink:
            for index, pts in enumerate((49, 50, 50, 53)):
                sink.write(frame(index, pts))
        assert [f.pts * f.time_base * 25 for f in decode(tmp_path / "a.mp4")] == [0, 1, 2, 3]

    @pytest.mark.parametrize(
        ("name", "width", "height"),
        [("a.mp4", 98, 64), ("a.mkv", 98, 64), ("a.webm", 97, 63), ("a.gif", 97, 63)],
    )
    def test_odd_sizes(self, tmp_path: Path, name: str, width: int, height: int) -> None:
        fill(open_output(tmp_path / name, FakeSource()), width=97, height=63)
        assert {(f.width, f.height) for f in decode(tmp_path / name)} == {(width, height)}

    def test_pixel_shape_is_written(self, tmp_path: Path) -> None:
        fill(VideoFileSink(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3)))
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)

    def test_unknown_suffix(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match=r"\.mp4"):
            VideoFileSink(tmp_path / "a.xyz").open()

    @pytest.mark.parametrize(
        ("name", "encoder", "reason"),
        [
            ("a.mp4", "nonsense", "does not have it"),
            ("a.mp4", "aac", "does not encode video"),
            ("a.webm", "libx264", "does not hold h264"),
            ("a.mp4", "h264_v4l2m2m", "does not"),
        ],
    )
    def test_encoders_that_cannot_be_had(
        self, tmp_path: Path, name: str, encoder: str, reason: str
    ) -> None:
        sink = VideoFileSink(tmp_path / name, encoding=Encoding(encoder=encoder))
        sink.open()
        with pytest.raises(SinkError, match=reason):
            sink.write(frame(0))
        sink.abort()
        assert names(tmp_path) == []

    @pytest.mark.parametrize("encoder", ["mpeg4", "libx265", "libsvtav1"])
    def test_a_named_encoder_is_used(self, tmp_path: Path, encoder: str) -> None:
        if encoders.why_not(encoder, av.codecs_available):
            pytest.skip(f"no {encoder} in this build")
        fill(VideoFileSink(tmp_path / "a.mp4", encoding=Encoding(encoder=encoder)))
        with av.open(str(tmp_path / "a.mp4")) as container:
            codec = container.streams.video[0].codec_context.codec.canonical_name
        assert codec == {"mpeg4": "mpeg4", "libx265": "hevc", "libsvtav1": "av1"}[encoder]

    def test_auto_takes_the_first_that_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(codecs.CODECS, "h264", ("nonsense", "mpeg4"))
        with av.open(os.devnull, "w", format="mp4") as container:
            choice = encoders.choose_encoder(Encoding(), container, 64, 48, Fraction(25))
        assert choice.name == "mpeg4"


class TestStreamCopy:
    def copy(
        self, source: Path, target: Path, start: float | None = None, end: float | None = None
    ) -> StreamCopier:
        copier = StreamCopier(source, start=start, end=end)
        origin = Fraction(str(start or 0))
        with VideoFileSink(target, origin=origin, copier=copier) as sink:
            for number in range(12):
                if (start or 0) <= number / 25 < (end or 99):
                    sink.write(frame(number))
        return copier

    @pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
    def test_sound_is_copied_bit_for_bit(self, tmp_path: Path, suffix: str) -> None:
        source = write_clip(tmp_path / "in.mp4", sound="aac")
        copier = self.copy(source, tmp_path / f"out.{suffix}")
        before, after = packets(source, "audio"), packets(tmp_path / f"out.{suffix}", "audio")
        if suffix == "mkv":
            # Matroska has no edit list: the encoder's lead-in before 0 is left out.
            before = [p for p in before if p[0] >= 0]
        assert [content for _, content in after] == [content for _, content in before]
        assert all(abs(a - b) <= Fraction(1, 1000) for (a, _), (b, _) in zip(after, before))  # noqa: B905
        assert len(after) > 15
        assert copier.notes == []

    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    def test_sound_is_cut_with_the_picture(self, tmp_path: Path, suffix: str) -> None:
        source = write_clip(tmp_path / "in.mp4", sound="aac")
        self.copy(source, tmp_path / f"out.{suffix}", 0.16, 0.32)
        before = {content: moment for moment, content in packets(source, "audio")}
        after = packets(tmp_path / f"out.{suffix}", "audio")
        assert 6 <= len(after) <= 9
        cut = Fraction(4, 25)
        for moment, content in after:
            assert abs(moment - (before[content] - cut)) <= Fraction(1, 1000)

    def test_sound_that_does_not_fit_is_encoded_anew(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mp4", sound="aac")
        copier = self.copy(source, tmp_path / "out.webm")
        assert copier.notes == ["audio stream 1 re-encoded from aac to libopus: webm needs it"]
        with av.open(str(tmp_path / "out.webm")) as container:
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        assert len(sound) == pytest.approx(0.48 * 48000, rel=0.1)
        # The tone must still be one of 440 Hz, and as loud.
        middle = sound[4800:14400].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert np.argmax(spectrum) * 48000 / len(middle) == pytest.approx(440, abs=6)
        assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)

    def test_plain_pcm_becomes_aac_in_mp4_and_is_kept_in_mov(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mov", sound="pcm_s16le")
        assert "re-encoded" in self.copy(source, tmp_path / "out.mp4").notes[0]
        assert self.copy(source, tmp_path / "out.mov").notes == []

    @pytest.mark.parametrize(
        ("suffix", "codec"), [("mkv", "subrip"), ("mp4", "mov_text"), ("webm", "webvtt")]
    )
    def test_subtitles_are_carried_over(self, tmp_path: Path, suffix: str, codec: str) -> None:
        source = write_clip(tmp_path / "in.mkv", subtitles="subrip")
        copier = self.copy(source, tmp_path / f"out.{suffix}")
        assert len(copier.notes) == (0 if suffix == "mkv" else 1)
        with av.open(str(tmp_path / f"out.{suffix}")) as container:
            stream = container.streams.subtitles[0]
            assert stream.codec_context.codec.canonical_name == codec
            assert stream.metadata.get("language") == "eng"
        texts = packets(tmp_path / f"out.{suffix}", "subtitles")
        spoken = [(float(moment), text) for moment, text in texts if b"line" in text]
        assert [b"line 0" in spoken[0][1], b"line 1" in spoken[1][1]] == [True, True]
        assert [moment for moment, _ in spoken] == pytest.approx([0.0, 0.24], abs=0.002)

    def test_lines_that_begin_at_once_are_all_kept(self, tmp_path: Path) -> None:
        source, target = tmp_path / "in.srt", tmp_path / "out.mkv"
        source.write_text(
            "".join(f"{n}\n00:00:00,100 --> 00:00:00,300\nsign {n}\n\n" for n in (1, 2))
        )
        with av.open(str(source)) as text, av.open(str(target), "w") as out:
            carrier = PacketCopy(out, text.streams.subtitles[0])
            assert [carrier.carry(p) for p in text.demux() if p.size] == [True, True]
        assert [content for _, content in packets(target, "subtitles")] == [b"sign 1", b"sign 2"]

    def test_sound_that_was_announced_and_never_came_is_left_out(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mp4", sound="aac")
        copier = StreamCopier(source)
        silent = SimpleNamespace(
            type="audio", index=1, codec_context=SimpleNamespace(sample_rate=0, channels=0)
        )
        with av.open(str(tmp_path / "out.mp4"), "w") as out:
            assert copier._carrier(out, silent) is None
        assert copier.notes == ["audio stream 1 left out: it holds no sound"]

    def test_titles_and_chapters_are_copied(self, tmp_path: Path) -> None:
        source = tmp_path / "in.mkv"
        with av.open(str(source), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            out.metadata["title"] = "A title"
            base = Fraction(1, 1000)
            out.set_chapters(
                [
                    {
                        "id": 1,
                        "start": 0,
                        "end": 160,
                        "time_base": base,
                        "metadata": {"title": "a"},
                    },
                    {"id": 2, "start": 160, "end": 480, "time_base": base, "metadata": {}},
                ]
            )
            for index in range(12):
                picture_frame = av.VideoFrame.from_ndarray(picture(96, 64, index))
                picture_frame.pts, picture_frame.time_base = index, STEP
                out.mux(stream.encode(picture_frame))
            out.mux(stream.encode(None))
        self.copy(source, tmp_path / "out.mkv", 0.2, 0.4)
        with av.open(str(tmp_path / "out.mkv")) as container:
            assert container.metadata["title"] == "A title"
            spans = [
                (c["start"] * (c["time_base"] or 0), c["end"] * (c["time_base"] or 0))
                for c in container.chapters()
            ]
        assert spans == [(0, Fraction(1, 5))]

    def test_a_partial_file_has_sound_up_to_its_last_picture(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mp4", frames=50, sound="aac")
        sink = VideoFileSink(tmp_path / "out.mp4", copier=StreamCopier(source))
        fill(sink, 10, complete=False)
        last = packets(tmp_path / "out.partial.mp4", "audio")[-1][0]
        assert Fraction(8, 25) <= last <= Fraction(9, 25)

    def test_damaged_sound_does_not_stop_the_picture(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mp4", sound="aac")
        data = source.read_bytes()
        source.write_bytes(data.replace(packets(source, "audio")[8][1], b"\xff" * 100, 1)[:-1])
        self.copy(write_clip(tmp_path / "b.mp4", sound="aac"), tmp_path / "ok.mp4")
        truncated = tmp_path / "t.mkv"
        whole = write_clip(tmp_path / "w.mkv", sound="aac").read_bytes()
        truncated.write_bytes(whole[: len(whole) * 2 // 3])
        self.copy(truncated, tmp_path / "out.mp4")
        assert len(decode(tmp_path / "out.mp4")) == 12

    def test_lines_end_with_the_part(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "in.mkv", subtitles="subrip")
        self.copy(source, tmp_path / "out.mkv", None, 0.32)
        with av.open(str(tmp_path / "out.mkv")) as container:
            lines = [p for p in container.demux(subtitles=0) if p.pts is not None]
        ends = [float((p.pts + p.duration) * p.time_base) for p in lines]
        assert ends == pytest.approx([0.2, 0.32], abs=0.002)

    def test_titles_of_streams_are_kept_where_they_are_encoded_anew(self, tmp_path: Path) -> None:
        plain, source = write_clip(tmp_path / "p.mkv", subtitles="subrip"), tmp_path / "in.mkv"
        with av.open(str(plain)) as read, av.open(str(source), "w") as out:
            streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in read.streams}
            streams[1].metadata["title"] = "Signs"
            for packet in read.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
        self.copy(source, tmp_path / "out.webm")
        with av.open(str(tmp_path / "out.webm")) as container:
            assert container.streams.subtitles[0].metadata["title"] == "Signs"


def test_other_than_square_pixels_are_made_square(tmp_path: Path) -> None:
    wide = Fraction(4, 3)
    fill(GifSink(tmp_path / "a.gif", sample_aspect_ratio=wide), 2)
    fill(ImageSequenceSink(tmp_path / "a_%d.png", sample_aspect_ratio=wide), 2)
    expected = (round(frame(0).image.shape[1] * wide), frame(0).image.shape[0])
    for name in ("a.gif", "a_1.png"):
        picture = decode(tmp_path / name)[0]
        assert (picture.width, picture.height) == expected


@pytest.mark.parametrize("suffix", ["gif", "mp4", "mkv"])
def test_the_last_picture_is_shown_as_long_as_in_the_source(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    sink = GifSink(path) if suffix == "gif" else VideoFileSink(path)
    with sink:
        for index in range(3):
            base = Fraction(1, 100)
            sink.write(replace(frame(index, time_base=base), pts=index * 10, duration=40))
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(600_000, abs=2000)


class TestGif:
    def test_every_picture_is_shown_equally_long(self, tmp_path: Path) -> None:
        with GifSink(tmp_path / "a.gif") as sink:
            for index in range(4):
                sink.write(frame(index))
        with av.open(str(tmp_path / "a.gif")) as container:
            assert [p.duration for p in container.demux(video=0) if p.size] == [4, 4, 4, 4]

    def test_too_fast_frames_are_left_out_and_counted(self, tmp_path: Path) -> None:
        sink = GifSink(tmp_path / "a.gif")
        with sink:
            for index in range(10):
                sink.write(frame(index, time_base=Fraction(1, 100)))
        assert sink.skipped == 5
        assert len(decode(tmp_path / "a.gif")) == 5

    def test_colors_are_close(self, tmp_path: Path) -> None:
        fill(GifSink(tmp_path / "a.gif"), 3)
        image = decode(tmp_path / "a.gif")[2].to_ndarray(format="rgb24").astype(float)
        expected = picture(WIDTH, HEIGHT, 2)
        assert np.abs(image.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 1.5
        assert np.abs(image - expected).mean() < 8

    def test_a_palette_of_few_colors(self) -> None:
        image = np.zeros((8, 8, 3), np.uint8)
        image[:, 4:] = (250, 10, 20)
        palette = Palette(image)
        back = palette.colors[palette.apply(image)].astype(int)
        assert np.abs(back - image).max() <= 8
        assert palette.misfit(image) <= 1
        assert palette.misfit(np.full((8, 8, 3), 200, np.uint8)) > 50


class TestImages:
    def test_names_count_from_one(self, tmp_path: Path) -> None:
        fill(ImageSequenceSink(tmp_path / "f_%03d.png"), 3)
        assert names(tmp_path) == ["f_001.png", "f_002.png", "f_003.png"]
        fill(ImageSequenceSink(tmp_path / "out"), 2)
        assert names(tmp_path / "out") == ["00001.png", "00002.png"]

    def test_png_is_exact(self, tmp_path: Path) -> None:
        fill(ImageSequenceSink(tmp_path / "out"), 1)
        image = decode(tmp_path / "out" / "00001.png")[0].to_ndarray(format="rgb24")
        assert np.array_equal(image, picture(WIDTH, HEIGHT, 0))

    def test_other_files_in_the_folder_stay(self, tmp_path: Path) -> None:
        (tmp_path / "keep.txt").write_text("mine")
        fill(ImageSequenceSink(tmp_path), 1)
        assert names(tmp_path) == ["00001.png", "keep.txt"]

    @pytest.mark.parametrize(
        ("name", "partial"), [("out", "out.partial"), ("f_%03d.png", "f.partial")]
    )
    def test_partial(self, tmp_path: Path, name: str, partial: str) -> None:
        sink = ImageSequenceSink(tmp_path / name)
        fill(sink, 2, complete=False)
        assert names(tmp_path) == [partial]
        assert sink.path == tmp_path / partial
        assert len(names(tmp_path / partial)) == 2

    def test_bad_names(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for name in ("a_%d.xyz", "file", "no/out_%d.png"):
            with pytest.raises(SinkError):
                ImageSequenceSink(tmp_path / name).open()

    @pytest.mark.parametrize("name", ["x_%d_%d.png", "50%_%d.png", "%%d.png", "x_%s_%d.png"])
    def test_a_name_that_cannot_number_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SinkError, match="cannot number"):
            ImageSequenceSink(tmp_path / name).open()
        assert names(tmp_path) == []
        assert existing_pictures(tmp_path / name) == []

    def test_what_would_be_replaced(self, tmp_path: Path) -> None:
        for name in (
            "1.png",
            "00001.png",
            "000003.png",
            "123456.png",
            "a.png",
            "50%7",
        ):
            (tmp_path / name).write_text("")

        def found(name: str) -> list[str]:
            return [path.name for path in existing_pictures(tmp_path / name)]

        assert found("") == found("%05d.png") == ["00001.png", "123456.png"]
        assert found("%d.png") == ["1.png", "123456.png"]
        assert found("%5d.png") == found("%05d.png")
        assert found("50%%%d") == ["50%7"]
        assert found("no") == found("b_%d.png") == []

    def test_an_older_longer_sequence_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        fill(ImageSequenceSink(tmp_path / "f_%03d.png"), 5)
        (tmp_path / "f_007.png").write_text("no part of it")
        fill(ImageSequenceSink(tmp_path / "f_%03d.png"), 2)
        assert names(tmp_path) == ["f_001.png", "f_002.png", "f_007.png"]

    def test_what_cannot_be_moved_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pending, "RENAME_PATIENCE", 0)
        (tmp_path / "f_002.png").mkdir()
        sink = ImageSequenceSink(tmp_path / "f_%03d.png")
        with pytest.raises(SinkError, match=r"Pictures from 2 on are in .*f\.partial"):
            fill(sink, 3)
        sink.abort()
        assert names(tmp_path) == ["f.partial", "f_001.png", "f_002.png"]
        assert names(tmp_path / "f.partial") == ["f_002.png", "f_003.png"]


class TestWindow:
    def test_shows_the_picture(self) -> None:
        import pygame

        sink = WindowSink()
        sink.open()
        shown = frame(3)
        sink.write(shown)
        screen = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        assert np.array_equal(screen, shown.image)
        sink.close()

    @pytest.mark.parametrize("how", ["q", "escape", "cross"])
    def test_the_user_can_end_it(self, how: str) -> None:
        import pygame

        keys = {"q": pygame.K_q, "escape": pygame.K_ESCAPE}
        texts = {"q": "q"}
        sink = WindowSink()
        sink.open()
        sink.write(frame(0))
        kind = pygame.QUIT if how == "cross" else pygame.KEYDOWN
        pygame.event.post(pygame.event.Event(kind, key=keys.get(how), unicode=texts.get(how, "")))
        with pytest.raises(SinkClosedError):
            sink.idle()
        sink.close()

    def test_other_keys_do_nothing(self) -> None:
        import pygame

        sink = WindowSink()
        sink.open()
        sink.write(frame(0))
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_x, unicode="x"))
        sink.write(frame(1))
        sink.close()

    def test_without_a_screen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        monkeypatch.delenv("DISPLAY", raising=False)
        with pytest.raises(SinkError, match="--no-window"):
            WindowSink().open()


@pytest.mark.parametrize(("name", "kept"), [("a.mp4", "a.partial.mp4"), ("a.gif", "a.partial.gif")])
class TestRename:
    """On Windows a player or a virus scanner holds files, so that they cannot be replaced."""

    def hold(self, monkeypatch: pytest.MonkeyPatch, held: Callable[[Path], bool]) -> None:
        replace = os.replace

        def refuse(source: Path, target: Path) -> None:
            if held(Path(target)):
                raise PermissionError(errno.EACCES, "It is being used by another process")
            replace(source, target)

        monkeypatch.setattr(pending.os, "replace", refuse)  # type: ignore[attr-defined]
        monkeypatch.setattr(pending, "RENAME_PAUSE", 0)

    def test_it_is_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kept: str
    ) -> None:
        answers = iter([True, True, False])
        self.hold(monkeypatch, lambda target: next(answers))
        fill(open_output(tmp_path / name, FakeSource()))
        assert names(tmp_path) == [name]

    def test_a_held_file_leaves_the_painting_beside_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kept: str
    ) -> None:
        monkeypatch.setattr(pending, "RENAME_PATIENCE", 0)
        self.hold(monkeypatch, lambda target: target.name == name)
        for file in (name, kept):
            (tmp_path / file).write_bytes(b"old")
        sink = open_output(tmp_path / name, FakeSource())
        second = kept.replace("partial", "partial-2")
        with pytest.raises(SinkError, match=f"another process. What was painted .*{second}"):
            fill(sink)
        sink.abort()
        assert names(tmp_path) == sorted([name, kept, second])
        assert (tmp_path / name).read_bytes() == (tmp_path / kept).read_bytes() == b"old"
        assert len(decode(tmp_path / second)) == COUNT

    def test_where_no_name_can_be_had_the_hidden_file_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kept: str
    ) -> None:
        monkeypatch.setattr(pending, "RENAME_PATIENCE", 0)
        self.hold(monkeypatch, lambda target: True)
        sink = open_output(tmp_path / name, FakeSource())
        with pytest.raises(SinkError) as caught:
            fill(sink)
        sink.abort()
        (left,) = tmp_path.iterdir()
        assert str(left) in str(caught.value)
        assert len(decode(left)) == COUNT

    def test_an_older_partial_file_stays(self, tmp_path: Path, name: str, kept: str) -> None:
        (tmp_path / kept).write_bytes(b"old")
        fill(open_output(tmp_path / name, FakeSource()), complete=False)
        assert (tmp_path / kept).read_bytes() == b"old"
        assert names(tmp_path) == sorted([kept, kept.replace("partial", "partial-2")])


FFMPEG_ERRORS = [
    av.error.ExternalError,
    av.error.UnknownError,
    av.error.PatchWelcomeError,
    av.error.OverflowError,
    av.error.EncoderNotFoundError,
    av.error.BugError,
]


@pytest.mark.parametrize("kind", FFMPEG_ERRORS)
def test_errors_of_ffmpeg_are_named(kind: type[Exception]) -> None:
    def fail() -> None:
        with writing_to(Path("out.mp4")):
            raise kind(542398533, "Generic error in an external library")

    with pytest.raises(SinkError, match=r"^out.mp4 cannot be written. Generic error in an"):
        fail()


@pytest.mark.parametrize("kind", FFMPEG_ERRORS)
@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_abort_leaves_nothing_though_ffmpeg_fails(
    tmp_path: Path, name: str, kind: type[Exception]
) -> None:
    class Broken:
        def close(self) -> None:
            raise kind(1, "It failed")

    sink: Any = open_output(tmp_path / name, FakeSource())
    sink.open()
    sink._output = Broken()
    sink.abort()
    assert names(tmp_path) == []


def test_a_full_disk_is_named() -> None:
    def fail() -> None:
        with writing_to(Path("out.mp4")):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SinkError, match="disk is full"):
        fail()


FILL_DISK = """
import resource, signal, sys, time
from fractions import Fraction
import numpy as np
from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks import open_output
from rtstyle.testing import FakeSource

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sink = open_output(sys.argv[1], FakeSource())
random = np.random.default_rng(0)
try:
    sink.open()
    for i in range(60):
        image = random.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        sink.write(Frame(image, i, i, Fraction(1, 25), time.monotonic()))
    sink.close()
except SinkError as error:
    sink.abort()
    print(error)
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "frames"])
def test_a_file_that_cannot_grow_is_an_error_and_the_old_one_stays(
    tmp_path: Path, name: str
) -> None:
    old = tmp_path / name
    if old.suffix:
        old.write_bytes(b"old")
    script = FILL_DISK.replace("128, 128", "400, 400") if name == "frames" else FILL_DISK
    done = subprocess.run(
        [sys.executable, "-c", script, str(old)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    assert "cannot be written" in done.stdout
    assert "files may have 100 kB here (ulimit -f)" in done.stdout
    if not old.suffix:
        # The first picture is larger already.
        assert names(tmp_path) == []
        return
    assert old.read_bytes() == b"old"
    kept = f"out.partial{old.suffix}"
    assert names(tmp_path) == sorted([name, kept])
    assert kept in done.stdout
    assert (tmp_path / kept).stat().st_size <= 100_000
    assert len(decode(tmp_path / kept)) >= 1


CLIP_TO_LIMIT = """
import resource, sys
from rtstyle.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "gif"])
def test_what_was_painted_up_to_a_limit_is_kept_and_can_be_played(
    tmp_path: Path, suffix: str
) -> None:
    sound = None if suffix == "gif" else "aac"
    source = write_clip(
        tmp_path / "in.mp4", frames=100, width=160, height=128, sound=sound, image=noise
    )
    out, limit = tmp_path / f"out.{suffix}", 600_000
    words = ("video", source, out, "--style", "identity", "--device", "onnxruntime:cpu")
    done = subprocess.run(
        [sys.executable, "-c", CLIP_TO_LIMIT, str(limit), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "files may have 600 kB here (ulimit -f)" in done.stderr
    kept = tmp_path / f"out.partial.{suffix}"
    assert f"kept as {kept}" in done.stderr
    assert names(tmp_path) == sorted(["in.mp4", kept.name])
    assert limit / 2 < kept.stat().st_size <= limit
    frames = decode(kept)
    assert 3 < len(frames) < 100
    assert not any(frame.is_corrupt for frame in frames)
    if sound:
        ends = packets(kept, "audio")[-1][0]
        # VP9 holds 25 pictures back, which are lost; their sound is written already.
        assert abs(float(ends) - len(frames) / 25) < (1.2 if suffix == "webm" else 0.5)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif"])
def test_a_disk_that_is_nearly_full_leaves_what_was_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sink = open_output(tmp_path / name, FakeSource())
    sink.open()
    (temporary,) = tmp_path.iterdir()

    def usage(_: Path) -> Any:
        return SimpleNamespace(free=300_000 - temporary.stat().st_size)

    monkeypatch.setattr("shutil.disk_usage", usage)

    def write_many() -> None:
        for i in range(100):
            sink.write(Frame(noise(160, 128, i), i, i, Fraction(1, 25), 0.0))

    with pytest.raises(SinkError, match=r"the disk is full.*kept as .*out\.partial"):
        write_many()
    sink.abort()
    (kept,) = tmp_path.iterdir()
    assert 100_000 < kept.stat().st_size < 300_000
    assert len(decode(kept)) > 2


def test_pictures_before_a_full_disk_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ImageSequenceSink(tmp_path / "out")
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        if path.name == "00003.png":
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(SinkError, match=r"the disk is full.*kept as .*out\.partial"):
        fill(sink, 5)
    sink.abort()
    assert names(tmp_path) == ["out.partial"]
    assert names(tmp_path / "out.partial") == ["00001.png", "00002.png"]


def test_fat_ends_at_four_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    room = Room(tmp_path / "out.mp4")
    room.take(5 << 30)
    part = SimpleNamespace(mountpoint=str(tmp_path.anchor), fstype="vfat")
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: [part])
    room = Room(tmp_path / "out.mp4")
    room.take(4_000_000_000)
    with pytest.raises(NoRoomError, match="FAT"):
        room.take(300_000_000)
    room.take(200_000_000)


def test_x265_is_not_started_where_it_would_crash() -> None:
    assert encoders.try_out("libx265", 64, 48) == ""
    for width in (34, 40, 48):
        assert "64 columns" in encoders.try_out("libx265", width, 64)
