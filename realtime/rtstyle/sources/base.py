"""What every source is: an iterable context manager of frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from rtstyle.closeable import Closing
from rtstyle.frame import Frame

if TYPE_CHECKING:
    from typing_extensions import Self

    from rtstyle.media.spherical import Spherical


class Source(Closing):
    """Frames from a camera, a file or a generator, read by one thread.

    `open` learns `width`, `height` (pixels), `rate` (frames a second, None if unknown) and
    `frames` (an estimate of how many will come, None if unknown or endless). Iterating yields
    frames with rising `index` and `pts`, all of one size. `counts` says what had to be mended
    or skipped on the way, by name. Bad input raises `SourceError`.
    """

    name: str = "source"
    live: bool = False
    """Whether frames come by the clock, so that a late consumer should skip some."""
    width: int = 0
    height: int = 0
    rate: Fraction | None = None
    frames: int | None = None
    sample_aspect_ratio: Fraction | None = None
    """Width over height of one pixel, None for square."""
    depth: int = 8
    """Bits a sample of the pictures as they are stored."""
    bit_rate: int | None = None
    """Bits a second of the stored pictures, None if unknown."""
    deep: bool = False
    """Whether frames of more than 8 bits a sample are wanted as such, too; set it once open."""
    skip: int = 0
    """How many frames at the beginning are not wanted: a source may leave them out or give them."""
    has_alpha: bool = False
    """Whether pictures are transparent in places; known once the source is open."""
    spherical: Spherical | None = None
    """The tag of a 360-degree video."""
    origin: Fraction = Fraction(0)
    """The moment, in seconds on the scale of `pts`, that becomes 0 in an output."""

    @property
    def left(self) -> int | None:
        """An estimate of how many frames are wanted, None if unknown or endless."""
        return None if self.frames is None else max(0, self.frames - self.skip)

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def open(self) -> None:
        """Open the source; a second call does nothing. Raises `SourceError`."""

    def close(self) -> None:
        """Free the source; a second call does nothing."""

    def describe(self) -> str:
        """Say what this is and what it gives, for the user."""
        rate = f" at {float(self.rate):g} FPS" if self.rate else ""
        return f"{self.name}: {self.width}x{self.height}{rate}"

    def stop(self) -> None:
        """Wake a waiting iteration and end it soon; may be called from any thread."""

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.open()
        return self
