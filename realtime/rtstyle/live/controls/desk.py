"""Does what the board was asked for, in the thread that owns the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtstyle.errors import RtstyleError
from rtstyle.frame import Frame
from rtstyle.live.controls.bindings import Binding
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.change import Change, Do, changed, read_words
from rtstyle.live.controls.table import Control, Value
from rtstyle.sinks.base import Sink


@dataclass(frozen=True, slots=True)
class Knob:
    """How a control is read and set; `set` raises `RtstyleError` for what cannot be."""

    get: Callable[[], Value]
    set: Callable[[Any], object]


def attribute(owner: object, name: str) -> Knob:
    """Return the knob of an attribute."""
    return Knob(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


class Desk:
    """Connects a `Board` to the picture: a `Knob` for each value, a function for each action.

    All calls come from the one thread that owns the picture. What cannot be done is told through
    `say`, and changes nothing.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.board = Board()
        self._say = say
        self._knobs: dict[str, Knob] = {}
        self._actions: dict[str, Callable[[], object]] = {}

    def add(
        self, knobs: Mapping[str, Knob], actions: Mapping[str, Callable[[], object]] | None = None
    ) -> None:
        """Take in controls; they are on the board from now on."""
        self._knobs.update(knobs)
        self._actions.update(actions or {})
        self.board.offer({*self._knobs, *self._actions})

    def turn(self) -> None:
        """Do all that was asked for since the last call."""
        for control, change in self.board.drain():
            try:
                self._apply(control, change)
            except RtstyleError as error:
                self._say(error.what)

    def _apply(self, control: Control, change: Change) -> None:
        if isinstance(change, Do):
            for _ in range(change.times):
                self._actions[control.name]()
        else:
            knob = self._knobs[control.name]
            knob.set(changed(control, knob.get(), change))

    def do(self, words: str) -> None:
        """Do what some words say, now: `strength +0.1`. What is wrong with them is told."""
        self._now(lambda: dict([read_words(words)]))

    def press(self, binding: Binding) -> None:
        """Do what a key is bound to, now. What is wrong with that is told."""
        self._now(binding.pressed)

    def _now(self, asked: Callable[[], Mapping[str, object]]) -> None:
        try:
            self.board.ask(asked())
        except RtstyleError as error:
            self._say(error.what)
        self.turn()

    def put(self, name: str, value: Value) -> None:
        """Set a control that there is to a checked value. Raises what its knob raises."""
        if name in self._knobs:
            self._knobs[name].set(value)

    def present(self) -> dict[str, Value]:
        """Return the present values of all controls."""
        return {name: knob.get() for name, knob in self._knobs.items()}

    def publish(self, figures: Mapping[str, Any]) -> None:
        """Tell the board the present values, and figures that can only be read."""
        self.board.publish(self.present(), figures)


class DeskSink(Sink):
    """Has the desk do what was asked for with every frame, and while none comes."""

    def __init__(self, desk: Desk) -> None:
        self.name = "controls"
        self._desk = desk

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - any frame will do
        """Do what was asked for. Raises `SinkClosedError` where that was to end."""
        self._desk.turn()

    def idle(self) -> None:
        """Do what was asked for. Raises `SinkClosedError` where that was to end."""
        self._desk.turn()
