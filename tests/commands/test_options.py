"""Options that belong together: one parameter of a command, several for Typer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rtstyle.commands.options import grouped
from rtstyle.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Where to work."""

    device: Annotated[str, typer.Option(help="Where it runs.")] = "auto"
    threads: Annotated[int | None, typer.Option(min=1)] = None

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu"):
            raise UsageError(f"There is no device {self.device}.")


seen: list[object] = []


def work(
    photo: Annotated[Path, typer.Argument()],
    strength: Annotated[float, typer.Option()] = 1.0,
    *,
    place: Place,
) -> None:
    """Do something with a photo."""
    seen.append((photo, strength, place))


def run(*words: str) -> str:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(grouped(work))
    seen.clear()
    return CliRunner().invoke(app, [*words], catch_exceptions=False).output


def test_the_command_takes_what_the_user_gave_as_one_object() -> None:
    run("a.jpg", "--strength", "0.5", "--device", "cpu", "--threads", "3")
    assert seen == [(Path("a.jpg"), 0.5, Place("cpu", 3))]
    run("a.jpg")
    assert seen == [(Path("a.jpg"), 1.0, Place())]


def test_help_shows_every_option() -> None:
    shown = run("--help")
    assert "Do something with a photo." in shown
    for option in ("--strength", "--device", "Where it runs.", "--threads", "x>=1"):
        assert option in shown


def test_what_is_wrong_is_refused_before_the_command_begins() -> None:
    with pytest.raises(UsageError, match="no device moon"):
        run("a.jpg", "--device", "moon")
    assert "Invalid value" in run("a.jpg", "--threads", "0")
    assert not seen
