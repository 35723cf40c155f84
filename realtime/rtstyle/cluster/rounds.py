"""The tasks of some plans, handed out as soon as there is room, and gathered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from rtstyle.cluster.plans import FailedError, LostError, Plan, Request, StoppedError
from rtstyle.cluster.tally import Told
from rtstyle.cluster.tasks import Failure
from rtstyle.errors import RtstyleError
from rtstyle.signals import HANGUP, handled

if TYPE_CHECKING:
    from rtstyle.cluster.machines.base import Machines

WAITING = 2
"""Tasks handed to Ray for each that can run: enough to keep all busy, few enough to follow."""
POLL = 0.5
"""Seconds between two looks at how far the tasks are."""


@dataclass
class Open:
    """A plan under way, with the results of the tasks that it waits for."""

    number: int
    plan: Plan
    results: list[Any] = field(default_factory=list)
    left: int = 0
    over: bool = False


class Round:
    """The tasks of some plans, each handed out as soon as there is room."""

    def __init__(
        self,
        machines: Machines,
        plans: Iterable[Plan],
        watch: Callable[[dict[str, Told]], None],
    ) -> None:
        self._machines, self._watch = machines, watch
        self._plans = enumerate(plans)
        self._queue: deque[tuple[Open, int, Request]] = deque()
        self._running: dict[Any, tuple[Open, int, Request]] = {}
        self._ended: deque[tuple[int, Any]] = deque()
        self._more = self._stopped = False

    def __enter__(self) -> Round:
        self._more = True
        self._handling = handled(self._on_signal)
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)
        self._cancel(list(self._running))

    def _on_signal(self, number: int, _stack: FrameType | None) -> None:
        if self._stopped and number != HANGUP:
            raise KeyboardInterrupt
        self._stopped = True

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        looked = time.monotonic()
        while True:
            self._fill()
            while self._ended:
                yield self._ended.popleft()
            if not self._running and not self._queue and not self._more:
                return
            self._gather()
            if self._stopped:
                raise StoppedError
            if time.monotonic() - looked >= POLL:
                looked = time.monotonic()
                found = self._machines.progress()
                going = {request.key for _, _, request in self._running.values()}
                self._watch({key: told for key, told in found.items() if key in going})

    def _fill(self) -> None:
        """Begin plans, and hand out tasks, as long as there is room."""
        room = WAITING * self._machines.slots
        while self._more and len(self._running) + len(self._queue) < room:
            number, plan = next(self._plans, (0, None))
            if plan is None:
                self._more = False
            else:
                self._go_on(Open(number, plan), None)
        while self._queue and len(self._running) < room:
            item = self._queue.popleft()
            if not item[0].over:
                self._running[self._machines.submit(item[2])] = item

    def _go_on(self, opened: Open, given: list[Any] | RtstyleError | None) -> None:
        """Give a plan its results, and queue what it asks for next."""
        try:
            while True:
                if isinstance(given, RtstyleError):
                    requests = opened.plan.throw(given)
                else:
                    requests = opened.plan.send(given)  # type: ignore[arg-type]
                if requests:
                    break
                given = []
        except StopIteration as end:
            opened.over = True
            self._ended.append((opened.number, end.value))
        except (RtstyleError, OSError) as error:
            opened.over = True
            wrong = error if isinstance(error, RtstyleError) else LostError(str(error))
            self._ended.append((opened.number, wrong))
        else:
            opened.results, opened.left = [None] * len(requests), len(requests)
            # What is begun is finished first, so that outputs appear early.
            self._queue.extend((opened, place, r) for place, r in enumerate(requests))

    def _gather(self) -> None:
        """Wait a moment for results, and give them to their plans."""
        if not self._running:
            return
        for reference in self._machines.wait(list(self._running), POLL):
            opened, place, request = self._running.pop(reference)
            if opened.over:
                continue
            result = self._machines.result(reference)
            absent = isinstance(result, Failure) and result.kind == "absent"
            if absent and self._machines.send_inputs(request):
                self._queue.appendleft((opened, place, request))
                continue
            if isinstance(result, Failure):
                self._drop(opened)
                self._go_on(opened, FailedError(result))
                continue
            request.done(result)
            opened.results[place] = result
            opened.left -= 1
            if not opened.left:
                self._go_on(opened, opened.results)

    def _drop(self, opened: Open) -> None:
        """Give up the other tasks of a plan, one of which came to nothing."""
        self._queue = deque(item for item in self._queue if item[0] is not opened)
        mine = [ref for ref, item in self._running.items() if item[0] is opened]
        for reference in mine:
            del self._running[reference]
        self._cancel(mine)

    def _cancel(self, references: Iterable[Any]) -> None:
        for reference in references:
            self._machines.cancel(reference)
