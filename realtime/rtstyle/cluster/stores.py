"""Files by name, wherever they are: a path, or an address of a store that fsspec knows (s3://)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import av
import av.error

from rtstyle.errors import MissingExtraError, SinkError, SourceError, printable, reason
from rtstyle.files.names import STREAMS, is_address, without_password
from rtstyle.files.temporary import remove, replacing
from rtstyle.media.container import LENIENT_TEXT, Media

BLOCK = 4 << 20
"""Bytes that are read ahead from a store."""
BUFFER = 1 << 18
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
}  # fmt: skip

Name = Path | str
"""A path, or the address of a file in a store."""


def is_store(name: object) -> bool:
    """Return True for an address that fsspec reads, False for a path and what FFmpeg reads."""
    return is_address(name) and urlsplit(str(name)).scheme.lower() not in STREAMS


def store_of(name: Name) -> tuple[Any, str]:
    """Return the file system of fsspec for a name, and the path in it.

    Raises `MissingExtraError` where a package is missing, `SourceError` for an unknown store.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(
            f"{without_password(str(name))} needs fsspec.", "", "Install rtstyle[cluster]."
        ) from error
    scheme = urlsplit(str(name)).scheme.lower()
    try:
        # Others write there, too: what was listed before is out of date.
        found, path = url_to_fs(str(name), use_listings_cache=False)
    except ImportError as error:
        package = PACKAGES.get(scheme, "the package for it")
        raise MissingExtraError(
            f"{scheme}:// cannot be read here.", str(error), f"Install {package} on all machines."
        ) from error
    except ValueError as error:
        raise SourceError(
            f"{scheme}:// is not a store that is known.", str(error), "Check the address."
        ) from error
    return found, str(path)


class StoredMedia(Media):
    """A video in a store: read where it is asked for, never copied as a whole."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.address = False

    def _open(self, tap: object) -> Any:  # noqa: ARG002 - it is not a pipe
        shown = without_password(str(self.place))
        try:
            store, path = store_of(str(self.place))
            file = store.open(path, "rb", block_size=BLOCK)
            return av.open(file, buffer_size=BUFFER, **LENIENT_TEXT)
        except FileNotFoundError as error:
            raise SourceError(f"{shown} does not exist.", "", "Check the address.") from error
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{shown} is not a video that can be read.",
                reason(error),
                "Check that it plays, and that you may read it.",
            ) from error


def as_folder(name: Name) -> bool:
    """Return True if a name is a folder that exists."""
    if not is_store(name):
        return Path(name).is_dir()
    store, path = store_of(name)
    return bool(store.isdir(path))


def list_files(folder: str, suffixes: Collection[str]) -> list[str]:
    """Return the files of a store's folder that end so, by name. Raises `SourceError` for none."""
    store, path = store_of(folder)
    places = [PurePosixPath(found) for found in store.ls(path, detail=False)]
    names = sorted(p.name for p in places if p.suffix.lower() in suffixes)
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise SourceError(f"{folder} holds nothing that can be painted.", "", "Check the address.")
    return [str(within(folder, name)) for name in names]


def within(folder: Name, name: str) -> Name | Any:
    """Return the name of a file in a folder, of the folder's kind."""
    if is_store(folder):
        return f"{str(folder).rstrip('/')}/{name}"
    return Path(folder) / name


def exists(name: Name) -> bool:
    """Return True if there is a file, or a folder, of that name."""
    if not is_store(name):
        return Path(name).exists()
    store, path = store_of(name)
    return bool(store.exists(path))


def stamp(name: Name) -> list[Any] | None:
    """Return what changes when a file does: its size, and its time or its tag. None if absent."""
    if not is_store(name):
        with suppress(OSError):
            status = Path(name).stat()
            return [status.st_size, status.st_mtime_ns]
        return None
    store, path = store_of(name)
    try:
        facts = store.info(path)
    except FileNotFoundError:
        return None
    return [facts.get("size"), str(facts.get("ETag") or facts.get("mtime") or facts.get("updated"))]


def upload(file: Path, name: str) -> None:
    """Write a file into a store, block by block. Raises `SinkError`."""
    store, path = store_of(name)
    try:
        store.put_file(str(file), path)
    except Exception as error:
        # Each store has errors of its own.
        raise SinkError(
            f"{without_password(name)} cannot be written.", str(error), "Check that you may."
        ) from error


def download(name: str, file: Path) -> None:
    """Read a file from a store, block by block. Raises `SourceError`."""
    store, path = store_of(name)
    try:
        store.get_file(path, str(file))
    except Exception as error:
        raise SourceError(
            f"{without_password(name)} cannot be read.", str(error), "Check the address."
        ) from error


class StateFolder:
    """A folder beside an output that keeps what is painted of it, until the output is whole."""

    def __init__(self, output: Name) -> None:
        self.name = within_name(output, ".parts")
        self.shared = is_store(output)

    def files(self) -> set[str]:
        """Return the names of its files."""
        if not self.shared:
            folder = Path(self.name)
            return {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        store, path = store_of(self.name)
        if not store.isdir(path):
            return set()
        return {PurePosixPath(found).name for found in store.ls(path, detail=False)}

    def read(self) -> Any:
        """Return what `begin` wrote, None for nothing of the kind."""
        with suppress(OSError, ValueError), self.opener("run.json")() as file:
            return json.loads(file.read())
        return None

    def begin(self, about: Any) -> None:
        """Note what the parts belong to."""
        self.write("run.json", json.dumps(about, default=str).encode())

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if not self.shared:
            Path(self.name).mkdir(exist_ok=True)
            with replacing(Path(self.name) / name) as fresh:
                fresh.write_bytes(content)
            return
        store, path = store_of(self.name)
        store.pipe_file(f"{path}/{name}", content)

    def opener(self, name: str) -> Callable[[], BinaryIO]:
        """Return what opens one of its files."""
        if not self.shared:
            file = Path(self.name) / name
            return lambda: file.open("rb")
        store, path = store_of(self.name)
        return partial(store.open, f"{path}/{name}", "rb", block_size=BLOCK)

    def remove(self) -> None:
        """Remove it with all in it."""
        if not self.shared:
            with suppress(OSError):
                remove(Path(self.name))
            return
        store, path = store_of(self.name)
        with suppress(FileNotFoundError):
            store.rm(path, recursive=True)


def within_name(output: Name, addition: str) -> Name:
    """Return the name of a folder beside an output."""
    if is_store(output):
        return f"{output}{addition}"
    return Path(f"{output}{addition}")


def shown(name: Name) -> str:
    """Return a name as it is told to the user."""
    return printable(without_password(name) if isinstance(name, str) else name)


def media_of(name: Name) -> Media:
    """Return the video of a name."""
    return StoredMedia(str(name)) if is_store(name) else Media(name)
