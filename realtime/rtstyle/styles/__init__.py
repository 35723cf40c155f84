"""Styles: the built-in ones, pictures as styles, and blends of them.

Owns what `--style` may be, and what a painting becomes before anything is painted with it. Knows
nothing of frames that are painted, sources or sinks. Called, as `rtstyle.styles()`, it lists the
built-in styles.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Styles(ModuleType):
    """The module, which may be called."""

    def __call__(self) -> list[str]:
        """Return the names of the built-in styles."""
        from rtstyle.styles.manifest import load_manifest

        return list(load_manifest().styles)


sys.modules[__name__].__class__ = _Styles
