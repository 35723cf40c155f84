"""`rtstyle doctor`: what works here, and what would add the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rtstyle.errors import spoken

if TYPE_CHECKING:
    from rtstyle.doctor.check import Check


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor", help="Show what works on this machine and what is missing.")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what works on this machine and what is missing. Exit 1 if videos cannot be painted."""
    from rtstyle.doctor import check, checks

    found = checks.examine()
    able = check.works(found)
    if as_json:
        content = {"works": able, "checks": [asdict(one) for one in found]}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print(found)
        typer.echo("\nVideos can be painted here." if able else "\nVideos cannot be painted here.")
    if not able:
        raise typer.Exit(1)


def _print(checks: list[Check]) -> None:
    marks = {True: ("ok", "green"), False: ("no", "yellow"), None: ("  ", "white")}
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            typer.secho(f"\n{group}", bold=True)
        mark, colour = marks[check.ok]
        if check.ok is False and check.needed:
            mark, colour = "NO", "red"
        typer.secho(f"  {mark} ", fg=colour, nl=False)
        typer.echo(f"{check.name:<23} {check.detail}")
        if check.todo:
            typer.secho(f"     {'':<24}-> {spoken(check.todo)}", dim=True)
