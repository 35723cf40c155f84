"""Tells systemd how a service is: the protocol of sd_notify(3), a line to a Unix socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Whoever started this process as a service, if it wants to know.

    `watchdog` is in how many seconds a sign of life is wanted at least, None for never. Outside a
    service nothing is sent.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        wanted = environment.get("WATCHDOG_USEC", "")
        # Those of a parent may have been inherited.
        mine = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        seconds = int(wanted) / 1e6 if wanted.isdecimal() and int(wanted) and mine else None
        self.watchdog: float | None = seconds

    def tell(self, *lines: str) -> bool:
        """Send lines such as `READY=1`; return True if they were sent."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return False
        # An @ stands for an abstract address.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                # Who does not read must not hold the picture up.
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    def alive(self) -> None:
        """Send a sign of life."""
        self.tell("WATCHDOG=1")
