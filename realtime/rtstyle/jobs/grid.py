"""One photo between four styles (Huang and Belongie 2017, figure 8), or near one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.jobs.image import ImageReport, check_output
from rtstyle.jobs.sheet import shrink, write_sheet
from rtstyle.media.color import resize
from rtstyle.media.picture import read_picture
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles import latent, model, paintings
from rtstyle.styles.paintings import Statistics
from rtstyle.styles.recipe import Recipe, Settings, as_recipe
from rtstyle.styles.spec import Mixture, as_mixture, mixture, neighbour, pictures_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

GAP, CORNER = 6, 0.6
WHITE = 255
LEAST_CELL = 16


def write_square(
    source: Path,
    output: Path,
    styles: Sequence[str],
    *,
    samples: bool = False,
    variation: float = 0.5,
    overwrite: bool = False,
    **how: Any,
) -> ImageReport:
    """Paint a photo as `sample_sheet` does if `samples` of one style, else as `blend_grid`.

    Blends of `samples` go through the latent space. `how` are the other arguments of both. Raises
    as they do, `SourceError`, or `SinkError`.
    """
    check_output(source, output, overwrite=overwrite, read=pictures_of(styles))
    if samples and len(styles) not in (1, 4):
        raise UsageError(
            f"--samples takes one style or four, not {len(styles)}.",
            "Neighbours of one are painted, or a slice between four.",
            "Name one or four.",
        )
    photo = read_picture(source)
    if samples and len(styles) == 1:
        painted = sample_sheet(photo.rgb, styles[0], variation=variation, **how)
    else:
        painted = blend_grid(photo.rgb, styles, by_codes=samples, **how)
    return write_sheet(source, output, painted, photo.notes)


def blend_grid(
    photo: Image,
    styles: Sequence[str],
    *,
    steps: int = 5,
    by_codes: bool = False,
    size: str = "fast",
    device: str = "auto",
    width: int | None = None,
    **settings: Unpack[Settings],
) -> Image:
    """Return a square of `steps` x `steps` paintings of `photo`, (H, W, 3) uint8 RGB.

    It is at most `width` pixels wide, where that is given. The corners are the four `styles`, whose
    pictures stand beside them; between, the weights are bilinear: of their vectors, or `by_codes`
    of their codes, which is a plane slice through the latent space. `size` and `settings` are
    fields of `Recipe`; what concerns clips, masks and canvases is left out. Raises `UsageError`,
    `StyleError`, `DeviceError` or `EngineError`.
    """
    if len(styles) != 4:
        raise UsageError(f"A grid has four styles, not {len(styles)}.", "", "Name one a corner.")
    check_steps(steps)
    ends = [as_mixture(name) for name in styles]
    recipe = as_recipe(str(ends[0]), size, **settings)
    small = cell_of(photo, ends, steps, width)
    places = [float(place) for place in np.linspace(0, 1, steps)]
    square = [(down, across) for down in places for across in places]
    if by_codes:
        own = np.stack([model.blend(end, size, recipe.style_scale) for end in ends])
        vectors = [latent.mixed(own, corner_shares(*place), size) for place in square]
    else:
        vectors = [model.blend(between(ends, *place), size, recipe.style_scale) for place in square]
    rows = paint_square(small, recipe, vectors, steps, device)
    return compose(rows, [corner_picture(end, small.shape[0]) for end in ends])


def cell_of(photo: Image, ends: Sequence[Mixture], steps: int, width: int | None) -> Image:
    """Return `photo` as large as it stands in a square, so that the sheet is `width` pixels wide.

    Never larger than on other sheets. Raises `UsageError` for a width that leaves no picture.
    """
    small = shrink(photo)
    if width is None:
        return small
    corners = [corner_picture(end, small.shape[0]) for end in ends]
    side = max((corner.shape[1] for corner in corners if corner is not None), default=0)
    gaps = (steps + 1) * GAP + 2 * GAP * bool(side)
    factor = (width - gaps) / (steps * small.shape[1] + 2 * side)
    height, wide = (round(edge * min(1.0, factor)) for edge in small.shape[:2])
    if min(height, wide) < LEAST_CELL:
        raise UsageError(
            f"{width} pixels are too few for {steps} pictures in a row.",
            "",
            "Use a larger --width.",
        )
    return resize(small, height, wide)


def sample_sheet(
    photo: Image,
    style: str,
    *,
    variation: float = 0.5,
    steps: int = 5,
    size: str = "fast",
    device: str = "auto",
    width: int | None = None,
    **settings: Unpack[Settings],
) -> Image:
    """Return a square of `steps` x `steps` paintings of `photo`, all like neighbours of one style.

    The first is the style itself, whose picture stands beside it, the others are drawn with the
    recipe's `seed` and the seeds after it. See `blend_grid`.
    """
    check_steps(steps)
    own = as_mixture(style)
    recipe = as_recipe(str(own), size, **settings)
    vector = model.blend(own, size, recipe.style_scale)
    variation, seed = neighbour(style, variation, recipe.seed).variation, recipe.seed
    drawn = [latent.neighbour(vector, variation, seed + k, size) for k in range(steps * steps - 1)]
    vectors = [vector, *drawn]
    small = cell_of(photo, [own], steps, width)
    rows = paint_square(small, recipe, vectors, steps, device)
    return compose(rows, [corner_picture(own, small.shape[0]), None, None, None])


def paint_square(
    photo: Image, recipe: Recipe, vectors: Sequence[Statistics], steps: int, device: str
) -> list[list[Image]]:
    """Paint a photo with each of `steps` x `steps` style vectors (M,), row by row."""
    with Stylizer(recipe, device=device, precision="fp32") as stylizer:

        def paint(vector: Statistics) -> Image:
            given = model.at_vector(stylizer.network.model, vector)
            return stylizer(
                photo,
                run=lambda network, image, _: network.given(given).paint(image, recipe.strength),
            )

        painted = [paint(vector) for vector in vectors]
    return [painted[row : row + steps] for row in range(0, len(painted), steps)]


def check_steps(steps: int) -> None:
    """Raise `UsageError` for a number of pictures in a row that is out of range."""
    if not 2 <= steps <= 9:
        raise UsageError(f"{steps} steps are out of range.", "", "Use 2 to 9.")


def corner_shares(down: float, across: float) -> list[float]:
    """Return the bilinear shares of the four corners of the unit square at a place in it."""
    return [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across]


def between(ends: Sequence[Mixture], down: float, across: float) -> Mixture:
    """Return the bilinear blend of four styles at a place in the unit square."""
    parts = [
        (name, weight * share)
        for end, share in zip(ends, corner_shares(down, across), strict=True)
        for name, weight in end.parts
    ]
    return mixture(parts)


def corner_picture(style: Mixture, rows: int) -> Image | None:
    """Return the picture of a style, `CORNER` as high as the photos; None if it is not one file."""
    import cv2

    if len(style.parts) > 1 or not Path(style.parts[0][0]).is_file():
        return None
    image = paintings.read_painting(Path(style.parts[0][0]))
    height = max(2, round(CORNER * rows))
    width = min(3 * height, max(2, round(image.shape[1] * height / image.shape[0])))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def compose(rows: Sequence[Sequence[Image]], corners: Sequence[Image | None]) -> Image:
    """Lay the paintings out, with the four pictures to the left and the right of the corners."""
    height, width = rows[0][0].shape[:2]
    side = max((c.shape[1] + GAP for c in corners if c is not None), default=0)
    count = len(rows)
    sheet = np.full(
        (count * (height + GAP) + GAP, count * (width + GAP) + GAP + 2 * side, 3), WHITE, np.uint8
    )
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            y, x = GAP + i * (height + GAP), side + GAP + j * (width + GAP)
            sheet[y : y + height, x : x + width] = cell
    for k, corner in enumerate(corners):
        if corner is None:
            continue
        tall, wide = corner.shape[:2]
        y = GAP if k < 2 else sheet.shape[0] - GAP - tall
        x = side - wide if k % 2 == 0 else sheet.shape[1] - side
        sheet[y : y + tall, x : x + wide] = corner
    return sheet
