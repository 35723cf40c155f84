"""Has the figures of sound move what they are bound to in the scenes file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtstyle.errors import RtstyleError
from rtstyle.frame import Frame
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.board import Board
from rtstyle.live.hearing.features import BANDS, Features, Heard
from rtstyle.sinks.base import Sink
from rtstyle.sound import Sound

DEVICE = "react"
FIGURES = ("loudness", *BANDS)
ONSET = "onset"
POLL = 0.01
"""Seconds between looks at what was heard: a picture that is painted next shows it already."""
STILL = 0.01
"""Changes of a figure below this are not passed on."""


class Ear(Protocol):
    """Where sound comes from: a microphone, or a file that is played by the clock."""

    def take(self) -> list[Sound]:
        """Return the pieces since the last call, without waiting."""
        ...


class ReactSink(Sink):
    """Listens with every frame, and asks the board for what `[react]` of the scenes file says.

    Figures follow like a knob, onsets press like a key. `say` is told what is wrong, once.
    """

    poll = POLL

    def __init__(
        self, ear: Ear, board: Board, bindings: Bindings, say: Callable[[str], object]
    ) -> None:
        self.name = "sound"
        self._ear, self._board, self._bindings, self._say = ear, board, bindings, say
        self._features: Features | None = None
        self._sent: dict[str, float] = {}
        self._told: set[str] = set()
        self.last: Heard | None = None

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - any frame will do
        """Take in what was heard since the last frame."""
        self.idle()

    def idle(self) -> None:
        """Take in what was heard meanwhile."""
        onset = False
        for piece in self._ear.take():
            if self._features is None or self._features.rate != piece.rate:
                self._features = Features(piece.rate)
            for heard in self._features.hear(piece.samples, piece.at):
                self.last, onset = heard, onset or heard.onset
        if self.last is not None:
            for name in FIGURES:
                self._move(name, getattr(self.last, name))
        if onset:
            self._press()

    def _move(self, name: str, amount: float) -> None:
        binding = self._bindings.find(DEVICE, name)
        if binding is None or abs(amount - self._sent.get(name, -1.0)) < STILL:
            return
        self._sent[name] = amount
        self._ask(name, lambda: binding.moved(amount))

    def _press(self) -> None:
        binding = self._bindings.find(DEVICE, ONSET)
        if binding is not None:
            self._ask(ONSET, binding.pressed)

    def _ask(self, name: str, asked: Callable[[], dict[str, object]]) -> None:
        try:
            self._board.ask(asked())
        except RtstyleError as error:
            if name not in self._told:
                self._told.add(name)
                self._say(f"[{DEVICE}] {name}: {error}")
