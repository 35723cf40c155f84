"""Styles by their names: how a window shows them, and which one a user means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rtstyle.errors import UsageError
from rtstyle.live.look import Look
from rtstyle.styles.spec import NEIGHBOUR, is_file, mixture, split_blend


def shown_name(style: str) -> str:
    """Return a style as the window shows it: names without folders and endings."""
    if is_file(style):
        return Path(style).stem
    return " + ".join(map(_shown_part, split_blend(style)))


def _shown_part(part: str) -> str:
    """Return one part of a blend, `monet.jpg:0.5`, as `monet 50%`."""
    name, colon, weight = part.rpartition(":")
    if is_file(part) or not colon:
        return stem(part)
    return f"{stem(name)} {float(weight):.0%}"


def stem(name: str) -> str:
    """Return a style without folder and ending of its file; `a.jpg~0.5~7` is `a~0.5~7`."""
    near = None if is_file(name) else NEIGHBOUR.fullmatch(name)
    if near is None:
        return Path(name).stem
    return Path(near["style"]).stem + name[near.end("style") :]


def shown_names(look: Look) -> str:
    """Return the style of a look, or those of its regions, as the window shows them."""
    return " | ".join(map(shown_name, look.names))


def split_names(style: str) -> list[str]:
    """Return the names in a style or blend, without their weights."""
    if is_file(style):
        return [style]
    return [part.rpartition(":")[0] or part for part in split_blend(style)]


def style_among(names: Sequence[str], text: str) -> str:
    """Return the style of `names` that is meant: by name, stem of a file, number or as a blend.

    Numbers count from 1. A blend, `wave:0.7,mosaic:0.3`, has parts of `names` only: a program from
    outside must not have any file read. Raises `UsageError`.
    """
    if text in names:
        return text
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return names[int(text) - 1]
    if by_stem := [name for name in names if _short(name) == text]:
        return by_stem[0]
    parts = [_weighted(names, part) for part in text.split(",")] if ":" in text else []
    if not parts:
        shown = ", ".join(map(_short, names))
        raise UsageError(f"{text!r} is not one of the styles.", "", f"There are {shown}.")
    return str(mixture(parts))


def _short(name: str) -> str:
    """Return a file's name without folder and ending; a blend, `a:0.3`, has neither."""
    return stem(name) if is_file(name) or ":" not in name else name


def _weighted(names: Sequence[str], part: str) -> tuple[str, float]:
    name, _, weight = part.strip().rpartition(":")
    if name not in names or name.lower().endswith(".onnx"):
        raise UsageError(f"{name or part!r} is not a style that can be blended.")
    try:
        return name, float(weight)
    except ValueError:
        raise UsageError(f"{weight!r} is not a weight.", "", "Write wave:0.7,mosaic:0.3.") from None
