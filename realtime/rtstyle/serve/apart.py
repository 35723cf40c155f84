"""Decodes what somebody sent in a process of its own, with bounds on time and memory.

Decoders of pictures are large and written in C: one that crashes or eats memory over a picture
made for that takes this process along, and not the server with all its clients. What it used goes
back to the system when it ends.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import rtstyle
from rtstyle.errors import RtstyleError, UsageError
from rtstyle.machine.bounds import bound
from rtstyle.serve.gallery.pictures import Kept, keep_upload, name_of, tidy

COMMAND = [sys.executable, "-m", "rtstyle.serve.apart"]
SECONDS = 60.0
"""How long it may take."""
MEMORY = 3 << 29
"""Bytes that it may write to: 1.5 GiB."""
LARGEST_FILE = 1 << 26
"""Bytes of the largest file that it may write."""


def keep_apart(content: bytes, file_name: str, folder: Path) -> Kept:
    """Check and keep a picture as `keep_upload` does, in a process of its own.

    Raises `UsageError` also where that process crashes, takes too long or needs too much memory.
    """
    header = json.dumps({"name": file_name, "folder": str(folder)}).encode()
    try:
        done = subprocess.run(
            COMMAND,
            input=header + b"\n" + content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            # Where this package is, so that the same one is found, and nothing before it.
            cwd=Path(rtstyle.__file__).parents[1],
            # Ctrl-C is the server's to take.
            start_new_session=True,
            check=False,
        )
        reply: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise _given_up(content, file_name, folder, "It takes too long.") from error
    except OSError as error:
        raise _given_up(content, file_name, folder, f"{error.strerror}.") from error
    except ValueError as error:
        raise _given_up(content, file_name, folder, "Its decoder failed.") from error
    if "error" in reply:
        raise UsageError(*reply["error"])
    path = folder / reply["file"]
    return Kept(reply["name"], reply["title"], path, base64.b64decode(reply["thumbnail"]))


def _given_up(content: bytes, file_name: str, folder: Path, why: str) -> UsageError:
    """Remove what a process has left that ended in the middle; return what to tell."""
    name = name_of(content)
    for path in folder.iterdir():
        if name in path.name:
            with suppress(OSError):
                path.unlink()
    shown = tidy(file_name) or "The file"
    return UsageError(f"{shown} cannot be read.", why, "Use JPEG, PNG or WebP.")


def main() -> None:
    """Read a request on standard input, and write the reply."""
    bound(MEMORY, LARGEST_FILE, int(SECONDS))
    header = json.loads(sys.stdin.buffer.readline())
    content, folder = sys.stdin.buffer.read(), Path(header["folder"])
    reply: dict[str, Any]
    try:
        kept = keep_upload(content, header["name"], folder)
        reply = {"name": kept.name, "title": kept.title, "file": kept.path.name}
        reply["thumbnail"] = base64.b64encode(kept.thumbnail).decode()
    except RtstyleError as error:
        reply = {"error": [error.what, error.why, error.todo]}
    print(json.dumps(reply))


if __name__ == "__main__":
    main()
