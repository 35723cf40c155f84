"""The `rtstyle` command: gathers the commands of `rtstyle.commands` and prints errors."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer

from rtstyle.errors import RtstyleError

# Name of a command -> (module, function, help). Modules are imported only when they are needed,
# so that `rtstyle --help` does not pay for codecs and inference libraries.
COMMAND_MODULES = (
    "video",
    "image",
    "webcam",
    "styles",
    "doctor",
    "bench",
    "train",
    "export",
)


def build_app() -> typer.Typer:
    """Assemble the Typer application out of the command modules."""
    app = typer.Typer(
        name="rtstyle",
        help="Paint a webcam, a video or a photo in the style of a painting, live.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMAND_MODULES:
        module: Any = importlib.import_module(f"rtstyle.commands.{name}")
        module.register(app)
    return app


def print_error(error: RtstyleError) -> None:
    """Print what happened, why and what to do, on standard error."""
    from rich.console import Console
    from rich.text import Text

    text = Text()
    text.append("error: ", style="bold red")
    text.append(error.what)
    if error.why:
        text.append(f"\n  why: {error.why}")
    if error.todo:
        text.append(f"\n  try: {error.todo}")
    Console(stderr=True, soft_wrap=True).print(text)


def main() -> None:
    """Run the command line; the entry point of the `rtstyle` script."""
    try:
        build_app()(standalone_mode=True)
    except RtstyleError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
