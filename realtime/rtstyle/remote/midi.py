"""MIDI: notes, controllers and programs do what they are bound to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rtstyle.closeable import Closing
from rtstyle.errors import RtstyleError, SourceError
from rtstyle.live.controls.bindings import Binding, Bindings, Pickup
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.table import Kind

ANY = "any"
HIGHEST = 127


class MidiFace(Closing):
    """Does what the messages of an input port are bound to; numbers are taken over softly.

    `port` is a part of its name, or `any` for the first one. Where there is an output of the same
    name, values go back to it, for lights and motor faders. Messages are named `note 36 ch 1`,
    `cc 7 ch 1`, `program 3 ch 1`, `pitch ch 1`; bound without a channel, any channel will do. `say`
    is told what is wrong with a binding. Raises `SourceError`.
    """

    def __init__(
        self, board: Board, bindings: Bindings, port: str, say: Callable[[str], None]
    ) -> None:
        self._board, self._bindings, self._say = board, bindings, say
        self._pickups: dict[str, Pickup] = {}
        self._positions: dict[str, int] = {}
        self._lock = threading.Lock()
        self.name, self._input, self._output = open_ports(port, self.take)
        self._leave = board.subscribe(self._tell)
        self._tell(board.state)

    def close(self) -> None:
        """Close the ports; a second call does nothing."""
        self._leave()
        for one in (self._input, self._output):
            if one is not None:
                one.close()

    def take(self, message: Any) -> None:
        """Take one message of mido; called in the thread of its back end."""
        named = name_of(message)
        if named is None:
            return
        name, amount, channel = named
        full = f"{name} ch {channel + 1}"
        if self._bindings.waiting is not None:
            # A key that is let go is not what somebody touches to have it learnt.
            if amount > 0 or not name.startswith("note"):
                self._bindings.heard("midi", full)
            return
        for one in (full, name):
            binding = self._bindings.heard("midi", one)
            if binding is not None:
                self._do(full, name, binding, amount)
                return

    def _do(self, full: str, name: str, binding: Binding, amount: float) -> None:
        try:
            if binding.follows and not name.startswith(("note", "program")):
                if self._takes(full, binding, amount):
                    self._board.ask(binding.moved(amount))
            elif binding.control.kind is Kind.SWITCH and binding.value is None:
                self._switch(name, binding, amount)
            elif amount >= 0.5 or (amount > 0 and name.startswith(("note", "program"))):
                self._board.ask(binding.pressed())
        except RtstyleError as error:
            self._say(str(error))

    def _takes(self, full: str, binding: Binding, amount: float) -> bool:
        """Return True if a knob has hold of its control."""
        value = self._board.state.get(binding.control.name)
        if value is None:
            return True
        with self._lock:
            pickup = self._pickups.setdefault(full, Pickup())
            return pickup.takes(amount, binding.amount(value))

    def _switch(self, name: str, binding: Binding, amount: float) -> None:
        """A key turns a switch when it goes down, a controller sets it to its side."""
        if not name.startswith("note"):
            self._board.ask(binding.moved(amount))
        elif amount > 0:
            self._board.ask(binding.pressed())

    def _tell(self, news: Mapping[str, Any]) -> None:
        if self._output is None:
            return
        for name, words in self._bindings.of("midi").items():
            with suppress(RtstyleError, OSError, ValueError):
                binding = Binding.read(words)
                if binding.value is None and binding.control.name in news:
                    value = round(HIGHEST * binding.amount(news[binding.control.name]))
                    if self._positions.get(name) != value:
                        self._positions[name] = value
                        self._output.send(message_of(name, value))


def name_of(message: Any) -> tuple[str, float, int] | None:
    """Return the name of a message, its amount from 0 to 1, and its channel; None for others."""
    kind = message.type
    if kind in ("note_on", "note_off"):
        amount = message.velocity / HIGHEST if kind == "note_on" else 0.0
        return f"note {message.note}", amount, message.channel
    if kind == "control_change":
        return f"cc {message.control}", message.value / HIGHEST, message.channel
    if kind == "program_change":
        return f"program {message.program + 1}", 1.0, message.channel
    if kind == "pitchwheel":
        return "pitch", (message.pitch + 8192) / 16383, message.channel
    return None


def message_of(name: str, value: int) -> Any:
    """Return the message that shows `value`, 0 to 127, on what is named so. Raises `ValueError`."""
    import mido

    words = name.split()
    channel = int(words[words.index("ch") + 1]) - 1 if "ch" in words else 0
    if words[0] == "note":
        return mido.Message("note_on", note=int(words[1]), velocity=value, channel=channel)
    if words[0] == "cc":
        return mido.Message("control_change", control=int(words[1]), value=value, channel=channel)
    raise ValueError(f"{name} shows nothing")


def port_names() -> list[str]:
    """Return the names of the MIDI inputs. Raises `SourceError` where MIDI does not work here."""
    import mido

    try:
        return list(dict.fromkeys(mido.get_input_names()))
    except Exception as error:  # Back ends raise errors of their own.
        raise SourceError("MIDI does not work here.", str(error), "Check the driver.") from error


def open_ports(wanted: str, take: Callable[[Any], None]) -> tuple[str, Any, Any]:
    """Return the name of a port, its input and, where there is one, its output."""
    import mido

    name = choose(wanted, port_names())
    try:
        source = mido.open_input(name, callback=take)
    except Exception as error:
        raise SourceError(f"The MIDI port {name} cannot be opened.", str(error)) from error
    with suppress(Exception):
        if name in mido.get_output_names():
            return name, source, mido.open_output(name)
    return name, source, None


def choose(wanted: str, names: Sequence[str]) -> str:
    """Return the first name that has `wanted` in it. Raises `SourceError` that lists them."""
    lowered = "" if wanted.lower() == ANY else wanted.lower()
    # Some systems list a port of their own that only leads back.
    found = [
        name for name in names if lowered in name.lower() and "midi through" not in name.lower()
    ]
    if not found:
        there = f"There are {', '.join(names)}." if names else "None is connected."
        raise SourceError(f"There is no MIDI input {wanted}.", there)
    return found[0]
