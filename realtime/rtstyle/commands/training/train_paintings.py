"""`rtstyle train` on paintings: what is trained, from where, and what becomes of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rtstyle.commands.common.extras import needing_torch
from rtstyle.commands.options import read_layers
from rtstyle.commands.training.export import exporters
from rtstyle.commands.training.options import PictureWeights, Running, Schedule
from rtstyle.commands.training.outcome import given
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.styles.entries import name_for
from rtstyle.styles.manifest import DEFAULT_SIZE, find_model

if TYPE_CHECKING:
    from rtstyle_export.runs.config import CanvasConfig
    from rtstyle_export.runs.loop import Loop

MINUTES = 10.0
"""How long a run with a canvas takes where neither --minutes nor --steps is given."""
START_RATE = 1.5e-3
"""Learning rate of runs that start from a style: they have less far to go."""
NEAREST, FRESH = "nearest", "none"
"""What --init-from takes besides names and files."""
NEXT = ". Next: rtstyle export {}"
SEEING = ("fast", "balanced")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for, as it was given; None is a default."""

    pictures: list[Path]
    name: list[str] | None
    size: str | None
    part: list[str] | None
    content_layers: str | None
    style_layers: str | None
    canvas: bool | None
    minutes: float | None
    coherence_weight: float | None
    diversity_weight: float | None
    norm: str | None
    width: int | None
    stability_weight: float | None
    stills: float | None
    loss_network: str | None
    init_from: str | None
    out: Path | None
    add: bool

    @property
    def texture(self) -> bool:
        """Return True for texture networks."""
        return self.size == "texture"

    @property
    def sees_canvas(self) -> bool:
        """Return True where the network sees a canvas: by default wherever there is a choice."""
        if self.canvas is not None:
            return self.canvas
        return self.size in (None, *SEEING) and self.stability_weight is None

    def sources(self, picture_suffixes: Set[str]) -> tuple[list[Path], Path | None]:
        """Return the paintings and the photographs: a folder, a video, or None for pure texture.

        Raises `UsageError` where one is missing.
        """
        last = self.pictures[-1] if self.pictures else None
        is_painting = (
            last is not None and not last.is_dir() and last.suffix.lower() in picture_suffixes
        )
        if self.texture and is_painting:
            return self.pictures, None
        if len(self.pictures) < 2 or (is_painting and last is not None and last.exists()):
            raise UsageError(
                "Training needs a painting, and photographs to paint.",
                "Some hundred of any kind will do; so will a video.",
                "rtstyle train painting.jpg photos/, or rtstyle train painting.jpg clip.mp4",
            )
        return self.pictures[:-1], self.pictures[-1]

    def check(self) -> None:
        """Raise `UsageError` for options that do not go together."""
        if given(diversity=self.diversity_weight, norm=self.norm, width=self.width) and (
            not self.texture
        ):
            raise UsageError(
                "--diversity-weight, --norm and --width are for texture networks.",
                todo="Add --size texture.",
            )
        if self.sees_canvas and self.stability_weight is not None:
            raise UsageError(
                "--stability-weight is for networks without a canvas.",
                todo="Use --coherence-weight, or --no-canvas.",
            )


def parse_part(text: str) -> tuple[int, ...]:
    """Read `left,top,right,bottom`. Raises `UsageError`."""
    numbers = text.replace(" ", "").split(",")
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        raise UsageError(
            f"Cannot read the part {text!r} of a painting.",
            todo="Write left,top,right,bottom in pixels.",
        )
    return tuple(map(int, numbers))


def find_start(name: str, size: str) -> Path:
    """Return the file of `--init-from`. Raises `StyleError` for a name that is not built in."""
    path = Path(name)
    if path.suffix in (".pt", ".onnx") or path.is_file():
        return path
    return find_model(name, size)


