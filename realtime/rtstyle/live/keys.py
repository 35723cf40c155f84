"""The keys of the live window: one table that the window's help and the documentation share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A key (or several, written as the window reports them) and what it does."""

    keys: tuple[str, ...]
    shown: str
    does: str


KEYS = (
    Key(("n",), "n", "next style"),
    Key(("p",), "p", "previous style"),
    Key(tuple("123456789"), "1-9", "style by number"),
    Key(("+", "="), "+", "stronger"),
    Key(("-", "_"), "-", "weaker"),
    Key(("[", "]"), "[ ]", "less, more of the style before"),
    Key(("c",), "c", "keep the camera's colours"),
    Key(("k",), "k", "pictures in the camera's colours"),
    Key(("b",), "b", "paint all, background, person"),
    Key(("m",), "m", "mirror"),
    Key(("o",), "o", "split with the original"),
    Key(("space",), "space", "freeze"),
    Key(("s",), "s", "snapshot"),
    Key(("r",), "r", "record, stop"),
    Key(("f",), "f", "full screen"),
    Key(("h",), "h", "show or hide figures"),
    Key(("?", "/"), "?", "this list"),
    Key(("q", "escape"), "q", "quit"),
)
