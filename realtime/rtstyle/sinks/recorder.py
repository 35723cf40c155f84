"""A recording that is started and stopped while the picture continues."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.video_file import SoundInput, VideoFileSink
from rtstyle.sinks.whole_fragments import cut_to_whole


class RecorderSink(Sink):
    """Writes the frames between `start` and `stop` into a file; takes no notice of the others.

    The file can be played at any moment, also after the process was killed. All calls come from
    the thread of the sinks. With `path` the recording starts with the first frame. `sound` is an
    open microphone. Where the file cannot be written on, as on a full disk, only the recording
    ends: it is kept up to there, and `on_failure` is called with the error.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        rate: Fraction | None = None,
        encoder: str = "auto",
        sound: SoundInput | None = None,
        on_failure: Callable[[SinkError], None] | None = None,
    ) -> None:
        self.name = "recording"
        self.failures: list[SinkError] = []
        self._on_failure = on_failure
        self._first, self._rate, self._sound = path, rate, sound
        self._encoding = Encoding(encoder=encoder)
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
            path, rate=self._rate, encoding=self._encoding, live=True, sound=self._sound
        )
        file.open()
        self._file = file

    def stop(self) -> Path | None:
        """End the recording; return its path, None if none ran or no frame came."""
        file, self._file = self._file, None
        if file is None:
            return None
        try:
            file.close()
        except SinkError as error:
            return self._fail(file, error)
        return self._kept(file)

    def write(self, frame: Frame) -> None:
        """Record one frame, if a recording runs."""
        if self._file is None:
            return
        try:
            self._file.write(frame)
        except SinkError as error:
            file, self._file = self._file, None
            file.abort()
            self._fail(file, error)

    def _fail(self, file: VideoFileSink, error: SinkError) -> Path | None:
        """Keep what is whole of a recording that cannot be written on, and tell."""
        with suppress(OSError):
            cut_to_whole(file.path)
        kept = self._kept(file)
        todo = f"It is kept up to there: {kept}." if kept else "Nothing of it is kept."
        why = getattr(error.__cause__, "strerror", None) or error.why or error.what
        failure = SinkError("The recording ended early.", why, todo)
        self.failures.append(failure)
        if self._on_failure is not None:
            self._on_failure(failure)
        return kept

    def _kept(self, file: VideoFileSink) -> Path | None:
        if not file.path.exists():
            return None
        self.paths.append(file.path)
        return file.path

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
