"""`rtstyle image`: paint photos."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rtstyle.commands.options import (
    Cluster,
    Overwrite,
    PhotoQuality,
    Precision,
    Size,
    StyleOptions,
    grouped,
)
from rtstyle.errors import UsageError
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.styles.manifest import DEFAULT_SIZE


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("image", help="Paint photos, or folders of photos.")(grouped(image))


def image(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT", help="Photos or folders, then the output.", show_default=False
        ),
    ],
    size: Size = DEFAULT_SIZE,
    precision: Precision = "fp32",
    cluster: Cluster = None,
    quality: PhotoQuality = DEFAULT_QUALITY,
    overwrite: Overwrite = False,
    *,
    asked: StyleOptions,
) -> None:
    """Paint photos, or folders of photos.

    A single photo goes to the file OUT; several go into the folder OUT. The same command continues
    what was cut short.
    """
    if len(paths) < 2:
        raise UsageError("An input and an output are needed.", "", "rtstyle image IN... OUT")
    check_quality(quality)
    recipe = asked.recipe(size)
    how: dict[str, Any] = {
        "device": asked.device, "precision": precision, "quality": quality, "overwrite": overwrite,
    }  # fmt: skip
    if cluster is None:
        from rtstyle.commands.common.photo_runs import run_photos

        raise typer.Exit(run_photos(paths, recipe, **how))
    from rtstyle.commands.common import cluster_runs

    raise typer.Exit(cluster_runs.run_photos(cluster, paths, recipe, **how))
