"""The tapped beat: its tempo, its phase, and what it asks for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rtstyle.errors import UsageError
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.desk import Desk
from rtstyle.live.hearing.tempo import BeatSink, Tempo
from rtstyle.live.show.file import parse_show
from rtstyle.testing import FakeSource

FRAME = next(iter(FakeSource(1, width=16, height=16)))


class Player:
    """A desk with a tempo and a `next`, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now, self.said, self.done = 0.0, list[str](), list[float]()
        self.desk, self.bindings = Desk(self.said.append), Bindings()
        self.desk.add({}, {"next": lambda: self.done.append(self.now)})
        self.tempo = Tempo(self.desk, self.bindings, self.said.append, lambda: self.now)
        self.bindings.use("react", {"beat": "next"})

    def run(self, until: float, rate: float = 50.0) -> list[float]:
        """Show frames; return when beats came since the call."""
        sink, start = BeatSink(self.tempo), len(self.done)
        first, last = round(self.now * rate) + 1, round(until * rate)
        for number in range(first, last + 1):
            self.now = number / rate
            sink.write(FRAME)
        return self.done[start:]

    def tap(self, *moments: float) -> None:
        for moment in moments:
            self.now = moment
            self.desk.do("tap")


def test_taps_set_the_tempo_and_the_beat_falls_on_the_last_one() -> None:
    player = Player()
    player.tap(1.0)
    assert player.tempo.bpm == 0
    player.tap(1.5, 2.0, 2.5)
    assert player.tempo.bpm == pytest.approx(120)
    assert player.said[-1] == "120 beats a minute"
    beats = player.run(5.0)
    assert beats == pytest.approx([2.52, 3.0, 3.5, 4.0, 4.5, 5.0])


def test_a_hand_that_trembles_is_put_right() -> None:
    player, chance = Player(), random.Random(3)
    player.tap(*(0.5 * n + chance.gauss(0, 0.02) for n in range(1, 9)))
    assert player.tempo.bpm == pytest.approx(120, rel=0.05)


def test_after_a_pause_taps_begin_anew() -> None:
    player = Player()
    player.tap(1.0, 1.5, 2.0)
    player.tap(20.0)
    assert player.tempo.bpm == pytest.approx(120)
    player.tap(21.0, 22.0)
    assert player.tempo.bpm == pytest.approx(60)


def test_a_tempo_that_is_set_keeps_the_beat_and_0_ends_it() -> None:
    player = Player()
    player.now = 1.0
    player.desk.do("tempo 60")
    assert player.run(3.0) == pytest.approx([1.02, 2.0, 3.0])
    player.desk.do("tempo 120")
    assert player.run(4.0) == pytest.approx([3.5, 4.0])
    player.desk.do("tempo +60")
    assert player.desk.present()["tempo"] == 180
    player.desk.do("tempo 0")
    assert player.run(9.0) == []
    player.desk.do("tempo 5")
    assert player.tempo.bpm == 20


def test_late_beats_are_one() -> None:
    player = Player()
    player.desk.do("tempo 120")
    player.tempo.turn()
    player.now = 10.2
    for _ in range(5):
        player.tempo.turn()
    assert len(player.done) == 2
    # And the next one is on the beat again.
    assert player.run(10.6) == pytest.approx([10.5])


def test_the_scenes_file_says_what_a_beat_does() -> None:
    show = parse_show('tempo = 128\n[react]\nbeat = "next_scene"\n', Path())
    assert show.start == {"tempo": 128.0}
    assert show.bindings["react"] == {"beat": "next_scene"}
    # A press does not say which strength.
    with pytest.raises(UsageError, match="which strength"):
        parse_show('[react]\nbeat = "strength"\n', Path())


def test_without_a_binding_a_beat_does_nothing() -> None:
    player = Player()
    player.bindings.use("react", {})
    player.desk.do("tempo 300")
    assert player.run(2.0) == []
    assert len(player.said) == 1
