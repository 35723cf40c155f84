"""What the commands that train share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rtstyle.errors import UsageError

if TYPE_CHECKING:
    from rtstyle_export.train.loop import Loop

EXTRA = "pip install 'rtstyle[train]'"


def check_precision(precision: str) -> None:
    """Raise `UsageError` for an unknown precision."""
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"There is no precision {precision!r}.", todo="auto, fp32 or bf16.")


def given(**options: object) -> dict[str, object]:
    """Return the options that were given, so that each default lives in the configuration."""
    return {key: value for key, value in options.items() if value is not None}


def conclude(done: bool, loop: Loop, then: str) -> None:
    """Tell how the run ended, once for all its processes; exit with 130 if it was stopped."""
    if loop.machine.rank:
        return
    if not done:
        typer.echo(f"Stopped at step {loop.step}; run the same command again to go on.")
        raise typer.Exit(130)
    typer.echo(f"Finished after {loop.step} steps{then}")
