"""Starts the cases of a benchmark as processes, and takes the time of whole commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from rtstyle import errors
from rtstyle.errors import RtstyleError

CASE_LIMIT = 900.0
"""Seconds after which a case counts as hung."""

RTSTYLE = (sys.executable, "-c", "from rtstyle.cli import main; main()")
"""The `rtstyle` command, without relying on where its script lies."""


def environment() -> dict[str, str]:
    """Return the environment of a tool that is timed, whose Python keeps what it compiled.

    So it does for a user. Where it may not, as in many containers, each start compiles all anew.
    """
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run_case(kind: str, **arguments: Any) -> dict[str, Any]:
    """Run one case of `rtstyle.bench.child` in a fresh process and return its values.

    Raises the `RtstyleError` that the case raised, or one that says how the process ended.
    """
    case = json.dumps({"kind": kind, **arguments})
    done = _run([sys.executable, "-m", "rtstyle.bench.child", case], f"case {kind!r}")
    try:
        values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "error" in values:
            raise _revive(values["error"])
        if done.returncode == 0:
            return values
    except (IndexError, ValueError, KeyError, TypeError):
        # Nothing that can be read: the process died on the way.
        pass
    raise _died(f"case {kind!r}", done)


def time_command(command: Sequence[str]) -> float:
    """Return the seconds from starting a command to its end. Raises `RtstyleError` if it fails."""
    began = time.perf_counter()
    done = _run(command, "command")
    spent = time.perf_counter() - began
    if done.returncode:
        raise _died(f"command {' '.join(command[-6:])}", done)
    return spent


def _run(command: Sequence[str], name: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=CASE_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RtstyleError(
            f"The {name} of the benchmark hung.",
            f"It was ended after {CASE_LIMIT:.0f} s.",
            "Run `rtstyle doctor`.",
        ) from error


def _revive(parts: dict[str, str]) -> RtstyleError:
    """Return the error of a case as if it had been raised here."""
    kind = getattr(errors, parts["type"], RtstyleError)
    error: RtstyleError = kind(parts["what"], parts["why"], parts["todo"])
    return error


def _died(name: str, done: subprocess.CompletedProcess[str]) -> RtstyleError:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return RtstyleError(
        f"The {name} of the benchmark failed with status {done.returncode}.",
        lines[-1] if lines else "It said nothing.",
        "Run `rtstyle doctor`.",
    )
