"""Which paintings a style is made of, and what a bank lets go."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import islice
from typing import Any

from rtstyle.errors import RtstyleError
from rtstyle.styles.spec import Styles, are_networks, as_mixture, parse_style

KNOWN = 256
"""Styles whose model file and statistics are remembered, or what kept them from being made."""


def forget_oldest(known: MutableMapping[Any, Any]) -> None:
    """Drop what was put in first until `KNOWN` items are left."""
    for oldest in list(islice(known, max(0, len(known) - KNOWN))):
        del known[oldest]


def is_of(style: Styles, name: str) -> bool:
    """Return True if a style is mixed of a picture, or of one whose file has gone meanwhile."""
    try:
        return name in paintings_of(style)
    except RtstyleError:
        return True


def paintings_of(style: Styles) -> list[str]:
    """Return the pictures and built-in paintings that a style is mixed of; none for networks."""
    if are_networks(style):
        return []
    if not isinstance(style, str):
        return [name for one in style for name, _ in as_mixture(one).parts]
    found = parse_style(style)
    return [] if isinstance(found, str) else [name for name, _ in found.parts]
