"""Who is told that a painting is fitted meanwhile, which takes seconds; without NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

Watcher: TypeAlias = Callable[[str, int, int], None]
"""Is told the name of the painting that is fitted, how many steps are done, and of how many."""
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """While it lasts, `watcher` is told what is fitted by this thread."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell(name: str, done: int, steps: int) -> None:
    """Tell who watches, if anybody does."""
    if (watcher := _watcher.get()) is not None:
        watcher(name, done, steps)
