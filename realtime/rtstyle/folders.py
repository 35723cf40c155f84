"""What a folder holds beside the files that are painted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path


def left_out(folder: Path, taken: Collection[Path]) -> str:
    """Say which files of `folder` are not `taken`, by their endings; '' if all are.

    Hidden files and folders do not count.
    """
    seen = (f for f in folder.iterdir() if not f.name.startswith(".") and f.is_file())
    rest = Counter(file.suffix.lower() or "without ending" for file in seen if file not in taken)
    if not rest:
        return ""
    count = rest.total()
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(rest.items()))
    return f"{count} file{'s' if count > 1 else ''} of {folder} left out: {kinds}"
