"""Draws the sheet of reconstructions, with progress and Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rtstyle.frame import Image
from rtstyle.jobs.sheet import compose
from rtstyle_export.offline.job import Settings, Watch, choose_device
from rtstyle_export.offline.network import Network, load_network
from rtstyle_export.offline.reconstruct import Cell, Layers, reconstruct
from rtstyle_export.runs.job import catch_interrupts


def draw(
    rows: Sequence[Sequence[Cell]], side: int, weights: Path | None, device: str, threads: int
) -> tuple[Image | None, bool]:
    """Make all pictures and lay them out, each row after the picture that it is made from.

    Returns the sheet (H, W, 3) uint8 with what was done before Ctrl-C, None if that is nothing,
    and whether all was done.
    """
    if threads:
        torch.set_num_threads(threads)
    chosen = choose_device(device)

    def network(layers: Layers) -> Network:
        return load_network(layers, weights, device=chosen)

    cells = [cell for row in rows for cell in row]
    watch = Watch(Settings())
    done: list[Image] = []
    with catch_interrupts() as flag, watch.bar:
        made = reconstruct(
            cells, (side, side), network, report=lambda _, progress: watch(progress),
            stop=lambda: flag.raised,
        )  # fmt: skip
        for index, image in enumerate(made, start=1):
            done.append(image)
            watch.title = f"picture {min(index + 1, len(cells))} of {len(cells)}"
    if not done:
        return None, False
    return lay_out(rows, done, side), len(done) == len(cells)


def lay_out(rows: Sequence[Sequence[Cell]], done: Sequence[Image], side: int) -> Image:
    """Return the sheet of the pictures that are done, in the order of `rows`."""
    blank = np.full((side, side, 3), 250, np.uint8)
    columns = 1 + max(map(len, rows))
    pictures, labels = [], []
    left = iter(done)
    for row in rows:
        pictures.append(source(row[0]))
        labels.append((row[0].note, "made from this"))
        for cell in row:
            pictures.append(next(left, blank))
            labels.append((cell.name, cell.note))
        missing = columns - 1 - len(row)
        pictures += [blank] * missing
        labels += [("", "")] * missing
    return compose(pictures, labels, columns)


def source(cell: Cell) -> Image:
    """Return the picture that a row is made from: the photo, or else the painting."""
    photo = cell.subject.photo
    return cell.subject.styles[0][0][0] if photo is None else photo
