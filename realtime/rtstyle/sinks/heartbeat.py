"""Tells the service manager with every picture that this process lives."""

from __future__ import annotations

import time
from collections.abc import Callable

from rtstyle.frame import Frame
from rtstyle.machine.service import ServiceManager
from rtstyle.sinks.base import Sink

SHARE = 3
"""So many signs of life within the time in which one is wanted."""


class HeartbeatSink(Sink):
    """Says `READY=1` with the first frame, and `WATCHDOG=1` as long as frames come.

    Nothing is said while none come: a painter or a driver that hangs is then started again by the
    service manager. A camera that is away does not count, as its placard comes in its place.
    """

    def __init__(
        self, service: ServiceManager, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = "watchdog"
        self._service, self._clock = service, clock
        self._told: float | None = None

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - any frame will do
        """Send a sign of life, if it is time for one."""
        now = self._clock()
        if self._told is None:
            self._service.tell("READY=1", "STATUS=painting", "WATCHDOG=1")
        elif self._service.watchdog is None or now - self._told < self._service.watchdog / SHARE:
            return
        else:
            self._service.alive()
        self._told = now

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - nothing is kept
        """Say that this process ends."""
        self._service.tell("STOPPING=1")
