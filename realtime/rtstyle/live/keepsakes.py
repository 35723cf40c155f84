"""Snapshots and recordings of a running picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rtstyle.live.painter import Studio
from rtstyle.media.picture import Picture, write_picture
from rtstyle.sinks.recorder import RecorderSink


class Keepsakes:
    """Saves what `studio` shows into `folder`, by files named by the time, and says so."""

    def __init__(
        self, folder: Path, studio: Studio, recorder: RecorderSink, say: Callable[[str], None]
    ) -> None:
        self.folder, self._studio, self._recorder, self._say = folder, studio, recorder, say

    def snapshot(self) -> Path | None:
        """Save the last picture as PNG; None if there is none yet. Raises `SinkError`."""
        image = self._studio.last
        if image is None:
            return None
        path = self._new_file(".png")
        write_picture(Picture(image), path)
        self._say(f"saved {path.name}")
        return path

    def record(self, on: bool) -> None:
        """Start a recording, or end the one that runs. Raises `SinkError`."""
        running = self._recorder.recording
        if on and running is None:
            path = self._new_file(".mp4")
            self._recorder.start(path)
            self._say(f"recording {path.name}")
        elif running is not None and not on:
            saved = self._recorder.stop()
            self._say(f"saved {running.name}" if saved else "nothing recorded")

    def _new_file(self, suffix: str) -> Path:
        """Return a free name that tells the time."""
        stamp = time.strftime("rtstyle-%Y%m%d-%H%M%S")
        path, number = self.folder / f"{stamp}{suffix}", 1
        while path.exists():
            number += 1
            path = self.folder / f"{stamp}-{number}{suffix}"
        return path
