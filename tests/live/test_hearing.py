"""Sound that moves the controls: figures of tones, clicks and noise; what they are bound to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.desks import NotingDesk
from helpers.media import write_clip
from numpy.typing import NDArray

from rtstyle.errors import SourceError, UsageError
from rtstyle.frame import Frame
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.hearing.features import HOP_SECONDS, Features, Heard
from rtstyle.live.hearing.react import ReactSink
from rtstyle.live.show.file import parse_show
from rtstyle.sound import Sound
from rtstyle.sources.sound_file import ByTheClock

RATE = 48_000
Wave = NDArray[np.int16]


def tone(hertz: float, seconds: float, level: float = 0.5) -> Wave:
    moments = np.arange(round(seconds * RATE)) / RATE
    wave = level * 32767 * np.sin(2 * np.pi * hertz * moments)
    return wave.astype(np.int16)[:, None]


def silence(seconds: float) -> Wave:
    return np.zeros((round(seconds * RATE), 1), np.int16)


def clicks(moments: list[float], seconds: float, noise: float = 0.0) -> Wave:
    chance = np.random.default_rng(1)
    wave = noise * chance.standard_normal(round(seconds * RATE))
    for moment in moments:
        at = round(moment * RATE)
        length = round(0.03 * RATE)
        wave[at : at + length] += 0.5 * chance.standard_normal(length) * np.linspace(1, 0, length)
    return (np.clip(wave, -1, 1) * 32767).astype(np.int16)[:, None]


def hear(wave: Wave, piece: int = 1000, at: float = 0.0) -> list[Heard]:
    features, heard = Features(RATE), list[Heard]()
    for first in range(0, len(wave), piece):
        heard += features.hear(wave[first : first + piece], at + first / RATE)
    return heard


class TestFigures:
    @pytest.mark.parametrize(("hertz", "band"), [(60, "low"), (600, "mid"), (6000, "high")])
    def test_a_tone_is_in_its_band_and_in_no_other(self, hertz: float, band: str) -> None:
        last = hear(tone(hertz, 1.0))[-1]
        figures = {name: getattr(last, name) for name in ("low", "mid", "high")}
        assert figures.pop(band) == pytest.approx(1.0, abs=0.02)
        assert max(figures.values()) < 0.35
        assert last.loudness == pytest.approx(1.0, abs=0.02)

    def test_silence_and_a_quiet_room_are_nothing(self) -> None:
        for wave in (silence(1.0), tone(600, 1.0, 0.0005)):
            assert {h.loudness for h in hear(wave)} == {0.0}
            assert not any(h.onset for h in hear(wave))

    def test_quiet_and_loud_music_come_to_the_same(self) -> None:
        steps = np.concatenate([tone(600, 0.5, 1.0), tone(600, 0.5, 0.1)])
        loud, quiet = hear(steps)[-1].loudness, hear((steps * 0.3).astype(np.int16))[-1].loudness
        # 20 of the 40 decibels that are shown.
        assert loud == pytest.approx(0.5, abs=0.03)
        assert quiet == pytest.approx(loud, abs=0.03)

    def test_a_figure_rises_at_once_and_falls_softly(self) -> None:
        wave = np.concatenate([silence(0.5), tone(60, 0.5), silence(1.0)])
        low = [h.low for h in hear(wave)]
        begins, ends = round(0.5 / HOP_SECONDS), round(1.0 / HOP_SECONDS)
        assert low[begins + 1] > 0.9
        assert low[ends + 8] == pytest.approx(np.exp(-0.16 / 0.15), abs=0.12)
        assert low[-1] < 0.01

    def test_the_size_of_pieces_and_the_number_of_channels_change_nothing(self) -> None:
        wave = clicks([0.3, 0.7], 1.0)
        alike = hear(wave, 1000)
        other = hear(wave, 333)
        assert [h.onset for h in other] == [h.onset for h in alike]
        assert [h.loudness for h in other] == pytest.approx([h.loudness for h in alike])
        both = np.repeat(wave, 2, axis=1)
        assert [h.onset for h in hear(both)] == [h.onset for h in alike]


class TestOnsets:
    @pytest.mark.parametrize("noise", [0.0, 0.01])
    def test_every_click_is_one_and_is_told_within_two_hops(self, noise: float) -> None:
        moments = [0.5 + 0.25 * n for n in range(12)]
        found = [h.at for h in hear(clicks(moments, 4.0, noise), at=10.0) if h.onset]
        # The noise itself begins, too.
        found = [at for at in found if at > 10.1]
        assert len(found) == len(moments)
        delays = np.array(found) - 10.0 - np.array(moments)
        assert (delays > 0).all()
        assert delays.max() <= 2 * HOP_SECONDS + 0.001

    def test_steady_sound_has_one_at_its_beginning(self) -> None:
        for wave in (tone(440, 3.0), clicks([], 3.0, 0.1)):
            found = [h.at for h in hear(np.concatenate([silence(0.5), wave])) if h.onset]
            assert len(found) == 1
            assert found[0] == pytest.approx(0.5, abs=2 * HOP_SECONDS)


class Player:
    def __init__(self, wave: Wave) -> None:
        self.wave, self.at = wave, 0

    def take(self) -> list[Sound]:
        """Return what was heard in one frame at 25 FPS."""
        count = RATE // 25
        piece = Sound(self.wave[self.at : self.at + count], RATE, self.at / RATE)
        self.at += count
        return [piece]


def play(
    wave: Wave, bound: dict[str, str], frames: int
) -> tuple[NotingDesk, list[float], list[str]]:
    desk, bindings, said, strengths = NotingDesk(), Bindings(), list[str](), list[float]()
    bindings.use("react", bound)
    sink = ReactSink(Player(wave), desk.board, bindings, said.append)
    for index in range(frames):
        sink.write(Frame(np.zeros((2, 2, 3), np.uint8), index, index, Fraction(1, 25), 0.0))
        desk.turn()
        strengths.append(float(desk.values["strength"]))
    return desk, strengths, said


def test_bands_move_numbers_and_onsets_press() -> None:
    wave = clicks([0.52, 1.02, 1.52], 2.0)
    desk, strengths, said = play(wave, {"loudness": "strength", "onset": "next"}, 50)
    assert desk.done["next"] == 3
    # Clicks begin in frames 13, 25 and 38: picture and sound are at most two frames apart.
    assert strengths[12] == 0.0
    assert max(strengths[13:15]) > 0.8
    assert said == []


class Listener:
    """Hears a wave by a made-up clock."""

    def __init__(self, wave: Wave) -> None:
        self.wave, self.at, self.now = wave, 0, 0.0

    def take(self) -> list[Sound]:
        """Return what was heard until now."""
        until = round(self.now * RATE)
        piece = Sound(self.wave[self.at : until], RATE, self.at / RATE)
        self.at = max(self.at, until)
        return [piece]


@pytest.mark.parametrize("phase", np.arange(0, 1, 0.04))
def test_sound_is_seen_within_80_ms(phase: float) -> None:
    """At 30 FPS, with 17 ms a painting; whatever the moment between two frames."""
    step, cost, moment = 1 / 30, 0.017, 0.5 + phase / 30
    wave = np.concatenate([silence(moment), tone(100, 0.5)])
    ear, desk, bindings = Listener(wave), NotingDesk(), Bindings()
    bindings.use("react", {"low": "strength"})
    sink = ReactSink(ear, desk.board, bindings, lambda _: None)
    desk.values["strength"] = 0.0

    def look_until(end: float) -> None:
        """Do what the pipeline does while no frame is done."""
        while ear.now + sink.poll < end:
            ear.now += sink.poll
            sink.idle()
            desk.turn()

    for number in range(25):
        look_until(number * step)
        painted_with = float(desk.values["strength"])
        look_until(number * step + cost)
        ear.now = number * step + cost
        if painted_with > 0.5:
            assert 0 < ear.now - moment <= 0.08
            return
        sink.idle()
        desk.turn()
    raise AssertionError("nothing was seen")


def test_what_cannot_be_is_told_once() -> None:
    _, _, said = play(clicks([0.2, 0.6], 1.0), {"onset": "style nobody"}, 25)
    assert len(said) == 1
    assert "[react] onset: There is no style nobody." in said[0]


@pytest.mark.parametrize(
    "text", ["[react]\nbass = 'strength'", "[react]\nlow = 'style'", "[react]\nonset = 'strength'"]
)
def test_bindings_that_mean_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        parse_show(text, tmp_path)


def test_bindings_of_a_show(tmp_path: Path) -> None:
    show = parse_show("[react]\nlow = 'strength'\nonset = 'next_scene'", tmp_path)
    assert show.bindings["react"] == {"low": "strength", "onset": "next_scene"}


def test_a_file_is_heard_by_the_clock_again_and_again(tmp_path: Path) -> None:
    path, now, waits = write_clip(tmp_path / "a.mkv", frames=25, sound="aac"), [0.0], list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    player = ByTheClock(str(path), lambda: now[0], wait)
    heard = 0.0
    for frame in player.decode():
        heard += frame.samples / frame.sample_rate
        assert now[0] == pytest.approx(heard)
        if heard > 3.0:
            break
    player.close()
    assert min(waits) > 0


def test_a_file_without_sound(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no sound"):
        ByTheClock(str(write_clip(tmp_path / "a.mp4")))
    with pytest.raises(SourceError, match="cannot be heard"):
        ByTheClock(str(tmp_path / "none.mp3"))
