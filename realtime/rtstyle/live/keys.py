"""The keys of the live window and of the page: one table, which help and documentation share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A key (or several, written as the window reports them) and what it does.

    `asks` says it in words of the controls, for all of `keys` or for each of them.
    """

    keys: tuple[str, ...]
    shown: str
    does: str
    asks: tuple[str, ...]

    @property
    def bindings(self) -> dict[str, str]:
        """What each of the keys asks for."""
        return dict(zip(self.keys, self.asks * (len(self.keys) // len(self.asks)), strict=True))


def _numbered(form: str, count: int) -> tuple[str, ...]:
    return tuple(form.format(number) for number in range(1, count + 1))


KEYS = (
    Key(("n",), "n", "next style", ("next",)),
    Key(("p",), "p", "previous style", ("previous",)),
    Key((*"1234567890",), "1-9 0", "style 1 to 10", _numbered("style {}", 10)),
    Key(_numbered("f{}", 12), "F1-F12", "style 1 to 12", _numbered("style {}", 12)),
    Key(("+", "="), "+", "stronger", ("strength +0.1",)),
    Key(("-", "_"), "-", "weaker", ("strength -0.1",)),
    Key(("[", "]"), "[ ]", "less, more of the style before", ("mix -0.1", "mix +0.1")),
    Key(("x",), "x", "a style that nobody painted", ("random",)),
    Key(("u", "y"), "u y", "longer, shorter walk through styles", ("walk +5", "walk -5")),
    Key((",", "."), ", .", "narrower, wider strokes", ("stroke_size -0.25", "stroke_size +0.25")),
    Key(("j", "l"), "j l", "less, more coherence", ("coherence -0.25", "coherence +0.25")),
    Key(("c",), "c", "keep the camera's colours", ("keep_color",)),
    Key(("k",), "k", "pictures in the camera's colours", ("match_color",)),
    Key(("b",), "b", "paint all, background, person", ("only +1",)),
    Key(("a",), "a", "paint by the mask, or all", ("mask",)),
    Key(("m",), "m", "mirror", ("mirror",)),
    Key(("o",), "o", "split with the original", ("split",)),
    Key(("space",), "space", "freeze", ("freeze",)),
    Key(("t",), "t", "fade, cut, wipe", ("transition +1",)),
    Key(("{", "}"), "{ }", "shorter, longer fade", ("fade -0.2", "fade +0.2")),
    Key(("<", ">"), "< >", "stay shorter, longer in a cycle", ("cycle -5", "cycle +5")),
    Key(("z",), "z", "tap the beat", ("tap",)),
    Key((";", ":"), "; :", "slower, quicker beat", ("tempo -1", "tempo +1")),
    Key(("(", ")"), "( )", "hold a lower, higher rate", ("target_fps -5", "target_fps +5")),
    Key(("v",), "v", "next scene", ("next_scene",)),
    Key(("w",), "w", "write this look as a scene", ("save_scene",)),
    Key(("s",), "s", "snapshot", ("snapshot",)),
    Key(("r",), "r", "record, stop", ("record",)),
    Key(("f",), "f", "full screen", ("full_screen",)),
    Key(("h",), "h", "show or hide figures", ("figures",)),
    Key(("?", "/"), "?", "this list", ("help",)),
    Key(("q", "escape"), "q", "quit", ("quit",)),
)
PAGE_ONLY = (
    Key(("i",), "i", "add a picture as a style", ("picture",)),
    Key(("e",), "e", "blend styles", ("blend",)),
)
"""Keys of what only the page of `rtstyle serve` has; the words are its own."""


def page_keys() -> tuple[Key, ...]:
    """Return the keys of the page: those of the window, and its own.

    Browsers have uses of their own for F1 to F12.
    """
    return (*(key for key in KEYS if not key.keys[0][1:].isdecimal()), *PAGE_ONLY)


BINDINGS = {key: words for entry in KEYS for key, words in entry.bindings.items()}
"""What each key asks for, in words of the controls."""
