"""This process as the only machine: tasks are done one after the other, and Ray is not started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rtstyle.cluster.inputs import Input, seen_again
from rtstyle.cluster.machines.base import MOST_THREADS, Machines
from rtstyle.cluster.plans import Plan, Request, StoppedError
from rtstyle.cluster.tally import TallyHere, Told
from rtstyle.cluster.tasks import let_go


def suffices(cores: int) -> bool:
    """Return True if a machine of so many CPUs does one painting task at a time."""
    return cores < 2 * MOST_THREADS


class Here(Machines):
    """This process, as a machine of so many `cores`. A handle is the request and its result."""

    def __init__(self, cores: int) -> None:
        super().__init__([cores])
        self._tally = TallyHere()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        let_go()

    def run(
        self, plans: Iterable[Plan], watch: Callable[[dict[str, Told]], None] = lambda _: None
    ) -> Iterator[tuple[int, Any]]:
        """Carry plans out, as `Machines.run`; `watch` is called in the middle of tasks."""
        self._tally.watch = watch
        yield from super().run(plans, watch)

    def tally(self) -> TallyHere:
        """Return what tasks report to."""
        return self._tally

    def progress(self) -> dict[str, Told]:
        """Return what tasks have told, by key."""
        return self._tally.counts.read()

    def share(self, value: Any) -> Any:
        """Return the value."""
        return value

    def submit(self, request: Request) -> Handed:
        """Note a task."""
        return Handed(request)

    def wait(self, handles: Sequence[Any], seconds: float) -> Sequence[Any]:  # noqa: ARG002
        """Do the first task, however long it takes. Raises `StoppedError` after Ctrl-C."""
        handed: Handed = handles[0]
        try:
            given = map(self.sent_form, handed.request.args)
            handed.result = handed.request.work(*given, **handed.request.options)
        except KeyboardInterrupt as stopped:
            raise StoppedError from stopped
        return [handed]

    def result(self, handle: Handed) -> Any:
        """Return the result of a task that has ended."""
        return handle.result

    def send(self, given: Input) -> Input:
        """Return a file as it is now: it has changed since the run began, or is gone."""
        return seen_again(given)

    def cancel(self, handle: Handed) -> None:
        """Give a task up: it has not begun."""


class Handed:
    """A task that is done here, and its result."""

    def __init__(self, request: Request) -> None:
        self.request, self.result = request, None
