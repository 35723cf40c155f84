"""`rtstyle train --frames`: a live style out of a few painted frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.training.options import (
    Group,
    PictureWeights,
    Running,
    Schedule,
)
from rtstyle.errors import UsageError

MINUTES = 5.0
"""How long a run takes where neither --minutes nor --steps is given."""
PREVIEW = "frame.png"
"""A frame of the clip, in the folder of the run."""


@dataclass(frozen=True)
class PaintedFrames(Group):
    """Where painted frames are, and how a network learns from them."""

    frames: Annotated[
        Path | None,
        typer.Option(
            help="Folder of painted frames of --clip, in place of a painting and photos: of "
            "`rtstyle keyframes`, or named by the number of the frame, from 1."
        ),
    ] = None
    clip: Annotated[
        Path | None, typer.Option(help="With --frames: the video that they are of.")
    ] = None
    patch: Annotated[
        int | None, typer.Option(help="With --frames: side of what the loss network sees, pixels.")
    ] = None
    plain: Annotated[
        float | None,
        typer.Option(help="With --frames: share of the run in which only pixels are compared."),
    ] = None
    unpaired: Annotated[
        float | None,
        typer.Option(help="With --frames: share of the steps on frames that nobody painted."),
    ] = None
    pixel_weight: Annotated[
        float | None, typer.Option(help="With --frames: weight of the difference of pixels.")
    ] = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is named, starts from, and how long it takes."""

    name: str | None
    size: str | None
    minutes: float | None
    init_from: Path | None
    out: Path | None


def train_frames(
    given: PaintedFrames,
    run: Run,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
    options: dict[str, Any],
) -> None:
    """Train on painted frames. `options` are further fields of the configuration.

    Raises `UsageError`, and what reading the frames raises.
    """
    if given.frames is None or given.clip is None:
        raise UsageError(
            "Painted frames need the clip that they are of, and a clip its painted frames.",
            "",
            "rtstyle train --frames painted/ --clip in.mp4",
        )
    with needing_torch("Training"):
        from rtstyle_export.train import start

    losses = {name: value for name, value in given.given().items() if name.endswith("_weight")}
    shares = {k: v for k, v in given.given().items() if k in ("patch", "plain", "unpaired")}
    losses |= options.pop("layers", {})
    losses |= {k: options.pop(k) for k in ("coherence_weight",) if k in options}
    minutes = run.minutes
    if minutes is None:
        minutes = 0.0 if schedule.steps else MINUTES
    name = run.name or given.clip.stem
    config = start.FramesConfig(
        styles=(name,),
        paintings=(str(given.frames),),
        clip=str(given.clip),
        size=run.size or "fast",
        minutes=minutes,
        loss=start.FramesLossSpec(**weights.given(), **losses),
        **schedule.given(),
        **shares,
        **options,
    )
    config.check()
    folder = run.out or Path("runs") / f"{name}-{config.size}"
    pairs = start.read_pairs(given.frames, given.clip, config.style_size)
    typer.echo(f"{len(pairs.painted)} painted frames of {given.clip.name}", err=True)
    first = run.init_from
    if first is None and not (folder / "checkpoint.pt").exists():
        style, first = start.nearest_to_frames(pairs, config, running.vgg_weights)
        typer.echo(f"It starts from {style}, the built-in style that is most like them.", err=True)
    make = partial(
        start.FramesTrainer, config, folder, vgg_weights=running.vgg_weights, pairs=pairs,
        init_from=first,
    )  # fmt: skip
    running.train(make, pairs.write_frame(folder / PREVIEW), ". Next: rtstyle export {}")
