"""What an address to listen on means: this machine alone, or every address that it has."""

from __future__ import annotations

import ipaddress
import secrets


def is_loopback(host: str) -> bool:
    """Return True if only this machine reaches a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_unspecified(host: str) -> bool:
    """Return True if `host` means every address of this machine."""
    return is_address(host) and ipaddress.ip_address(host).is_unspecified


def is_address(name: str) -> bool:
    """Return True if this is an IP address, which no foreign site can claim as its name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def token_for(host: str, token: str | None) -> str | None:
    """Return the token to ask for at `host`: the given one, else a new one off loopback."""
    return token or (None if is_loopback(host) else secrets.token_urlsafe(24))
