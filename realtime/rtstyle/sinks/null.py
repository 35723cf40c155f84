"""A sink that only counts, for benchmarks and headless runs."""

from __future__ import annotations

from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink


class NullSink(Sink):
    """Counts frames in `count` and forgets them."""

    def __init__(self) -> None:
        self.name = "nothing"
        self.count = 0

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - the contract's argument
        """Count the frame."""
        self.count += 1
