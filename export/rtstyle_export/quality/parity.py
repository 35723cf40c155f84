"""Compares an exported file with the PyTorch network it came from, on real photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtstyle.engines import open_engine
from rtstyle.errors import TrainingError
from rtstyle_export.onnx_files.writer import on_bytes

WITHIN_ONE = 0.999
"""Least share of values within 1 level of 255."""

LARGEST = 3
"""Largest difference in levels of 255."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between file and network over `pictures` pictures, in levels of 255."""

    device: str
    pictures: int
    within_one: float
    largest: int

    @property
    def holds(self) -> bool:
        """Whether the file may be shipped."""
        return self.within_one >= WITHIN_ONE and self.largest <= LARGEST

    def require(self) -> None:
        """Raise `TrainingError` unless the file may be shipped."""
        if not self.holds:
            raise TrainingError(
                "The exported file does not paint as the network does.",
                f"{self.within_one:.3%} of values lie within 1 level, the largest difference is "
                f"{self.largest}; {WITHIN_ONE:.1%} and {LARGEST} are allowed.",
                "Report this with the versions that `rtstyle doctor` prints.",
            )


def measure_parity(
    net: nn.Module, model: Path, feeds: Iterable[Mapping[str, NDArray[Any]]], device: str = "cpu"
) -> Parity:
    """Paint with both and compare; `feeds` are what the file takes, by name.

    `net` is a one-style network on values in -1 to 1; it runs in float32.
    """
    reference = on_bytes(net).eval()
    with open_engine(model, device, precision="fp32") as engine, torch.no_grad():
        pairs = []
        for feed in feeds:
            # Copies: PyTorch wants memory that may be written.
            given = {name: np.array(value) for name, value in feed.items()}
            wanted = reference(**{k: torch.from_numpy(v) for k, v in given.items()}).numpy()
            pairs.append((engine.run(given.pop("image"), given or None), wanted))
        return compare(engine.device, pairs)


def compare(device: str, pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Parity:
    """Compare pictures that were painted by a file with those that the network painted."""
    close = values = pictures = largest = 0
    for found, wanted in pairs:
        difference = np.abs(found.astype(np.int16) - wanted.astype(np.int16))
        close += int((difference <= 1).sum())
        values += difference.size
        largest = max(largest, int(difference.max()))
        pictures += 1
    return Parity(device, pictures, close / values if values else 0.0, largest)
