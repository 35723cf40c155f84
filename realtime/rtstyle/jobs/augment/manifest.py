"""What a run of `rtstyle augment` has painted: a line of JSON a picture, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from rtstyle.errors import SinkError, UsageError
from rtstyle.files.temporary import replacing

NAME = "manifest.jsonl"


class AugmentManifest:
    """The manifest of an output folder: options in its first line, then the pictures.

    Written line by line while the run lasts, so that what was cut short goes on, and put in order
    at its end. Raises `UsageError` if the folder has pictures of a run with other options.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self._options = json.loads(json.dumps(options))
        self.entries: dict[str, dict[str, Any]] = {}
        self.goes_on = False
        self._file: TextIO | None = None
        self._load()

    def _load(self) -> None:
        try:
            lines = self.path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return
        found = [entry for line in lines if isinstance(entry := parsed(line), dict)]
        if not found or "options" not in found[0]:
            raise UsageError(
                f"{self.path} is not a list that rtstyle wrote.", "", "Name another folder."
            )
        old = found[0]["options"]
        if old != self._options:
            other = [
                f"{name} {value}" for name, value in old.items() if value != self._options.get(name)
            ]
            raise UsageError(
                f"{self.path.parent} was painted with other options.",
                f"There: {', '.join(other) or 'fewer'}.",
                "Name another folder, or pass --overwrite.",
            )
        self.goes_on = True
        self.entries = {str(entry["file"]): entry for entry in found[1:] if "file" in entry}

    def kept(self, files: Iterable[str]) -> dict[str, str]:
        """Return those of `files`, below the folder, that are there: the hash of each's source."""
        noted = ((file, self.entries.get(file, {}).get("sha256")) for file in files)
        return {file: str(sha256) for file, sha256 in noted if sha256 and self._there(file)}

    def _there(self, file: str) -> bool:
        return (self.path.parent / file).is_file()

    def begin(self) -> None:
        """Open the list, anew or at its end. Raises `SinkError`."""
        try:
            if not self.goes_on:
                self._write_all()
            self._file = self.path.open("a", encoding="utf-8", errors="surrogateescape")
            # A line that was cut short stays alone.
            self._file.write("\n" if self.goes_on else "")
        except OSError as error:
            raise SinkError(f"{self.path} cannot be written.", str(error.strerror)) from error

    def add(self, entry: dict[str, Any]) -> None:
        """Note one picture. Raises `SinkError`."""
        assert self._file is not None
        self.entries[entry["file"]] = entry
        try:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        except OSError as error:
            raise SinkError(f"{self.path} cannot be written.", str(error.strerror)) from error

    def end(self) -> None:
        """Write the list in order, without what is no longer there."""
        self.close()
        self.entries = {
            file: self.entries[file] for file in sorted(self.entries) if self._there(file)
        }
        self._write_all()

    def _write_all(self) -> None:
        lines = [{"options": self._options}, *self.entries.values()]
        with replacing(self.path) as fresh:
            text = "".join(json.dumps(line) + "\n" for line in lines)
            fresh.write_text(text, encoding="utf-8", errors="surrogateescape")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def parsed(line: str) -> Any:
    """Return a line of JSON; None for what is none, as a line that was cut short."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
