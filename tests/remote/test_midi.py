"""MIDI through a back end of mido that stands in for ALSA: every control, take-over, learning."""

from __future__ import annotations

from collections.abc import Iterator

import mido
import pytest
from helpers import console, midi_backend
from helpers.desks import NotingDesk, another_value, first_value
from mido import Message

from rtstyle.errors import SourceError, UsageError
from rtstyle.live.controls.bindings import Binding, Bindings, Pickup
from rtstyle.live.controls.table import CONTROLS, Kind
from rtstyle.remote.midi import MidiFace

NAME = midi_backend.NAMES[1]


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mido.backend
    mido.set_backend("helpers.midi_backend")
    monkeypatch.setattr(mido, "backend", mido.backend)
    midi_backend.sent.clear()
    yield
    mido.set_backend(before)


class Knobs:
    def __init__(self) -> None:
        self.desk, self.bindings, self.said = NotingDesk(), Bindings(), list[str]()
        self.face = MidiFace(self.desk.board, self.bindings, "nano", self.said.append)

    def play(self, *messages: Message) -> None:
        midi_backend.inputs[NAME].play(*messages)
        self.desk.turn()
        self.desk.publish({})


@pytest.fixture
def knobs() -> Iterator[Knobs]:
    made = Knobs()
    yield made
    made.face.close()
    assert midi_backend.inputs[NAME].closed


def turned(value: int, control: int = 7) -> Message:
    return Message("control_change", control=control, value=value)


def test_every_control(knobs: Knobs) -> None:
    words = {f"note {n}": c.name for n, c in enumerate(CONTROLS)}
    words |= {f"cc {n}": c.name for n, c in enumerate(CONTROLS)}
    for number, control in enumerate(CONTROLS):
        if control.kind is Kind.TEXT:
            words[f"note {number}"] = words[f"cc {number}"] = f"{control.name} mosaic"
    knobs.bindings.use("midi", words)
    for number, control in enumerate(CONTROLS):
        # A number follows a controller only, from where it is; anything else can be pressed.
        messages = [Message("note_on", note=number, velocity=90), Message("note_off", note=number)]
        if control.kind is Kind.NUMBER or control.kind is Kind.CHOICE:
            messages = [turned(value, number) for value in (0, 64, 127)]
        knobs.play(*messages)
        if control.kind is Kind.ACTION:
            assert knobs.desk.done[control.name] == 1
        else:
            value = knobs.desk.values[control.name]
            assert value == another_value(control) != first_value(control), control.name
    assert knobs.said == []


def test_a_controller_sets_a_switch_to_its_side(knobs: Knobs) -> None:
    knobs.bindings.use("midi", {"cc 7": "mirror"})
    for value, wanted in ((127, True), (100, True), (63, False), (64, True)):
        knobs.play(turned(value))
        assert knobs.desk.values["mirror"] is wanted


def test_a_channel_in_a_name_counts(knobs: Knobs) -> None:
    knobs.bindings.use("midi", {"note 1": "style mosaic", "note 1 ch 10": "style 3"})
    knobs.play(Message("note_on", note=1, channel=9))
    assert knobs.desk.values["style"] == "3"
    knobs.play(Message("note_on", note=1, channel=4))
    assert knobs.desk.values["style"] == "mosaic"


def test_programs_pitch_and_what_is_not_bound(knobs: Knobs) -> None:
    knobs.bindings.use("midi", {"program 3": "scene 2", "pitch": "strength"})
    knobs.play(
        Message("program_change", program=2),
        Message("pitchwheel", pitch=-8192),
        Message("pitchwheel", pitch=8191),
        Message("sysex", data=[1, 2, 3]),
        Message("clock"),
        turned(3, 99),
    )
    assert (knobs.desk.values["scene"], knobs.desk.values["strength"]) == ("2", 1.0)


def test_a_press_that_does_not_say_which_value_is_told(knobs: Knobs) -> None:
    knobs.bindings.use("midi", {"note 1": "strength"})
    knobs.play(Message("note_on", note=1))
    assert "strength VALUE" in knobs.said[0]


class TestTakeOver:
    def test_a_knob_waits_until_it_comes_to_the_value(self, knobs: Knobs) -> None:
        knobs.desk.do("strength 0.5")
        knobs.desk.publish({})
        knobs.bindings.use("midi", {"cc 7": "strength"})
        for position in (0, 20, 50):
            knobs.play(turned(position))
            assert knobs.desk.values["strength"] == 0.5
        knobs.play(turned(70))
        assert knobs.desk.values["strength"] == pytest.approx(70 / 127)
        knobs.play(turned(0))
        assert knobs.desk.values["strength"] == 0.0

    def test_it_loses_hold_when_something_else_changes_the_value(self, knobs: Knobs) -> None:
        knobs.bindings.use("midi", {"cc 7": "strength"})
        knobs.play(turned(0), turned(100))
        knobs.desk.do("strength 0.2")
        knobs.desk.publish({})
        knobs.play(turned(101))
        assert knobs.desk.values["strength"] == 0.2
        knobs.play(turned(24), turned(90))
        assert knobs.desk.values["strength"] == pytest.approx(90 / 127)

    def test_a_quick_knob_keeps_hold_while_the_picture_is_behind(self, knobs: Knobs) -> None:
        knobs.bindings.use("midi", {"cc 7": "strength"})
        knobs.play(*(turned(value) for value in range(0, 128, 4)))
        assert knobs.desk.values["strength"] == pytest.approx(124 / 127)

    def test_positions(self) -> None:
        pickup = Pickup()
        taken = [pickup.takes(amount, 0.5) for amount in (0.9, 0.8, 0.6, 0.505, 0.7)]
        assert taken == [False, False, False, True, True]


class TestLearning:
    def test_the_knob_that_is_touched_is_bound(self, knobs: Knobs) -> None:
        learnt: list[tuple[str, str, str]] = []
        knobs.bindings.learnt = lambda *what: learnt.append(what)
        knobs.bindings.learn("strength")
        knobs.play(Message("note_off", note=3), turned(50))
        assert learnt == [("midi", "cc 7 ch 1", "strength")]
        assert knobs.bindings.last == learnt[0]
        knobs.play(turned(0), turned(127))
        assert knobs.desk.values["strength"] == 1.0

    def test_what_is_no_control_is_not_learnt(self) -> None:
        with pytest.raises(UsageError, match="strenght"):
            Bindings().learn("strenght")


def test_values_go_back_to_the_device(knobs: Knobs) -> None:
    knobs.bindings.use("midi", {"cc 7 ch 2": "strength", "note 1": "mirror", "pitch": "fade"})
    knobs.desk.do("strength 1")
    knobs.desk.do("mirror on")
    knobs.desk.publish({})
    assert midi_backend.sent == [
        Message("control_change", control=7, value=127, channel=1),
        Message("note_on", note=1, velocity=127),
    ]


def test_a_port_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="nanoKONTROL2"):
        MidiFace(NotingDesk().board, Bindings(), "launchpad", print)
    assert console.command("control", "ports") == 0
    assert NAME in capsys.readouterr().out


@pytest.mark.parametrize("words", ["", "strength 2", "nothing", "only nobody", "mirror maybe"])
def test_bindings_that_mean_nothing(words: str) -> None:
    with pytest.raises(UsageError):
        Binding.read(words)
