"""What a page may change: JSON from outside, checked, becomes settings of a `LivePicture`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.live.controls.table import BY_NAME, is_number

MAX_MESSAGE = 4096
"""Characters of the longest message that a page may send over its data channel."""
MOST = 4
"""Styles in a blend."""
HEAVIEST = 1_000_000.0
"""Largest weight; only what weights are to each other counts."""

SWITCHES = ("keep_color", "mirror", "split")
NUMBERS = ("strength", "coherence", "stroke_size")
PLAIN = (*NUMBERS, *SWITCHES, "only")
"""Settings of a look that a page changes as the table has them."""
CROSSING = ("transition", "fade")
"""How its styles give way to each other."""
OWN = ("freeze", "walk", "match_color", "target_fps")
"""What a `LivePicture` has besides."""
CONTROLS = (*PLAIN, *CROSSING, *OWN)
"""Controls that a page changes as the table has them; styles are by the names of the gallery."""
DRAWN = re.compile(r"random:\d{1,9}")
MASK = (72, 96)
"""Rows and columns of the mask that a page draws; it is stretched over the picture."""

Blend: TypeAlias = tuple[tuple[str, float], ...]
"""Names of styles, in order, with shares that sum to 1."""
Style: TypeAlias = str | Blend
"""What a picture is painted in: one style by its name, or a blend."""


def read_message(
    message: object, styles: Collection[str], mixable: Collection[str] = ()
) -> dict[str, Any]:
    """Return the settings in a message of the data channel; an empty object is a sign of life.

    Raises `UsageError` for what is too long, no JSON object, or no setting.
    """
    if not isinstance(message, str):
        raise UsageError("A message is text.")
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"A message has at most {MAX_MESSAGE} characters.")
    return check_settings(parse_object(message), styles, mixable)


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `UsageError` for anything else."""
    try:
        value = json.loads(text)
    # Deep nesting ends in a RecursionError, and is as malformed as the rest.
    except (ValueError, RecursionError) as error:
        raise UsageError("This is not JSON.") from error
    if not isinstance(value, dict):
        raise UsageError("This must be a JSON object.")
    return value


def check_settings(
    settings: object, styles: Collection[str], mixable: Collection[str] = ()
) -> dict[str, Any]:
    """Return `settings` for `LivePicture.change`, every value of the right type and range.

    `styles` are the names that may be chosen, `mixable` those that may be blended. Raises
    `UsageError`.
    """
    if not isinstance(settings, Mapping):
        raise UsageError("Settings are a JSON object.")
    checked: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "style":
            checked[name] = check_style(value, styles, mixable)
        elif name == "mask":
            checked[name] = check_mask(value)
        elif name in CONTROLS:
            checked[name] = BY_NAME[name].check(value)
        else:
            known = ", ".join(("style", *CONTROLS, "mask"))
            raise UsageError("There is no such setting.", "", f"There are {known}.")
    return checked


def check_mask(value: object) -> Image | None:
    """Return a mask, `MASK` uint8 of 0 and 255 (painted), from its bits in base64; None for "".

    The bits go row by row from the left, the first one in the highest place of a byte.
    """
    if value == "":
        return None
    size = MASK[0] * MASK[1]
    try:
        bits = base64.b64decode(str(value), validate=True) if isinstance(value, str) else b""
    except ValueError:
        bits = b""
    if len(bits) != size // 8:
        raise UsageError(f"A mask has {MASK[1]} by {MASK[0]} bits, in base64.")
    flat = np.unpackbits(np.frombuffer(bits, np.uint8)) * np.uint8(255)
    return np.asarray(flat.reshape(MASK), np.uint8)


def read_query(
    query: Mapping[str, str], styles: Collection[str], mixable: Collection[str] = ()
) -> dict[str, Any]:
    """Return the settings in the query of `/obs`: `style=wave&strength=0.8&mirror=1`.

    A blend is `style=wave:0.7,mosaic:0.3`. Raises `UsageError`.
    """
    # The page numbers its attempts, so that none comes out of a cache.
    settings: dict[str, Any] = {name: value for name, value in query.items() if name != "n"}
    for name in (*SWITCHES, "freeze", "match_color"):
        if name in settings:
            settings[name] = {"1": True, "true": True, "0": False, "false": False}.get(
                settings[name], settings[name]
            )
    if ":" in settings.get("style", "") and not is_drawn(settings["style"]):
        parts = (part.rpartition(":") for part in settings["style"].split(","))
        settings["style"] = {name: read_number(text, "A weight") for name, _, text in parts}
    for name in (*NUMBERS, "fade", "walk", "target_fps"):
        if name in settings:
            settings[name] = read_number(settings[name], name)
    return check_settings(settings, styles, mixable)


def read_number(text: str, what: str) -> float:
    """Return a number in a query. Raises `UsageError`."""
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{what} is a number.") from error


def check_style(value: object, styles: Collection[str], mixable: Collection[str]) -> Style:
    """Return a style. Never a path: only names that the server listed are taken."""
    if isinstance(value, Mapping):
        return check_blend(value, styles, mixable)
    if not isinstance(value, str) or value not in styles:
        raise UsageError("There is no such style.", "", "Reload the page to see which there are.")
    return value


def is_drawn(name: object) -> bool:
    """Return True for `random:7`, a style that nobody painted; the server lists none of them."""
    return isinstance(name, str) and DRAWN.fullmatch(name) is not None


def check_blend(
    weights: Mapping[str, object], styles: Collection[str], mixable: Collection[str]
) -> Blend:
    """Return a blend of listed names. One of the same shares is always the same value."""
    if len(weights) > MOST:
        raise UsageError(f"A blend has at most {MOST} styles.")
    if any(name not in (styles if is_drawn(name) else mixable) for name in weights):
        raise UsageError("There is no such style to blend.")
    numbers = {name: check_weight(value) for name, value in weights.items()}
    whole = sum(numbers.values())
    if whole <= 0:
        raise UsageError("The sum of the weights of a blend must be above zero.")
    shares = ((name, round(numbers[name] / whole, 3)) for name in sorted(numbers))
    return tuple((name, share) for name, share in shares if share)


def check_weight(value: object) -> float:
    """Return a number from 0 to `HEAVIEST`."""
    if not is_number(value) or not 0.0 <= value <= HEAVIEST:  # type: ignore[operator]
        raise UsageError(f"A weight is a number from 0 to {HEAVIEST:.0f}.")
    return float(value)  # type: ignore[arg-type]


def names_in(style: Style) -> tuple[str, ...]:
    """Return the names of the styles in a style."""
    return (style,) if isinstance(style, str) else tuple(name for name, _ in style)


def as_json(style: Style) -> str | dict[str, float]:
    """Return a style as a page takes and gives it."""
    return style if isinstance(style, str) else dict(style)


def as_query(style: Style) -> str:
    """Return a style as the address of `/obs` takes it."""
    if isinstance(style, str):
        return style
    return ",".join(f"{name}:{share:g}" for name, share in style)
