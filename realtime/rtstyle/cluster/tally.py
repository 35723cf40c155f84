"""How far tasks are: what each of them tells while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rtstyle.report import Progress

REPORT_EVERY = 0.5
"""Seconds between two reports of a task."""

Tally: TypeAlias = Callable[[str, int], None]
"""Notes that the task of a key has painted so many frames. Goes to the machines with the task."""


@dataclass(frozen=True)
class Told:
    """What a running task has told: frames so far, process, node, and how often it was begun."""

    frames: int
    process: int
    node: str
    begun: int


class Counts:
    """How many frames each running task has painted; on a cluster an actor of Ray's."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}

    def report(self, key: str, frames: int, process: int, node: str) -> None:
        """Note the frames of a task, its process, and its node."""
        before = self._told.get(key)
        begun = 1
        if before is not None:
            begun = before.begun + ((before.process, before.node) != (process, node))
        self._told[key] = Told(frames, process, node, begun)

    def read(self) -> dict[str, Told]:
        """Return what was told, by task."""
        return dict(self._told)


class TallyHere:
    """Counts what the tasks of this process tell, and passes it on at once."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.watch: Callable[[dict[str, Told]], None] = lambda _: None

    def __call__(self, key: str, frames: int) -> None:
        """Note the frames of a task."""
        self.counts.report(key, frames, os.getpid(), "")
        self.watch({key: self.counts.read()[key]})


class Reporter:
    """Sends the progress of a task to the tally: that it begins, then now and then."""

    def __init__(self, tally: Tally, key: str) -> None:
        self._tally, self._key, self._last = tally, key, time.monotonic()
        tally(key, 0)

    def __call__(self, status: Progress) -> None:
        """Tell how far the task is."""
        now = time.monotonic()
        if now - self._last >= REPORT_EVERY:
            self._last = now
            self._tally(self._key, status.frames_out)
