"""Signals that end a run, and handling them for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)
ENDING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""Ctrl-C, `kill`, a terminal that is closed, and on Windows Ctrl-Break or a closed console.

A terminal that is closed may say so twice: the system to all, and the shell to its jobs.
"""

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled(handler: Handler, numbers: Sequence[signal.Signals] = ENDING) -> Iterator[None]:
    """Let `handler` take these signals while the context lasts; in other threads do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # nohup has SIGHUP ignored, and so it must stay.
    caught = [n for n in numbers if n != HANGUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in caught}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
