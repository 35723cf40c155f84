"""What a running job shows on the terminal: a bar with rate, time left and size."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING

from rtstyle.files.sizes import human_size
from rtstyle.styles.watching import watched

if TYPE_CHECKING:
    from rtstyle.report import Progress

ENOUGH = 30
"""Frames after which the size of the whole is told: an encoder holds the first ones back."""
LEAST_FPS, MOST_FPS = Fraction(1, 10), 1000


def parse_time(text: str) -> float:
    """Return the seconds of `12.5`, `2:03` or `1:02:03.5`. Raises `ValueError` for others."""
    parts = text.strip().split(":")
    if not 1 <= len(parts) <= 3:
        raise ValueError(text)
    *whole, last = parts
    if not all(part.isdecimal() for part in whole):
        raise ValueError(text)
    if not last.replace(".", "", 1).isdecimal() or not last.isascii():
        raise ValueError(text)
    seconds = float(last)
    if whole and seconds >= 60:
        raise ValueError(text)
    for factor, part in zip((60, 3600), reversed(whole), strict=False):
        seconds += factor * int(part)
    return seconds


def parse_rate(text: str) -> Fraction:
    """Return the rate of `24`, `23.976` or `30000/1001`. Raises `ValueError` for others."""
    try:
        # Containers count in 32 bits.
        rate = Fraction(text.strip()).limit_denominator(10_000)
    except (ValueError, ZeroDivisionError):
        raise ValueError(text) from None
    if not LEAST_FPS <= rate <= MOST_FPS:
        raise ValueError(text)
    return rate


class Bar:
    """A progress bar for one job, on standard error, gone when the job is done.

    Call it with each `Progress`. It also shows paintings that are fitted meanwhile
    (`rtstyle.styles.watching`), and nothing else without a `name`. `more` gives words for the share
    that is done. It shows nothing where standard error is not a terminal.
    """

    def __init__(self, name: str = "", more: Callable[[float], str] | None = None) -> None:
        # Here, because the help of the commands does not need it.
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        self._name, self._more = name, more
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[size]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._rich.add_task(name, total=None, rate="", size="", visible=bool(name))
        self._study = self._rich.add_task("", total=None, rate="", size="", visible=False)
        self._watch = ExitStack()

    def __call__(self, status: Progress) -> None:
        """Show how far the job is."""
        self._rich.update(
            self._task,
            completed=status.frames_out,
            total=status.total,
            rate=f"{status.fps:.1f} FPS",
            size=self._size(status),
        )

    def _size(self, status: Progress) -> str:
        """Return how large the output is, how large it gets, and how long all outputs take."""
        words = human_size(status.written)
        if status.total and status.frames_out >= ENOUGH:
            words += f" of about {human_size(status.written * status.total // status.frames_out)}"
        if self._more is not None and status.total:
            words += f"  {self._more(status.frames_out / status.total)}"
        return words

    def study(self, painting: str, done: int, steps: int) -> None:
        """Show how far the fitting of a painting is: `done` of `steps`."""
        going = done < steps
        if done == 0 and self._rich.disable:
            # A log file, or a pipe: it takes some seconds before the first frame.
            print(f"studying {painting} (once; it is remembered)", file=sys.stderr)
        if done == 0:
            self._rich.reset(self._study)
        name = f"studying {painting}"
        self._rich.update(self._study, description=name, completed=done, total=steps, visible=going)
        self._rich.update(self._task, visible=bool(self._name) and not going)

    def __enter__(self) -> Bar:
        self._rich.start()
        self._watch.enter_context(watched(self.study))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.close()
        self._rich.stop()


class Count:
    """A bar that counts things done, on standard error; a line now and then in a log file."""

    def __init__(self, name: str, total: int, every: float = 30.0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._name, self._total, self._every = name, total, every
        self._done, self._next = 0, time.monotonic() + every
        self._rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._rich.add_task(name, total=total)

    def step(self) -> None:
        """Count one more."""
        self._done += 1
        self._rich.update(self._task, completed=self._done)
        if self._rich.disable and time.monotonic() >= self._next:
            self._next += self._every
            self.say(f"{self._name}: {self._done} of {self._total}")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._rich.disable:
            print(line, file=sys.stderr)
        else:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Count:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()
