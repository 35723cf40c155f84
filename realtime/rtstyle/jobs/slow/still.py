"""What slow pictures share: methods, paintings, colours, sizes. Imported without NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rtstyle.errors import UsageError
from rtstyle.styles.spec import Mixture, is_network, parse_style

if TYPE_CHECKING:
    from rtstyle.frame import Image

METHODS = ("gatys", "wct")
NETWORK = "network"
"""The method of textures alone: a network trained for one painting."""

THRESHOLD = 27.0
"""Change in hue, saturation and lightness, in levels of 255, from which on a frame is a cut."""

CLOSURES = 300
"""Evaluations of the objective of gatys at the coarsest size, unless the user asks for others."""

KEEP_COLOR = ("luminance", "match")
"""Two ways to keep a photo's colours, Gatys et al. 2016b: sections 3.2 and 3.1."""


Paintings: TypeAlias = "list[tuple[Image, float]]"
"""Paintings (H, W, 3) uint8 RGB with weights."""


def check_method(method: str, known: Sequence[str] = METHODS) -> None:
    """Raise `UsageError` for a method that is not one of the `known`."""
    if method not in known:
        raise UsageError(f"There is no method {method!r}.", "", f"Use {' or '.join(known)}.")


def refuse_strangers(method: str, **options: object) -> None:
    """Raise `UsageError` if one of the options of other methods was given."""
    for name in (key for key, value in options.items() if value is not None):
        other = " or ".join(one for one in METHODS if one != method)
        raise UsageError(
            f"--{name.replace('_', '-')} belongs to --method {other}.", "", "Leave it out."
        )


def painting_files(text: str) -> list[tuple[Path, float]]:
    """Return the files of `a.jpg` or `a.jpg:0.7,b.jpg:0.3` with their weights above 0.

    Raises `UsageError` for built-in styles and model files, `StyleError` for what is not a file.
    """

    found = parse_style(text)
    parts = found.parts if isinstance(found, Mixture) else ((found, 1.0),)
    for name, _ in parts:
        if (is_network(name) and not Path(name).is_file()) or name.lower().endswith(".onnx"):
            raise UsageError(
                f"{name} is a trained network, not a picture.",
                "--style takes picture files here.",
                "Name a picture of the painting, or use `rtstyle image`.",
            )
    return [(Path(name), weight) for name, weight in parts if weight > 0]
