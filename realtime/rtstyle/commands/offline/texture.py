"""`rtstyle texture`: make a texture like that of a painting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.offline.options import (
    SEED_HELP,
    Optimising,
    Place,
    Quality,
    check_target,
    conclude,
    tell,
)
from rtstyle.commands.options import grouped, read_layers
from rtstyle.commands.training.outcome import given
from rtstyle.errors import UsageError
from rtstyle.jobs.slow.still import (
    METHODS,
    NETWORK,
    check_method,
    refuse_strangers,
)
from rtstyle.media.limits import DEFAULT_QUALITY, MAX_PIXELS, check_quality
from rtstyle.styles.spec import pictures_of

TV_WEIGHT = 0.1


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("texture", help="Make a texture like that of a painting.")(grouped(texture))


def texture(
    painting: Annotated[
        str,
        typer.Argument(
            help="A picture, or several mixed: a.jpg:0.7,b.jpg:0.3. With --method network a "
            "built-in name, or the .onnx file of `rtstyle train --size texture`."
        ),
    ],
    output: Annotated[Path, typer.Argument(help="The texture.", show_default=False)],
    method: Annotated[
        str, typer.Option(help="gatys (optimisation), wct, or network (at once).")
    ] = "gatys",
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
    tv_weight: Annotated[
        float | None, typer.Option(help="Of the total variation, default 0.1.")
    ] = None,
    pooling: Annotated[str | None, typer.Option(help="average (default) or max.")] = None,
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    quality: Quality = DEFAULT_QUALITY,
    *,
    work: Optimising,
    place: Place,
) -> None:
    """Make a texture from noise, by optimisation (Gatys et al. 2015), WCT or a trained network."""
    check_method(method, (*METHODS, NETWORK))
    check_quality(quality)
    check_area(height, width)
    objective = given(
        style_layers=read_layers(style_layers) if style_layers else None,
        pooling=pooling,
        tv_weight=tv_weight,
    )
    if method == NETWORK:
        strange = None if style_scale == 1.0 else style_scale
        refuse_strangers(method, style_scale=strange, levels=levels, **objective, **work.given())
        check_target(Path(painting), output, None, overwrite=place.overwrite)
        from rtstyle.jobs.slow.texture_network import write_texture

        write_texture(
            painting, output, (height, width), seed=seed, device=place.device,
            threads=place.threads, quality=quality,
        )  # fmt: skip
        typer.echo(f"{output}  {width}x{height}")
        return
    read = pictures_of([painting])
    if method == "wct":
        refuse_strangers(method, **objective, **work.given())
        check_target(Path(painting), output, None, overwrite=place.overwrite, read=read)
        from rtstyle.jobs.slow import wct

        wct.write_texture(
            painting, output, (height, width), style_scale=style_scale, levels=levels, seed=seed,
            device=place.device, threads=place.threads, quality=quality,
        )  # fmt: skip
        typer.echo(f"{output}  {width}x{height}")
        return
    refuse_strangers(method, levels=levels)
    with needing_torch():
        from rtstyle_export.offline import start

    work.check_targets(Path(painting), output, start.state_file(output), place, read)
    flat = {"content_layers": {}, "content_weight": 0.0, "tv_weight": TV_WEIGHT}
    spec = start.suited(
        start.GatysSpec(**{**flat, **objective}),  # type: ignore[arg-type]
        work.vgg_weights, tell, content_layers={}, style_layers=style_layers,
    )  # fmt: skip
    outcome = start.write_texture(
        painting, output, (height, width),
        start.Plan(spec, start.Method(**work.method()), "noise", seed),
        start.Settings(**work.settings(place)),
        quality=quality, style_scale=style_scale, resume=work.resume,
    )  # fmt: skip
    conclude(outcome, output)


def check_area(height: int, width: int) -> None:
    """Raise `UsageError` for a picture that no program would open."""
    if width * height > MAX_PIXELS:
        raise UsageError(f"{width}x{height} is too large for a picture.")
