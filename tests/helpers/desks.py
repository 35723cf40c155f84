"""A desk with every control of the table, for tests of the faces: it only notes what is done."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from rtstyle.errors import UsageError
from rtstyle.live.controls.desk import Desk, Knob
from rtstyle.live.controls.table import CONTROLS, Control, Kind, Value

NAMES = ("wave", "mosaic", "Last song")


def first_value(control: Control) -> Value:
    """Return what a control is set to at first."""
    if control.kind is Kind.SWITCH:
        return False
    if control.kind is Kind.NUMBER:
        return control.low
    return control.choices[0] if control.kind is Kind.CHOICE else NAMES[0]


class NotingDesk(Desk):
    """`values` are those of the knobs, `done` counts the actions."""

    def __init__(self) -> None:
        super().__init__(lambda text: self.said.append(text))
        self.said: list[str] = []
        self.values: dict[str, Value] = {}
        self.done: Counter[str] = Counter()
        knobs, actions = {}, {}
        for control in CONTROLS:
            if control.kind is Kind.ACTION:
                actions[control.name] = partial(self._do, control.name)
            else:
                self.values[control.name] = first_value(control)
                knobs[control.name] = Knob(
                    partial(self.values.__getitem__, control.name),
                    partial(self.values.__setitem__, control.name),
                )
        self.add(knobs, actions)
        self.board.check_texts(self._check)
        self.publish({"fps": 30.0})

    def _do(self, name: str) -> None:
        self.done[name] += 1

    def _check(self, name: str, value: Value) -> None:
        if value not in (*NAMES, "1", "2", "3"):
            raise UsageError(f"There is no {name} {value}.")


def another_value(control: Control) -> Any:
    """Return a value that is in range and not the first one; true for an action."""
    return {
        Kind.SWITCH: True,
        Kind.ACTION: True,
        Kind.NUMBER: control.high,
        Kind.CHOICE: control.choices[-1] if control.choices else "",
        Kind.TEXT: NAMES[1],
    }[control.kind]
