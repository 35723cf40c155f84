"""What a run of `rtstyle augment` has painted: a line of JSON a picture, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rtstyle.errors import SinkError, UsageError
from rtstyle.jobs.augment.folders import DataFolder

NAME = "manifest.jsonl"


class AugmentManifest:
    """The manifest of an output folder: options in its first line, then the pictures.

    Written line by line while the run lasts, so that what was cut short goes on, and put in order
    at its end. Raises `UsageError` if the folder has pictures of a run with other options.
    """

    def __init__(self, folder: DataFolder, options: Mapping[str, Any]) -> None:
        self._folder = folder
        self._options = json.loads(json.dumps(options))
        self.entries: dict[str, dict[str, Any]] = {}
        self.goes_on = False
        self._log = folder.log(NAME)
        self._there: set[str] = set()
        self._load()

    def _load(self) -> None:
        lines = self._log.read()
        if not lines:
            return
        found = [entry for line in lines if isinstance(entry := parsed(line), dict)]
        if not found or "options" not in found[0]:
            raise UsageError(
                f"{self._folder.place(NAME)} is not a list that rtstyle wrote.",
                "",
                "Name another folder.",
            )
        old = found[0]["options"]
        if old != self._options:
            other = [
                f"{name} {value}" for name, value in old.items() if value != self._options.get(name)
            ]
            raise UsageError(
                f"{self._folder} was painted with other options.",
                f"There: {', '.join(other) or 'fewer'}.",
                "Name another folder, or pass --overwrite.",
            )
        self.goes_on = True
        self.entries = {str(entry["file"]): entry for entry in found[1:] if "file" in entry}

        self._there = self._folder.there(self.entries)

    def kept(self, files: Iterable[str]) -> dict[str, str]:
        """Return those of `files`, below the folder, that are there: the hash of each's source."""
        noted = ((file, self.entries.get(file, {}).get("sha256")) for file in files)
        return {file: str(sha256) for file, sha256 in noted if sha256 and file in self._there}

    def begin(self) -> None:
        """Open the list, anew or at its end. Raises `SinkError`."""
        with self._writing():
            if not self.goes_on:
                self._write_all()
            self._log.open()

    def add(self, entries: Iterable[dict[str, Any]]) -> None:
        """Note pictures. Raises `SinkError`."""
        found = list(entries)
        self.entries.update({entry["file"]: entry for entry in found})
        with self._writing():
            self._log.add(found)

    def end(self) -> None:
        """Write the list in order, without what is no longer there. Raises `SinkError`."""
        self.close()
        there = self._folder.there(self.entries)
        self.entries = {file: self.entries[file] for file in sorted(there)}
        with self._writing():
            self._write_all()
            self._log.clear()

    def _write_all(self) -> None:
        lines = [{"options": self._options}, *self.entries.values()]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._folder.write(NAME, text.encode("utf-8", "surrogateescape"))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SinkError(
                f"{self._folder.place(NAME)} cannot be written.", error.strerror or str(error)
            ) from error

    def close(self) -> None:
        """Close the list; a second call does nothing."""
        self._log.close()


def parsed(line: str) -> Any:
    """Return a line of JSON; None for what is none, as a line that was cut short."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
