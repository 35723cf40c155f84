"""Bounds what a process of ours may use, so that what it is given cannot harm the machine."""

from __future__ import annotations

from contextlib import suppress


def bound(memory: int, largest_file: int, seconds: int | None = None) -> None:
    """Bound this process, where the system can: bytes it may write to, bytes of a file, CPU time.

    A process that dies of it leaves no core file.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: largest_file,
    }
    if seconds is not None:
        limits[resource.RLIMIT_CPU] = seconds
    for kind, most in limits.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
