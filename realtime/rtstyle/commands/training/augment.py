"""`rtstyle augment`: a data set for training, painted in styles drawn at random."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.options import Cluster, Device, Overwrite, PhotoQuality, Precision
from rtstyle.commands.progress import Count
from rtstyle.media.limits import DEFAULT_QUALITY

if TYPE_CHECKING:
    from rtstyle.jobs.augment.plan import Plan
    from rtstyle.jobs.augment.run import AugmentRun, Painted


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("augment", help="Paint a data set in random styles, labels untouched.")(augment)


def augment(
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS", help="Folder of a data set; with --cluster in a store, too (s3://)."
        ),
    ],
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="Folder; OUT/1, OUT/2, ... are whole data sets.")
    ],
    per: Annotated[int, typer.Option(help="Paintings of each picture.")] = 1,
    strength: Annotated[
        str, typer.Option(help="0 (the picture) to 1 (the painting), or a range as 0.3..1.")
    ] = "1",
    seed: Annotated[int, typer.Option(help="The same number draws the same styles.")] = 0,
    p: Annotated[
        float, typer.Option("--p", help="Share of the pictures that is painted, 0 to 1.")
    ] = 1.0,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help='More labels to copy, as a pattern: "gt/*.png". Masks in usual folders are known.',
            show_default=False,
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Network: fast.")] = "fast",
    device: Device = "auto",
    cluster: Cluster = None,
    precision: Precision = "auto",
    quality: PhotoQuality = DEFAULT_QUALITY,
    overwrite: Overwrite = False,
) -> None:
    """Paint a data set in random styles, with folders, names and labels as they are.

    The same command continues what was cut short.
    """
    from rtstyle.cluster.data_set import run_of

    options = {"seed": seed, "p": p, "size": size, "precision": precision, "quality": quality}
    run = run_of(
        photos, out, strength, options, per=per, keep=keep or (), device=device,
        overwrite=overwrite,
    )  # fmt: skip
    tell_plan(run.plan)
    if conclude(run, run if cluster is None else painted_on(cluster, run)):
        raise typer.Exit(2)


def painted_on(address: str, run: AugmentRun) -> Iterator[Painted]:
    """Paint on a cluster. Raises `typer.Exit` after Ctrl-C, with what goes on from there."""
    from rtstyle.cluster.data_set import paint_on

    try:
        yield from paint_on(address, run)
    except KeyboardInterrupt as stopped:
        typer.echo("stopped: the same command paints what is missing", err=True)
        raise typer.Exit(130) from stopped


def tell_plan(plan: Plan) -> None:
    """Print what is not painted, and what gets another name."""
    if plan.left_out:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(plan.left_out.items()))
        typer.echo(f"note: left out, as neither picture nor label: {kinds}", err=True)
    if plan.renamed:
        typer.echo(
            f"note: {len(plan.renamed)} pictures are written as PNG ({plan.renamed[0]}, ...): "
            "labels that give their names do not find them",
            err=True,
        )


def conclude(run: AugmentRun, pictures: Iterable[Painted]) -> int:
    """Paint, with a bar, and print what was done; return how many pictures failed."""

    made = kept = failed = 0
    began = time.monotonic()
    with Count("painting", len(run.plan.pictures)) as count:
        for picture in pictures:
            made, kept = made + picture.made, kept + picture.kept
            for note in picture.notes:
                count.say(f"note: {picture.source}: {note}")
            if picture.error is not None:
                failed += 1
                count.say(f"skipped: {picture.error}")
            count.step()
    rate = made / max(time.monotonic() - began, 1e-9)
    before = f", {kept} were there before" if kept else ""
    labels = f", {len(run.plan.copied)} label files copied" if run.plan.copied else ""
    typer.echo(f"{run.output}  {made} pictures, {rate:.1f} a second{before}{labels}")
    if failed:
        typer.echo(f"{failed} of {len(run.plan.pictures)} pictures were skipped.", err=True)
    return failed
