"""Photos painted one after another on this machine, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from rtstyle.commands.common.photo_notes import tell_left_out, tell_photo
from rtstyle.commands.progress import Bar
from rtstyle.jobs.photos import PhotoRun, Skipped
from rtstyle.styles.recipe import Recipe


def run_photos(
    paths: Sequence[str], recipe: Recipe, *, device: str, precision: str, quality: int,
    overwrite: bool,
) -> int:  # fmt: skip
    """Paint photos and folders of photos into the last of `paths`, and return the exit code.

    Raises `UsageError` before it begins, and the error of a photo that is the only one.
    """
    *inputs, output = map(Path, paths)
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
            tell_photo(found)
    if failed:
        typer.echo(f"{failed} of {len(run.pairs)} photos were skipped.", err=True)
    return 2 if failed else 0
