"""Numbers of bytes as people read them."""

from __future__ import annotations

MEGABYTE = 1_000_000


def human_size(count: int) -> str:
    """Return a number of bytes for people: `340 kB`, `4.2 MB`, `1.30 GB`."""
    if count < MEGABYTE:
        return f"{max(count, 0) / 1000:.0f} kB"
    if count < 1000 * MEGABYTE:
        return f"{count / MEGABYTE:.1f} MB"
    return f"{count / MEGABYTE / 1000:.2f} GB"
