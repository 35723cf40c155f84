"""Fits a picture in a process of its own, which lets every other one go first.

A thread of the lowest priority would hold the picture on the screen up: where other programs use
every core it gets hardly any time, also while it has Python's lock, for which all threads wait.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import rtstyle
from rtstyle.errors import EngineError, RtstyleError, reason
from rtstyle.media.color import Colours
from rtstyle.styles import paintings
from rtstyle.styles.sizes import plain_size

COMMAND = [sys.executable, "-m", "rtstyle.live.bank.apart"]
NICENESS = 19
POLL = 0.1
"""Seconds between two questions whether it is still wanted."""


def fit_apart(
    name: str,
    size: str,
    scale: float,
    colours: Colours | None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Fit a picture file, so that `paintings.encode` has its vector from now on.

    Once `stopped` says so, nothing is fitted. Raises `RtstyleError` where it cannot be.
    """
    request = {
        "name": name,
        "size": plain_size(size),
        "scale": scale,
        "colours": None if colours is None else [colours.mean, colours.covariance],
        "niceness": NICENESS,
        "started_in": str(Path.cwd()),
    }
    answer = _ask(json.dumps(request).encode(), stopped)
    if answer is None:
        return
    try:
        reply: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise EngineError("The painting cannot be studied.", "Its process ended.") from error
    if "error" in reply:
        raise EngineError(*reply["error"])
    vector = np.array(reply["numbers"], np.float32)
    paintings.keep_fitted(name, plain_size(size), scale, colours, vector)


def _ask(request: bytes, stopped: Callable[[], bool]) -> bytes | None:
    """Return what the process answers, None if it was stopped."""
    try:
        child = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Where this package is, so that the same one is found, and nothing before it.
            cwd=Path(rtstyle.__file__).parents[1],
            # Ctrl-C is ours to take.
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError("The painting cannot be studied.", reason(error)) from error
    with child:
        sent: bytes | None = request
        while True:
            try:
                return child.communicate(sent, POLL)[0]
            except subprocess.TimeoutExpired:
                sent = None
            if stopped():
                child.kill()
                return None


def main() -> None:
    """Read a request on standard input, and write the reply."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    with suppress(AttributeError, OSError):
        os.nice(request["niceness"])
    os.chdir(request["started_in"])
    mean, covariance = request["colours"] or ((), ())
    colours = Colours(tuple(mean), tuple(map(tuple, covariance))) if mean else None
    reply: dict[str, Any]
    try:
        found = paintings.encode(
            request["name"], request["size"], request["scale"], colours, threads=1
        )
        reply = {"numbers": [float(number) for number in found]}
    except RtstyleError as error:
        reply = {"error": [error.what, error.why, error.todo]}
    print(json.dumps(reply))


if __name__ == "__main__":
    main()
