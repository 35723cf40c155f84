"""Inputs as a task reads them: from a store, from its own disk, or from Ray's object store.

A file that a machine of the cluster does not see as the caller does is sent there in blocks, once
for all tasks; each task fetches the blocks that it reads.
"""

from __future__ import annotations

import io
import shutil
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from rtstyle.cluster.stores import BUFFER, Name, download, is_store, media_of, stamp
from rtstyle.errors import SourceError, reason
from rtstyle.files.names import is_address
from rtstyle.media.container import LENIENT_TEXT, Media

SENT_BLOCK = 16 << 20
KEPT = 3
"""Blocks that a task keeps: picture and sound are read side by side."""


class AbsentError(SourceError):
    """A file that this machine does not see as the caller does."""


@dataclass(frozen=True)
class Input:
    """An input: its name, what `stamp` says of it where the caller is, and its blocks if sent.

    `lost` is why the caller could not read it when it was to be sent, "" if it could.
    """

    name: Name
    stamp: tuple[Any, ...] | None = None
    blocks: tuple[Any, ...] | None = None
    size: int = 0
    lost: str = ""

    @classmethod
    def of(cls, name: Name) -> Input:
        """Return the input of a name; paths become absolute."""
        if is_address(name):
            return cls(str(name))
        path = Path(name).absolute()
        found = stamp(path)
        return cls(path, None if found is None else tuple(found))

    @property
    def remote(self) -> bool:
        """Whether every machine reads it from where it is."""
        return isinstance(self.name, str)

    @property
    def seen(self) -> bool:
        """Whether this machine sees the file that the caller sees."""
        found = None if self.remote else stamp(self.name)
        return found is not None and self.stamp is not None and tuple(found) == self.stamp

    def media(self) -> Media:
        """Return it as a video. Raises `AbsentError`."""
        if self.remote or self.seen:
            return media_of(self.name)
        return SentMedia(self)

    def fetched(self, folder: Path) -> Path:
        """Return it as a file of this machine, in `folder` where it has to be copied."""
        if not self.remote and self.seen:
            return Path(self.name)
        target = folder / Path(str(self.name)).name
        if self.remote and is_store(self.name):
            download(str(self.name), target)
            return target
        with target.open("wb") as file:
            shutil.copyfileobj(self.opened(), file)
        return target

    def opened(self) -> SentFile:
        """Open the blocks. Raises `AbsentError` where they were not sent, `SourceError` if lost."""
        if self.lost:
            raise SourceError(self.lost)
        if self.blocks is None:
            raise AbsentError(f"{self.name} cannot be read by every machine of the cluster.")
        return SentFile(self.blocks, self.size)


class SentFile(io.RawIOBase):
    """A file whose blocks are in Ray's object store; a block is fetched when it is read."""

    def __init__(self, blocks: tuple[Any, ...], size: int) -> None:
        super().__init__()
        self._blocks, self._size, self._place = blocks, size, 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place in bytes."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a block."""
        if self._place >= self._size:
            return 0
        number, begin = divmod(self._place, SENT_BLOCK)
        piece = memoryview(self._block(number))[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        import ray

        if number not in self._kept:
            self._kept[number] = ray.get(self._blocks[number])
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[number]


class SentMedia(Media):
    """A video that was sent."""

    def __init__(self, given: Input) -> None:
        super().__init__(given.name)
        self._given = given
        given.opened()
        # Not a file of this machine.
        self.path = None

    def _open(self, tap: object) -> Any:  # noqa: ARG002 - it is not a pipe
        try:
            return av.open(io.BufferedReader(self._given.opened()), buffer_size=BUFFER,
                           **LENIENT_TEXT)  # fmt: skip
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{self.name} is not a video that can be read.",
                reason(error),
                "Check that it plays.",
            ) from error


def send(given: Input) -> Input:
    """Put a file of this machine into Ray's object store; note it as lost if it cannot be read."""
    import ray

    path = Path(given.name)
    try:
        with path.open("rb") as file:
            blocks = tuple(ray.put(block) for block in iter(lambda: file.read(SENT_BLOCK), b""))
        return Input(path, given.stamp, blocks, path.stat().st_size)
    except OSError as error:
        return lost(given, error)


def seen_again(given: Input) -> Input:
    """Return an input as this machine sees it now: another file, or lost."""
    path = Path(given.name)
    try:
        with path.open("rb"):
            return Input.of(path)
    except OSError as error:
        return lost(given, error)


def lost(given: Input, error: OSError) -> Input:
    """Return an input that cannot be read any more."""
    return Input(given.name, lost=str(SourceError(f"{given.name} cannot be read.", reason(error))))
