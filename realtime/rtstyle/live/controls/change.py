"""What a face sends, read and checked: `strength 0.5`, `strength +0.1`, `mirror toggle`, `next`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rtstyle.errors import UsageError
from rtstyle.live.controls.table import Control, Kind, Value, find_control

TOGGLE = "toggle"
MOST_TIMES = 100
"""How often an action may be asked for between two frames; what is more is left out."""
RELATIVE = re.compile(r"[+-](\d+(\.\d*)?|\.\d+)")
WORDS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Set:
    """Give a control this value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Step:
    """Move a number by so much, or a choice by so many places; what is out of range is clipped."""

    by: float


@dataclass(frozen=True, slots=True)
class Toggle:
    """Turn a switch to the other side."""


@dataclass(frozen=True, slots=True)
class Do:
    """Do an action so many times."""

    times: int = 1


Change: TypeAlias = Set | Step | Toggle | Do


def read_change(control: Control, value: object) -> Change | None:
    """Return the change that a value of JSON asks for; None where it asks for nothing.

    Besides plain values, `"+0.1"` moves a number or choice, and `"toggle"` turns a switch. An
    action is done for true and left for false. Raises `UsageError`.
    """
    if control.kind is Kind.ACTION:
        return Do() if control.check(value) else None
    if control.kind is Kind.SWITCH and value == TOGGLE:
        return Toggle()
    if control.kind in (Kind.NUMBER, Kind.CHOICE) and isinstance(value, str):
        if RELATIVE.fullmatch(value):
            return read_step(control, float(value))
        if control.kind is Kind.NUMBER:
            raise UsageError(f'{control.name} is a number, or a step such as "+0.1".')
    return Set(control.check(value))


def read_step(control: Control, by: float) -> Step:
    """Return a step. Raises `UsageError` for one wider than the range, or half a choice."""
    if control.kind is Kind.CHOICE and (by != int(by) or abs(by) > len(control.choices)):
        raise UsageError(f"{control.name} moves by whole steps.")
    if control.kind is Kind.NUMBER and abs(by) > control.high - control.low:
        raise UsageError(f"{control.name} moves by {control.high - control.low:g} at most.")
    return Step(by)


def read_changes(asked: object) -> dict[str, Change]:
    """Return the changes in an object of JSON, `{"strength": 0.5, "next": true}`.

    Raises `UsageError` for anything wrong in it, and then nothing of it counts.
    """
    if not isinstance(asked, Mapping):
        raise UsageError("Controls are a JSON object.")
    changes: dict[str, Change] = {}
    for name, value in asked.items():
        change = read_change(find_control(str(name)), value)
        if change is not None:
            changes[str(name)] = change
    return changes


def read_words(text: str) -> tuple[str, object]:
    """Return the control and its value of JSON in words: `mirror on`, `strength 0.5`, `next`.

    Without a value an action is done and a switch toggled. Raises `UsageError`.
    """
    name, _, rest = text.strip().partition(" ")
    return name, from_text(find_control(name), rest.strip())


def from_text(control: Control, text: str) -> object:
    """Return the value of JSON that a text means for a control. Raises `UsageError`."""
    if control.kind is Kind.ACTION:
        return WORDS.get(text.lower(), text) if text else True
    if control.kind is Kind.SWITCH:
        return WORDS.get(text.lower(), text) if text else TOGGLE
    if not text:
        raise UsageError(f"{control.name} needs a value.", control.does)
    if control.kind is Kind.NUMBER and not RELATIVE.fullmatch(text):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def merged(control: Control, before: Change, new: Change) -> Change | None:
    """Return what two changes of one control come to; None where they cancel each other."""
    if isinstance(before, Do) and isinstance(new, Do):
        return Do(min(MOST_TIMES, before.times + new.times)) if control.repeats else Do()
    if isinstance(before, Toggle) and isinstance(new, Toggle):
        return None
    if isinstance(before, Step) and isinstance(new, Step):
        return Step(before.by + new.by)
    if isinstance(before, Set) and not isinstance(new, Set):
        return Set(changed(control, before.value, new))
    return new


def changed(control: Control, value: Value, change: Change) -> Value:
    """Return the value of a control after a change; steps out of range are clipped."""
    if isinstance(change, Set):
        return change.value
    if isinstance(change, Toggle):
        return not value
    if isinstance(change, Step) and control.kind is Kind.NUMBER:
        return control.clip(float(value) + change.by)
    if isinstance(change, Step):
        return control.following(str(value), int(change.by))
    return value
