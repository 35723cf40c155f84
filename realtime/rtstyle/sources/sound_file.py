"""A file with sound that is heard as it would be played: by the clock, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error

from rtstyle.errors import SourceError, reason


class ByTheClock:
    """An audio or video file with the face of an open container whose sound comes in its time."""

    def __init__(
        self,
        path: str,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._clock, self._wait = path, clock, wait
        self._open()

    def _open(self) -> None:
        try:
            self._container: Any = av.open(self._path)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            why = reason(error)
            raise SourceError(f"{self._path} cannot be heard.", why, "Check the path.") from error
        if not self._container.streams.audio:
            self._container.close()
            raise SourceError(f"{self._path} has no sound.", "", "Name a file with sound.")

    def decode(self, *, audio: int = 0) -> Iterator[Any]:
        """Yield frames of sound when their time has come, round after round."""
        due = self._clock()
        while True:
            count = 0
            for frame in self._container.decode(audio=audio):
                count += 1
                due += frame.samples / frame.sample_rate
                # Late by a piece, as a microphone is: a piece is there when it has been heard.
                self._wait(max(0.0, due - self._clock()))
                yield frame
            if not count:
                raise SourceError(f"{self._path} has no sound that can be read.")
            self._container.close()
            self._open()

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def open_by_the_clock(path: str | None) -> ByTheClock:
    """Return an open file, for `Microphone`. Raises `SourceError`."""
    return ByTheClock(path or "")
