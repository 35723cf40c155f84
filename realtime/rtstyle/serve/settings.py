"""What a page may change: JSON from outside, checked, becomes settings of a `Look`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from rtstyle.errors import UsageError

MAX_MESSAGE = 4096
"""Characters of the longest message that a page may send over its data channel."""

SWITCHES = ("keep_color", "mirror", "split")


def read_message(message: object, styles: Collection[str]) -> dict[str, Any]:
    """Return the settings in a message of the data channel; an empty object is a sign of life.

    Raises `UsageError` for what is too long, no JSON object, or no setting.
    """
    if not isinstance(message, str):
        raise UsageError("A message is text.")
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"A message has at most {MAX_MESSAGE} characters.")
    return check_settings(parse_object(message), styles)


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `UsageError` for anything else."""
    try:
        value = json.loads(text)
    # Deep nesting ends in a RecursionError, and is as malformed as the rest.
    except (ValueError, RecursionError) as error:
        raise UsageError("This is not JSON.") from error
    if not isinstance(value, dict):
        raise UsageError("A JSON object is wanted.")
    return value


def check_settings(settings: object, styles: Collection[str]) -> dict[str, Any]:
    """Return `settings` for `Look`, every value of the right type and range.

    `styles` are the names that may be chosen. Raises `UsageError`.
    """
    if not isinstance(settings, Mapping):
        raise UsageError("Settings are a JSON object.")
    checked: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "style":
            checked[name] = check_style(value, styles)
        elif name == "strength":
            checked[name] = check_strength(value)
        elif name in SWITCHES:
            if not isinstance(value, bool):
                raise UsageError(f"{name} is true or false.")
            checked[name] = value
        else:
            known = ", ".join(("style", "strength", *SWITCHES))
            raise UsageError("There is no such setting.", "", f"There are {known}.")
    return checked


def read_query(query: Mapping[str, str], styles: Collection[str]) -> dict[str, Any]:
    """Return the settings in the query of `/obs`: `style=wave&strength=0.8&mirror=1`.

    Raises `UsageError`.
    """
    # The page numbers its attempts, so that none comes out of a cache.
    settings: dict[str, Any] = {name: value for name, value in query.items() if name != "n"}
    for name in SWITCHES:
        if name in settings:
            settings[name] = {"1": True, "true": True, "0": False, "false": False}.get(
                settings[name], settings[name]
            )
    if "strength" in settings:
        try:
            settings["strength"] = float(settings["strength"])
        except ValueError as error:
            raise UsageError("strength is a number from 0 to 1.") from error
    return check_settings(settings, styles)


def check_style(value: object, styles: Collection[str]) -> str:
    """Return a style's name. Never a path: only names that the server listed are taken."""
    if not isinstance(value, str) or value not in styles:
        raise UsageError("There is no such style.", "", f"There are {', '.join(styles)}.")
    return value


def check_strength(value: object) -> float:
    """Return a number from 0 to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # The comparison is false for NaN as well.
    if not number or not 0.0 <= value <= 1.0:  # type: ignore[operator]
        raise UsageError("strength is a number from 0 to 1.")
    return float(value)  # type: ignore[arg-type]
