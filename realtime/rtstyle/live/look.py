"""What a live picture should look like: the settings that a user changes while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.painting.finish import finish
from rtstyle.styles import manifest
from rtstyle.styles.model import Styles

Only: TypeAlias = Literal["all", "background", "person"]
ONLY: tuple[Only, ...] = ("all", "background", "person")


@dataclass(frozen=True, slots=True)
class Look:
    """Settings of one live picture; a change makes a new one with `dataclasses.replace`.

    `strength` is 0 (the camera) to 1 (the painting). `height` is the number of rows at which the
    network works; the result is scaled back to the size of the frame. None: the frame's own rows.
    `split` leaves the right half as it came. `only` paints the person or what is behind. With
    `regions`, styles for the regions of a mask, `style` is not used.

    Raises `UsageError` for a value out of range. Whether the style exists is not looked at here.
    """

    style: str = manifest.DEFAULT_STYLE
    size: str = "fast"
    strength: float = 1.0
    keep_color: bool = False
    mirror: bool = False
    split: bool = False
    height: int | None = None
    only: Only = "all"
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"A strength of {self.strength} is out of range.", "", "Use 0 to 1.")
        if self.height is not None and not 16 <= self.height <= 8192:
            raise UsageError(f"A height of {self.height} is out of range.", "", "Use 16 to 8192.")
        if self.only not in ONLY:
            raise UsageError(
                f"--only {self.only} is unknown.", "", f"Use one of {', '.join(ONLY)}."
            )

    @property
    def model(self) -> tuple[Styles, str]:
        """The style, or those of the regions, and the size: they name one model."""
        return self.regions or self.style, self.size

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
