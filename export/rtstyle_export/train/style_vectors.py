"""The vectors of paintings for the network for any style, gathered once for a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.engines.base import EngineOptions, read_model
from rtstyle.engines.onnxrt import open_session, run_session
from rtstyle.errors import StyleError, TrainingError
from rtstyle.files.temporary import replacing
from rtstyle.styles import fit, manifest
from rtstyle.styles.paintings import prepare, read_painting

SIZE = "fast"
"""The network whose vectors these are."""
SAVE_EVERY = 20
"""Paintings between two times that what is known is written."""

Tell = Callable[[int, int], None]
"""Is told how many vectors are done, and of how many."""


@dataclass(frozen=True, slots=True)
class StyleVectors:
    """Vectors of P paintings by file name: at one glance, and fitted where that was asked for.

    `glances` and `fitted` are (P, M) float32; where `known` (P,) is false, `fitted` is the glance.
    """

    names: tuple[str, ...]
    glances: Tensor
    fitted: Tensor
    known: Tensor


def chosen(count: int, fitted: int) -> set[int]:
    """Return the numbers of those of `count` paintings that are fitted, evenly spread."""
    return {round(number) for number in np.linspace(0, count - 1, min(count, fitted))}


def gather(
    paths: Sequence[Path], file: Path, fitted: int, tell: Tell = lambda _done, _all: None
) -> StyleVectors:
    """Return the vectors of paintings, `fitted` of them fitted; `file` keeps them, and is used.

    A painting that cannot be read is left out. Raises `TrainingError` if none is left,
    `StyleError` or `EngineError` for a network that cannot run.
    """
    stamp = " ".join(manifest.find_any(part, SIZE).sha256 for part in ("style", fit.PART))
    known = _read(file, stamp)
    wanted = chosen(len(paths), fitted)
    left = [path for path in paths if path.name not in known]
    later = [path for k, path in enumerate(paths) if k in wanted]
    done, total = len(paths) - len(left), len(paths) + len(later)
    for number, path in enumerate(left):
        known[path.name] = _glance(path)
        tell(done + number + 1, total)
        if number % SAVE_EVERY == 0:
            _write(file, stamp, known)
    for number, path in enumerate(later):
        if len(known[path.name]) == 1:
            known[path.name] = _fitted(path, known[path.name])
            if number % SAVE_EVERY == 0:
                _write(file, stamp, known)
        tell(len(paths) + number + 1, total)
    _write(file, stamp, known)
    return _joined([path.name for path in paths], known)


def _joined(names: Sequence[str], known: dict[str, NDArray[np.float32]]) -> StyleVectors:
    kept = tuple(name for name in names if len(known[name]))
    if not kept:
        raise TrainingError("None of the paintings can be read.", "", "Name a folder of paintings.")
    first, last = (np.stack([known[name][end] for name in kept]) for end in (0, -1))
    fitted = torch.tensor([len(known[name]) > 1 for name in kept])
    return StyleVectors(kept, torch.from_numpy(first), torch.from_numpy(last), fitted)


class _Encoder:
    """The style file, opened once: it takes as long to open as to run."""

    session: Any = None
    path: Path | None = None

    @classmethod
    def run(cls, painting: NDArray[np.uint8]) -> NDArray[np.float32]:

        path = manifest.find_any("style", SIZE).path
        if cls.path != path:
            options = EngineOptions(threads=torch.get_num_threads())
            cls.session, cls.path = open_session(read_model(path), options), path
        found = run_session(cls.session, ["statistics"], {"painting": painting[None]})[0]
        return np.asarray(found, np.float32)


def _glance(path: Path) -> NDArray[np.float32]:
    """Return the vector (1, M) of a painting at one glance; (0, 0) if it cannot be read."""
    try:
        painting = prepare(read_painting(path))
    except StyleError:
        return np.empty((0, 0), np.float32)
    return _Encoder.run(painting)


def _fitted(path: Path, glance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return glance and fitted vector of a painting, (2, M)."""
    painting = prepare(read_painting(path))
    found = fit.refine(glance[0], painting, SIZE, threads=torch.get_num_threads())
    return np.stack([glance[0], glance[0] if found is None else found])


def _read(file: Path, stamp: str) -> dict[str, NDArray[np.float32]]:
    """Return what `file` holds, if it was made with the same network; else nothing."""
    if not file.is_file():
        return {}
    try:
        with np.load(file) as content:
            if str(content["stamp"]) != stamp:
                return {}
            rows = content["rows"]
            counts, names = content["counts"], content["names"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{file} cannot be read.", str(error), "Remove it.") from error
    parts = np.split(rows, np.cumsum(counts)[:-1])
    return {str(name): part for name, part in zip(names, parts, strict=True)}


def _write(file: Path, stamp: str, known: dict[str, NDArray[np.float32]]) -> None:
    counts = np.array([len(rows) for rows in known.values()])
    whole = [rows for rows in known.values() if len(rows)]
    rows = np.concatenate(whole) if whole else np.empty((0, 0), np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial, partial.open("wb") as stream:
        np.savez(
            stream, stamp=np.array(stamp), names=np.array(list(known)), counts=counts, rows=rows
        )
