"""Built engines, kept between runs: a file for all that an engine depends on."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rtstyle.engines.gpu.static_graph import REWRITE
from rtstyle.errors import EngineError
from rtstyle.files.cache import one_at_a_time, read_kept, write_kept

log = logging.getLogger(__name__)

KEPT_ENGINES = 64
"""How many engines the folder keeps: those used last."""

# Ahead of each file's contents, with their sha256: TensorRT may crash on a damaged engine.
_MAGIC = b"rtstyle engine 1\n"

LARGEST = 1 << 30
"""Bytes of the largest engine that is read; ours have some 10 million."""

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on. `model` is the model file's contents.

    `library` names it with its version, `capability` and `driver` are the card's.
    """

    model: bytes
    shapes: Mapping[str, Sequence[int]]
    precision: str
    library: str
    capability: tuple[int, int]
    driver: int
    rewrite: int = REWRITE

    def file_name(self) -> str:
        """Return the name of the engine's file: what it is in words, and a hash of all."""
        parts = (
            hashlib.sha256(self.model).hexdigest(),
            sorted((name, tuple(shape)) for name, shape in self.shapes.items()),
            self.precision,
            self.library,
            self.capability,
            self.driver,
            self.rewrite,
        )
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        size = "x".join(str(side) for side in tuple(self.shapes.get("image", ()))[2:0:-1])
        return f"{size}-{self.precision}-{digest}.engine"


class EngineCache:
    """A folder of engines. One that cannot be written costs time only, so it is not an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def opened(
        self,
        key: EngineKey,
        build: Callable[[], bytes],
        load: Callable[[bytes, bytes], _Loaded],
    ) -> _Loaded:
        """Return `load(engine, kernels)` of the kept engine, or of one that `build` makes.

        It is built again, with a word, if the kept one is damaged or does not load. Threads and
        processes build one at a time. Raises what `build` raises, and what `load` does
        with a new engine.
        """
        path = self.folder / key.file_name()
        with one_at_a_time(self.folder / "engines.lock"):
            kept = read_sealed(path)
            if kept is not None:
                try:
                    loaded = load(kept, read_sealed(_kernels_of(path)) or b"")
                except EngineError as error:
                    _tell(path, error.why or error.what)
                else:
                    with suppress(OSError):
                        os.utime(path)
                    return loaded
            with suppress(OSError):
                _kernels_of(path).unlink(missing_ok=True)
            built = build()
            loaded = load(built, b"")
            write_sealed(path, built)
            self._forget()
            return loaded

    def keep_kernels(self, key: EngineKey, kernels: bytes) -> None:
        """Keep what was compiled for the card beside its engine."""
        write_sealed(_kernels_of(self.folder / key.file_name()), kernels)

    def has(self, key: EngineKey) -> bool:
        """Return True if an engine is kept, whether or not it loads."""
        return (self.folder / key.file_name()).is_file()

    def _forget(self) -> None:
        """Remove the engines that were used longest ago."""
        with suppress(OSError):
            found = sorted(self.folder.glob("*.engine"), key=lambda path: path.stat().st_mtime)
            for path in found[:-KEPT_ENGINES]:
                path.unlink(missing_ok=True)
                _kernels_of(path).unlink(missing_ok=True)


def read_sealed(path: Path) -> bytes | None:
    """Return what `write_sealed` wrote; None if it is not there or, with a word, is damaged."""
    content = read_kept(path, LARGEST)
    if content is None:
        return None
    start = len(_MAGIC) + hashlib.sha256().digest_size
    sealed = content[start:]
    if content[:start] != _MAGIC + hashlib.sha256(sealed).digest():
        _tell(path, "the file is damaged")
        return None
    return sealed


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file with its hash, whole or not at all."""
    write_kept(path, _MAGIC + hashlib.sha256(content).digest() + content)


def _kernels_of(path: Path) -> Path:
    return path.with_suffix(".kernels")


def _tell(path: Path, why: str) -> None:
    log.warning("%s cannot be used (%s); it is built again.", path, why)
