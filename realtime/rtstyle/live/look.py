"""What a live picture should look like: the settings that a user changes while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.live.controls.table import ONLY, Only
from rtstyle.painting.finish import finish
from rtstyle.styles.recipe import Recipe

STROKES = 0.25
"""Step of the stroke sizes that are painted."""


@dataclass(frozen=True, eq=False)
class Look(Recipe):
    """The recipe of one live picture; a change makes a new one with `dataclasses.replace`.

    `height` is here the number of rows at which the network works; the result is scaled back to
    the size of the frame. None: the frame's own rows. `mirror` swaps left and right, `split`
    leaves the right half as it came. `only` paints the person or what is behind.

    Raises `UsageError` for a value out of range. Whether the style exists is not looked at here.
    """

    size: str = "fast"
    mirror: bool = False
    split: bool = False
    only: Only = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sweep is not None:
            raise UsageError("A sweep goes over a clip, which a live picture is not.")
        if self.only not in ONLY:
            raise UsageError(
                f"--only {self.only} is unknown.", "", f"Use one of {', '.join(ONLY)}."
            )

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns at which the network sees a frame; never more than it has."""
        if self.height is None or self.height >= height:
            return height, width
        return self.height, max(16, 2 * round(width * self.height / height / 2))

    def finish(self, source: Image, painted: Image, mask: Image | None = None) -> Image:
        """Apply all but style and size to what the network made of `source`; see `finish`."""
        return finish(
            source,
            painted,
            strength=self.strength,
            keep_color=self.keep_color,
            split=self.split,
            mask=mask,
        )


def model_of(look: Look) -> dict[str, Any]:
    """Return the settings of a look that choose its model and the pictures it works on."""
    found = {name: getattr(look, name) for name in ("style", "size", "height")}
    return found | {"stroke_size": snapped(look.stroke_size)}


def snapped(stroke_size: float) -> float:
    """Return the stroke size that is painted for one that is asked for: a multiple of `STROKES`.

    Each has sizes of pictures of its own, which a model is made ready for. A slider that is dragged
    would ask for hundreds.
    """
    return max(STROKES, round(stroke_size / STROKES) * STROKES)
