"""Options that several commands share, their help, and how they are handed over in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from rtstyle.errors import UsageError
from rtstyle.styles.spec import is_random, own_seed

JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write the figures as JSON; - is standard output.", show_default=False
    ),
]


STYLE_HELP = (
    'A built-in style, any picture file, a blend ("a.jpg:0.7,b.jpg:0.3"), or an .onnx file.'
)


REGIONS_HELP = " With --mask give one for each region."


SIZE_HELP = "Network: fast, balanced or paper; for pictures fast or paper."


TRANSFORM_HELP = "Of pictures as styles: adain, or linear (a learned matrix)."


SCALE_HELP = "Size of the strokes of a picture as style, 0.25 to 4."


MASK_HELP = "Picture of flat colours: a region for each --style, dark to light."


MATCH_HELP = "Give the style picture the colours of the content first."


STROKE_HELP = "How wide strokes are, 0.25 to 4."


CLUSTER_HELP = "Paint on several machines: auto, or ray://HOST:10001 (Ray)."
COHERENCE_HELP = "Keep what is painted from frame to frame: on, off, or 0 to 1."


def read_coherence(text: str) -> float:
    """Return the value of `--coherence`, 0 to 1. Raises `UsageError`."""
    try:
        value = {"on": 1.0, "off": 0.0}.get(text) if text in ("on", "off") else float(text)
    except ValueError:
        value = None
    if value is None or not 0 <= value <= 1:
        raise UsageError(f"--coherence {text} is out of range.", "", "Use on, off, or 0 to 1.")
    return value


VARY_HELP = "Paint like a neighbour of the style: how far from it, 0 to 2 (0.5 is near)."


SEED_HELP = "Which neighbour, random style or walk: the same number draws the same one."


WALK_HELP = "Walk on from the style through others, one every so many seconds."


def sampled(styles: Sequence[str], vary: float, seed: int | None) -> tuple[str, ...]:
    """Return styles with `--vary` and `--seed`: as `a.jpg~0.5~7` and `random:7`.

    What `random` is this time is told, so that it can be painted again.
    """

    found = []
    for style in styles:
        if style == "random" and is_random(style):
            style = f"random:{own_seed() if seed is None else seed}"
            if seed is None:
                typer.echo(f"random is {style} this time", err=True)
        found.append(f"{style}~{vary:g}~{seed or 0}" if vary else style)
    return tuple(found)


PRECISION_HELP = (
    "auto (the quickest that style and machine allow), fp32, fp16 (GPUs), int8 or bf16."
)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` as Typer is to see it: with the fields of each dataclass as options.

    The command itself takes the dataclass, made of what the user gave. What its `__post_init__`
    raises is raised before the command begins. Every field needs a default.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[Any, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if not is_dataclass(kind):
            parameters.append(parameter.replace(annotation=kind))
            continue
        options = options_of(kind)
        groups[parameter.name] = kind, [option.name for option in options]
        parameters += options

    @wraps(command)
    def run(**values: Any) -> None:
        made = {
            name: kind(**{option: values.pop(option) for option in options})
            for name, (kind, options) in groups.items()
        }
        command(**values, **made)

    named = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in parameters]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in named}
    return run


def options_of(kind: Any) -> list[inspect.Parameter]:
    """Return the fields of a dataclass as parameters."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
