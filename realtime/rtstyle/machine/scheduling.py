"""Keeps libraries from taking the machine for themselves."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
STEPS = 5
"""Of 40: the share of a core falls to a third beside a thread as it was."""


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


def lower_priority() -> None:
    """Let other threads go first, where the system knows priorities of threads.

    By some steps only: on a busy machine a thread of the lowest priority gets next to no time, also
    while it has Python's lock, and then every other thread waits for it.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(19, own + STEPS))
