"""One finding of `rtstyle doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `ok` is None where it is only told. `todo` says what would help."""

    group: str
    name: str
    ok: bool | None
    detail: str = ""
    todo: str = ""
    needed: bool = False


def works(checks: list[Check]) -> bool:
    """Return True if a video can be painted here."""
    engine = any(check.ok for check in checks if check.group == "engines")
    return engine and all(check.ok is not False for check in checks if check.needed)
