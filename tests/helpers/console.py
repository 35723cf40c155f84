"""Runs the command line inside the test process."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper

import pytest

from rtstyle import cli
from rtstyle.errors import RtstyleError


def command(*words: object) -> int:
    """Run `rtstyle WORDS...` and return its exit code; `capsys` has what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["rtstyle", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@dataclass(frozen=True)
class Done:
    """What came of a command: exit code, what it printed, and the error that it ended with."""

    code: int
    out: str
    err: str
    error: RtstyleError | None

    @property
    def output(self) -> str:
        """All that was printed."""
        return self.out + self.err


def rtstyle(*words: object) -> Done:
    """Run `rtstyle WORDS...` and keep what it prints."""
    out, err = (TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2))
    errors: list[RtstyleError] = []
    shown = cli.print_error

    def note(error: RtstyleError) -> None:
        errors.append(error)
        shown(error)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(cli, "print_error", note)
        code = command(*words)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Done(code, *texts, errors[0] if errors else None)
