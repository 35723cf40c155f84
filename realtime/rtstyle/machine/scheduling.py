"""Keeps libraries from taking the machine for themselves."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

_TASKS = Path("/proc/self/task")

PATIENCE = 1.0
"""Seconds for which the end of a thread of the lowest priority is waited for."""
_last: WeakSet[threading.Thread] = WeakSet()
"""The threads that let every other one go first."""


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Give this thread and those begun meanwhile the scheduling that it has now.

    SVT-AV1 gives itself and its caller the highest real-time priority where it may, as root may in
    a container: nothing else then runs on the cores it uses, and all that is started later
    inherits it. Does nothing where the system has no such priorities.
    """
    if not (hasattr(os, "sched_setscheduler") and _TASKS.is_dir()):
        yield
        return
    before, policy, priority = _threads(), os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (0, *(_threads() - before)):
            # A thread may have ended by now.
            with suppress(OSError):
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, priority)


def _threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()}


def lowest_priority() -> None:
    """Let every other thread go first, where the system knows priorities of threads."""
    _last.add(threading.current_thread())
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def leave_behind(thread: threading.Thread | None) -> None:
    """Wait for the end of a thread of the lowest priority, but not for long.

    Where others use every core it may get none for minutes, and cannot be given a higher priority
    again.
    """
    if thread is not None:
        thread.join(PATIENCE)


def is_one_left() -> bool:
    """Return True if a thread of the lowest priority is still at work.

    Python would end around it, and the libraries that it computes with under its feet.
    """
    return any(thread.is_alive() for thread in _last)
