"""`rtstyle train-upsampler`: train the network that enlarges coarse paintings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import grouped
from rtstyle.commands.training.options import Running, Schedule
from rtstyle.commands.training.outcome import counting, given


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train-upsampler", help="Train the network that enlarges coarse paintings.")(
        grouped(train_upsampler)
    )


def train_upsampler(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of photographs.")],
    pairs: Annotated[int | None, typer.Option(help="Paintings to learn from.")] = None,
    plain_steps: Annotated[
        int | None, typer.Option(help="The first steps, which compare pixels only.")
    ] = None,
    pixel_weight: Annotated[
        float | None, typer.Option(help="Weight of the difference of pixels.")
    ] = None,
    even_weight: Annotated[
        float | None, typer.Option(help="Weight of what would show as a grid on even areas.")
    ] = None,
    content_weight: Annotated[float | None, typer.Option()] = None,
    style_weight: Annotated[float | None, typer.Option()] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="A checkpoint of another such run to start from.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; default runs/upsampler.")
    ] = None,
    *,
    schedule: Schedule,
    running: Running,
) -> None:
    """Train the upsampler for all styles. Run the same command again to resume."""
    with needing_torch("Training"):
        from rtstyle_export.train import start

    weights = given(
        pixel_weight=pixel_weight,
        even_weight=even_weight,
        content_weight=content_weight,
        style_weight=style_weight,
    )
    options = given(pairs=pairs, plain_steps=plain_steps)
    config = start.UpsamplerConfig(
        loss=start.UpsamplerLossSpec(**weights),  # type: ignore[arg-type]
        **schedule.given(),
        **options,  # type: ignore[arg-type]
    )
    make = partial(
        start.UpsamplerTrainer, config, photos, out or Path("runs") / "upsampler",
        init_from=init_from, vgg_weights=running.vgg_weights, tell=counting("paintings", 100),
    )  # fmt: skip
    running.train(make, photos, ": {}")
