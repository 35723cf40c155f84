"""What the commands that paint one still share: paintings, colours, sizes, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from rtstyle.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from rtstyle.frame import Image
    from rtstyle_export.offline.pyramid import Outcome

METHODS = ("gatys", "wct")

KEEP_COLOR = ("luminance", "match")
"""Two ways to keep a photo's colours, Gatys et al. 2016b: sections 3.2 and 3.1."""

EXTRA = "pip install 'rtstyle[train]'"

Paintings: TypeAlias = "list[tuple[Image, float]]"
"""Paintings (H, W, 3) uint8 RGB with weights."""

# Options that several commands have.
VggWeights = Annotated[
    Path | None,
    typer.Option(help="Local safetensors file of VGG-19; default: torchvision's download."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Precision = Annotated[str, typer.Option(help="Of gatys: auto, fp32 or bf16.")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0: all.", min=0)]
Seed = Annotated[int, typer.Option(help="Of the noise.")]
Iterations = Annotated[
    int,
    typer.Option(
        help="Evaluations of the objective at the coarsest size; each finer one has half as many.",
        min=1,
    ),
]
Preview = Annotated[Path | None, typer.Option(help="File for the picture so far.")]
PreviewEvery = Annotated[int, typer.Option(help="Evaluations between previews.", min=1)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where Ctrl-C or a crash ended the same command.")
]
Quality = Annotated[int, typer.Option(help="1 to 100, for JPEG and WebP.")]


def check_method(method: str) -> None:
    """Raise `UsageError` for an unknown method."""
    if method not in METHODS:
        raise UsageError(f"There is no method {method!r}.", "", f"Use {' or '.join(METHODS)}.")


def refuse_strangers(method: str, **options: object) -> None:
    """Raise `UsageError` if one of the other method's options was given."""
    for name in (key for key, value in options.items() if value is not None):
        other = METHODS[1 - METHODS.index(method)]
        raise UsageError(
            f"--{name.replace('_', '-')} belongs to --method {other}.", "", "Leave it out."
        )


def missing_torch(error: ImportError) -> MissingExtraError:
    """Return the error for a command that needs PyTorch."""
    return MissingExtraError("This needs PyTorch.", str(error), EXTRA)


def read_paintings(text: str) -> Paintings:
    """Read `a.jpg` or `a.jpg:0.7,b.jpg:0.3`.

    Raises as `painting_files`, and `SourceError` for what is no picture.
    """
    from rtstyle.picture import read_picture

    return [(read_picture(path, whole=True).rgb, weight) for path, weight in painting_files(text)]


def painting_files(text: str) -> list[tuple[Path, float]]:
    """Return the files of `a.jpg` or `a.jpg:0.7,b.jpg:0.3` with their weights above 0.

    Raises `UsageError` for built-in styles and model files, `StyleError` for what is no file.
    """
    from rtstyle.mixture import Mixture, is_network, parse_style

    found = parse_style(text)
    parts = found.parts if isinstance(found, Mixture) else ((found, 1.0),)
    for name, _ in parts:
        if (is_network(name) and not Path(name).is_file()) or name.lower().endswith(".onnx"):
            raise UsageError(
                f"{name} is a trained network, not a picture.",
                "--style takes picture files here.",
                "Name a picture of the painting, or use `rtstyle image`.",
            )
    return [(Path(name), weight) for name, weight in parts if weight > 0]


def working_size(photo: Image, long_side: int) -> tuple[int, int]:
    """Return (height, width) with at most `long_side` pixels; photos are never enlarged."""
    height, width = photo.shape[:2]
    factor = min(1.0, long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def suit_colors(
    photo: Image, styles: Sequence[Paintings], keep_color: str | None
) -> tuple[Image, list[Paintings]]:
    """Prepare photo and paintings for a way to keep colours. Raises `UsageError` for others.

    `luminance` makes all grey, with the photo's brightness and contrast; `match` gives the
    paintings the photo's colours.
    """
    if keep_color is None:
        return photo, list(styles)
    if keep_color not in KEEP_COLOR:
        raise UsageError(
            f"Colours cannot be kept by {keep_color!r}.", "", f"Use {' or '.join(KEEP_COLOR)}."
        )
    from rtstyle.color import Colours, match_colors

    if keep_color == "luminance":
        photo, styles = grey(photo), [[(grey(p), w) for p, w in mix] for mix in styles]
    wanted = Colours.of(photo)
    return photo, [[(match_colors(p, wanted), w) for p, w in mix] for mix in styles]


def grey(image: Image) -> Image:
    """Return the luminance of (H, W, 3) uint8 RGB in three equal channels."""
    import cv2
    import numpy as np

    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), np.uint8)


def check_target(
    source: Path,
    output: Path,
    state: Path,
    *,
    overwrite: bool,
    resume: bool,
    read: Sequence[Path] = (),
) -> None:
    """Raise if `output` must not be written; a run that goes on may replace its own picture.

    `read` are the pictures that are read beside `source`.
    """
    from rtstyle.image import check_output

    # Not for the preview of the same run.
    if state.is_file() and not resume and state.name.startswith(output.stem):
        typer.echo(f"note: {state} is of a run that was cut short; --resume goes on.", err=True)
    mine = overwrite or (resume and state.is_file())
    check_output(source, output, overwrite=mine, read=read)


def conclude(outcome: Outcome | None, output: Path) -> None:
    """Tell how a run ended; exit with 130 if it was stopped."""
    if outcome is not None and outcome.pause is None:
        height, width = outcome.image.shape[:2]
        typer.echo(f"{output}  {width}x{height}  objective {outcome.values[-1]:.4f}")
        return
    then = " The same command with --resume goes on." if outcome is not None else ""
    typer.echo(f"Stopped. {output} is the best so far.{then}")
    raise typer.Exit(130)
