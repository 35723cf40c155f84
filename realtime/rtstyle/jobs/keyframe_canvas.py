"""Painted keyframes as the canvas of a video: each shot starts from the picture made for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.jobs.journal import file_stamp
from rtstyle.jobs.slow.keyframes import INDEX, KEY
from rtstyle.media.picture import read_picture

NEAR = 1e-3
"""Seconds by which the time of a frame may differ from that in the index."""


class KeyframeCanvas:
    """The pictures of a folder that `rtstyle keyframes` wrote, handed out as their frames come.

    They may have been painted over by hand, in any size, as long as names and proportions are kept.
    Raises `UsageError` for a folder that has none.
    """

    def __init__(self, folder: Path) -> None:
        self._pictures = read_index(folder)
        self._next = 0
        self.used = 0

    def identity(self) -> list[list[Any]]:
        """Return what changes when the pictures do: time, file, size and time of the file."""
        return [[time, str(path), file_stamp(path)] for time, path in self._pictures]

    def note(self) -> str:
        """Return how many keyframes were used, for the user."""
        return f"{self.used} of {len(self._pictures)} keyframes were painted on"

    def at(self, time: float) -> Image | None:
        """Return the painting of the frame at `time` seconds, if there is one.

        Times must not go back. Raises `SourceError` for a picture that cannot be read.
        """
        found = None
        while self._next < len(self._pictures) and self._pictures[self._next][0] < time + NEAR:
            moment, path = self._pictures[self._next]
            # One that was passed over belongs to a frame that is not shown.
            found = path if moment > time - NEAR else None
            self._next += 1
        if found is None:
            return None
        self.used += 1
        return read_picture(found, "keyframe").rgb


def read_index(folder: Path) -> list[tuple[float, Path]]:
    """Return time in seconds and file of each painted keyframe, in order. Raises `UsageError`."""
    path = folder / INDEX
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            (float(row["time"]), folder / str(row["file"]))
            for row in content["keyframes"]
            if KEY.fullmatch(str(row["file"]))
        ]
    except FileNotFoundError:
        raise UsageError(
            f"{folder} holds no keyframes.", f"It has no {INDEX}.", "Make them: rtstyle keyframes."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not an index of keyframes.", str(error), "Make it anew: rtstyle keyframes."
        ) from error
    found = sorted((time, file) for time, file in rows if file.is_file())
    if not found:
        raise UsageError(
            f"{folder} holds no keyframes.",
            "",
            "Run the same rtstyle keyframes again: it continues.",
        )
    return found
