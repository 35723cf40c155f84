"""The speed table of Johnson et al. 2016: optimisation against one pass through a network.

A few closures are timed and multiplied; a table says which figures are such extrapolations. The
weights of the loss network do not matter for its speed, so random ones serve.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rtstyle.bench import session
from rtstyle.bench.report import describe_machine
from rtstyle.errors import UsageError
from rtstyle.files.whole import STDOUT, check_place
from rtstyle.frame import Image
from rtstyle.painting.stylizer import Stylizer
from rtstyle_export.data import to_tensor
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.offline.gatys import Descent, Method, State
from rtstyle_export.offline.network import ARCHITECTURE, Network
from rtstyle_export.offline.objective import GatysLoss, GatysSpec, Region

CLOSURES = (100, 300, 500)
SIZES = ("paper", "fast")
SIDES = (256, 512, 1024)

PAPER = {256: (15.86, 0.015), 512: (54.85, 0.05), 1024: (214.44, 0.21)}
"""Seconds of 500 iterations and of the network by side, table 1 of the paper (a Titan X)."""


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds at one side: of a closure, the median of `measured`, and of each network by size."""

    side: int
    closure: float
    measured: int
    networks: dict[str, float]

    def speedup(self, network: str, closures: int) -> float:
        """How many times quicker a network is than so many closures."""
        return closures * self.closure / self.networks[network]

    def to_json(self) -> dict[str, Any]:
        """Return what was measured and what follows."""
        speedups = {
            name: {str(count): self.speedup(name, count) for count in CLOSURES}
            for name in self.networks
        }
        return {**asdict(self), "speedup": speedups}


def random_network(layers: Sequence[str], seed: int = 0) -> Network:
    """Return VGG-19 with random weights, down to the deepest of its usual layers."""
    generator = torch.Generator().manual_seed(seed)
    widths = (64, 64, 128, 128, *[256] * 4, *[512] * 8)
    indexes = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    state, before = {}, 3
    for index, width in zip(indexes, widths, strict=True):
        scale = (2 / (9 * before)) ** 0.5
        weight = scale * torch.randn(width, before, 3, 3, generator=generator)
        state[f"features.{index}.weight"] = weight
        state[f"features.{index}.bias"] = torch.zeros(width)
        before = width
    return Network(VGG(ARCHITECTURE, layers, state))


def time_closure(network: Network, side: int, count: int) -> float:
    """Return the median seconds of `count` closures of L-BFGS at side x side, after one more."""
    rng = np.random.default_rng(0)
    photo, painting = (to_tensor(rng.integers(0, 256, (side, side, 3), np.uint8)) for _ in range(2))
    loss = GatysLoss(network, GatysSpec(), photo, [Region([(painting, 1.0)])])
    spent: list[float] = []

    def timed(image: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        spent.append(time.perf_counter())
        return loss(image)

    # From the start of one closure to that of the next: with the work of L-BFGS between them.
    descent = Descent(timed, State.at(photo * 0.5), Method(closures=count + 2))
    while not descent.done:
        descent.step()
    return statistics.median(np.diff(spent).tolist()[1:])


def time_network(paint: Callable[[Image], Image], side: int, runs: int) -> float:
    """Return the median seconds in which `paint` paints side x side, after a first time."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    spent = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        paint(image)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[1:])


def measure(
    sides: Sequence[int],
    painters: dict[str, Callable[[Image], Image]],
    closures: int = 3,
    runs: int = 5,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Line]:
    """Time the optimisation and each painter at square pictures of `sides` pixels."""
    network = random_network(GatysSpec().layers)
    lines = []
    for side in sides:
        networks = {}
        for name, paint in painters.items():
            progress(f"{name} at {side} px")
            networks[name] = time_network(paint, side, runs)
        progress(f"{closures} closures at {side} px")
        closure = time_closure(network, side, closures)
        lines.append(Line(side, closure, closures, networks))
    return lines


def compare(
    style: str,
    sides: Sequence[int],
    *,
    closures: int,
    runs: int,
    device: str,
    json_file: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Time Gatys' optimisation and the networks of a style at `sides`, and show both tables.

    Raises `UsageError`, `SinkError`, `StyleError` or `EngineError`.
    """
    check_place(json_file)
    sides = sides or SIDES
    if min(sides) < 64:
        raise UsageError("A side below 64 pixels is too small.", "", "Use --side 256.")
    machine = describe_machine()
    with ExitStack() as stack:
        painters = {
            size: stack.enter_context(Stylizer(style, size, device=device)) for size in SIZES
        }
        lines = measure(sides, dict(painters), closures, runs, tell)
    console = Console(stderr=json_file == STDOUT, width=110)
    session.show(console, machine, style, [seconds_table(lines), speedup_table(lines)])
    content = {"johnson": [line.to_json() for line in lines], "machine": machine}
    session.write(json_file, json.dumps(content, indent=1) + "\n", tell)


def seconds_table(lines: list[Line]) -> Table:
    """Return the seconds of optimisation and networks."""
    table = Table(title=f"Seconds; ~ is {lines[0].measured} timed closures, multiplied")
    for head in ("side", "1 closure", *(f"Gatys {n}" for n in CLOSURES), *SIZES):
        table.add_column(head, justify="right")
    for line in lines:
        gatys = (f"~{n * line.closure:.1f}" for n in CLOSURES)
        networks = (f"{line.networks[size]:.4f}" for size in SIZES)
        table.add_row(f"{line.side}²", f"{line.closure:.3f}", *gatys, *networks)
    return table


def speedup_table(lines: list[Line]) -> Table:
    """Return how many times quicker the networks are, here and in the paper."""
    table = Table(title="How many times quicker than so many closures (extrapolated)")
    heads = [f"{size}, {n}" for size in SIZES for n in CLOSURES]
    for head in ("side", *heads, "Johnson et al., 500"):
        table.add_column(head, justify="right")
    for line in lines:
        found = (f"{line.speedup(size, n):.0f} x" for size in SIZES for n in CLOSURES)
        gatys, network = PAPER.get(line.side, (0.0, 1.0))
        table.add_row(f"{line.side}²", *found, f"{gatys / network:.0f} x" if gatys else "-")
    return table
