"""The networks that a bank keeps open: more memory, or a wait where a style comes again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TypeAlias

from rtstyle.live.bank.errands import Shape
from rtstyle.machine.memory import total_memory
from rtstyle.painting.network import Network

Files: TypeAlias = tuple[Path, ...]
"""The files of a model: pictures as styles have the same, only what the network is fed differs."""

SHARE = 1 / 16
"""Share of the machine's memory that networks may take."""
NETWORK = 40 << 20
"""Bytes that a network takes, ready for 640x480: 35 MB were measured. It grows with the frame."""
FEWEST, MOST = 16, 48
SPARE = 4
"""Networks kept beside those that are made ready ahead: the ones that were painted with before."""


def room() -> int:
    """Return how many networks may be kept on this machine.

    16 GB take 25: all built-in styles in the two sizes that a rate goes between.
    """
    return min(MOST, max(FEWEST, int(total_memory() * SHARE) // NETWORK))


class Shelf:
    """Up to `capacity` open networks; the one that was not used for longest goes first.

    Not thread-safe: whoever has it guards it.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = max(1, capacity)
        self._networks: OrderedDict[Files, Network] = OrderedDict()
        self._warm: set[tuple[Files, Shape]] = set()

    def __len__(self) -> int:
        return len(self._networks)

    def use(self, files: Files) -> Network | None:
        """Return an open network, which counts as used now; None where it is not open."""
        if files in self._networks:
            self._networks.move_to_end(files)
        return self._networks.get(files)

    def put(self, files: Files, network: Network) -> bool:
        """Keep a network; return True if another one had to go.

        That is only let go of: somebody may be painting with it, and then frees it last.
        """
        self._networks[files] = network
        full = len(self._networks) > self.capacity
        while len(self._networks) > self.capacity:
            old, _ = self._networks.popitem(last=False)
            self._warm = {item for item in self._warm if item[0] != old}
        return full

    def note(self, files: Files, shape: Shape) -> None:
        """Take in that a network has painted a picture of a size."""
        self._warm.add((files, shape))

    def is_warm(self, files: Files, shape: Shape) -> bool:
        """Return True if a network is ready for a size; its engine may have let go of it again."""
        network = self._networks.get(files)
        return network is not None and (files, shape) in self._warm and network.engine.holds(shape)

    def items(self) -> list[tuple[Files, Network]]:
        """Return the networks, those used last at the end."""
        return list(self._networks.items())

    def close(self) -> None:
        """Free every network."""
        for network in self._networks.values():
            network.close()
        self._networks.clear()
        self._warm.clear()
