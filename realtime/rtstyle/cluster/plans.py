"""What is asked of a cluster: tasks, and plans that ask for one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from rtstyle.errors import RtstyleError

if TYPE_CHECKING:
    from rtstyle.cluster.tasks import Failure

RETRIES = 5
"""How often a task whose machine or process was lost is tried again."""


class LostError(RtstyleError):
    """A task that no machine brought to its end."""


class FailedError(RtstyleError):
    """A task that came to nothing; `kind` is that of its `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.kind = failure.kind


class StoppedError(Exception):
    """The user ended the run."""


@dataclass
class Request:
    """A task to be done: a function with its arguments, of which the first `Input` may be sent.

    `light` tasks decode and compare, and take one CPU. `done` is called with the result as soon as
    it is there. `frames` is how many will be painted.
    """

    work: Callable[..., Any]
    args: tuple[Any, ...]
    key: str = ""
    light: bool = False
    frames: int = 0
    done: Callable[[Any], None] = lambda _: None
    options: dict[str, Any] = field(default_factory=dict)


Plan: TypeAlias = Generator[Sequence[Request], list[Any], Any]
"""Asks for tasks, gets their results in the same order, and returns what came of all."""
