"""`rtstyle keyframes`: paint one picture of each shot of a video at full quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.offline.options import (
    Device,
    Iterations,
    Overwrite,
    Seed,
    Threads,
    VggWeights,
    missing_torch,
    suited,
)
from rtstyle.errors import UsageError
from rtstyle.jobs.still import (
    Paintings,
    check_method,
    painting_files,
    read_paintings,
    refuse_strangers,
)

if TYPE_CHECKING:
    from rtstyle.jobs.keyframes import Painter


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("keyframes", help="Paint keyframes of a video at full quality.")(keyframes)


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
    ] = 27.0,
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
    levels: Annotated[
        str | None,
        typer.Option(help="Of wct, with strengths: 4:0.8,3,2,1. Default all.", show_default=False),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Strength of wct; default 0.6.", show_default=False)
    ] = None,
    iterations: Iterations = 300,
    seed: Seed = 0,
    vgg_weights: VggWeights = None,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
) -> None:
    """Paint keyframes, an index with their times, and a contact sheet.

    Within a shot each keyframe starts from the last one, moved by optical flow. The same command
    goes on after Ctrl-C.
    """
    check(method, carry, levels, alpha, iterations, threshold)
    from rtstyle.jobs import keyframes as job
    from rtstyle.sources.video_file import VideoFileSource

    paintings, files = read_paintings(style), painting_files(style)
    pictures = [{**job.identify(path), "weight": weight} for path, weight in files]
    options: dict[str, Any] = {
        "method": method, "style": pictures, "style_scale": style_scale, "carry": carry,
        **({"levels": levels, "alpha": alpha} if method == "wct" else {}),
        **({"iterations": iterations, "seed": seed} if method == "gatys" else {}),
    }  # fmt: skip
    what = job.Job(every, threshold, size, options)
    with VideoFileSource(video):
        pass  # say now what is wrong with the video
    job.prepare(folder, overwrite=overwrite, read=[video, *(path for path, _ in files)])
    index = job.Index(folder, job.identify(video), what)

    def make(height: int, width: int) -> Painter:
        if method == "gatys":
            return gatys(
                paintings, style_scale, iterations, seed, carry, vgg_weights, device, threads
            )
        from rtstyle.jobs.wct import SHARE, WctPainter, learn, open_stylizer

        stylizer = open_stylizer(levels, alpha, None, device, threads)
        blend = learn(stylizer, paintings, (height, width), style_scale)
        return WctPainter(stylizer, blend, SHARE if carry is None else carry)

    fresh: list[int] = []

    def show(number: int, path: Path) -> None:
        fresh.append(number)
        typer.echo(f"{path}  {job.clock(index.moments[number].time)}")

    try:
        for note in job.plan(
            index, lambda: VideoFileSource(video), what, lambda _: None, overwrite=overwrite
        ):
            typer.echo(f"  note: {note}", err=True)
        job.paint(index, lambda: VideoFileSource(video), make, what, show)
    except KeyboardInterrupt:
        typer.echo(f"Stopped after {job.summary(index, fresh)}. The same command continues.")
        raise typer.Exit(130) from None
    typer.echo(f"{folder}: {job.summary(index, fresh)}, {job.INDEX} and {job.SHEET}")


def check(
    method: str,
    carry: float | None,
    levels: str | None,
    alpha: float | None,
    iterations: int,
    threshold: float,
) -> None:
    """Raise `UsageError` for options that are out of range or mean nothing together."""
    check_method(method)
    if carry is not None and not 0 <= carry <= 1:
        raise UsageError(f"--carry {carry:g} is not 0 to 1.")
    if not 0 < threshold <= 255:
        raise UsageError(f"--threshold {threshold:g} is not above 0 and at most 255.")
    if method == "gatys":
        refuse_strangers(method, levels=levels, alpha=alpha)
    else:
        refuse_strangers(method, iterations=iterations != 300 or None)


def gatys(
    paintings: Paintings,
    scale: float,
    iterations: int,
    seed: int,
    carry: float | None,
    vgg_weights: Path | None,
    device: str,
    threads: int,
) -> Painter:
    """Return the painter that optimises. Raises `MissingExtraError`, `TrainingError`."""
    try:
        from rtstyle_export.offline.gatys import Method
        from rtstyle_export.offline.job import Settings
        from rtstyle_export.offline.keyframe import GatysPainter
        from rtstyle_export.offline.objective import GatysSpec
        from rtstyle_export.offline.pyramid import Plan
    except ImportError as error:
        raise missing_torch(error) from error
    plan = Plan(suited(GatysSpec(), vgg_weights), Method(closures=iterations), seed=seed)
    settings = Settings(vgg_weights, device, threads)
    return GatysPainter(paintings, scale, plan, settings, 1.0 if carry is None else carry)
