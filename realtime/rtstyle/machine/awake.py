"""Keeps the machine and its screen awake for as long as a picture runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

AT_ONCE = 0.5
"""Seconds in which a helper that is not let by the system ends."""
# They end with this process: the first when its standard input is closed, the second by `-w`.
LINUX = (
    "systemd-inhibit",
    "--what=idle:sleep:handle-lid-switch",
    "--who=rtstyle",
    "--why=A picture is running.",
    "cat",
)
SERVICE = "NOTIFY_SOCKET"
"""Where a service reports to, as an environment variable."""
CONTINUOUS, SYSTEM, DISPLAY = 0x80000000, 0x1, 0x2
"""Flags of SetThreadExecutionState."""


class Awake:
    """Within it the machine does not sleep. `problem` says why it still may, or is empty."""

    def __init__(self, command: tuple[str, ...] | None = None) -> None:
        self.problem = ""
        self._command = command
        self._helper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            self._tell_windows(CONTINUOUS | SYSTEM | DISPLAY)
            return self
        command = self._command or helper()
        if shutil.which(command[0]) is None:
            self.problem = f"This machine may go to sleep: there is no {command[0]}."
            return self
        try:
            self._helper = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is ours to take.
                start_new_session=True,
                # systemd's own tools report their failure to it, as if it were that of the service.
                env={name: value for name, value in os.environ.items() if name != SERVICE},
            )
            self._helper.wait(AT_ONCE)
        except subprocess.TimeoutExpired:
            return self
        except OSError as error:
            self.problem = f"This machine may go to sleep: {error.strerror}."
            return self
        self.problem = f"This machine may go to sleep: {command[0]} was refused."
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if sys.platform == "win32":
            self._tell_windows(CONTINUOUS)
        elif self._helper is not None:
            if self._helper.stdin is not None:
                self._helper.stdin.close()
            self._helper.terminate()
            self._helper.wait()
            self._helper = None

    def _tell_windows(self, flags: int) -> None:
        import ctypes

        library = getattr(ctypes, "windll", None)
        if library is None or not library.kernel32.SetThreadExecutionState(flags):
            self.problem = "This machine may go to sleep: Windows refused."


def helper() -> tuple[str, ...]:
    """Return the command that keeps this machine awake until it ends."""
    return ("caffeinate", "-d", "-i", "-w", str(os.getpid())) if sys.platform == "darwin" else LINUX
