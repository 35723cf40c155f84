"""The `rtstyle` command: gathers the commands of `rtstyle.commands` and prints errors."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Annotated, Any

import typer

import rtstyle
from rtstyle.commands.common.help import Chapters, Command
from rtstyle.commands.common.kind import command_for
from rtstyle.errors import RtstyleError, lacks_memory, reason, speak_to_command_line
from rtstyle.signals import ENDING, handled

# Modules of `rtstyle.commands`, each with `register(app)`, in the order of the help. They import
# codecs and inference libraries inside their functions, so that `rtstyle --help` is quick.
COMMAND_MODULES = (
    "video",
    "image",
    "grid",
    "offline.still",
    "offline.texture",
    "offline.reconstruct",
    "offline.keyframes",
    "webcam",
    "live.control",
    "cameras",
    "serve",
    "live.survey",
    "styles",
    "doctor",
    "bench",
    "training.train",
    "training.train_adain",
    "training.train_wct",
    "training.train_variational",
    "training.train_upsampler",
    "training.export",
    "training.augment",
)

DEBUG_VARIABLE = "RTSTYLE_DEBUG"
"""Environment variable that lets unforeseen errors through with their traceback."""


class App(typer.Typer):
    """An application whose commands have help in groups."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Add a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": Command, **options})


def completed(arguments: Sequence[str]) -> list[str]:
    """Return the command line with the command that `rtstyle IN OUT` means put in front.

    It is `video` or `image`, by what IN is. Anything else is left as it is.
    """
    if len(arguments) < 2 or arguments[0].startswith("-") or is_command(arguments[0]):
        return list(arguments)
    return [*command_for(arguments), *arguments]


def is_command(word: str) -> bool:
    """Return True for the name of a command."""
    name = word.replace("-", "_")
    return any(module.rpartition(".")[2] == name for module in COMMAND_MODULES)


def modules_for(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command modules that a command line needs: one if it begins with a command.

    Typer takes a tenth of a second to read the options of all.
    """
    name = arguments[0].replace("-", "_") if arguments else ""
    own = tuple(m for m in COMMAND_MODULES if m.rpartition(".")[2] == name)
    return own or COMMAND_MODULES


def build_app(modules: Sequence[str] = COMMAND_MODULES) -> typer.Typer:
    """Assemble the Typer application out of command modules."""
    app = App(
        name="rtstyle",
        cls=Chapters,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        # Plain help: with Rich it takes 0.5 s in place of 0.2 s.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help="Paint a webcam, a video or a photo in the style of a painting, live.")(root)
    for name in modules:
        module: Any = importlib.import_module(f"rtstyle.commands.{name}")
        module.register(app)
    return app


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda wanted: print_version() if wanted else None,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Handle the options that stand before any command; `--version` acts in its callback."""


def print_version() -> None:
    """Print the version and end the program."""
    typer.echo(f"rtstyle {rtstyle.__version__}")
    raise typer.Exit


def print_error(error: RtstyleError) -> None:
    """Print what happened, why and what to do on standard error, as one line."""
    typer.secho("error: ", err=True, fg="red", bold=True, nl=False)
    typer.echo(str(error), err=True)


def print_system_error(error: OSError) -> None:
    """Print what the system said of a file or a device that no part of rtstyle foresaw."""
    if error.filename is None and error.errno == errno.ENOSPC:
        # Of files that it writes, rtstyle knows the names.
        print_error(RtstyleError("What is printed cannot be written.", reason(error), "Make room."))
        return
    name = "A file or a device" if error.filename is None else os.fsdecode(error.filename)
    todo = "Check its name, and whether you may use it and its folder."
    print_error(RtstyleError(f"{name} cannot be used.", reason(error), todo))


def print_unforeseen(error: Exception) -> int:
    """Print an error that no part of rtstyle foresaw, and return the exit status."""
    if lacks_memory(error):
        todo = "Paint it smaller, or a part of it, or end other programs."
        print_error(RtstyleError("There is not enough memory for this.", str(error), todo))
        return RtstyleError.exit_code
    if isinstance(error, OSError):
        print_system_error(error)
        return RtstyleError.exit_code
    why = f"{type(error).__name__}: {error}"
    todo = f"Please report it with what {DEBUG_VARIABLE}=1 shows."
    print_error(RtstyleError("rtstyle failed in a way it did not foresee.", why, todo))
    return 1


def leave(number: int, _frame: FrameType | None) -> None:
    """Unwind on a signal, so that temporary files go; a second SIGTERM ends the program at once."""
    signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    # As a shell reports it: 143 for SIGTERM, 129 for SIGHUP.
    raise SystemExit(128 + number)


def unwinding() -> AbstractContextManager[None]:
    """Let signals that end the program unwind it; commands that catch them have their own way."""
    return handled(leave, [number for number in ENDING if number != signal.SIGINT])


def write_any_text() -> None:
    """Let both streams take every character; what a terminal does not have becomes `?`.

    Names of files hold emoji, and on Linux bytes that are not text at all.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "replace":
            stream.reconfigure(errors="replace")


def main() -> None:
    """Run the command line; the entry point of the `rtstyle` script."""
    write_any_text()
    speak_to_command_line()
    try:
        with unwinding():
            words = completed(sys.argv[1:])
            build_app(modules_for(words))(words, standalone_mode=True)
    except RtstyleError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.exit(print_unforeseen(error))
