"""Every control of a running picture: name, type, range and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

from rtstyle.errors import UsageError

Value: TypeAlias = bool | float | str
"""What a control may be set to. Numbers are floats."""

LONGEST = 1024
"""Characters of the longest text: a blend, or the name of a scene."""
Only: TypeAlias = Literal["all", "background", "person"]
ONLY: tuple[Only, ...] = ("all", "background", "person")
"""What of a picture is painted."""
TRANSITIONS = ("fade", "cut", "wipe")
"""How one style gives way to the next."""
FADE = 0.6
"""Seconds of a transition, unless the user asks for others."""


class Kind(Enum):
    """The type of a control's value; an action has none."""

    SWITCH = "switch"
    NUMBER = "number"
    CHOICE = "choice"
    TEXT = "text"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that a user may change while the picture runs.

    `low` to `high` is the range of a number in `unit`, `step` how far one press of a key goes, both
    ends included. `choices` are those of a choice, in turn. A text is checked by who knows the
    names. An action that `repeats` is done as often as it was asked for between two frames, any
    other one once.
    """

    name: str
    kind: Kind
    does: str
    low: float = 0.0
    high: float = 1.0
    step: float = 0.1
    unit: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False

    def check(self, value: object) -> Value:
        """Return `value` as this control takes it; an action takes true. Raises `UsageError`.

        Switches take true and false only, numbers no switches, texts no numbers but whole ones,
        which count from 1: the third scene.
        """
        if self.kind in (Kind.SWITCH, Kind.ACTION):
            if not isinstance(value, bool):
                raise UsageError(f"{self.name} is true or false.")
            return value
        if self.kind is Kind.NUMBER:
            return self._number(value)
        if self.kind is Kind.CHOICE:
            if value not in self.choices:
                raise UsageError(f"{self.name} is one of {', '.join(self.choices)}.")
            return str(value)
        return self._text(value)

    def clip(self, value: float) -> float:
        """Return the nearest number in range, rounded so that steps do not add up to 0.30000001."""
        return min(self.high, max(self.low, round(value, 6)))

    def following(self, value: str, step: int) -> str:
        """Return the choice `step` places after `value`, round and round."""
        return self.choices[(self.choices.index(value) + step) % len(self.choices)]

    def _number(self, value: object) -> float:
        # The comparison is false for NaN as well.
        if not is_number(value) or not self.low <= value <= self.high:  # type: ignore[operator]
            unit = f" {self.unit}" if self.unit else ""
            raise UsageError(f"{self.name} is a number from {self.low:g} to {self.high:g}{unit}.")
        return float(value)  # type: ignore[arg-type]

    def _text(self, value: object) -> str:
        if is_number(value) and 1 <= value <= 9999 and value == int(value):  # type: ignore[operator, call-overload]
            return str(int(value))  # type: ignore[call-overload]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"{self.name} is a name, or its number from 1 on.")
        if len(value) > LONGEST:
            raise UsageError(f"{self.name} has at most {LONGEST} characters.")
        return value.strip()

    def described(self) -> dict[str, Any]:
        """Return this control as JSON: what a program needs to show a knob for it."""
        found: dict[str, Any] = {"name": self.name, "kind": self.kind.value, "does": self.does}
        if self.kind is Kind.NUMBER:
            found |= {"low": self.low, "high": self.high, "step": self.step, "unit": self.unit}
        if self.kind is Kind.CHOICE:
            found["choices"] = list(self.choices)
        return found


def is_number(value: object) -> bool:
    """Return True for a number of JSON, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _switch(name: str, does: str) -> Control:
    return Control(name, Kind.SWITCH, does)


def _action(name: str, does: str, *, repeats: bool = False) -> Control:
    return Control(name, Kind.ACTION, does, repeats=repeats)


def _number(name: str, does: str, low: float, high: float, step: float, unit: str = "") -> Control:
    return Control(name, Kind.NUMBER, does, low, high, step, unit)


CONTROLS: tuple[Control, ...] = (
    Control("style", Kind.TEXT, "Paint in a style: its name, its number, or a blend of names."),
    _action("next", "Go to the next style.", repeats=True),
    _action("previous", "Go to the previous style.", repeats=True),
    _action("random", "Paint in a style that nobody painted, drawn anew.", repeats=True),
    _number("walk", "Walk through styles, one every so many seconds; 0: stay.", 0, 3600, 5, "s"),
    _number("mix", "Mix in the style before: its share.", 0, 1, 0.1),
    _number("strength", "From the camera's picture (0) to the painting (1).", 0, 1, 0.1),
    _number("coherence", "How much stays from frame to frame; 0: each is new.", 0, 1, 0.25),
    _number("stroke_size", "How wide strokes are, of what is usual.", 0.25, 4, 0.25),
    _switch("keep_color", "Keep the camera's colours."),
    _switch("match_color", "Give pictures as styles the camera's colours of this moment."),
    Control("only", Kind.CHOICE, "What is painted.", choices=ONLY),
    _switch("mask", "Paint where the mask given at the start says so."),
    _switch("mirror", "Swap left and right."),
    _switch("split", "Leave the right half unpainted."),
    _switch("freeze", "Hold the picture."),
    _switch("record", "Record into a new file."),
    _action("snapshot", "Save the picture."),
    _number("target_fps", "The rate to hold, by size and resolution.", 1, 240, 5, "FPS"),
    Control("scene", Kind.TEXT, "Show a scene of the scenes file: its name or its number."),
    _action("next_scene", "Go to the next scene.", repeats=True),
    _action("save_scene", "Write the present look into the scenes file."),
    Control("transition", Kind.CHOICE, "How styles give way to each other.", choices=TRANSITIONS),
    _number("fade", "How long a transition takes.", 0, 10, 0.2, "seconds"),
    _number("cycle", "Go on to the next scene or style after so long; 0: never.", 0, 3600, 5, "s"),
    _action("tap", "Tap the beat: twice or more."),
    _number("tempo", "Beats a minute, for `[react] beat`; 0: none.", 0, 300, 1, "BPM"),
    _switch("full_screen", "Fill the screen."),
    _switch("figures", "Show the figures over the picture."),
    _switch("help", "Show the keys over the picture."),
    _action("quit", "End the program."),
)
BY_NAME = {control.name: control for control in CONTROLS}


def find_control(name: str) -> Control:
    """Return a control by its name. Raises `UsageError` that names those there are."""
    if name not in BY_NAME:
        raise UsageError(f"{name!r} is not a control.", "", f"There are {', '.join(BY_NAME)}.")
    return BY_NAME[name]
