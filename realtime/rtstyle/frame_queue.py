"""The bounded queues between the stages of a run, with the locks that they need.

`FrameQueue` hands items from one producer to any number of consumers and knows two policies.
`ReorderQueue` puts the results of several workers back into the order in which they were taken.
Both wake every waiting `put` and `get` on `stop`, and hand the end to every consumer. `Pace` lets
no more than so many frames a second in.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Generic, TypeVar

from rtstyle.errors import UsageError

T = TypeVar("T")

MAX_DEPTH = 4
LATE = "late"
"""Cause of a drop: a newer item arrived before this one was taken (`Policy.LATEST`)."""
STOPPED = "stopped"
"""Cause of a drop: the queue was stopped while the item was in it, or on its way into it."""


class Policy(Enum):
    """What `put` does when the queue is full."""

    WAIT = "wait"
    """Wait for room: nothing is lost. For files."""
    LATEST = "latest"
    """Drop the oldest item, never wait: the newest wins. For live sources."""


class Pace:
    """Lets no more than so many frames a second in; `limit` may be called at any time."""

    def __init__(self, most: float | None = None) -> None:
        self.limit(most)
        self._due = float("-inf")

    def limit(self, most: float | None) -> None:
        """Let no more than `most` frames a second in from now on; None or 0: all."""
        self._interval = 1 / most if most else 0.0

    def too_soon(self, moment: float) -> bool:
        """Return True if a frame exceeds the rate. A camera's jitter must not cost a frame."""
        if not self._interval:
            return False
        if moment < self._due - 0.4 * self._interval:
            return True
        # From the due time on, not from this frame, so that the mean rate is held.
        late = moment - self._due > self._interval
        self._due = (moment if late else self._due) + self._interval
        return False


class _Stoppable:
    """What both queues have: items under a lock, drops by cause, and an end at any moment."""

    _items: deque[Any] | dict[int, Any]

    def __init__(self) -> None:
        self.drops: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """Throw away what is queued and wake every `put` and `get`, now and later."""
        with self._changed:
            self._stopped = True
            self.drops[STOPPED] += len(self._items)
            self._items.clear()
            self._changed.notify_all()


class FrameQueue(_Stoppable, Generic[T]):
    """A queue of at most `depth` (1 to 4) items; every drop is counted in `drops` by cause.

    Items are numbered from 0 in the order in which they are taken, without gaps, so that a
    `ReorderQueue` can put the results of several consumers back in order.
    """

    def __init__(self, depth: int = 2, policy: Policy = Policy.WAIT) -> None:
        if not 1 <= depth <= MAX_DEPTH:
            raise UsageError(f"A queue depth of {depth} is out of range.", f"1 to {MAX_DEPTH}.")
        super().__init__()
        self.depth, self.policy = depth, policy
        self._items: deque[T] = deque()
        self._ended = False
        self._taken = self._readers = 0

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item. Returns False, and counts a drop, if the queue was stopped."""
        with self._changed:
            if self.policy is Policy.LATEST:
                while len(self._items) >= self.depth:
                    self._items.popleft()
                    self.drops[LATE] += 1
            while len(self._items) >= self.depth and not self._stopped:
                self._changed.wait()
            if self._stopped:
                self.drops[STOPPED] += 1
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> tuple[int, T] | None:
        """Take the oldest item as (number, item), or None at the end and after `stop`.

        Raises `TimeoutError` if nothing came within `timeout` seconds.
        """
        with self._changed:
            ready = self._changed.wait_for(self._has_news, timeout)
            if self._items:
                number, self._taken = self._taken, self._taken + 1
                item = self._items.popleft()
                self._changed.notify_all()
                return number, item
            if not ready:
                raise TimeoutError("No frame came in time.")
            return None

    def finish(self) -> None:
        """Say that no more items come: consumers get what is left and then the end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @contextmanager
    def reader(self) -> Iterator[Iterator[tuple[int, T]]]:
        """Consume by iteration; when the last reader leaves before the end, the queue stops.

        So a consumer that breaks out or raises never leaves the producer waiting in `put`.
        """
        with self._changed:
            self._readers += 1
        try:
            yield iter(self.get, None)
        finally:
            with self._changed:
                self._readers -= 1
                abandoned = self._readers == 0 and not (self._ended and not self._items)
            if abandoned:
                self.stop()

    def _has_news(self) -> bool:
        return bool(self._items) or self._ended or self._stopped


class ReorderQueue(_Stoppable, Generic[T]):
    """Takes numbered results in any order and gives them out in order, from 0 without gaps.

    `put` waits while a result lies `depth` or more ahead of the next one to give out, so memory
    is bounded; the next one itself never waits, so nothing can block for ever.
    """

    def __init__(self, depth: int, producers: int = 1) -> None:
        if depth < 1 or producers < 1:
            raise UsageError("A reorder queue needs a depth and a producer.", "Both are 1 or more.")
        super().__init__()
        self.depth = depth
        self._items: dict[int, T] = {}
        self._next = 0
        self._producers = producers

    def put(self, number: int, item: T) -> bool:
        """Add result `number`. Returns False, and counts a drop, if the queue was stopped."""
        with self._changed:
            while number >= self._next + self.depth and not self._stopped:
                self._changed.wait()
            if self._stopped:
                self.drops[STOPPED] += 1
                return False
            self._items[number] = item
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> T | None:
        """Take the next result in order, or None at the end and after `stop`.

        Raises `TimeoutError` if it did not come within `timeout` seconds.
        """
        with self._changed:
            ready = self._changed.wait_for(self._has_news, timeout)
            if self._next in self._items:
                item = self._items.pop(self._next)
                self._next += 1
                self._changed.notify_all()
                return item
            if not ready:
                raise TimeoutError("No result came in time.")
            return None

    def finish(self) -> None:
        """Say that one producer is done; the end comes when all of them are."""
        with self._changed:
            self._producers -= 1
            self._changed.notify_all()

    def _has_news(self) -> bool:
        return self._next in self._items or self._producers <= 0 or self._stopped
