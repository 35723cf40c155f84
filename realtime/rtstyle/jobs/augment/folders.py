"""Where a data set lies: a folder of this machine; `rtstyle.cluster` adds folders of stores."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from rtstyle.errors import SinkError
from rtstyle.files.temporary import replacing


class DataFolder(ABC):
    """A folder whose files are named by their paths below it. `str` shows it to the user."""

    @abstractmethod
    def is_folder(self) -> bool:
        """Return True if it is there."""

    @abstractmethod
    def is_file(self) -> bool:
        """Return True if there is a file of its name."""

    @abstractmethod
    def overlaps(self, other: DataFolder) -> bool:
        """Return True if both are the same folder, or one lies in the other."""

    @abstractmethod
    def files(self) -> list[PurePosixPath]:
        """Return the files below it, sorted. Raises `SourceError`."""

    @abstractmethod
    def place(self, file: str | PurePosixPath) -> Any:
        """Return the path, or the address, of a file."""

    @abstractmethod
    def there(self, files: Collection[str]) -> set[str]:
        """Return those of `files` that are there."""

    @abstractmethod
    def prepare(self, folders: Collection[str]) -> None:
        """Make folders below it. Raises `OSError`."""

    @abstractmethod
    def read(self, file: str | PurePosixPath) -> bytes | None:
        """Return the content of a small file, None if it is not there. Raises `OSError`."""

    @abstractmethod
    def write(self, file: str | PurePosixPath, content: bytes) -> None:
        """Write a file, whole or not at all. Raises `OSError` or `SinkError`."""

    @abstractmethod
    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def log(self, file: str) -> Log:
        """Return what keeps lines of a file that are added one by one."""


class Log(ABC):
    """Lines that are kept as soon as they are added, beside or at the end of a file."""

    @abstractmethod
    def open(self) -> None:
        """Begin to add lines. Raises `OSError`."""

    @abstractmethod
    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add a line of JSON for each entry. Raises `OSError` or `SinkError`."""

    @abstractmethod
    def read(self) -> list[str]:
        """Return the lines of the file and those that were added."""

    @abstractmethod
    def close(self) -> None:
        """End it; a second call does nothing."""

    @abstractmethod
    def clear(self) -> None:
        """Remove lines that lie beside the file."""


class LocalFolder(DataFolder):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def is_folder(self) -> bool:
        """Return True if it is there."""
        return self.path.is_dir()

    def is_file(self) -> bool:
        """Return True if there is a file, or something else that is no folder, of its name."""
        return self.path.exists() and not self.path.is_dir()

    def overlaps(self, other: DataFolder) -> bool:
        """Return True if both are the same folder, or one lies in the other."""
        if not isinstance(other, LocalFolder):
            return False
        here, there = self.path.resolve(), other.path.resolve()
        return here == there or here in there.parents or there in here.parents

    def files(self) -> list[PurePosixPath]:
        """Return the files below it, sorted."""
        return [
            PurePosixPath(path.relative_to(self.path).as_posix())
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        ]

    def place(self, file: str | PurePosixPath) -> Path:
        """Return the path of a file."""
        return self.path / file

    def there(self, files: Collection[str]) -> set[str]:
        """Return those of `files` that are there."""
        return {file for file in files if (self.path / file).is_file()}

    def prepare(self, folders: Collection[str]) -> None:
        """Make folders below it."""
        for folder in folders:
            (self.path / folder).mkdir(parents=True, exist_ok=True)

    def read(self, file: str | PurePosixPath) -> bytes | None:
        """Return the content of a file, None if it is not there."""
        try:
            return (self.path / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, file: str | PurePosixPath, content: bytes) -> None:
        """Write a file, whole or not at all."""
        with replacing(self.path / file) as fresh:
            fresh.write_bytes(content)

    def remove(self, file: str) -> None:
        """Remove a file, if it is there."""
        (self.path / file).unlink(missing_ok=True)

    def log(self, file: str) -> LocalLog:
        """Return what adds lines at the end of a file."""
        return LocalLog(self.path / file)


class LocalLog(Log):
    """Lines at the end of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def open(self) -> None:
        """Open the file at its end."""
        self._file = self.path.open("a", encoding="utf-8", errors="surrogateescape")
        # A line that was cut short stays alone.
        self._file.write("\n" if self.path.stat().st_size else "")

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add a line of JSON for each entry."""
        if self._file is None:
            raise SinkError(f"{self.path} is closed.")
        for entry in entries:
            self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def read(self) -> list[str]:
        """Return the lines of the file."""
        try:
            return self.path.read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return []

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def clear(self) -> None:
        """Leave the file as it is: all lines are in it."""


def as_data_folder(place: DataFolder | Path | str) -> DataFolder:
    """Return a folder of this machine by its path, or a folder as it is."""
    return place if isinstance(place, DataFolder) else LocalFolder(Path(place))
