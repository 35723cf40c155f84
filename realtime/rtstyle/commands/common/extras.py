"""What the extras `stage`, `serve` and `train` bring, asked for before anything else starts."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rtstyle.errors import MissingExtraError


def require_stage(what: str, *modules: str) -> None:
    """Raise `MissingExtraError` unless these modules of the extra `stage` are installed."""
    if missing_of(modules) == ["rtmidi"] and sys.version_info >= (3, 13):
        raise MissingExtraError(
            f"`{what}` needs python-rtmidi, which comes built for Python up to 3.12 only.",
            "",
            "Use an older Python, or install python-rtmidi with a compiler.",
        )
    require_extra("stage", what, *modules)


@contextmanager
def needing_torch(what: str = "This") -> Iterator[None]:
    """Import what needs PyTorch inside; raises `MissingExtraError` where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs PyTorch.", str(error), "pip install 'rtstyle[train]'"
        ) from error


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Raise `MissingExtraError` unless these modules of an extra are installed."""
    if missing := missing_of(modules):
        raise MissingExtraError(
            f"`{what}` needs the extra `{extra}`.",
            f"Missing: {', '.join(missing)}.",
            f"Install rtstyle[{extra}].",
        )


def missing_of(modules: Sequence[str]) -> list[str]:
    """Return those modules that are not installed."""
    return [name for name in modules if not importlib.util.find_spec(name)]
