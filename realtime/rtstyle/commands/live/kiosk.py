"""What `rtstyle webcam --kiosk` adds, so that a picture runs for months without a keyboard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TypeVar

import typer

from rtstyle.errors import SinkError, SourceError, reason
from rtstyle.machine.awake import Awake
from rtstyle.machine.service import ServiceManager

LOG = "rtstyle.log"
LOG_BYTES, LOGS = 1_000_000, 3
"""Size of a log, after which a new one is begun, and how many old ones are kept."""
PAUSES = (2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts to open the camera; the last one is repeated."""
SIGN = 1.0
"""Seconds between signs of life while it waits."""

T = TypeVar("T")
log = logging.getLogger("rtstyle")


@contextmanager
def logged(path: Path) -> Iterator[Callable[[str], None]]:
    """Write all that is said, and the error that ends it, to `path`; begin anew when it is full.

    Yields what says a line: on standard error, and in the file. Raises `SinkError`.
    """
    try:
        file = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS, encoding="utf-8")
    except OSError as error:
        raise SinkError(
            f"{path} cannot be written.", reason(error), "Give another --log."
        ) from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, level = logging.getLogger(), log.level
    root.addHandler(file)
    log.setLevel(logging.INFO)

    def say(text: str) -> None:
        typer.echo(text, err=True)
        log.info("%s", text)

    try:
        yield say
    except BaseException as error:
        if not isinstance(error, (SystemExit, typer.Exit)):
            log.error("ended: %s", str(error) or type(error).__name__)
        raise
    finally:
        root.removeHandler(file)
        log.setLevel(level)
        file.close()


def opened(
    attempt: Callable[[], T],
    service: ServiceManager,
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return what `attempt` opens; while the camera is not there, try again and again.

    Errors other than `SourceError` are raised: waiting mends none of them.
    """
    said, tries = "", 0
    while True:
        try:
            return attempt()
        except SourceError as error:
            if str(error) != said:
                say(f"{error} rtstyle tries again until it is there.")
                said = str(error)
            service.tell("READY=1", f"STATUS=waiting: {error.what}", "WATCHDOG=1")
        left = PAUSES[min(tries, len(PAUSES) - 1)]
        tries += 1
        while left > 0:
            sleep(min(SIGN, left))
            service.alive()
            left -= SIGN


def keep_awake(stack: ExitStack, say: Callable[[str], object]) -> None:
    """Keep the machine awake until the end, and say if that cannot be."""
    awake = stack.enter_context(Awake())
    if awake.problem:
        say(awake.problem)
