"""`rtstyle image`: paint photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.options import (
    CLUSTER_HELP,
    MASK_HELP,
    MATCH_HELP,
    PRECISION_HELP,
    REGIONS_HELP,
    SCALE_HELP,
    SEED_HELP,
    SIZE_HELP,
    STROKE_HELP,
    STYLE_HELP,
    TRANSFORM_HELP,
    VARY_HELP,
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
    style: Annotated[
        list[str] | None, typer.Option(help=STYLE_HELP + REGIONS_HELP, show_default=DEFAULT_STYLE)
    ] = None,
    size: Annotated[str, typer.Option(help=SIZE_HELP)] = DEFAULT_SIZE,
    transform: Annotated[str, typer.Option(help=TRANSFORM_HELP)] = "adain",
    style_scale: Annotated[float, typer.Option(help=SCALE_HELP)] = 1.0,
    vary: Annotated[float, typer.Option(help=VARY_HELP)] = 0.0,
    seed: Annotated[int | None, typer.Option(help=SEED_HELP, show_default=False)] = None,
    mask: Annotated[Path | None, typer.Option(help=MASK_HELP, show_default=False)] = None,
    match_color: Annotated[bool, typer.Option("--match-color", help=MATCH_HELP)] = False,
    stroke_size: Annotated[float, typer.Option(help=STROKE_HELP)] = 1.0,
    strength: Annotated[float, typer.Option(help="0 (the photo) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the photo.")
    ] = False,
    height: Annotated[
        int | None, typer.Option(help="Scale to this many rows.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "fp32",
    cluster: Annotated[str | None, typer.Option(help=CLUSTER_HELP, show_default=False)] = None,
    quality: Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")] = DEFAULT_QUALITY,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing outputs.")
    ] = False,
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
