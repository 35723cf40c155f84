"""What the keys, knobs and addresses of devices ask for, and how new ones are learnt."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtstyle.errors import UsageError
from rtstyle.live.controls.change import from_text, read_change
from rtstyle.live.controls.table import Control, Kind, Value, find_control

DEVICES = ("keys", "midi", "osc", "react")
"""Kinds of devices, as the scenes file names them."""
NEAR = 1.5 / 127
"""How near a knob must be to a value to take hold of it: one and a half of its own steps."""
SENT = 64
"""Positions of a knob that are remembered while the picture has not followed yet."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What one key, knob or address asks for: `scene 2` when pressed, or to follow a knob.

    With a `value` it asks for it when pressed. Without one it follows the amount, 0 to 1: over the
    range of a number, from one half on for a switch, and in turn through choices.
    """

    control: Control
    value: object = None

    @classmethod
    def read(cls, words: str) -> Binding:
        """Return the binding in words: `strength`, `strength +0.1`, `scene Last song`, `next`.

        Raises `UsageError`.
        """
        name, _, rest = words.strip().partition(" ")
        control = find_control(name)
        if not rest.strip():
            return cls(control)
        value = from_text(control, rest.strip())
        read_change(control, value)
        return cls(control, value)

    @property
    def follows(self) -> bool:
        """Whether it follows a knob rather than being pressed."""
        return self.value is None and self.control.kind in (Kind.NUMBER, Kind.CHOICE)

    def pressed(self) -> dict[str, Any]:
        """Return what a press asks for: a switch turns, a choice goes on, a number needs a value.

        Raises `UsageError` where a press says nothing.
        """
        name, kind = self.control.name, self.control.kind
        if self.value is not None:
            return {name: self.value}
        if kind is Kind.NUMBER or kind is Kind.TEXT:
            raise UsageError(f"A press does not say which {name}.", "", f'Write "{name} VALUE".')
        return {name: {Kind.SWITCH: "toggle", Kind.CHOICE: "+1", Kind.ACTION: True}[kind]}

    def moved(self, amount: float) -> dict[str, Any]:
        """Return what a knob at `amount`, 0 to 1, asks for; nothing for the lower half of a press.

        Raises `UsageError` for a text, of which a knob has none.
        """
        control = self.control
        if control.kind is Kind.NUMBER and self.value is None:
            return {control.name: control.clip(control.low + amount * (control.high - control.low))}
        if control.kind is Kind.CHOICE and self.value is None:
            at = min(len(control.choices) - 1, int(amount * len(control.choices)))
            return {control.name: control.choices[at]}
        if control.kind is Kind.SWITCH and self.value is None:
            return {control.name: amount >= 0.5}
        return self.pressed() if amount >= 0.5 else {}

    def amount(self, value: Value) -> float:
        """Return the position, 0 to 1, of a knob for a value of the control."""
        control = self.control
        if control.kind is Kind.NUMBER:
            return (float(value) - control.low) / (control.high - control.low)
        if control.kind is Kind.CHOICE:
            return control.choices.index(str(value)) / max(1, len(control.choices) - 1)
        return 1.0 if value is True else 0.0


class Pickup:
    """Soft take-over of one knob: it changes nothing until it comes to where the control is.

    Otherwise a knob that was left elsewhere would make the picture jump when touched.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._sent: deque[float] = deque(maxlen=SENT)

    def takes(self, amount: float, present: float) -> bool:
        """Return True if a knob that is now at `amount` has hold of a control that is `present`ly.

        Both are 0 to 1. What the knob sent shows a frame later: until then `present` is one of the
        positions before.
        """
        last, self._last = self._last, amount
        known = next((n for n, at in enumerate(self._sent) if abs(at - present) < NEAR), None)
        if known is None:
            passed = last is not None and (last - present) * (amount - present) <= 0
            self._sent.clear()
            if not passed and abs(amount - present) > NEAR:
                return False
            self._sent.append(present)
        else:
            for _ in range(known):
                self._sent.popleft()
        self._sent.append(amount)
        return True


class Bindings:
    """The bindings of every device, by the names of its keys, knobs or addresses.

    Any thread may use it. While something is to be learnt, the next key or knob that is touched is
    bound to it, and `learnt` is called with device, name and words.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words: dict[str, dict[str, str]] = {device: {} for device in DEVICES}
        self._read: dict[str, dict[str, Binding]] = {device: {} for device in DEVICES}
        self._waiting: str | None = None
        self.learnt: Callable[[str, str, str], None] = lambda *_: None
        self.last: tuple[str, str, str] | None = None

    def use(self, device: str, words: Mapping[str, str]) -> None:
        """Have these bindings for a device and no others. Raises `UsageError`, and changes none."""
        read = {name: Binding.read(text) for name, text in words.items()}
        with self._lock:
            self._words[device], self._read[device] = dict(words), read

    def of(self, device: str) -> dict[str, str]:
        """Return the bindings of a device, in words."""
        with self._lock:
            return dict(self._words[device])

    def learn(self, words: str | None) -> None:
        """Bind what is touched next to `words`; None: nothing any more. Raises `UsageError`."""
        if words is not None:
            Binding.read(words)
        with self._lock:
            self._waiting, self.last = words, None

    @property
    def waiting(self) -> str | None:
        """What is to be learnt."""
        return self._waiting

    def find(self, device: str, name: str) -> Binding | None:
        """Return what a key, knob or address asks for, None for nothing."""
        with self._lock:
            return self._read[device].get(name)

    def heard(self, device: str, name: str) -> Binding | None:
        """Return what `find` does; while something is to be learnt, bind it and return None."""
        with self._lock:
            words, self._waiting = self._waiting, None
            if words is None:
                return self._read[device].get(name)
            self._words[device][name] = words
            self._read[device][name] = Binding.read(words)
            self.last = device, name, words
        self.learnt(device, name, words)
        return None
