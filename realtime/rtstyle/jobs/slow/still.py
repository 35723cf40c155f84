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


def read_paintings(text: str) -> Paintings:
    """Read `a.jpg` or `a.jpg:0.7,b.jpg:0.3`.

    Raises as `painting_files`, and `SourceError` for what is not a picture.
    """
    from rtstyle.media.picture import read_picture

    return [(read_picture(path, whole=True).rgb, weight) for path, weight in painting_files(text)]


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


def working_size(photo: Image, long_side: int) -> tuple[int, int]:
    """Return (height, width) with at most `long_side` pixels; photos are never enlarged."""
    height, width = photo.shape[:2]
    factor = min(1.0, long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def suit_colors(
    photo: Image, styles: Sequence[Paintings], keep_color: str | None
) -> tuple[Image, list[Paintings]]:
    """Prepare photo and paintings for a way to keep colours. Raises `UsageError` for others.

    `luminance` makes all grey, with the photo's brightness and contrast; `match` gives the
    paintings the photo's colours.
    """
    if keep_color is None:
        return photo, list(styles)
    if keep_color not in KEEP_COLOR:
        raise UsageError(
            f"Colours cannot be kept by {keep_color!r}.", "", f"Use {' or '.join(KEEP_COLOR)}."
        )
    from rtstyle.media.color import Colours, match_colors

    if keep_color == "luminance":
        photo, styles = grey(photo), [[(grey(p), w) for p, w in mix] for mix in styles]
    wanted = Colours.of(photo)
    return photo, [[(match_colors(p, wanted), w) for p, w in mix] for mix in styles]


def grey(image: Image) -> Image:
    """Return the luminance of (H, W, 3) uint8 RGB in three equal channels."""
    import cv2
    import numpy as np

    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), np.uint8)
