"""A recording that is started and stopped while the picture goes on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink
from rtstyle.sinks.video_file import SoundInput, VideoFileSink


class RecorderSink(Sink):
    """Writes the frames between `start` and `stop` into a file; takes no notice of the others.

    The file can be played at any moment, also after the process was killed. All calls come from
    the thread of the sinks. With `path` the recording starts with the first frame. `sound` is an
    open microphone.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        rate: Fraction | None = None,
        encoder: str = "auto",
        sound: SoundInput | None = None,
    ) -> None:
        self.name = "recording"
        self._first, self._rate, self._encoder, self._sound = path, rate, encoder, sound
        self._file: VideoFileSink | None = None
        self.paths: list[Path] = []

    @property
    def recording(self) -> Path | None:
        """The file that is being written, or None."""
        return self._file.path if self._file else None

    def open(self) -> None:
        """Start the recording that was asked for at first. Raises `SinkError`."""
        if self._first is not None:
            path, self._first = self._first, None
            self.start(path)

    def start(self, path: Path) -> None:
        """Start a recording, and end one that runs. Raises `SinkError`, if `path` exists too."""
        self.stop()
        file = VideoFileSink(
            path, rate=self._rate, encoder=self._encoder, live=True, sound=self._sound
        )
        file.open()
        self._file = file

    def stop(self) -> Path | None:
        """End the recording; return its path, None if none ran or no frame came."""
        file, self._file = self._file, None
        if file is None:
            return None
        size = file.written
        file.close()
        if size == 0 and not file.path.exists():
            return None
        self.paths.append(file.path)
        return file.path

    def write(self, frame: Frame) -> None:
        """Record one frame, if a recording runs. Raises `SinkError`."""
        if self._file is not None:
            self._file.write(frame)

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - whole at any moment
        """End the recording."""
        self.stop()

    @property
    def written(self) -> int:
        """Bytes in the present recording."""
        return self._file.written if self._file else 0

    def abort(self) -> None:
        """End the recording and keep it."""
        self.stop()
