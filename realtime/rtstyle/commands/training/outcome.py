"""What the commands that train share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from rtstyle_export.runs.loop import Loop

EVERY = 30.0
"""Seconds between two lines about a run."""
AnyLoop = TypeVar("AnyLoop", bound="Loop")


def given(**options: object) -> dict[str, object]:
    """Return the options that were given, so that each default lives in the configuration."""
    return {key: value for key, value in options.items() if value is not None}


def counting(words: str, every: int) -> Callable[[int, int], None]:
    """Return what prints how many of something are done, each time that it is `every` more."""

    def tell(done: int, total: int) -> None:
        if done % every == 0:
            typer.echo(f"{done} of {total} {words}", err=True)

    return tell


class RunLog:
    """Prints a line about a run every `EVERY` seconds where no bar can be shown: in a log file.

    A context manager; `follow` gives it the run. It only looks, from a thread of its own, because a
    step may take minutes.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._run: Loop | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="rtstyle-run-log", daemon=True)

    def follow(self, run: AnyLoop) -> AnyLoop:
        """Print lines about this run from now on, and return it; of a group, one process prints."""
        if run.machine.rank == 0 and not sys.stderr.isatty():
            self._run = run
            self.say()
            if not self._thread.is_alive():
                self._thread.start()
        return run

    def say(self) -> None:
        """Print where the run is."""
        run = self._run
        if run is not None:
            minutes = float(getattr(run.config, "minutes", 0.0))
            words = describe(run.step, run.config.steps, run.metrics, run.seconds, minutes)
            typer.echo(words, err=True)

    def _tell(self) -> None:
        while not self._ended.wait(self._every):
            self.say()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()


def describe(
    step: int, steps: int, metrics: Mapping[str, float], seconds: float, minutes: float = 0.0
) -> str:
    """Return the state of a run as a line; `seconds` is the time that its steps took so far.

    With `minutes` above 0 it ends after these, and not after so many steps.
    """
    words = [f"step {step}" if minutes else f"step {step} of {steps}"]
    if "total" in metrics:
        words.append(f"loss {metrics['total']:.4f}")
    if step and seconds:
        whole = 60 * minutes if minutes else seconds / step * steps
        left = timedelta(seconds=round(max(0.0, whole - seconds)))
        words += [f"{seconds / step:.2f} s a step", f"{left} left"]
    return ", ".join(words)


def conclude(done: bool, loop: Loop, then: str) -> None:
    """Print how the run ended, once for all its processes; exit with 130 if it was stopped."""
    if loop.machine.rank:
        return
    if not done:
        typer.echo(f"Stopped at step {loop.step}; run the same command again to continue.")
        raise typer.Exit(130)
    typer.echo(f"Finished after {loop.step} steps{then}")
