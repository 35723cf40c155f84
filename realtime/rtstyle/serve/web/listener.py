"""Where a server listens, and how others reach it."""

from __future__ import annotations

import errno
import socket

from rtstyle.errors import UsageError, reason
from rtstyle.serve.web.addresses import is_unspecified

MIN_TOKEN = 16
"""Characters of the shortest token, below which it could be guessed."""


def bind(host: str, port: int, host_option: str, port_option: str) -> socket.socket:
    """Return a listening socket. Raises `UsageError` with the reason, which names the options."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"There is no host {host}.", "", f"Check {host_option}.") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise UsageError(
                f"This machine has no address {host}.", "", f"Check {host_option}."
            ) from error
        denied = isinstance(error, PermissionError)
        raise UsageError(
            f"Port {port} of {host} {'may not be used' if denied else 'is not free'}.",
            f"{reason(error)}.", f"Choose another {port_option}, or 0.",
        ) from error  # fmt: skip
    return listener


def address_of(listener: socket.socket, host: str, *, secure: bool = False) -> str:
    """Return the address of a server bound to `host` as a browser takes it."""
    host = own_address() if is_unspecified(host) else host
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{host}:{listener.getsockname()[1]}"


def own_address() -> str:
    """Return the address by which others on the local network most likely reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only asks the routing table. The address is for documentation.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
