"""What the extra `stage` brings, asked for before anything else starts."""

from __future__ import annotations

import importlib.util
import sys

from rtstyle.errors import MissingExtraError


def require_stage(what: str, *modules: str) -> None:
    """Raise `MissingExtraError` unless these modules of the extra `stage` are installed."""
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    if missing == ["rtmidi"] and sys.version_info >= (3, 13):
        raise MissingExtraError(
            f"`{what}` needs python-rtmidi, which comes built for Python up to 3.12 only.",
            "",
            "Use an older Python, or install python-rtmidi with a compiler.",
        )
    if missing:
        raise MissingExtraError(
            f"`{what}` needs the extra `stage`.",
            f"Missing: {', '.join(missing)}.",
            "Install rtstyle[stage].",
        )
