from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtstyle.errors import SourceError
from rtstyle.sinks.tracks.sound_track import RATE, SoundTrack
from rtstyle.sound import Sound
from rtstyle.sources import microphone
from rtstyle.sources.microphone import Microphone, addresses, alsa_inputs, open_input

LONG = 20.0


def tone(seconds: float, rate: int = 44100, channels: int = 1, pitch: float = 440) -> Any:
    wave = 12000 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave.astype(np.int16)[:, None], channels, axis=1)


def write_wav(path: Path, samples: Any, rate: int = 44100) -> Path:
    import wave

    with wave.open(str(path), "wb") as out:
        out.setnchannels(samples.shape[1])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return path


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "rtstyle-microphone":
            thread.join(LONG)
            assert not thread.is_alive()


def wait_for_end(mic: Microphone) -> None:
    with mic._news:
        assert mic._news.wait_for(lambda: mic.problem is not None, LONG)


class TestMicrophone:
    @pytest.mark.parametrize("channels", [1, 2])
    def test_all_sound_is_handed_out_once(self, tmp_path: Path, channels: int) -> None:
        samples = tone(0.5, channels=channels)
        path = write_wav(tmp_path / "a.wav", samples)
        mic = Microphone(opener=lambda device: av.open(str(path)), clock=lambda: 100.0)
        mic.open()
        mic.open()
        wait_for_end(mic)
        sounds = mic.take()
        assert mic.take() == []
        assert np.array_equal(np.concatenate([s.samples for s in sounds]), samples)
        assert {s.rate for s in sounds} == {44100}
        assert all(s.end == pytest.approx(100.0) for s in sounds)
        assert mic.describe() == f"microphone: 44100 Hz, {channels} channel(s)"
        assert "stopped" in str(mic.problem)
        mic.close()

    def test_what_nobody_takes_is_dropped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_wav(tmp_path / "a.wav", tone(2.0))
        monkeypatch.setattr(microphone, "KEPT_SECONDS", 0.5)
        ticks = iter(range(10**6))
        mic = Microphone(
            opener=lambda device: av.open(str(path)), clock=lambda: next(ticks) * 1024 / 44100
        )
        mic.open()
        wait_for_end(mic)
        kept = mic.take()
        assert 0.3 < kept[-1].end - kept[0].at < 0.6
        assert mic.counts["overtaken"] >= 1
        mic.close()

    def test_a_driver_that_hangs_is_one_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(microphone, "OPEN_PATIENCE", 0.05)
        monkeypatch.setattr(microphone, "CLOSING_PATIENCE", 0.05)
        free = threading.Event()

        def hang(device: str | None) -> Any:
            free.wait(LONG)
            raise OSError("late")

        mic = Microphone("usb", opener=hang)
        with pytest.raises(
            SourceError, match=r"microphone usb.*none within 0\.05 s.*another input"
        ):
            mic.open()
        mic.close()
        free.set()

    def test_no_microphone_is_one_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        if alsa_inputs() or not sys.platform.startswith("linux"):
            pytest.skip("this machine may have a microphone")
        with pytest.raises(SourceError, match="no sound from") as caught:
            Microphone().open()
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_a_build_without_input_devices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(av, "formats_available", {"mp4"})
        with pytest.raises(SourceError, match="build of PyAV"):
            open_input(None)

    def test_names_by_platform(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert addresses("avfoundation", None) == [":default"]
        assert addresses("avfoundation", "USB Mic") == [":USB Mic"]
        assert addresses("dshow", "Mic") == ["audio=Mic"]
        listing = tmp_path / "pcm"
        listing.write_text(
            "00-00: ALC256 : ALC256 : playback 1 : capture 1\n00-03: HDMI 0 : playback 1\n"
            "01-00: USB Audio : USB Audio : capture 1\n"
        )
        assert alsa_inputs(listing) == ["0,0", "1,0"]
        monkeypatch.setattr(microphone, "alsa_inputs", lambda: ["1,0"])
        assert addresses("alsa", None) == ["default", "plughw:1,0"]
        assert addresses("alsa", "hw:2") == ["hw:2"]

    def test_through_alsa_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """ALSA's own `file` device stands in for a card: what it records is known."""
        if "alsa" not in av.formats_available:
            pytest.skip("this build of PyAV has no ALSA")
        samples = tone(4.0, rate=48000, channels=2)
        raw = tmp_path / "tone.raw"
        raw.write_bytes(samples.tobytes())
        config = tmp_path / "alsa.conf"
        config.write_text(
            "pcm.fake { type file slave.pcm { type null } "
            f'file "{os.devnull}" infile "{raw}" format "raw" }}\n'
        )
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
        mic = Microphone("fake")
        mic.open()
        first = mic.take()[0]
        mic.close()
        assert first.rate == 48000
        assert first.samples.shape[1] == 2
        assert np.array_equal(first.samples, samples[: len(first.samples)])


def record(path: Path, sounds: list[Sound], zero: float = 10.0, channels: int = 1) -> Any:
    kinds = {".mkv": "matroska", ".mp4": "mp4", ".webm": "webm"}
    kind = kinds[path.suffix]
    with av.open(str(path), "w", format=kind) as out:
        track = SoundTrack(out, kind, channels)
        for sound in sounds:
            track.write(sound, zero)
        track.finish()
    with av.open(str(path)) as back:
        assert not back.streams.video
        stream = back.streams.audio[0]
        assert stream.rate == RATE
        to_float = av.AudioResampler(format="flt", layout="mono")
        parts, start = [], None
        for frame in back.decode(stream):
            start = frame.time if start is None else start
            parts += [f.to_ndarray().ravel() for f in to_float.resample(frame)]
    assert start == pytest.approx(0, abs=0.03)
    return np.concatenate(parts)


def pieces(samples: Any, at: float, rate: int = 44100, size: int = 1024) -> list[Sound]:
    return [
        Sound(samples[start : start + size], rate, at + start / rate)
        for start in range(0, len(samples), size)
    ]


def loud(wave: Any) -> Any:
    """Say for each hundredth of a second whether it sounds."""
    step = RATE // 100
    blocks = wave[: len(wave) // step * step].reshape(-1, step)
    return np.abs(blocks).max(axis=1) > 0.1


class TestSoundTrack:
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_the_tone_comes_back(self, tmp_path: Path, name: str, channels: int) -> None:
        wave = record(
            tmp_path / name, pieces(tone(1.0, channels=channels), 10.0), channels=channels
        )
        assert len(wave) / RATE == pytest.approx(1.0, abs=0.06)
        spectrum = np.abs(np.fft.rfft(wave[4800:43200]))
        assert np.argmax(spectrum) * RATE / 38400 == pytest.approx(440, abs=2)

    def test_what_was_said_before_the_picture_is_cut(self, tmp_path: Path) -> None:
        wave = record(tmp_path / "a.mkv", pieces(tone(1.0), 9.4))
        assert len(wave) / RATE == pytest.approx(0.4, abs=0.03)

    def test_a_late_start_and_a_gap_are_silence(self, tmp_path: Path) -> None:
        sounds = pieces(tone(0.3), 10.5) + pieces(tone(0.3), 11.2)
        heard = loud(record(tmp_path / "a.mkv", sounds))
        assert not heard[5:45].any()
        assert heard[55:75].all()
        assert not heard[85:115].any()
        assert heard[125:145].all()

    def test_jitter_leaves_the_sound_whole(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        sounds = [
            Sound(s.samples, s.rate, s.at + random.uniform(-0.04, 0.04))
            for s in pieces(tone(2.0), 10.0)
        ]
        heard = loud(record(tmp_path / "a.mkv", sounds))
        assert heard[3:195].all()

    @pytest.mark.slow
    def test_a_clock_that_drifts_stays_in_step(self, tmp_path: Path) -> None:
        # A card that is one per cent fast: 5.05 s of samples in 5 s.
        samples = tone(30.3)
        sounds = [Sound(s.samples, s.rate, 10 + (s.at - 10) / 1.01) for s in pieces(samples, 10.0)]
        wave = record(tmp_path / "a.mkv", sounds)
        assert len(wave) / RATE == pytest.approx(30.0, abs=0.12)

    def test_a_rate_that_changes(self, tmp_path: Path) -> None:
        sounds = pieces(tone(0.5), 10.0) + pieces(tone(0.5, rate=16000), 10.5, rate=16000)
        wave = record(tmp_path / "a.mkv", sounds)
        assert len(wave) / RATE == pytest.approx(1.0, abs=0.06)
        assert loud(wave)[3:95].all()

    def test_many_channels_become_two(self, tmp_path: Path) -> None:
        wave = record(tmp_path / "a.mkv", pieces(tone(0.5, channels=4), 10.0), channels=4)
        assert len(wave) / RATE == pytest.approx(0.5, abs=0.06)

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "a.mkv"), "w", format="matroska") as out:
            SoundTrack(out, "matroska", 1).finish()


def test_sound_knows_its_end() -> None:
    assert Sound(tone(0.5), 44100, time.monotonic()).end > time.monotonic()
