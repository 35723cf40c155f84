"""Contact sheets: one photo in every style, labelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rtstyle.errors import StyleError
from rtstyle.frame import Image
from rtstyle.jobs.image import ImageReport, check_output
from rtstyle.media.color import resize
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles import manifest

CELL_PIXELS = 480 * 320
"""Area of one picture on the sheet."""

GAP = 16
LABEL_HEIGHT = 44
_PAPER, _INK, _FAINT = (250, 249, 246), (28, 28, 28), (110, 110, 110)


def paint_sheet(
    source: Path,
    output: Path,
    *,
    size: str,
    device: str,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ImageReport:
    """Paint a photo in every style, as `contact_sheet` does, into a file.

    Raises as it does, `SourceError`, `SinkError` or `UsageError`.
    """
    check_output(source, output, overwrite=overwrite)
    photo = read_picture(source)
    sheet = contact_sheet(photo.rgb, size=size, device=device, progress=progress)
    return write_sheet(source, output, sheet, photo.notes)


def write_sheet(source: Path, output: Path, sheet: Image, notes: Sequence[str]) -> ImageReport:
    """Write a sheet; return what became of the photo `source`. Raises `SinkError`."""
    lost = write_picture(Picture(sheet), output)
    height, width = sheet.shape[:2]
    return ImageReport(source, output, width, height, 1, (*notes, *lost))


def contact_sheet(
    photo: Image,
    *,
    size: str = manifest.DEFAULT_SIZE,
    device: str = "auto",
    names: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Image:
    """Return a sheet of `photo`, (H, W, 3) uint8 RGB, first as it is and then in every style.

    `names` chooses styles (default: all that have `size`); `progress` is called with each name.
    Raises `StyleError` if there is none.
    """
    known = manifest.load_manifest().styles
    chosen = [manifest.find_style(n) for n in names] if names else list(known.values())
    chosen = [style for style in chosen if size in style.files or manifest.PICTURE in style.files]
    if not chosen:
        raise StyleError(f"No style has the size {size!r}.", "", "`rtstyle styles` lists them.")
    small = shrink(photo)
    cells, labels = [small], [("photo", "")]
    for style in chosen:
        if progress:
            progress(style.name)
        with Stylizer(style.name, size, device=device, precision="fp32") as stylize:
            cells.append(stylize(small))
        labels.append((style.name, f"{style.artist}, {style.title}, {style.year}".strip(", ")))
    return compose(cells, labels)


def shrink(photo: Image, area: float = CELL_PIXELS) -> Image:
    """Return `photo` at an area of at most `area` pixels, even in width."""
    height, width = photo.shape[:2]
    factor = min(1.0, math.sqrt(area / (height * width)))
    # A strip of extreme aspect still gets a width to put a label under.
    return resize(photo, max(1, round(height * factor)), max(2, 2 * round(width * factor / 2)))


def compose(
    cells: Sequence[Image], labels: Sequence[tuple[str, str]], columns: int | None = None
) -> Image:
    """Lay pictures of one size out on a sheet, each over its name and credit.

    The sheet is about 3:2, unless the number of `columns` is given.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    height, width = cells[0].shape[:2]
    box_width, box_height = max(width, 160) + GAP, height + LABEL_HEIGHT + GAP
    columns = columns or best_columns(len(cells), box_width, box_height)
    rows = math.ceil(len(cells) / columns)
    sheet = Pil.new("RGB", (columns * box_width + GAP, rows * box_height + GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(size=17), ImageFont.load_default(size=12)
    for i, (cell, (name, credit)) in enumerate(zip(cells, labels, strict=True)):
        x, y = GAP + i % columns * box_width, GAP + i // columns * box_height
        sheet.paste(Pil.fromarray(cell), (x, y))
        room = box_width - GAP
        draw.text((x, y + height + 3), fit(name, large, room), _INK, large)
        draw.text((x, y + height + 24), fit(credit, small, room), _FAINT, small)
    return np.array(sheet)


def best_columns(count: int, width: int, height: int) -> int:
    """Return the columns that bring `count` boxes nearest to a 3:2 sheet with few empty places."""

    def cost(columns: int) -> float:
        rows = math.ceil(count / columns)
        aspect = abs(math.log(columns * width / (rows * height) / 1.5))
        return aspect + 0.1 * (columns * rows - count)

    return min(range(1, count + 1), key=cost)


def fit(text: str, font: object, room: int) -> str:
    """Return `text`, cut with an ellipsis to at most `room` pixels in `font`."""
    measure = font.getlength  # type: ignore[attr-defined]
    if measure(text) <= room:
        return text
    while text and measure(text + "...") > room:
        text = text[:-1]
    return text.rstrip() + "..."
