"""Options that several commands share, their help, and how they are handed over in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

from rtstyle.errors import UsageError
from rtstyle.serve.defaults import HOST, PORT
from rtstyle.serve.web.addresses import token_for
from rtstyle.styles.manifest import DEFAULT_STYLE
from rtstyle.styles.recipe import Recipe
from rtstyle.styles.sizes import TRANSFORMS, with_transform
from rtstyle.styles.spec import check_variation, is_random, own_seed

STDOUT = Path("-")
"""What stands for standard output where a file may be named."""
JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write the figures as JSON; - is standard output.", show_default=False
    ),
]


STYLE_HELP = (
    'A built-in style, any picture file, a blend ("a.jpg:0.7,b.jpg:0.3"), or an .onnx file.'
)
SCALE_HELP = "Size of the strokes of a picture as style, 0.25 to 4."
MASK_HELP = "Picture of flat colours: a region for each --style, dark to light."
MATCH_HELP = "Give the style picture the colours of the content first."
VARY_HELP = "Paint like a neighbour of the style: how far from it, 0 to 2 (0.5 is near)."
SEED_HELP = "Which neighbour, random style or walk: the same number draws the same one."

# Options of several commands, which stand in each with a default of its own.
Styles: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help=STYLE_HELP + " With --mask give one for each region.", show_default=DEFAULT_STYLE
    ),
]
Size: TypeAlias = Annotated[
    str, typer.Option(help="Network: fast, balanced or paper; for pictures fast or paper.")
]
Transform: TypeAlias = Annotated[
    str, typer.Option(help="Of pictures as styles: adain, or linear (a learned matrix).")
]
StyleScale: TypeAlias = Annotated[float, typer.Option(help=SCALE_HELP)]
StyleWalk: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Walk on from the style through others, one every so many seconds.",
        show_default=False,
    ),
]
Vary: TypeAlias = Annotated[float, typer.Option(help=VARY_HELP)]
Seed: TypeAlias = Annotated[int | None, typer.Option(help=SEED_HELP, show_default=False)]
Mask: TypeAlias = Annotated[Path | None, typer.Option(help=MASK_HELP, show_default=False)]
StrokeSize: TypeAlias = Annotated[float, typer.Option(help="How wide strokes are, 0.25 to 4.")]
Coherence: TypeAlias = Annotated[
    str,
    typer.Option(help="Keep what is painted from frame to frame: on, off, or 0 to 1."),
]
Height: TypeAlias = Annotated[
    int | None, typer.Option(help="Scale to this many rows.", show_default=False)
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda, coreml, ...")]
Precision: TypeAlias = Annotated[
    str,
    typer.Option(
        help="auto (the quickest that style and machine allow), fp32, fp16 (GPUs), int8 or bf16."
    ),
]
Cluster: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Paint on several machines: auto, or ray://HOST:10001 (Ray).", show_default=False
    ),
]
PhotoQuality: TypeAlias = Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing outputs.")
]
OverwriteOne: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing output.")
]

# Of the commands that listen.
Host: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; other than loopback needs a token.")
]
Port: TypeAlias = Annotated[int, typer.Option(help="0: any free one.", min=0, max=65535)]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Ask for this token (default: a new one off loopback).", metavar="TEXT"),
]
Certificate: TypeAlias = Annotated[
    Path | None, typer.Option(help="Certificate in PEM.", show_default=False)
]
Key: TypeAlias = Annotated[Path | None, typer.Option(help="Its key in PEM.", show_default=False)]
OpenPage: TypeAlias = Annotated[
    bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
]


@dataclass(frozen=True)
class Listening:
    """Where a server listens, for the commands that serve a page."""

    host: Host = HOST
    port: Port = PORT
    token: Token = None
    certificate: Certificate = None
    key: Key = None
    open_page: OpenPage = True

    def settings(self) -> dict[str, Any]:
        """Return the fields of the server's options; off loopback there is a token."""
        token = token_for(self.host, self.token)
        found = {name: getattr(self, name) for name in ("host", "port", "certificate", "key")}
        return {**found, "token": token}


@dataclass(frozen=True)
class StyleOptions:
    """What `image`, `video` and `webcam` ask of a painting; each adds what only it can do."""

    style: Styles = None
    transform: Transform = TRANSFORMS[0]
    style_scale: StyleScale = Recipe.style_scale
    vary: Vary = 0.0
    seed: Seed = None
    mask: Mask = None
    match_color: Annotated[bool, typer.Option("--match-color", help=MATCH_HELP)] = False
    stroke_size: StrokeSize = Recipe.stroke_size
    strength: Annotated[float, typer.Option(help="0 (the photo) to 1 (the painting).")] = (
        Recipe.strength
    )
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the photo.")
    ] = False
    height: Height = None
    device: Device = "auto"

    def names(self) -> tuple[str, ...]:
        """Return the styles with `--vary` and `--seed`; see `sampled`."""
        return sampled(self.style or [DEFAULT_STYLE], self.vary, self.seed)

    def settings(self) -> dict[str, Any]:
        """Return the fields of a `Recipe` that are options of every command."""
        same = ("style_scale", "mask", "match_color", "stroke_size", "strength", "keep_color")
        found = {name: getattr(self, name) for name in (*same, "height")}
        return {**found, "seed": self.seed or 0}

    def recipe(self, size: str, **more: Any) -> Recipe:
        """Return the recipe for a network size, with `more` of its fields. Raises `UsageError`."""
        size = with_transform(size, self.transform)
        return Recipe(self.names(), size, **{**self.settings(), **more})


def read_resolution(text: str, most: int | None = None) -> tuple[int, int]:
    """Return width and height of `640x480`, each up to `most`. Raises `UsageError`."""
    width, times, height = text.lower().partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--resolution {text} is not a size.", "", "Write it like 640x480.")
    if most is not None and max(int(width), int(height)) > most:
        raise UsageError(f"--resolution {text} is out of range.", "", f"Use up to {most}.")
    return int(width), int(height)


def read_coherence(text: str) -> float:
    """Return the value of `--coherence`, 0 to 1. Raises `UsageError`."""
    try:
        value = {"on": 1.0, "off": 0.0}.get(text) if text in ("on", "off") else float(text)
    except ValueError:
        value = None
    if value is None or not 0 <= value <= 1:
        raise UsageError(f"--coherence {text} is out of range.", "", "Use on, off, or 0 to 1.")
    return value


def sampled(styles: Sequence[str], vary: float, seed: int | None) -> tuple[str, ...]:
    """Return styles with `--vary` and `--seed`: as `a.jpg~0.5~7` and `random:7`.

    What `random` is this time is told, so that it can be painted again. Raises `UsageError` for
    `vary` out of range.
    """

    # Not as 1e-05, which `a.jpg~0.5~7` has no room for.
    written, found = f"{vary:.6f}".rstrip("0").rstrip("."), []
    for style in styles:
        if style == "random" and is_random(style):
            style = f"random:{own_seed() if seed is None else seed}"
            if seed is None:
                typer.echo(f"random is {style} this time", err=True)
        found.append(f"{style}~{written}~{seed or 0}" if check_variation(vary) else style)
    return tuple(found)


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


def read_layers(text: str) -> dict[str, float]:
    """Read `relu1_2,relu3_3:2` as layers with weights, 1 where none is given."""
    layers = {}
    for item in text.split(","):
        name, _, weight = item.strip().partition(":")
        try:
            layers[name] = float(weight) if weight else 1.0
        except ValueError as error:
            raise UsageError(
                f"Cannot read the layer weight in {item!r}.", todo="Write relu1_2:0.5,relu3_3:1."
            ) from error
    return layers
