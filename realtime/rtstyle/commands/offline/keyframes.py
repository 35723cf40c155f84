"""`rtstyle keyframes`: paint one picture of each shot of a video at full quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.offline.options import (
    Alpha,
    Iterations,
    Levels,
    Place,
    VggWeights,
    tell,
)
from rtstyle.commands.options import grouped
from rtstyle.commands.training.outcome import given
from rtstyle.errors import UsageError
from rtstyle.jobs.slow.still import (
    CLOSURES,
    THRESHOLD,
    Paintings,
    check_method,
    refuse_strangers,
)

if TYPE_CHECKING:
    from rtstyle.jobs.slow.keyframes import Painter


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("keyframes", help="Paint keyframes of a video at full quality.")(grouped(keyframes))


def keyframes(
    video: Annotated[Path, typer.Argument(help="The video.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Folder of the pictures.", show_default=False)],
    style: Annotated[
        str,
        typer.Option(help="A picture, or several: a.jpg:0.7,b.jpg:0.3.", show_default=False),
    ],
    method: Annotated[str, typer.Option(help="wct, or gatys (optimisation).")] = "wct",
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between keyframes; default: one a shot.", show_default=False),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Change from which on a frame is a cut, 0 to 255.")
    ] = THRESHOLD,
    size: Annotated[
        int, typer.Option("--long-side", help="Long side in pixels, at most the video's.", min=16)
    ] = 512,
    style_scale: Annotated[
        float, typer.Option(help="Long side of the paintings over the picture's: size of strokes.")
    ] = 1.0,
    carry: Annotated[
        float | None,
        typer.Option(
            help="Weight of the last keyframe where the next one starts from it, 0 to 1; "
            "default 0.5 for wct, 1 for gatys.",
            show_default=False,
        ),
    ] = None,
    levels: Levels = None,
    alpha: Alpha = None,
    iterations: Iterations = None,
    seed: Annotated[int | None, typer.Option(help="Of the noise of gatys, default 0.")] = None,
    vgg_weights: VggWeights = None,
    *,
    place: Place,
) -> None:
    """Paint keyframes, an index with their times, and a contact sheet.

    Within a shot each keyframe starts from the last one, moved by optical flow. The same command
    goes on after Ctrl-C.
    """
    check(method, carry, threshold)
    own = {"levels": levels, "alpha": alpha}
    optimising: dict[str, Any] = {
        "iterations": iterations, "seed": seed, "vgg_weights": vgg_weights,
    }  # fmt: skip
    refuse_strangers(method, **(own if method == "gatys" else optimising))
    from rtstyle.jobs.slow import keyframes as job

    options: dict[str, Any] = {
        "method": method, "style_scale": style_scale, "carry": carry,
        **(own if method == "wct" else {"iterations": iterations or CLOSURES, "seed": seed or 0}),
    }  # fmt: skip

    def make(paintings: Paintings, height: int, width: int) -> Painter:
        if method == "gatys":
            return gatys(paintings, style_scale, place, given(share=carry), **optimising)
        from rtstyle.jobs.slow.wct import keyframe_painter

        return keyframe_painter(
            paintings, (height, width), style_scale=style_scale, levels=levels, alpha=alpha,
            device=place.device, threads=place.threads, share=carry,
        )  # fmt: skip

    complete, done = job.paint_video(
        video, folder, style, job.Job(every, threshold, size, options), make,
        overwrite=place.overwrite, tell=tell,
        on_picture=lambda path, time: typer.echo(f"{path}  {time}"),
    )  # fmt: skip
    if not complete:
        typer.echo(f"Stopped after {done}. The same command continues.")
        raise typer.Exit(130)
    typer.echo(f"{folder}: {done}, {job.INDEX} and {job.SHEET}")


def check(method: str, carry: float | None, threshold: float) -> None:
    """Raise `UsageError` for options that are out of range."""
    check_method(method)
    if carry is not None and not 0 <= carry <= 1:
        raise UsageError(f"--carry {carry:g} is not 0 to 1.")
    if not 0 < threshold <= 255:
        raise UsageError(f"--threshold {threshold:g} is not above 0 and at most 255.")


def gatys(
    paintings: Paintings,
    scale: float,
    place: Place,
    share: dict[str, Any],
    *,
    iterations: int | None,
    seed: int | None,
    vgg_weights: Path | None,
) -> Painter:
    """Return the painter that optimises. Raises `MissingExtraError`, `TrainingError`."""
    with needing_torch():
        from rtstyle_export.offline import start
    method = start.Method(**given(closures=iterations))  # type: ignore[arg-type]
    spec = start.suited(start.GatysSpec(), vgg_weights, tell)
    plan = start.Plan(spec, method, seed=seed or 0)
    settings = start.Settings(vgg_weights, place.device, place.threads)
    return start.GatysPainter(paintings, scale, plan, settings, **share)
