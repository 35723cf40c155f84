"""The packets of one video stream, read and decoded: what is damaged is skipped and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import av
import av.error

from rtstyle.machine.nvdec import as_planar
from rtstyle.media.container import MOST_BYTES, READ_TIMEOUT, Media, pick_video_stream
from rtstyle.media.feed import PATIENCE
from rtstyle.sources.decoder import open_decoder

MAX_RESTARTS = 50
"""How often reading continues after damage before the rest of the file is given up."""


class PacketReader:
    """The video stream of a file, with its decoder; `counts` gets what was skipped, and why.

    `open` raises `SourceError` for a file without a video. `close` may be called twice.
    """

    def __init__(self, media: Media, threads: int, counts: Counter[str]) -> None:
        self._media, self._threads, self._counts = media, threads, counts
        self.container: Any = None
        self.stream: Any = None
        self._decoder: Any = None

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self.container is not None

    def open(self) -> None:
        """Open the file at its beginning."""
        self.container = self._media.open()
        self.stream = pick_video_stream(self.container, self._media.name)
        self._decoder = open_decoder(self.stream, self._media.name, self._threads)

    def rewind(self) -> None:
        """Go to the beginning, in a fresh container."""
        self.container.close()
        self.open()

    def seek(self, target: int) -> None:
        """Go to a key frame before `target`, in ticks. Raises `FFmpegError`."""
        self.container.seek(target, stream=self.stream)
        # PyAV does so for the streams' own decoders only.
        self._decoder.flush_buffers()

    def close(self) -> None:
        """Close the file."""
        if self.container is not None:
            self.container.close()
            self.container = None
            self._media.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield the frames from here on, in the order in which they are shown."""
        for packet in self._packets():
            try:
                frames = self._decoder.decode(packet)
            except av.error.FFmpegError:
                self._counts["damaged packets"] += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._counts["damaged frames"] += 1
                yield as_planar(frame)

    def _packets(self) -> Iterator[Any]:
        read = 0
        for _ in range(MAX_RESTARTS):
            try:
                for packet in self.container.demux(self.stream):
                    read += packet.size
                    if self._media.address and read > MOST_BYTES:
                        self._counts[f"time given up: over {MOST_BYTES >> 30} GiB were sent"] += 1
                        return
                    yield packet
                if self._media.silent:
                    self._counts[f"time given up: nothing came for {PATIENCE:g} s"] += 1
                return
            except av.error.ExitError:
                self._counts[f"time given up: no answer for {READ_TIMEOUT:g} s"] += 1
                return
            except (av.error.EOFError, IndexError):
                # PyAV stumbles over streams that a file announces midway, but only at its end, once
                # the packets that flush the streams it knew are out.
                return
            except av.error.FFmpegError:
                self._counts["damaged packets"] += 1
        self._counts["given up"] += 1
