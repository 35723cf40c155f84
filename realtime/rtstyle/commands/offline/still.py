"""`rtstyle still`: paint one photo as well as possible, however long it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from rtstyle.commands.photo_notes import read_photo
from rtstyle.commands.training.outcome import given
from rtstyle.commands.training.train import parse_layers
from rtstyle.errors import UsageError
from rtstyle.jobs.still import (
    check_method,
    read_paintings,
    refuse_strangers,
    suit_colors,
    working_size,
)

if TYPE_CHECKING:
    from rtstyle.frame import Image
    from rtstyle.media.picture import Picture
    from rtstyle.painting.masks import Weights


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("still", help="Paint one photo at full quality, slowly.")(still)


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
    init: Annotated[str, typer.Option(help="Begin with photo, noise or style.")] = "photo",
    levels: Annotated[
        str | None,
        typer.Option(help="Of wct, with strengths: 4:0.8,3,2,1. Default all.", show_default=False),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Strength of wct; default 0.6.", show_default=False)
    ] = None,
    iterations: Iterations = 300,
    tolerance: Annotated[
        float, typer.Option(help="Stop once 10 evaluations gain less than this share.")
    ] = 0.0,
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
    """Paint one photo by optimisation (Gatys et al. 2016) or by WCT (Li et al. 2017).

    Ctrl-C keeps the best so far of an optimisation.
    """
    check_method(method)
    refuse_contradictions(tv, gamma, optimizer, learning_rate, style, mask)
    if method == "wct":
        refuse_strangers(
            method, content_weight=content_weight, style_weight=style_weight, tv=tv,
            content_layers=content_layers, style_layers=style_layers, tv_weight=tv_weight,
            pooling=pooling, optimizer=optimizer, preview=preview, vgg_weights=vgg_weights,
            init=init != "photo" or None, tolerance=tolerance or None, resume=resume or None,
            iterations=iterations != 300 or None, precision=precision != "auto" or None,
        )  # fmt: skip
        still_by_wct(
            photo, output, style, levels=levels, alpha=alpha, size=size, mask=mask,
            style_scale=style_scale, keep_color=keep_color, device=device, threads=threads,
            quality=quality, overwrite=overwrite,
        )  # fmt: skip
        return
    refuse_strangers(method, levels=levels, alpha=alpha)
    try:
        from rtstyle_export.offline.gatys import Method
        from rtstyle_export.offline.job import Settings, run, state_file
        from rtstyle_export.offline.objective import GatysSpec
        from rtstyle_export.offline.pyramid import Plan
        from rtstyle_export.offline.subject import Subject
    except ImportError as error:
        raise missing_torch(error) from error
    from rtstyle.media.color import with_chroma_of
    from rtstyle.media.picture import check_quality, write_picture
    from rtstyle.styles.spec import pictures_of

    check_quality(quality)
    state, read = state_file(output), pictures_of(style, mask)
    for target in (output, preview):
        if target is not None:
            check_target(photo, target, state, overwrite=overwrite, resume=resume, read=read)
    spec = GatysSpec(
        **given(
            content_layers=parse_layers(content_layers) if content_layers else None,
            style_layers=parse_layers(style_layers) if style_layers else None,
            content_weight=content_weight, style_weight=style_weight,
            tv_weight=tv_weight, tv=tv, gamma=gamma, pooling=pooling,
        )  # type: ignore[arg-type]
    )  # fmt: skip
    spec = suited(spec, vgg_weights, content_layers=content_layers, style_layers=style_layers)
    options = given(optimizer=optimizer, learning_rate=learning_rate)
    plan = Plan(spec, Method(closures=iterations, tolerance=tolerance, **options), init, seed)  # type: ignore[arg-type]
    picture = read_photo(photo)
    shape = working_size(picture.rgb, size)
    paintings = [read_paintings(text) for text in style]
    guides = read_guides(mask, len(style), shape)
    content, paintings = suit_colors(picture.rgb, paintings, keep_color)

    notes: tuple[str, ...] = ()

    def write(image: Image) -> None:
        nonlocal notes
        if keep_color == "luminance":
            image = with_chroma_of(scaled(picture, shape).rgb, image)
        notes = write_picture(replace(scaled(picture, shape), rgb=image), output, quality)

    outcome = run(
        Subject(content, paintings, guides, style_scale), shape, plan,
        Settings(vgg_weights, device, threads, preview, preview_every, precision), write, state,
        resume=resume,
    )  # fmt: skip
    tell(notes)
    conclude(outcome, output)


def still_by_wct(
    photo: Path,
    output: Path,
    style: list[str],
    *,
    levels: str | None,
    alpha: float | None,
    size: int,
    mask: Path | None,
    style_scale: float,
    keep_color: str | None,
    device: str,
    threads: int,
    quality: int,
    overwrite: bool,
) -> None:
    """Paint one photo by WCT, without PyTorch."""
    from rtstyle.jobs.image import check_output
    from rtstyle.jobs.wct import describe, learn, open_stylizer
    from rtstyle.media.color import resize, with_chroma_of
    from rtstyle.media.picture import check_quality, write_picture
    from rtstyle.styles.spec import pictures_of

    check_quality(quality)
    check_output(photo, output, overwrite=overwrite, read=pictures_of(style, mask))
    picture = read_photo(photo)
    shape = working_size(picture.rgb, size)
    guides = read_guides(mask, len(style), shape)
    paintings = [read_paintings(text) for text in style]
    content, paintings = suit_colors(picture.rgb, paintings, keep_color)
    small = scaled(picture, shape)
    with open_stylizer(levels, alpha, None, device, threads) as stylizer:
        blends = [learn(stylizer, mix, shape, style_scale) for mix in paintings]
        painted = stylizer(resize(content, *shape), blends, guides)
        used = describe(stylizer.alphas, stylizer.levels)
    if keep_color == "luminance":
        painted = with_chroma_of(small.rgb, painted)
    notes = write_picture(replace(small, rgb=painted), output, quality)
    typer.echo(f"{output}  {shape[1]}x{shape[0]}  levels {used}")
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


def read_guides(mask: Path | None, count: int, shape: tuple[int, int]) -> Weights | None:
    """Return (R, H, W), how much of each of `count` styles a pixel has; None without a mask."""
    if mask is None:
        return None
    from rtstyle.painting.masks import StillMask, read_mask

    return StillMask(read_mask(mask), count).weights(*shape)


def scaled(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Return a picture with its alpha at another size."""
    from rtstyle.media.color import resize

    alpha = None if picture.alpha is None else resize(picture.alpha, *shape)
    return replace(picture, rgb=resize(picture.rgb, *shape), alpha=alpha)
