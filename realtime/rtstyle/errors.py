"""Every error that rtstyle raises for its users, at a glance.

Each carries three parts: what happened, why, and what to do about it. The command line prints
them as one message and exits with `exit_code`; nothing below `RtstyleError` shows a traceback.
"""

from __future__ import annotations

import re


class RtstyleError(Exception):
    """Base of every error meant for the user.

    `what` says what happened, `why` gives the cause and `todo` the way out; the last two may be
    empty. `exit_code` is the status with which the command line ends.
    """

    exit_code = 2

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        self.what, self.why, self.todo = what, why, todo
        super().__init__(sentences(what, why, todo))

    def __str__(self) -> str:
        """Return the parts as one line, in the words of the caller's side: see `spoken`."""
        return spoken(super().__str__())


OPTION = re.compile(r"--([a-z][a-z]+(?:-[a-z]+)*)")
EXTRA = re.compile(r"(?:pip install 'rtstyle\[([\w-]+)\]'|Install rtstyle\[([\w-]+)\])")
PYTHON = {
    "overwrite": "overwrite=True", "resume": "resume=True", "style-sweep": "sweep",
    "codec": "Encoding(codec=...)", "encoder": "Encoding(encoder=...)",
}  # fmt: skip
"""Options whose argument in Python has another name, or takes but one value."""
_command_line = False


def speak_to_command_line() -> None:
    """Let messages speak of options (`--overwrite`), as for one who typed a command."""
    global _command_line
    _command_line = True


def speaks_to_command_line() -> bool:
    """Return whether messages speak of options."""
    return _command_line


def spoken(text: str) -> str:
    """Return a message in the words of the caller's side.

    Options are named as arguments to callers from Python, and an extra by the command that adds it
    to this copy.
    """
    if "rtstyle[" in text:
        from rtstyle.machine.installation import get_extra

        def added(found: re.Match[str]) -> str:
            return f"Run: {get_extra(found[1] or found[2])}"

        text = EXTRA.sub(added, text)
    if _command_line:
        return text
    return OPTION.sub(lambda found: PYTHON.get(found[1], found[1].replace("-", "_")), text)


def reason(error: BaseException) -> str:
    """Return what the system or a library says of an error, without its number and file."""
    return getattr(error, "strerror", None) or str(error)


def lacks_memory(error: BaseException) -> bool:
    """Return True if an error, also one of a library, means that there was no memory left."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in said for words in ("insufficient memory", "bad_alloc", "not enough memory",
                                    "out of memory", "cannot allocate memory")
    )  # fmt: skip


CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What a terminal would obey rather than show."""


def printable(text: object) -> str:
    """Return a text, such as the name of a file, with a sign for each control character."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(text))


def sentences(*parts: str) -> str:
    """Join parts into one line. Causes from other libraries have no stop at their end."""
    lines = [line for part in parts if (line := printable(" ".join(part.split())))]
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
