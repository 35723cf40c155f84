"""The image job: photos in, painted photos out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rtstyle.errors import SourceError, UsageError
from rtstyle.files.folders import left_out
from rtstyle.files.names import as_path
from rtstyle.files.pending import check_folder, make_folder
from rtstyle.jobs.outputs import refuse_loss
from rtstyle.media.color import resize
from rtstyle.media.limits import DEFAULT_QUALITY, WHOLE_PIXELS
from rtstyle.media.picture import (
    INPUT_SUFFIXES,
    OUTPUT_FORMATS,
    Picture,
    output_format,
    read_picture,
    write_picture,
)
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Asked, Recipe, Settings, as_recipe

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rtstyle.frame import Image
    from rtstyle.painting.masks import Weights
    from rtstyle.painting.network import Network


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What became of one photo: its files, its size in pixels, and what to tell the user."""

    source: Path
    output: Path
    width: int
    height: int
    tiles: int
    notes: tuple[str, ...]


def stylize_image(
    source: Path | str,
    output: Path | str,
    style: Recipe | Asked = DEFAULT_STYLE,
    size: str | None = None,
    *,
    device: str = "auto",
    precision: str = "fp32",
    quality: int = DEFAULT_QUALITY,
    overwrite: bool = False,
    **settings: Unpack[Settings],
) -> ImageReport:
    """Paint one photo file into another.

    `style` is a style or a whole `Recipe`; `size` and `settings` are fields of one. `device` and
    `precision` are those of `Stylizer`, `quality` is 1 to 100. Raises `UsageError`, `SourceError`,
    `SinkError`, `StyleError` or `EngineError`; an existing output file is never damaged.
    """
    source, output = as_path(source), as_path(output)
    recipe = as_recipe(style, size, **settings)
    check_output(source, output, overwrite=overwrite, read=recipe.pictures())
    with Stylizer(recipe, device=device, precision=precision) as stylizer:
        return paint_file(stylizer, source, output, quality=quality)


def paint_file(
    stylizer: Stylizer, source: Path, output: Path, *, quality: int = DEFAULT_QUALITY
) -> ImageReport:
    """Paint one photo with an open stylizer; see `stylize_image`."""
    output_format(output)
    picture = read_picture(source)
    painted, tiles = paint_picture(stylizer, picture)
    notes = (*painted.notes, *write_picture(painted, output, quality))
    if painted.alpha is not None and output_format(output) == "JPEG":
        notes = (*notes, "JPEG has no transparency: it was laid over white")
    height, width = painted.rgb.shape[:2]
    return ImageReport(source, output, width, height, tiles, notes)


def paint_picture(stylizer: Stylizer, picture: Picture) -> tuple[Picture, int]:
    """Return the painted picture and how many tiles it took (1: it was painted whole)."""
    tiles = 1

    def run(network: Network, image: Image, weights: Weights | None) -> Image:
        nonlocal tiles
        if image.shape[0] * image.shape[1] <= WHOLE_PIXELS:
            return stylizer.paint(image, weights)
        from rtstyle.painting.tiling import paint as paint_large

        painted, tiles = paint_large(network, image, stylizer.recipe, weights)
        return painted

    stylizer.match_next()
    painted = stylizer(picture.rgb, run=run)
    alpha = picture.alpha
    if alpha is not None:
        alpha = np.ascontiguousarray(resize(alpha, *painted.shape[:2]))
    return replace(picture, rgb=painted, alpha=alpha), tiles


def plan(
    inputs: Sequence[Path],
    output: Path,
    *,
    overwrite: bool,
    read: Sequence[Path] = (),
    done: Callable[[Path, Path], bool] = lambda *_: False,
) -> list[tuple[Path, Path]]:
    """Return the pairs (photo, output file) of a run over photos and folders.

    One photo goes to the file `output`, or into it where it is a folder; several go into the
    folder `output`, which is made. `read` are the other pictures of the run. Pairs that are `done`
    already are left out. Raises `SourceError`, `SinkError` or `UsageError` before anything is
    written.
    """
    sources = [photo for path in inputs for photo in photos_in(path)]
    single = len(inputs) == 1 and not inputs[0].is_dir()
    if single and not output.is_dir():
        pairs = [(sources[0], output)]
    else:
        if output.exists() and not output.is_dir():
            raise UsageError(f"{output} is not a folder.", "Several photos need one.")
        if output.suffix.lower() in OUTPUT_FORMATS and not output.is_dir():
            raise UsageError(f"{output} names one file.", "Several photos need a folder.")
        names = output_names(sources)
        pairs = [(source, output / name) for source, name in zip(sources, names, strict=True)]
        pairs = [pair for pair in pairs if not done(*pair)]
    parent = single or output.is_dir()
    for source, target in pairs:
        check_output(source, target, overwrite=overwrite, parent=parent, read=read)
    if not single:
        make_folder(output)
    return pairs


def photos_in(path: Path) -> Iterator[Path]:
    """Yield the photos of a folder, or the file itself. Raises `SourceError` for none."""
    if not path.is_dir():
        yield path
        return
    # Hidden are what macOS notes of a file (._photo.jpg), and an output that is not done yet.
    seen = (p for p in path.iterdir() if not p.name.startswith("."))
    found = sorted(p for p in seen if p.suffix.lower() in INPUT_SUFFIXES and p.is_file())
    if not found:
        raise SourceError(
            f"The folder {path} has no photos.", left_out(path, ()), "Name a folder with photos."
        )
    yield from found


def output_names(photos: Sequence[Path]) -> list[str]:
    """Return the names of painted photos: the same kind where it can be written, else .png.

    `a.gif` beside `a.png` becomes `a_gif.png`. Raises `UsageError` for equal names.
    """
    plain = [p.name if p.suffix.lower() in OUTPUT_FORMATS else f"{p.stem}.png" for p in photos]
    count = Counter(plain)
    chosen = [
        name if count[name] == 1 or name == p.name else f"{p.stem}_{p.suffix[1:]}.png"
        for p, name in zip(photos, plain, strict=True)
    ]
    twice = [name for name, times in Counter(chosen).items() if times > 1]
    if twice:
        raise UsageError(f"Two photos would become {twice[0]}.", "", "Paint them one by one.")
    return chosen


def check_output(
    source: Path, output: Path, *, overwrite: bool, parent: bool = True, read: Iterable[Path] = ()
) -> None:
    """Raise `UsageError` or `SinkError` if `output` must not or cannot be written.

    `read` are the pictures that are read beside `source`. Without `parent` the folder of the
    output is yet to be made.
    """

    output_format(output)
    if output.exists():
        if source.exists() and output.samefile(source):
            raise UsageError(f"{output} is the input itself.", "", "Name another output file.")
        refuse_loss(output, read)
        if output.is_dir():
            raise UsageError(f"{output} is a folder.", "", "Name an output file.")
        if not overwrite:
            raise UsageError(f"{output} exists already.", "", "Pass --overwrite to replace it.")
    if parent:
        check_folder(output.parent)
