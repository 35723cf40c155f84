"""What a bank does in the background: one errand after another, in a thread that comes and goes."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeAlias

from rtstyle.styles.model import ModelName

Shape: TypeAlias = tuple[int, int]
"""Rows and columns of the pictures that a model works on."""
Errand: TypeAlias = tuple[ModelName, Shape | None]
"""A model to be made ready for pictures of a size; without a size only what it is fed."""

GAP = 0.3
"""Seconds between two models that nobody waits for yet: making one ready takes a core."""


class Errands:
    """The errands that wait, and the thread that does them with `do`, which must not raise.

    What was asked for last comes first. An `owner` has one wish: a new one takes the place of what
    it asked for before and is not begun yet. What is for later comes after all others, with pauses
    of `GAP` seconds, and not during a `rest`. `changed` guards all of it, and is notified when
    nothing is left.
    """

    def __init__(self, do: Callable[[Errand], None], changed: threading.Condition) -> None:
        self._do, self._changed = do, changed
        self._urgent: deque[Errand] = deque()
        self._wishes: dict[Hashable, deque[Errand]] = {}
        self._later: deque[Errand] = deque()
        self._current: Errand | None = None
        self._rest_until = -math.inf
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return self._thread is None or self._closed

    def ask(self, errands: Sequence[Errand], owner: Hashable = None) -> None:
        """Do these next, the first one first."""
        with self._changed:
            fresh = [one for one in errands if one != self._current]
            if owner is not None:
                self._wishes.pop(owner, None)
                if fresh:
                    self._wishes[owner] = deque(fresh)
            else:
                self._urgent.extendleft(reversed([e for e in fresh if e not in self._urgent]))
            self._wake()

    def ask_later(self, errands: Iterable[Errand]) -> None:
        """Do these once nobody waits for anything, in place of what was to come later so far."""
        with self._changed:
            self._later = deque(one for one in errands if one != self._current)
            self._wake()

    def rest(self, seconds: float) -> None:
        """Begin nothing that is for later in the next `seconds`; 0 ends such a rest."""
        with self._changed:
            self._rest_until = time.monotonic() + seconds
            self._changed.notify_all()

    def close(self) -> threading.Thread | None:
        """Begin nothing any more; return the thread, which may still be busy."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._thread

    def _queue(self) -> deque[Errand] | None:
        """Return the errands that somebody waits for, the latest wish first."""
        while self._wishes:
            owner = next(reversed(self._wishes))
            if self._wishes[owner]:
                return self._urgent or self._wishes[owner]
            del self._wishes[owner]
        return self._urgent or None

    def _wake(self) -> None:
        if (self._queue() or self._later) and self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="rtstyle-prepare", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while (errand := self._next()) is not None:
            self._do(errand)

    def _next(self) -> Errand | None:
        """Wait for what to do next; None, and the thread is gone, when nothing is left."""
        with self._changed:
            self._current = None
            pause_until = time.monotonic() + GAP
            while self._later and self._queue() is None and not self._closed:
                left = max(pause_until, self._rest_until) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            queue = self._queue() or self._later
            if self._closed or not queue:
                self._thread = None
                self._changed.notify_all()
                return None
            self._current = queue.popleft()
            return self._current
