"""Sound in step with the picture where time stamps of the source break, stray or are missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import packets, write_clip

from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sinks.tracks.time_line import TimeLine
from rtstyle.sinks.tracks.transcode import fitting_rate
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sources.video_file import VideoFileSource

MILLI = Fraction(1, 1000)
PICTURE, SOUND, TEXT = 0, 1, 2
KINDS = {PICTURE: "video", SOUND: "audio", TEXT: "subtitle"}


@dataclass
class FakePacket:
    """A packet with the members that a time line looks at; times in milliseconds."""

    index: int
    pts: int
    duration: int = 20
    dts: int | None = None
    time_base: Fraction = MILLI
    stream: Any = field(init=False)

    def __post_init__(self) -> None:
        self.dts = self.pts if self.dts is None else self.dts
        self.stream = SimpleNamespace(index=self.index, type=KINDS[self.index])


def sound(*times: int) -> list[FakePacket]:
    return [FakePacket(SOUND, time) for time in times]


def times(found: Iterable[Any]) -> list[int]:
    return [packet.pts for packet in found]


class TestTimeLine:
    def test_a_whole_line_stays_as_it_is(self) -> None:
        line = TimeLine(iter(sound(-20, 0, 20, 40, 900, 920)))
        assert times(line) == [-20, 0, 20, 40, 900, 920]
        assert line.dropped == 0

    def test_a_step_back_goes_on_where_it_was(self) -> None:
        line = TimeLine(iter(sound(5000, 5020, 0, 20, 40)))
        assert times(line) == [5000, 5020, 5040, 5060, 5080]

    def test_a_lone_stray_packet_is_dropped_and_counted(self) -> None:
        for stray in (33_000, 16_256_000, -700_000):
            line = TimeLine(iter(sound(0, 20, stray, 60, 80)))
            assert times(line) == [0, 20, 60, 80]
            assert line.dropped == 1

    def test_a_real_gap_is_kept(self) -> None:
        line = TimeLine(iter(sound(0, 20, 30_000, 30_020)))
        assert times(line) == [0, 20, 30_000, 30_020]
        assert times(TimeLine(iter(sound(0, 20, 4000)))) == [0, 20, 4000]

    def test_a_leap_of_hours_is_closed(self) -> None:
        line = TimeLine(iter(sound(0, 20, 90_000_000, 90_000_020)))
        assert times(line) == [0, 20, 40, 60]

    @pytest.mark.parametrize("picture_first", [True, False])
    def test_the_picture_decides_how_far_all_move(self, picture_first: bool) -> None:
        before = [FakePacket(PICTURE, time, 40) for time in range(6000, 8000, 40)]
        after = [FakePacket(PICTURE, time, 40) for time in range(0, 400, 40)]
        # The sound ended half a second early, and begins 10 ms after the picture.
        first, second = sound(*range(6000, 7500, 20)), sound(*range(10, 210, 20))
        joined = after + second if picture_first else second + after
        line = TimeLine(iter(before + first + joined), PICTURE)
        moved = times(line)
        assert moved[: len(first)] == list(range(6000, 7500, 20))
        # The picture goes on at 8000, so the sound does at 8010.
        assert moved[len(first) :] == list(range(8010, 8210, 20))

    def test_stragglers_of_before_a_break_keep_their_place(self) -> None:
        line = TimeLine(
            iter(
                [FakePacket(PICTURE, t, 40) for t in (5000, 5040)]
                + sound(5000, 5020)
                + [FakePacket(PICTURE, t, 40) for t in (0, 40)]
                + sound(5040, 5060, 0, 20)
            ),
            PICTURE,
        )
        assert times(line) == [5000, 5020, 5040, 5060, 5080, 5100]

    def test_subtitles_move_with_the_rest(self) -> None:
        line = TimeLine(iter([*sound(5000, 5020, 0, 20), FakePacket(TEXT, 100, 400)]))
        assert times(line)[-1] == 5140


def copy(source: Path, target: Path) -> tuple[VideoFileSource, StreamCopier]:
    """Copy picture and sound of a file, unpainted."""
    copier = StreamCopier(source)
    with VideoFileSource(source) as frames:
        frames.open()
        with VideoFileSink(target, origin=frames.origin, copier=copier, rate=frames.rate) as sink:
            for frame in frames:
                sink.write(frame)
    return frames, copier


def loudness(path: Path) -> list[tuple[float, float]]:
    """Return time and RMS of each decoded piece of sound, -1 to 1."""
    found = []
    with av.open(str(path)) as container:
        for piece in container.decode(audio=0):
            assert piece.pts is not None
            assert piece.time_base is not None
            samples = piece.to_ndarray().astype(np.float64)
            scale = 1.0 if piece.format.name.startswith("flt") else 32768.0
            found.append((float(piece.pts * piece.time_base), float((samples / scale).std())))
    return found


def write_with_gap(path: Path, codec: str, rate: int = 48000) -> Path:
    """Write 3 s of black and a tone, which is missing from 1 to 2 s."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        tone: Any = out.add_stream(codec, rate=rate)
        tone.layout = "mono"
        for index in range(75):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))
            picture.pts, picture.time_base = index, Fraction(1, 25)
            out.mux(video.encode(picture))
            if 25 <= index < 50:
                continue
            wave = np.sin(np.arange(rate // 25) * 0.2) * 16000
            piece = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            piece.sample_rate, piece.pts = rate, index * (rate // 25)
            piece.time_base = Fraction(1, rate)
            out.mux(tone.encode(piece))
        for stream in (video, tone):
            out.mux(stream.encode(None))
    return path


class TestFiles:
    def test_joined_recordings_keep_their_sound(self, tmp_path: Path) -> None:
        one = write_clip(tmp_path / "a.ts", frames=50, sound="aac").read_bytes()
        (tmp_path / "joined.ts").write_bytes(one + one)
        frames, copier = copy(tmp_path / "joined.ts", tmp_path / "out.mkv")
        assert frames.counts == {"mended time stamps": 1}
        before = packets(tmp_path / "joined.ts", "audio")
        after = packets(tmp_path / "out.mkv", "audio")
        # A packet of lead-in lies before 0, where Matroska holds nothing.
        assert len(after) >= len(before) - 1
        assert float(after[-1][0]) == pytest.approx(4.0, abs=0.06)
        # The lead-in of the second part overlaps the end of the first.
        assert copier.damaged <= 1

    def test_sound_encoded_anew_keeps_its_gaps(self, tmp_path: Path) -> None:
        source = write_with_gap(tmp_path / "gap.mkv", "pcm_s16le")
        _, copier = copy(source, tmp_path / "out.mp4")
        assert "re-encoded" in copier.notes[0]
        for moment, level in loudness(tmp_path / "out.mp4"):
            if moment < 0.95 or 2.05 < moment < 2.9:
                assert level > 0.2, moment
            elif 1.05 < moment < 1.95:
                assert level < 0.01, moment

    @pytest.mark.parametrize("rate", [11127, 176_400])
    def test_odd_sample_rates_are_resampled(self, tmp_path: Path, rate: int) -> None:
        source = write_clip(tmp_path / "in.mov")
        with av.open(str(source), "w") as out:
            video: Any = out.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            tone: Any = out.add_stream("pcm_s16le", rate=rate)
            tone.layout = "mono"
            for index in range(12):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))
                picture.pts, picture.time_base = index, Fraction(1, 25)
                out.mux(video.encode(picture))
            piece = av.AudioFrame.from_ndarray(np.ones((1, rate // 2), np.int16), "s16", "mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, 0, Fraction(1, rate)
            out.mux(tone.encode(piece))
            for stream in (video, tone):
                out.mux(stream.encode(None))
        copy(source, tmp_path / "out.mp4")
        assert loudness(tmp_path / "out.mp4")[-1][0] == pytest.approx(0.48, abs=0.06)

    def test_a_packet_that_does_not_fit_is_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write_clip(tmp_path / "in.mkv", sound="aac", subtitles="subrip")
        from rtstyle.sinks.tracks import transcode

        def too_long(*_: Any) -> bool:
            raise OverflowError

        monkeypatch.setattr(transcode.SubtitleTranscoder, "carry", too_long)
        _, copier = copy(source, tmp_path / "out.mp4")
        assert copier.damaged == 2
        assert len(packets(tmp_path / "out.mp4", "audio")) > 15


def test_sample_rates_are_those_the_encoder_takes() -> None:
    assert fitting_rate("aac", 44100) == 44100
    assert fitting_rate("aac", 11127) == 12000
    assert fitting_rate("aac", 192_000) == 48000
    assert fitting_rate("libopus", 44100) == 48000


class TestShortBreaks:
    def test_a_short_recording_that_begins_anew_is_no_stray(self) -> None:
        line = TimeLine(iter(sound(0, 20, 40, 60, 80, 0, 20, 40)))
        assert times(line) == [0, 20, 40, 60, 80, 100, 120, 140]

    def test_joined_halves_of_a_second_keep_their_length(self, tmp_path: Path) -> None:
        one = write_clip(tmp_path / "a.ts", frames=15, sound="aac").read_bytes()
        (tmp_path / "joined.ts").write_bytes(one + one)
        frames, _ = copy(tmp_path / "joined.ts", tmp_path / "out.mkv")
        assert frames.counts == {"mended time stamps": 1}
        pictures = packets(tmp_path / "out.mkv", "video")
        assert float(max(moment for moment, _ in pictures)) == pytest.approx(29 / 25, abs=0.03)
        last = packets(tmp_path / "out.mkv", "audio")[-1][0]
        assert float(last) == pytest.approx(1.2, abs=0.08)
