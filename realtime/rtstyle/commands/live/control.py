"""`rtstyle control`: change a running picture from another terminal or a script."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtstyle.commands.common.extras import require_stage
from rtstyle.errors import UsageError
from rtstyle.remote.defaults import ADDRESS

if TYPE_CHECKING:
    from rtstyle.remote.client import ControlClient

HELP = (
    "Change a running `rtstyle webcam --control` or `rtstyle serve`: NAME [VALUE], or "
    "list, state, load, watch, learn WORDS, ports."
)
LOOK_EVERY = 0.2
"""Seconds between looks at whether something was learnt."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    # A step such as -0.1 is a value, not an option.
    settings = {"ignore_unknown_options": True}
    app.command("control", help=HELP, context_settings=settings)(control)


ALONE = ("list", "state", "load", "ports", "watch")
"""Words that are no controls."""


def control(
    words: Annotated[
        list[str],
        typer.Argument(
            help="`style wave`, `strength +0.1`, `mirror`, `next`; `list` the controls, show the "
            "`state` as JSON, `load` one from standard input, `watch` for changes; `learn WORDS` "
            "binds the knob that is touched next; MIDI `ports`."
        ),
    ],
    address: Annotated[
        str, typer.Option(help="Where it listens.", envvar="RTSTYLE_CONTROL")
    ] = ADDRESS,
    token: Annotated[
        str | None,
        typer.Option(help="Its token.", envvar="RTSTYLE_CONTROL_TOKEN", show_default=False),
    ] = None,
) -> None:
    """Change a running picture."""
    from rtstyle.remote.client import ControlClient

    if words[0] in ALONE and len(words) > 1:
        left = " ".join(words[1:])
        raise UsageError(f"`control {words[0]}` takes nothing more.", "", f"Leave out {left}.")
    client = ControlClient(address, token)
    if words == ["list"]:
        for one in client.controls():
            typer.echo(line_of(one))
    elif words == ["state"]:
        typer.echo(json.dumps(client.state()["state"], indent=1))
    elif words == ["load"]:
        load(client, sys.stdin.read())
    elif words == ["ports"]:
        from rtstyle.remote.midi import port_names

        require_stage("control ports", "mido", "rtmidi")
        typer.echo("\n".join(port_names()))
    elif words[0] == "learn":
        typer.echo(learn(client, " ".join(words[1:])))
    elif words == ["watch"]:
        for message in client.watch():
            typer.echo(json.dumps(message))
    else:
        client.say(" ".join(words))


def learn(client: ControlClient, words: str) -> str:
    """Have a knob or an OSC address learnt, wait until one is touched, and return what it does."""
    client.learn(words)
    typer.echo(f"Touch the control that should do `{words}`; Ctrl-C cancels.", err=True)
    try:
        while (learnt := client.bindings()["learnt"]) is None:
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        client.learn(None)
        raise
    device, name, does = learnt
    return f'[{device}] "{name}" = "{does}"'


def load(client: ControlClient, text: str) -> None:
    """Set all that `rtstyle control state` wrote. Raises `UsageError` for anything else."""
    try:
        state = json.loads(text)
    except ValueError as error:
        raise UsageError("Standard input is not JSON.", "", "Use `control state`.") from error
    if not isinstance(state, dict):
        raise UsageError("Standard input is not a JSON object.", "", "Use `control state`.")
    here = client.state()["state"]
    client.ask({name: value for name, value in state.items() if here.get(name, value) != value})


def line_of(one: dict[str, Any]) -> str:
    """Return one line about a control."""
    ranges = {
        "switch": "on, off",
        "number": f"{one.get('low', 0):g} to {one.get('high', 0):g} {one.get('unit', '')}".strip(),
        "choice": ", ".join(one.get("choices", ())),
        "text": "a name or number",
        "action": "",
    }[one["kind"]]
    value = one["value"]
    now = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
    shown = "" if now is None else str(now)
    return f"{one['name']:12} {shown:12} {ranges:24} {one['does']}"
