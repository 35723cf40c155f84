"""What every sink is: a place where frames go, `open -> write ... -> close or abort`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rtstyle.frame import Frame

if TYPE_CHECKING:
    from typing_extensions import Self


class Footage(Protocol):
    """What an output must know of where its frames come from; each source is one."""

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, None if unknown."""

    @property
    def origin(self) -> Fraction:
        """The moment, in seconds on the scale of `pts`, that becomes 0 in an output."""

    @property
    def sample_aspect_ratio(self) -> Fraction | None:
        """Width over height of one pixel, None for square."""


class SinkClosedError(Exception):
    """The user closed the sink (a window): this frame was the last, and it is not a failure."""


class Sink:
    """Takes frames of one size in order, all from one thread.

    Use as a context manager, or call `open`, `write` and then either `close` or `abort`. What
    cannot be written raises `SinkError`, and then an existing output is untouched.
    """

    name: str = "sink"
    poll: float = 0.1
    """Seconds without a frame after which `idle` is called, and called again."""

    def open(self) -> None:
        """Check that the output can be made, before any work is done. Raises `SinkError`."""

    def write(self, frame: Frame) -> None:
        """Take one frame. Raises `SinkError`, or `SinkClosedError` when the user closed it."""
        raise NotImplementedError

    def idle(self) -> None:
        """Called now and then while no frame comes. May raise `SinkClosedError`."""

    def close(self, complete: bool = True) -> None:
        """Finish the output. With `complete=False` keep what was done, named as partial."""

    @property
    def written(self) -> int:
        """Bytes written so far, 0 for what is not a file."""
        return 0

    def notes(self) -> list[str]:
        """Return what the user should know of the output: what was left out or made otherwise."""
        return []

    def abort(self) -> None:
        """Throw away what was done; a second call, or one after `close`, does nothing."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class FileSink(Sink):
    """A sink whose frames go to `path`, which `close` may change to a partial one."""

    path: Path
