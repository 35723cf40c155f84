"""Every error that rtstyle raises for its users, at a glance.

Each carries three parts: what happened, why, and what to do about it. The command line prints
them as one message and exits with `exit_code`; nothing below `RtstyleError` shows a traceback.
"""

from __future__ import annotations


class RtstyleError(Exception):
    """Base of every error meant for the user.

    `what` says what happened, `why` gives the cause and `todo` the way out; the last two may be
    empty. `exit_code` is the status with which the command line ends.
    """

    exit_code = 2

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        self.what, self.why, self.todo = what, why, todo
        super().__init__(sentences(what, why, todo))


def sentences(*parts: str) -> str:
    """Join parts into one line. Causes from other libraries have no stop at their end."""
    lines = [line for part in parts if (line := " ".join(part.split()))]
    stopped = [line if line[-1] in ".!?:;" else f"{line}." for line in lines[:-1]]
    return " ".join([*stopped, *lines[-1:]])


class UsageError(RtstyleError):
    """Options that contradict each other or lie outside their range."""


class SourceError(RtstyleError):
    """A camera, video, image or folder that cannot be opened or read."""


class SinkError(RtstyleError):
    """An output that cannot be written or shown."""


class StyleError(RtstyleError):
    """A style that is unknown, or whose file is missing or damaged."""


class EngineError(RtstyleError):
    """A model that cannot be loaded or run."""


class DeviceError(EngineError):
    """A device that was asked for and is not available."""


class MissingExtraError(RtstyleError):
    """A command that needs an optional dependency which is not installed."""


class TrainingError(RtstyleError):
    """Training, export or evaluation that cannot start or continue."""
