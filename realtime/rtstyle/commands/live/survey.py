"""`rtstyle survey`: a page that asks which painting is preferred, and which one is real."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.common.extras import require_extra
from rtstyle.commands.options import JsonFile, Listening, grouped
from rtstyle.errors import UsageError

if TYPE_CHECKING:
    from rtstyle.serve.survey.web import Surveying


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("survey", help="Ask people which painting they prefer.")(grouped(survey))


def survey(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER_A FOLDER_B...",
            help="Paintings by each method, named alike in all.",
            show_default=False,
        ),
    ] = None,
    paintings: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real paintings, to ask which of four is real.", show_default=False
        ),
    ] = None,
    votes: Annotated[Path, typer.Option(help="The file of votes, SQLite.")] = Path("survey.sqlite"),
    report: Annotated[
        bool, typer.Option("--report", help="Print the result of the votes, and end.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --report: draw it, as PNG.", show_default=False)
    ] = None,
    json_file: JsonFile = None,
    questions: Annotated[
        int, typer.Option(help="Questions of each kind for a visitor.", min=1)
    ] = 30,
    seed: Annotated[int, typer.Option(help="Decides the order and the sides.", min=0)] = 0,
    https: Annotated[
        bool, typer.Option("--https", help="Sign a certificate; browsers warn of it once.")
    ] = False,
    *,
    listening: Listening,
) -> None:
    """Serve a page that asks which painting is preferred, and which one is real.

    The same command goes on with the votes that there are. Ctrl-C ends it.
    """
    if report:
        if folders or paintings:
            raise UsageError("A report needs no folders.", "", "Name the file by --votes.")
        from rtstyle.serve.survey.report import show

        show(votes, json_file, plot, typer.echo, partial(typer.echo, err=True))
        return
    if plot or json_file:
        raise UsageError("--plot and --json go with --report.")
    require_extra("serve", "rtstyle survey", "starlette", "uvicorn", "websockets")
    from rtstyle.serve.survey import design, web

    options = web.SurveyOptions(https=https, **listening.settings())
    shown = design.read_design(folders or (), paintings, seed=seed, questions=questions)

    def started(running: Surveying) -> None:
        typer.echo(f"the survey is at {running.url}")
        typer.echo(f"{shown.total} questions a visitor; votes go to {votes}", err=True)
        typer.echo("Ctrl-C ends it.", err=True)

    web.survey(shown, votes, options, started, open_page=listening.open_page)
    typer.echo(f"stopped; rtstyle survey --report --votes {votes} shows the result", err=True)
