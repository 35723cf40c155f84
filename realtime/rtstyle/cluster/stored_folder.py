"""A data set in a store, as `rtstyle.jobs.augment` sees a folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import Any

from rtstyle.cluster.stores import Name, is_store, store_of
from rtstyle.errors import SinkError, SourceError
from rtstyle.files.names import without_password
from rtstyle.jobs.augment.folders import DataFolder, Log, as_data_folder

NUMBER = 6
"""Digits in the names of the pieces of a log."""


def data_folder(name: Name) -> DataFolder:
    """Return the folder of a name, here or in a store."""
    return StoredFolder(str(name)) if is_store(name) else as_data_folder(name)


class StoredFolder(DataFolder):
    """A folder of a store that fsspec knows. Stores raise errors of their own kinds."""

    def __init__(self, name: str) -> None:
        self.name = name.rstrip("/")
        self.store, self.path = store_of(self.name)
        self.path = self.path.rstrip("/")

    def __str__(self) -> str:
        return without_password(self.name)

    def is_folder(self) -> bool:
        """Return True if there is anything below it."""
        return bool(self.store.isdir(self.path))

    def is_file(self) -> bool:
        """Return True if there is a file of its name."""
        return bool(self.store.isfile(self.path))

    def overlaps(self, other: DataFolder) -> bool:
        """Return True if both are the same folder, or one lies in the other."""
        if not isinstance(other, StoredFolder) or type(other.store) is not type(self.store):
            return False
        here, there = PurePosixPath(self.path), PurePosixPath(other.path)
        return here == there or here in there.parents or there in here.parents

    def files(self) -> list[PurePosixPath]:
        """Return the files below it, sorted. Raises `SourceError`."""
        try:
            found = self.store.find(self.path)
        except Exception as error:
            raise SourceError(
                f"{self} cannot be read.", str(error), "Check the address, and that you may."
            ) from error
        return sorted(PurePosixPath(path).relative_to(self.path) for path in found)

    def place(self, file: str | PurePosixPath) -> str:
        """Return the address of a file."""
        return f"{self.name}/{file}"

    def there(self, files: Collection[str]) -> set[str]:
        """Return those of `files` that are there, by one list of all."""
        return {str(path) for path in self.files()} & set(files) if files else set()

    def prepare(self, folders: Collection[str]) -> None:
        """Make nothing: stores have no folders without files, and those that have make them."""
        with suppress(Exception):
            for folder in folders:
                self.store.makedirs(f"{self.path}/{folder}", exist_ok=True)

    def read(self, file: str | PurePosixPath) -> bytes | None:
        """Return the content of a file, None if it is not there. Raises `SourceError`."""
        try:
            return bytes(self.store.cat_file(f"{self.path}/{file}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise SourceError(
                f"{without_password(self.place(file))} cannot be read.", str(error)
            ) from error

    def write(self, file: str | PurePosixPath, content: bytes) -> None:
        """Write a file, whole or not at all. Raises `SinkError`."""
        with writing(self.place(file)):
            self.store.pipe_file(f"{self.path}/{file}", content)

    def remove(self, file: str) -> None:
        """Remove a file, if it is there. Raises `SinkError`."""
        with writing(self.place(file)), suppress(FileNotFoundError):
            self.store.rm_file(f"{self.path}/{file}")

    def log(self, file: str) -> StoredLog:
        """Return what keeps lines in pieces beside a file: a store adds nothing to a file."""
        return StoredLog(self, file)


class StoredLog(Log):
    """Lines of a file in pieces beside it, `FILE.parts/000001` and so on."""

    def __init__(self, folder: StoredFolder, file: str) -> None:
        self._folder, self._file = folder, file
        self._next: int | None = None

    def open(self) -> None:
        """Begin after the last piece."""
        self._next = max((int(piece) for piece in self._pieces()), default=0) + 1

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write a piece with a line of JSON for each entry. Raises `SinkError`."""
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        if self._next is None:
            raise SinkError(f"{self._folder} is closed.")
        if text:
            name = f"{self._file}.parts/{self._next:0{NUMBER}d}"
            self._folder.write(name, text.encode("utf-8", "surrogateescape"))
            self._next += 1

    def read(self) -> list[str]:
        """Return the lines of the file and of its pieces."""
        names = [self._file, *(f"{self._file}.parts/{piece}" for piece in self._pieces())]
        contents = (self._folder.read(name) or b"" for name in names)
        text = b"\n".join(contents).decode("utf-8", "surrogateescape")
        return text.split("\n") if text.strip() else []

    def close(self) -> None:
        """End it."""
        self._next = None

    def clear(self) -> None:
        """Remove the pieces. Raises `SinkError`."""
        for piece in self._pieces():
            self._folder.remove(f"{self._file}.parts/{piece}")

    def _pieces(self) -> list[str]:
        store, path = self._folder.store, f"{self._folder.path}/{self._file}.parts"
        if not store.isdir(path):
            return []
        names = (PurePosixPath(found).name for found in store.ls(path, detail=False))
        return sorted(name for name in names if name.isdigit())


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Raise `SinkError` where a store does not take a file."""
    try:
        yield
    except Exception as error:
        raise SinkError(
            f"{without_password(name)} cannot be written.", str(error), "Check that you may."
        ) from error
