"""`rtstyle image`: paint photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.options import (
    MATCH_HELP,
    Cluster,
    Device,
    Height,
    Mask,
    Overwrite,
    PhotoQuality,
    Precision,
    Seed,
    Size,
    StrokeSize,
    Styles,
    StyleScale,
    Transform,
    Vary,
    sampled,
)
from rtstyle.commands.photo_notes import tell_left_out
from rtstyle.commands.progress import Bar
from rtstyle.errors import UsageError
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.styles.manifest import DEFAULT_SIZE, DEFAULT_STYLE
from rtstyle.styles.recipe import Recipe
from rtstyle.styles.sizes import with_transform

if TYPE_CHECKING:
    from rtstyle.jobs.image import ImageReport


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("image", help="Paint photos, or folders of photos.")(image)


def image(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT", help="Photos or folders, then the output.", show_default=False
        ),
    ],
    style: Styles = None,
    size: Size = DEFAULT_SIZE,
    transform: Transform = "adain",
    style_scale: StyleScale = 1.0,
    vary: Vary = 0.0,
    seed: Seed = None,
    mask: Mask = None,
    match_color: Annotated[bool, typer.Option("--match-color", help=MATCH_HELP)] = False,
    stroke_size: StrokeSize = 1.0,
    strength: Annotated[float, typer.Option(help="0 (the photo) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the photo.")
    ] = False,
    height: Height = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    cluster: Cluster = None,
    quality: PhotoQuality = DEFAULT_QUALITY,
    overwrite: Overwrite = False,
) -> None:
    """Paint photos, or folders of photos.

    A single photo goes to the file OUT; several go into the folder OUT. The same command continues
    what was cut short.
    """
    if len(paths) < 2:
        raise UsageError("An input and an output are needed.", "", "rtstyle image IN... OUT")
    check_quality(quality)
    recipe = Recipe(
        sampled(style or [DEFAULT_STYLE], vary, seed), with_transform(size, transform),
        strength, keep_color, height,
        style_scale, mask,
        match_color=match_color, stroke_size=stroke_size,
    )  # fmt: skip
    if cluster is not None:
        from rtstyle.commands.common.cluster_runs import run_photos

        code = run_photos(
            cluster, paths, recipe, device=device, precision=precision, quality=quality,
            overwrite=overwrite,
        )  # fmt: skip
        raise typer.Exit(code)
    *inputs, output = map(Path, paths)
    from rtstyle.jobs.photos import PhotoRun, Skipped

    run = PhotoRun(
        inputs, output, recipe, device=device, precision=precision, quality=quality,
        overwrite=overwrite,
    )  # fmt: skip
    tell_left_out(inputs, [*run.done, *(source for source, _ in run.pairs)])
    if run.done:
        typer.echo(f"continuing: {len(run.done)} photos were painted before", err=True)
    failed, photos = 0, iter(run)
    while True:
        with Bar():
            found = next(photos, None)
        if found is None:
            break
        if isinstance(found, Skipped):
            failed += 1
            typer.echo(f"skipped: {found.error}", err=True)
        else:
            tell(found)
    if failed:
        typer.echo(f"{failed} of {len(run.pairs)} photos were skipped.", err=True)
        raise typer.Exit(2)


def tell(report: ImageReport) -> None:
    """Print what became of a photo."""
    tiles = f", {report.tiles} tiles" if report.tiles > 1 else ""
    typer.echo(f"{report.output}  {report.width}x{report.height}{tiles}")
    for note in report.notes:
        typer.echo(f"  note: {note}", err=True)
