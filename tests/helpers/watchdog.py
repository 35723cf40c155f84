"""A pytest plugin that ends a run which hangs where pytest-timeout cannot reach.

pytest-timeout raises in the main thread between two steps of Python. A thread that waits in C
with the lock of the interpreter, or a teardown after a failure, goes on for ever. This one is a
thread in C: it writes where every thread stands and ends the process. `.ci/run` gives the tests a
file for that by `RTSTYLE_TEST_HANG`, and starts them once more when something is in it.
"""

from __future__ import annotations

import faulthandler
import os
import sys

import pytest

_limit = 0.0
_file = -1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("watchdog", "seconds after which a test that hangs ends the run", default="420")


def pytest_configure(config: pytest.Config) -> None:
    global _limit, _file
    _limit = float(config.getini("watchdog"))
    if path := os.environ.get("RTSTYLE_TEST_HANG"):
        _file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    else:
        # Of its own, as pytest replaces the other while tests run.
        _file = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)


def _watch() -> None:
    faulthandler.dump_traceback_later(_limit, exit=True, file=_file)


def pytest_runtest_logstart(nodeid: str) -> None:
    _watch()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    # pytest's own plugin takes the timer away where a test fails.
    _watch()


def pytest_sessionfinish() -> None:
    # Threads that do not end keep the interpreter from ending.
    _watch()
