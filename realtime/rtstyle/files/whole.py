"""Small files that are written at once, and appear whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

from rtstyle.files.pending import PendingFile, writing_to

STDOUT = Path("-")
"""What stands for standard output where a file may be named."""


def check_place(path: Path | None) -> None:
    """Raise `SinkError` now, before minutes of work, if `path` cannot be written."""
    if path is not None and path != STDOUT:
        PendingFile(path).discard()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in place of what is there. Raises `SinkError`."""
    pending = PendingFile(path)
    try:
        with writing_to(path):
            pending.temporary.write_bytes(content)
        pending.commit()
    finally:
        pending.discard()


def write_or_print(path: Path | None, text: str) -> bool:
    """Write `text` into a file, or print it if `path` is `STDOUT`; return True for a file."""
    if path == STDOUT:
        sys.stdout.write(text)
    elif path is not None:
        write_whole(path, text.encode())
    return path not in (None, STDOUT)
