"""`rtstyle texture`: make a texture like that of a painting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.offline.options import (
    Device,
    Iterations,
    Overwrite,
    Precision,
    Preview,
    PreviewEvery,
    Quality,
    Resume,
    Seed,
    Threads,
    VggWeights,
    check_target,
    conclude,
    missing_torch,
    suited,
)
from rtstyle.commands.training.outcome import given
from rtstyle.commands.training.train import parse_layers
from rtstyle.errors import UsageError
from rtstyle.jobs.still import check_method, read_paintings, refuse_strangers


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("texture", help="Make a texture like that of a painting.")(texture)


def texture(
    painting: Annotated[
        str,
        typer.Argument(help="A picture, or several mixed: a.jpg:0.7,b.jpg:0.3."),
    ],
    output: Annotated[Path, typer.Argument(help="The texture.", show_default=False)],
    method: Annotated[str, typer.Option(help="gatys (optimisation) or wct.")] = "gatys",
    width: Annotated[int, typer.Option(help="Pixels.", min=16)] = 512,
    height: Annotated[int, typer.Option(help="Pixels.", min=16)] = 512,
    style_scale: Annotated[
        float, typer.Option(help="Long side of the painting over the texture's.")
    ] = 1.0,
    style_layers: Annotated[
        str | None, typer.Option(help="Default conv1_1 to conv5_1, equally.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Of wct, such as 4,3,2,1. Default all.", show_default=False)
    ] = None,
    tv_weight: Annotated[float, typer.Option(help="Of the total variation.")] = 0.1,
    pooling: Annotated[str | None, typer.Option(help="average (default) or max.")] = None,
    iterations: Iterations = 300,
    seed: Seed = 0,
    vgg_weights: VggWeights = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = 0,
    preview: Preview = None,
    preview_every: PreviewEvery = 25,
    quality: Quality = 95,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Make a texture from noise, by optimisation (Gatys et al. 2015) or by WCT."""
    check_method(method)
    if method == "wct":
        refuse_strangers(
            method, style_layers=style_layers, pooling=pooling, preview=preview,
            vgg_weights=vgg_weights, precision=precision != "auto" or None, resume=resume or None,
            iterations=iterations != 300 or None, tv_weight=tv_weight != 0.1 or None,
        )  # fmt: skip
        texture_by_wct(
            painting, output, levels=levels, shape=(height, width), style_scale=style_scale,
            seed=seed, device=device, threads=threads, quality=quality, overwrite=overwrite,
        )  # fmt: skip
        return
    refuse_strangers(method, levels=levels)
    try:
        from rtstyle_export.offline.gatys import Method
        from rtstyle_export.offline.job import Settings, run, state_file
        from rtstyle_export.offline.objective import GatysSpec
        from rtstyle_export.offline.pyramid import Plan
        from rtstyle_export.offline.subject import Subject
    except ImportError as error:
        raise missing_torch(error) from error
    from rtstyle.media.picture import Picture, check_quality, write_picture
    from rtstyle.styles.spec import pictures_of

    check_quality(quality)
    check_area(height, width)
    state, read = state_file(output), pictures_of([painting])
    for target in (output, preview):
        if target is not None:
            check_target(
                Path(painting), target, state, overwrite=overwrite, resume=resume, read=read
            )
    layers = given(
        style_layers=parse_layers(style_layers) if style_layers else None, pooling=pooling
    )
    spec = GatysSpec(content_layers={}, content_weight=0.0, tv_weight=tv_weight, **layers)  # type: ignore[arg-type]
    spec = suited(spec, vgg_weights, content_layers={}, style_layers=style_layers)
    outcome = run(
        Subject(None, [read_paintings(painting)], None, style_scale),
        (height, width),
        Plan(spec, Method(closures=iterations), "noise", seed),
        Settings(vgg_weights, device, threads, preview, preview_every, precision),
        lambda image: write_picture(Picture(image), output, quality),
        state,
        resume=resume,
    )
    conclude(outcome, output)


def check_area(height: int, width: int) -> None:
    """Raise `UsageError` for a picture that no program would open."""
    from rtstyle.media.limits import MAX_PIXELS

    if width * height > MAX_PIXELS:
        raise UsageError(f"{width}x{height} is too large for a picture.")


def texture_by_wct(
    painting: str,
    output: Path,
    *,
    levels: str | None,
    shape: tuple[int, int],
    style_scale: float,
    seed: int,
    device: str,
    threads: int,
    quality: int,
    overwrite: bool,
) -> None:
    """Make a texture by WCT, without PyTorch: noise goes through all levels some times."""
    from rtstyle.jobs.image import check_output
    from rtstyle.jobs.wct import learn, open_stylizer
    from rtstyle.media.picture import Picture, check_quality, write_picture
    from rtstyle.styles.spec import pictures_of

    check_quality(quality)
    check_area(*shape)
    check_output(Path(painting), output, overwrite=overwrite, read=pictures_of([painting]))
    paintings = read_paintings(painting)
    with open_stylizer(levels, 1.0, None, device, threads) as stylizer:
        blend = learn(stylizer, paintings, shape, style_scale)
        made = stylizer.texture(blend, *shape, seed)
    write_picture(Picture(made), output, quality)
    typer.echo(f"{output}  {shape[1]}x{shape[0]}")
