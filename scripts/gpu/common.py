"""What the steps of this folder share: slices that were carried, and notes of what was found."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import math
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SLICES = ("data", "any", "cuda", "video", "rtx")
"""Kinds of slices, in the order in which they are carried; each is one folder or several."""

BEGAN = time.monotonic()


def say(*words: object) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f}]", *words, flush=True)


def cosine(done: float, warm: float = 0.02) -> float:
    """Return the factor of the learning rate when a share `done` of a run is over."""
    if done < warm:
        return max(0.02, done / warm)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / (1 - warm))))


def use_repository() -> None:
    """Import rtstyle from this checkout."""
    sys.path[:0] = [str(ROOT / "realtime"), str(ROOT / "export")]


def parts_of(slices: Path, kind: str) -> list[Path]:
    """Return the parts of a packed library that are here, in order."""
    return sorted(slices.glob(f"{kind}-*/{kind}.tar.xz.*"))


def is_whole(slices: Path, kind: str) -> bool:
    """Return True if all parts of a packed library are here and as they were packed."""
    parts = parts_of(slices, kind)
    facts = [json.loads(path.read_text()) for path in slices.glob(f"{kind}-*/part.json")]
    return bool(facts) and len(parts) == len(facts) == facts[0]["of"]


def unpacked(slices: Path, kind: str) -> Path | None:
    """Return the folder of a packed library, for PYTHONPATH; None if parts of it are missing.

    Raises `SystemExit` if a part was damaged on its way.
    """
    target = slices / "site" / kind
    if (target / "whole").exists():
        return target
    if not is_whole(slices, kind):
        return None
    content = b""
    for path in parts_of(slices, kind):
        part = path.read_bytes()
        if (
            hashlib.sha256(part).hexdigest()
            != json.loads((path.parent / "part.json").read_text())["sha256"]
        ):
            raise SystemExit(f"{path} was damaged on its way: pack and carry it again.")
        content += part
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content))) as archive:
        archive.extractall(target, filter="data")
    (target / "whole").touch()
    say("unpacked", kind)
    return target


class Notes:
    """Rows of figures, written to a JSON file after each, so that what was found is kept."""

    def __init__(self, path: Path, **facts: object) -> None:
        self.path, self.facts = path, facts
        self.rows: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, **row: Any) -> None:
        """Add a row, print it and write all."""
        self.rows.append(row)
        say(*(f"{key}={_short(value)}" for key, value in row.items()))
        self.path.write_text(json.dumps({"facts": self.facts, "rows": self.rows}, indent=1))


def _short(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value
