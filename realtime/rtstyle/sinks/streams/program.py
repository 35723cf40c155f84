"""The program `ffmpeg` in the relay's place, for protocols that PyAV was built without: SRT."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache

from rtstyle.sinks.streams.relay import PIPE, QUICK, Relay

PROGRAM = "ffmpeg"
PATIENCE = 10.0
"""Seconds that it has to say what it knows."""


class ProgramRelay(Relay):
    """Hands an encoded stream on to `url` by the program `ffmpeg`. Raises `OSError`.

    The address stands among its arguments, where other users of this machine can read it.
    """

    def __init__(self, url: str, kind: str, options: dict[str, str]) -> None:
        def words(settings: dict[str, str]) -> list[str]:
            return [word for name, value in settings.items() for word in (f"-{name}", value)]

        command = [PROGRAM, "-hide_banner", "-nostats", "-loglevel", "error"]
        command += ["-progress", "pipe:1", *words(QUICK), "-f", PIPE, "-i", "pipe:0"]
        command += ["-c", "copy", "-flush_packets", "1", *words(options), "-f", kind, url]
        self._start(command, b"", subprocess.STDOUT)

    def _hear(self, line: str) -> None:
        name, equals, value = line.partition("=")
        if equals and re.fullmatch(r"\w+", name):
            # A line of its progress, twice a second.
            self.connected |= name == "total_size" and value.isdecimal() and int(value) > 0
        elif line:
            # Only its end: the address comes before it, with its key.
            self.problem = line.rpartition(": ")[2]


@lru_cache(maxsize=8)
def program_has(scheme: str) -> bool:
    """Return True if there is a program `ffmpeg` that can write to addresses of `scheme`."""
    found = shutil.which(PROGRAM)
    if found is None:
        return False
    try:
        said = subprocess.run(
            [found, "-hide_banner", "-protocols"],
            capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return scheme in said.partition("Output:")[2].split()
