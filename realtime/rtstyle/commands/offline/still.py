"""`rtstyle still`: paint one photo as well as possible, however long it takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.offline.options import (
    SEED_HELP,
    Alpha,
    Levels,
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
from rtstyle.jobs.slow.still import check_method, refuse_strangers
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.styles.spec import parse_style, pictures_of


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("still", help="Paint one photo at full quality, slowly.")(grouped(still))


def still(
    photo: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The painting.", show_default=False)],
    style: Annotated[
        list[str],
        typer.Option(
            help="A picture, or several mixed: a.jpg:0.7,b.jpg:0.3. With --mask once per region.",
            show_default=False,
        ),
    ],
    method: Annotated[str, typer.Option(help="gatys (optimisation) or wct.")] = "gatys",
    size: Annotated[
        int, typer.Option("--long-side", help="Long side in pixels, at most the photo's.", min=16)
    ] = 512,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Picture of the regions; the first style has the darkest.", show_default=False
        ),
    ] = None,
    style_scale: Annotated[
        float, typer.Option(help="Long side of the paintings over the photo's: size of strokes.")
    ] = 1.0,
    keep_color: Annotated[
        str | None,
        typer.Option(help="luminance (paint only light and dark) or match (recolour the style)."),
    ] = None,
    content_weight: Annotated[float | None, typer.Option(help="Default 1.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Default 5.")] = None,
    content_layers: Annotated[
        str | None, typer.Option(help="Such as conv4_2 or relu2_2:0.5,relu4_2. Default conv4_2.")
    ] = None,
    style_layers: Annotated[
        str | None, typer.Option(help="Default conv1_1 to conv5_1, equally.")
    ] = None,
    tv_weight: Annotated[float | None, typer.Option(help="Of the total variation.")] = None,
    tv: Annotated[str | None, typer.Option(help="squared, absolute or power.")] = None,
    gamma: Annotated[float | None, typer.Option(help="The power of --tv power.")] = None,
    pooling: Annotated[str | None, typer.Option(help="average (default) or max.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="lbfgs (default) or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of adam.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Begin with photo (default), noise or style.")
    ] = None,
    levels: Levels = None,
    alpha: Alpha = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Stop once 10 evaluations gain less than this share.")
    ] = None,
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    quality: Quality = DEFAULT_QUALITY,
    *,
    work: Optimising,
    place: Place,
) -> None:
    """Paint one photo by optimisation (Gatys et al. 2016) or by WCT (Li et al. 2017).

    Ctrl-C keeps the best so far of an optimisation.
    """
    check_method(method)
    check_quality(quality)
    for text in style:
        parse_style(text)  # Now: what is wrong is else told once PyTorch and VGG-19 are loaded.
    refuse_contradictions(tv, gamma, optimizer, learning_rate, style, mask)
    objective = given(
        content_weight=content_weight, style_weight=style_weight, tv=tv, gamma=gamma,
        content_layers=read_layers(content_layers) if content_layers else None,
        style_layers=read_layers(style_layers) if style_layers else None,
        tv_weight=tv_weight, pooling=pooling,
    )  # fmt: skip
    read = pictures_of(style, mask)
    how: dict[str, Any] = {
        "size": size, "mask": mask, "keep_color": keep_color, "quality": quality,
        "style_scale": style_scale,
    }  # fmt: skip
    if method == "wct":
        strangers = given(optimizer=optimizer, init=init, tolerance=tolerance)
        refuse_strangers(method, **objective, **strangers, **work.given())
        check_target(photo, output, None, overwrite=place.overwrite, read=read)
        from rtstyle.jobs.slow import wct

        report, used = wct.write_still(
            photo, output, style, tell, levels=levels, alpha=alpha, device=place.device,
            threads=place.threads, **how,
        )  # fmt: skip
        typer.echo(f"{output}  {report.width}x{report.height}  levels {used}")
        tell_notes(report.notes)
        return
    refuse_strangers(method, levels=levels, alpha=alpha)
    with needing_torch():
        from rtstyle_export.offline import start

    work.check_targets(photo, output, start.state_file(output), place, read)
    spec = start.suited(
        start.GatysSpec(**objective),  # type: ignore[arg-type]
        work.vgg_weights, tell, content_layers=content_layers, style_layers=style_layers,
    )  # fmt: skip
    steps = work.method(optimizer=optimizer, learning_rate=learning_rate, tolerance=tolerance)
    plan = start.Plan(spec, start.Method(**steps), seed=seed, **given(init=init))  # type: ignore[arg-type]
    outcome, lost = start.write_still(
        photo, output, style, plan, start.Settings(**work.settings(place)), tell,
        resume=work.resume, **how,
    )  # fmt: skip
    tell_notes(lost)
    conclude(outcome, output)


def tell_notes(notes: Iterable[str]) -> None:
    """Print what was lost in writing."""
    for note in notes:
        tell(f"  note: {note}")


def refuse_contradictions(
    tv: str | None,
    gamma: float | None,
    optimizer: str | None,
    learning_rate: float | None,
    style: list[str],
    mask: Path | None,
) -> None:
    """Raise `UsageError` for options that mean nothing together."""
    if gamma is not None and tv != "power":
        raise UsageError("--gamma belongs to --tv power.", "", "Give both or neither.")
    if learning_rate is not None and optimizer != "adam":
        raise UsageError("--learning-rate belongs to --optimizer adam.", "L-BFGS finds its own.")
    if mask is None and len(style) > 1:
        raise UsageError(
            f"{len(style)} styles were given, but no --mask that says where each belongs.",
            "",
            "Mix them with --style a.jpg:0.7,b.jpg:0.3, or add --mask.",
        )
    if mask is not None and len(style) < 2:
        raise UsageError(
            "A mask needs a style for each of its regions.", "", "Repeat --style, darkest first."
        )
