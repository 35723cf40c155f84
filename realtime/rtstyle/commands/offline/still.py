"""`rtstyle still`: paint one photo as well as possible, however long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    suited,
)
from rtstyle.commands.options import grouped
from rtstyle.commands.training.outcome import given
from rtstyle.commands.training.train import parse_layers
from rtstyle.errors import UsageError
from rtstyle.jobs.slow.still import check_method, refuse_strangers
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.styles.spec import pictures_of

if TYPE_CHECKING:
    from rtstyle.frame import Image
    from rtstyle.jobs.slow.still_photo import StillPhoto


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
    refuse_contradictions(tv, gamma, optimizer, learning_rate, style, mask)
    objective = given(
        content_weight=content_weight, style_weight=style_weight, tv=tv, gamma=gamma,
        content_layers=parse_layers(content_layers) if content_layers else None,
        style_layers=parse_layers(style_layers) if style_layers else None,
        tv_weight=tv_weight, pooling=pooling,
    )  # fmt: skip
    picture = partial(
        read_still, photo, style, size=size, mask=mask, keep_color=keep_color, quality=quality
    )
    if method == "wct":
        strangers = given(optimizer=optimizer, init=init, tolerance=tolerance)
        refuse_strangers(method, **objective, **strangers, **work.given())
        still_by_wct(
            picture, output, pictures_of(style, mask), levels=levels, alpha=alpha,
            style_scale=style_scale, place=place, source=photo,
        )  # fmt: skip
        return
    refuse_strangers(method, levels=levels, alpha=alpha)
    with needing_torch():
        from rtstyle_export.offline import start

    state = start.state_file(output)
    work.check_targets(photo, output, state, place, pictures_of(style, mask))
    how = given(optimizer=optimizer, learning_rate=learning_rate, tolerance=tolerance)
    spec = suited(
        start.GatysSpec(**objective),  # type: ignore[arg-type]
        work.vgg_weights, content_layers=content_layers, style_layers=style_layers,
    )  # fmt: skip
    plan = start.Plan(
        spec,
        start.Method(**work.method(**how)),
        **given(init=init),  # type: ignore[arg-type]
        seed=seed,
    )
    one = picture()
    notes: tuple[str, ...] = ()

    def write(image: Image) -> None:
        nonlocal notes
        notes = one.write(image, output)

    outcome = start.run(
        start.Subject(one.content, one.paintings, one.guides, style_scale), one.shape, plan,
        start.Settings(**work.settings(place)), write, state, resume=work.resume,
    )  # fmt: skip
    tell(notes)
    conclude(outcome, output)


def read_still(photo: Path, style: list[str], **options: Any) -> StillPhoto:
    """Read a photo and its paintings, and print what was lost of it."""
    from rtstyle.jobs.slow.still_photo import StillPhoto

    found = StillPhoto(photo, style, **options)
    for note in found.notes:
        typer.echo(f"note: {photo}: {note}", err=True)
    return found


def still_by_wct(
    picture: Callable[[], StillPhoto],
    output: Path,
    read: list[Path],
    *,
    source: Path,
    levels: str | None,
    alpha: float | None,
    style_scale: float,
    place: Place,
) -> None:
    """Paint one photo by WCT, without PyTorch."""
    from rtstyle.jobs.slow import wct as job

    check_target(source, output, None, overwrite=place.overwrite, read=read)
    photo = picture()
    painted, used = job.paint_still(
        photo, style_scale=style_scale, levels=levels, alpha=alpha, device=place.device,
        threads=place.threads,
    )  # fmt: skip
    notes = photo.write(painted, output)
    height, width = photo.shape
    typer.echo(f"{output}  {width}x{height}  levels {used}")
    tell(notes)


def tell(notes: Iterable[str]) -> None:
    """Print what was lost in writing."""
    for note in notes:
        typer.echo(f"  note: {note}", err=True)


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
