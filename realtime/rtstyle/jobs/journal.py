"""What a run over many photos has begun, so that the same command goes on after a crash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtstyle.files.temporary import replacing

NAME = ".rtstyle-run.json"


class Journal:
    """The list of outputs of a run, kept in the output folder until the run is done.

    Outputs appear whole or not at all, so those on the list that are there are painted. It holds
    for the same `options` and unchanged photos only; other existing files are none of its own.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], read: Sequence[Path] = ()) -> None:
        self._path = folder / NAME
        about = {**options, "read": [[str(path), *_state(path)] for path in read]}
        text = json.dumps(about, sort_keys=True, default=str)
        self._identity = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        self._begun = self._load()

    def is_done(self, source: Path, target: Path) -> bool:
        """Return True if a run that was cut short has painted `source` into `target`."""
        return self._begun.get(target.name) == _key(source) and target.is_file()

    def begin(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Note the outputs of the run. Where the note cannot be written, no run can go on."""
        self._begun |= {target.name: _key(source) for source, target in pairs}
        content = json.dumps({"run": self._identity, "outputs": self._begun}, indent=1)
        with suppress(OSError), replacing(self._path) as fresh:
            fresh.write_text(content, encoding="utf-8", errors="surrogateescape")

    def end(self) -> None:
        """The run is done: nothing is left to continue from."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8", errors="surrogateescape"))
            return dict(content["outputs"]) if content["run"] == self._identity else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}


def _key(source: Path) -> list[Any]:
    return [str(source.absolute()), *_state(source)]


def _state(path: Path) -> list[int]:
    """Return what changes when a file does; nothing if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