def train_paintings(
    asked: Asked,
    weights: PictureWeights,
    schedule: Schedule,
    running: Running,
    options: dict[str, Any],
) -> None:
    """Train on paintings, and add what was learnt to the user's styles.

    `options` are further fields of the configuration. Raises `UsageError`, `TrainingError`.
    """
    with needing_torch("Training"):
        from rtstyle_export.train import start
    asked.check()
    paintings, photos = asked.sources(start.PICTURES)
    names = asked.name or [name_for(path.stem) for path in paintings]
    canvas = asked.sees_canvas
    seeing = given(
        minutes=asked.minutes, coherence_weight=asked.coherence_weight, stills=asked.stills,
        body=options.get("body"),
    )  # fmt: skip
    if seeing and not canvas:
        raise UsageError(
            "--minutes, --coherence-weight, --body and --stills need a canvas.",
            "They are for networks of the size fast or balanced that see what they have painted.",
            "Leave them out, or use --steps and --stability-weight.",
        )
    kind, loss, trainer = start.kind_of(canvas=canvas, texture=asked.texture)
    network = asked.loss_network or start.usual_network(running.vgg_weights)
    layers = {
        "content_layers": {}
        if photos is None
        else read_layers(asked.content_layers)
        if asked.content_layers
        else start.reachable(network, loss().content_layers, running.vgg_weights),
        "style_layers": read_layers(asked.style_layers)
        if asked.style_layers
        else start.reachable(network, loss().style_layers, running.vgg_weights),
    }
    more = given(coherence_weight=asked.coherence_weight, diversity_weight=asked.diversity_weight)
    started = asked.init_from not in (None, FRESH)
    if canvas:
        # An eighth of the size is trained from scratch: no style that ships has such a body.
        started = asked.init_from != FRESH and (
            asked.init_from is not None or options.get("body", "quarter") == "quarter"
        )
        options |= _canvas_options(asked, schedule, len(paintings), started=started)
    config = kind(
        styles=tuple(names),
        paintings=tuple(str(path) for path in paintings),
        parts=tuple(parse_part(text) for text in asked.part or ()),
        size=asked.size or "balanced",
        loss_network=network,
        loss=loss(**layers, **weights.given(), **more),
        **{
            **given(
                stability_weight=asked.stability_weight,
                norm=asked.norm,
                width=asked.width,
                photo=False if photos is None else None,
            ),
            **options,
            **schedule.given(),
        },
    )
    config.check()
    folder = asked.out or Path("runs") / f"{names[0]}-{config.size}"
    if photos is not None and not photos.is_dir() and photos.exists():
        photos = start.photos_of(photos, folder)
    first = None
    shown = photos or paintings[0]
    if started and not (folder / "checkpoint.pt").exists():
        first = _start_of(
            asked, config,
            lambda: start.nearest_to_paintings(config, shown, running.vgg_weights),
        )  # fmt: skip
    make = partial(
        trainer, config, shown, folder, init_from=first, vgg_weights=running.vgg_weights
    )  # fmt: skip
    if (asked.loss_network, running.vgg_weights, network) == (None, None, start.SHIPPED):
        typer.echo(f"note: {start.STYLE_NOTE}", err=True)
    if canvas and config.minutes and asked.minutes is None:
        typer.echo(f"It trains for {config.minutes:g} minutes; --minutes changes that.", err=True)
    added = asked.add and photos is not None
    running.train(make, shown, "." if added else NEXT, _add if added else None)


def _canvas_options(
    asked: Asked, schedule: Schedule, paintings: int, *, started: bool
) -> dict[str, Any]:
    """Return fields of the configuration of a run with a canvas, where the user gave none."""
    minutes = asked.minutes
    if minutes is None and not schedule.steps and started:
        minutes = MINUTES
    return given(
        minutes=minutes,
        # What can paint already need not learn it first.
        stills=0.0 if started and asked.stills is None else asked.stills,
        batch=None if paintings == 1 else paintings,
        learning_rate=START_RATE if started else None,
    )


def _start_of(asked: Asked, config: CanvasConfig, nearest: Callable[[], tuple[str, Path]]) -> Path:
    """Return the file that a run starts from; without --init-from the style that is nearest."""
    if asked.init_from not in (None, NEAREST):
        return find_start(str(asked.init_from), config.size)
    name, file = nearest()
    typer.echo(f"It starts from {name}, the built-in style that paints most like it.", err=True)
    return file


def _add(loop: Loop) -> None:
    """Export what a finished run has learnt, add it to the user's styles, and say how to use it."""
    by_kind = exporters()
    done = by_kind.export(loop.path, None, by_kind.Request(trust=None), lambda *_: None)
    size = "" if loop.config.size == DEFAULT_SIZE else f" --size {loop.config.size}"
    for file in done.files:
        try:
            name = by_kind.add(str(file))[0]
        except (RtstyleError, OSError) as error:
            # Of a name that ships, the file alone is used.
            typer.echo(f"{file} was written, but not added to your styles. {error}")
            typer.echo(f"Use it: rtstyle video in.mp4 out.mp4 --style {shlex.quote(str(file))}")
        else:
            typer.echo(f"{name} is one of your styles now ({file}).")
            typer.echo(f"Use it: rtstyle video in.mp4 out.mp4 --style {name}{size}")
