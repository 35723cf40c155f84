"""Which networks painted last, at which sizes; what was made ready for others is let go of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from rtstyle.live.bank.errands import Shape
from rtstyle.machine.heap import give_back
from rtstyle.painting.network import Network

LAST = 8
"""Pictures that count: a transition may paint with three networks in turn."""


class Painted:
    """The last pictures of a bank. May be used from any thread."""

    def __init__(self) -> None:
        self._last: deque[tuple[tuple[Path, ...], Shape]] = deque(maxlen=LAST)

    def note(self, files: tuple[Path, ...], size: Shape) -> None:
        """Take in that the network of `files` painted a picture of rows and columns `size`."""
        self._last.append((files, size))

    def tidy(self, networks: Iterable[tuple[tuple[Path, ...], Network]], size: Shape) -> None:
        """Have networks let go of other sizes than `size` and those that they painted last.

        Each takes some 10 MB a style.
        """
        last = tuple(self._last)
        for files, network in networks:
            network.engine.keep({size, *(own for name, own in last if name == files)})
        give_back()
