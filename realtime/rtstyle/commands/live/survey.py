"""`rtstyle survey`: a page that asks which painting is preferred, and which one is real."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.commands.live.extras import require_extra
from rtstyle.commands.options import (
    Certificate,
    Host,
    JsonFile,
    Key,
    OpenPage,
    Port,
    Token,
)
from rtstyle.errors import UsageError
from rtstyle.serve.defaults import HOST, PORT

if TYPE_CHECKING:
    from rtstyle.serve.survey.web import Surveying


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("survey", help="Ask people which painting they prefer.")(survey)


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
        typer.Option(help="Real paintings: which of four is one?", show_default=False),
    ] = None,
    votes: Annotated[Path, typer.Option(help="The file of votes, SQLite.")] = Path("survey.sqlite"),
    report: Annotated[
        bool, typer.Option("--report", help="Print what the votes come to, and end.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --report: draw it, as PNG.", show_default=False)
    ] = None,
    json_file: JsonFile = None,
    questions: Annotated[
        int, typer.Option(help="Questions of each kind for a visitor.", min=1)
    ] = 30,
    seed: Annotated[int, typer.Option(help="Order and sides follow from it.", min=0)] = 0,
    host: Host = HOST,
    port: Port = PORT,
    token: Token = None,
    https: Annotated[
        bool, typer.Option("--https", help="Sign a certificate; browsers warn of it once.")
    ] = False,
    certificate: Certificate = None,
    key: Key = None,
    open_page: OpenPage = True,
) -> None:
    """Serve a page that asks which painting is preferred, and which one is real.

    The same command goes on with the votes that there are. Ctrl-C ends it.
    """
    if report:
        if folders or paintings:
            raise UsageError("A report needs no folders.", "", "Name the file by --votes.")
        tell(votes, plot, json_file)
        return
    if plot or json_file:
        raise UsageError("--plot and --json go with --report.")
    require_extra("serve", "rtstyle survey", "starlette", "uvicorn", "websockets")
    from rtstyle.serve.survey import web
    from rtstyle.serve.survey.design import read_design
    from rtstyle.serve.web.guard import is_loopback
    from rtstyle.serve.web.host import open_browser

    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    options = web.SurveyOptions(host, port, token, https, certificate, key)
    design = read_design(folders or (), paintings, seed=seed, questions=questions)

    def started(running: Surveying) -> None:
        typer.echo(f"the survey is at {running.url}")
        typer.echo(f"{design.total} questions a visitor; votes go to {votes}", err=True)
        typer.echo("Ctrl-C ends it.", err=True)
        if open_page:
            open_browser(running.url)

    web.survey(design, votes, options, started)
    typer.echo(f"stopped; rtstyle survey --report --votes {votes} tells what was found", err=True)


def tell(votes: Path, plot: Path | None, json_file: Path | None) -> None:
    """Print the report, and write it where it is wanted."""
    from rtstyle.commands.bench import check_plot, write
    from rtstyle.serve.survey import report
    from rtstyle.serve.survey.statistics import summarize
    from rtstyle.serve.survey.votes import read_votes

    if plot is not None:
        check_plot(plot)
    found = read_votes(votes)
    if not found:
        typer.echo("There are no votes yet.")
        return
    result = summarize(found)
    if json_file != Path("-"):
        typer.echo("\n".join(report.lines(result)))
    if json_file is not None:
        text = json.dumps(report.as_json(result), indent=2) + "\n"
        if json_file == Path("-"):
            sys.stdout.write(text)
        else:
            write(json_file, text.encode())
    if plot is not None:
        write(plot, report.draw(result))
