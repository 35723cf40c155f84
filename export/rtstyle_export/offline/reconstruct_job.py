"""Draws the sheet of reconstructions, with progress and Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.jobs.sheet import compose
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle_export.offline.gatys import Method
from rtstyle_export.offline.job import Settings, Watch, choose_device
from rtstyle_export.offline.network import Network, check_layers, load_network
from rtstyle_export.offline.objective import GatysSpec
from rtstyle_export.offline.reconstruct import Cell, Layers, reconstruct, rows
from rtstyle_export.runs.job import catch_interrupts


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a sheet shows, see `rows`: of a picture and perhaps a painting, which are files."""

    picture: Path
    painting: Path | None
    side: int
    content: Sequence[Layers]
    style: Sequence[Layers] | None
    base: GatysSpec
    method: Method
    seed: int = 0

    def rows(self) -> list[list[Cell]]:
        """Read the files, and return the rows. Raises `SourceError` or `UsageError`."""
        for layers in (*self.content, *(self.style or ())):
            check_layers(layers)
        painting = None if self.painting is None else read_picture(self.painting).rgb
        picture = read_picture(self.picture).rgb
        return rows(
            picture, painting, self.side, self.content, self.style, self.method, self.seed,
            self.base,
        )  # fmt: skip


def write_sheet(sheet: Sheet, output: Path, settings: Settings) -> tuple[int, bool]:
    """Draw a sheet into a file until Ctrl-C.

    Return how many pictures are on it (0: there is no file), and whether these are all. Raises
    `SourceError`, `SinkError` or `UsageError`.
    """
    planned = sheet.rows()
    if not planned:
        raise UsageError("There is nothing to draw.", "", "Name layers of --content or --style.")
    image, complete = draw(
        planned, sheet.side, settings.vgg_weights, settings.device, settings.threads
    )
    if image is not None:
        write_picture(Picture(image), output)
    return 0 if image is None else sum(map(len, planned)), complete


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
