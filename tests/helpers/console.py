"""Runs the command line inside the test process."""

from __future__ import annotations

import pytest

from rtstyle import cli


def command(*words: object) -> int:
    """Run `rtstyle WORDS...` and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["rtstyle", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0
