"""What a run has begun, so that the same command goes on after a crash: photos, or a video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.errors import UsageError
from rtstyle.files.temporary import replacing
from rtstyle.sources import open_video

if TYPE_CHECKING:
    from rtstyle.frame import Image
    from rtstyle.media.container import Media
    from rtstyle.sinks.encoding.settings import Encoding
    from rtstyle.sinks.tracks.segment_file import SegmentFile
    from rtstyle.styles.recipe import Recipe

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


def identity(media: Media, recipe: Recipe, encoding: Encoding, **options: Any) -> Mapping[str, Any]:
    """Return all that decides the pictures of a painted video, as texts and numbers by name."""
    chosen = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    mask = chosen.pop("mask")
    files = {str(path): file_stamp(path) for path in recipe.pictures()}
    if mask is not None and not isinstance(mask, (str, Path)):
        # A picture in memory: its content decides.
        mask = hashlib.sha256(mask.tobytes()).hexdigest()
    return {
        "input": [media.name, None if media.path is None else file_stamp(media.path)],
        "files": files,
        "mask": str(mask),
        **{name: plain(value) for name, value in {**chosen, **options}.items()},
        "encoding": asdict(encoding),
    }


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return str(value) if isinstance(value, (Path, Fraction)) else value


def file_stamp(path: Path) -> list[int] | None:
    """Return size and time of a file, which change with its content; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def resumed(segments: SegmentFile | None, output: Path) -> int:
    """Return how many frames of an interrupted run are kept. Raises `UsageError` for none."""
    if segments is None:
        raise UsageError(
            f"{output} cannot be continued.",
            "--resume is for video files without transparency.",
            "Leave out --resume.",
        )
    return segments.resume()


def first_picture(
    media: Media,
    start: float | None,
    end: float | None,
    rate: Fraction | None,
    deinterlace: str,
) -> Image:
    """Return the first picture of a video, (H, W, 3) uint8: what a run that goes on matches."""

    with open_video(media, start, end, rate, deinterlace=deinterlace) as frames:
        return next(iter(frames)).image
