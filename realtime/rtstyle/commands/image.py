"""`rtstyle image`: paint photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.options import (
    MASK_HELP,
    MATCH_HELP,
    PRECISION_HELP,
    REGIONS_HELP,
    SCALE_HELP,
    SEED_HELP,
    SIZE_HELP,
    STYLE_HELP,
    VARY_HELP,
    sampled,
)
from rtstyle.commands.photo_notes import tell_left_out
from rtstyle.errors import RtstyleError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("image", help="Paint photos, or folders of photos.")(image)


def image(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN... OUT", help="Photos or folders, then the output.", show_default=False
        ),
    ],
    style: Annotated[
        list[str] | None, typer.Option(help=STYLE_HELP + REGIONS_HELP, show_default="mosaic")
    ] = None,
    size: Annotated[str, typer.Option(help=SIZE_HELP)] = "balanced",
    style_scale: Annotated[float, typer.Option(help=SCALE_HELP)] = 1.0,
    vary: Annotated[float, typer.Option(help=VARY_HELP)] = 0.0,
    seed: Annotated[int | None, typer.Option(help=SEED_HELP, show_default=False)] = None,
    mask: Annotated[Path | None, typer.Option(help=MASK_HELP, show_default=False)] = None,
    match_color: Annotated[bool, typer.Option("--match-color", help=MATCH_HELP)] = False,
    strength: Annotated[float, typer.Option(help="0 (the photo) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the photo.")
    ] = False,
    height: Annotated[
        int | None, typer.Option(help="Scale to this many rows.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "fp32",
    quality: Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")] = 95,
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
    *inputs, output = paths
    from rtstyle.commands.progress import Bar
    from rtstyle.jobs.image import paint_file, plan
    from rtstyle.jobs.journal import Journal
    from rtstyle.media.picture import check_quality
    from rtstyle.painting.stylizer import Stylizer
    from rtstyle.styles.manifest import DEFAULT_STYLE
    from rtstyle.styles.recipe import Recipe

    check_quality(quality)
    recipe = Recipe(
        sampled(style or [DEFAULT_STYLE], vary, seed), size, strength, keep_color, height,
        style_scale, mask,
        match_color=match_color,
    )  # fmt: skip
    read, options = recipe.pictures(), (repr(recipe), device, precision, quality)
    several = len(inputs) > 1 or inputs[0].is_dir()
    # With --overwrite an old painting looks like a new one.
    journal = Journal(output, {"options": options}, read) if several and not overwrite else None
    before: list[Path] = []

    def skip(source: Path, target: Path) -> bool:
        if journal is None or not journal.is_done(source, target):
            return False
        before.append(source)
        return True

    pairs = plan(inputs, output, overwrite=overwrite, read=read, done=skip)
    tell_left_out(inputs, [*before, *(source for source, _ in pairs)])
    if before:
        typer.echo(f"continuing: {len(before)} photos were painted before", err=True)
    if journal:
        journal.begin(pairs)
    failed = 0
    with Stylizer(recipe, device=device, precision=precision) as stylizer:
        for source, target in pairs:
            try:
                with Bar():
                    report = paint_file(stylizer, source, target, quality=quality)
            except (RtstyleError, OSError) as error:
                if len(pairs) == 1:
                    raise
                # One bad photo must not cost the user the others.
                failed += 1
                typer.echo(f"skipped: {error}", err=True)
                continue
            tiles = f", {report.tiles} tiles" if report.tiles > 1 else ""
            typer.echo(f"{report.output}  {report.width}x{report.height}{tiles}")
            for note in report.notes:
                typer.echo(f"  note: {note}", err=True)
    if journal:
        journal.end()
    if failed:
        typer.echo(f"{failed} of {len(pairs)} photos were skipped.", err=True)
        raise typer.Exit(2)
