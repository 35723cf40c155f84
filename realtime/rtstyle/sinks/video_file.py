"""A video file: frames encoded, everything else of the source copied beside them."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import av.error

from rtstyle.errors import SinkError
from rtstyle.files.names import as_file
from rtstyle.files.pending import GrowingFile, PendingFile, close_anyway, writing_to
from rtstyle.files.space import Room, keeping
from rtstyle.frame import Frame
from rtstyle.media.spherical import MATROSKA_TAG, Spherical, tag_mp4
from rtstyle.sinks.base import FileSink
from rtstyle.sinks.encoding.alpha import AlphaConverter, alpha_encoder
from rtstyle.sinks.encoding.codecs import CONTAINERS
from rtstyle.sinks.encoding.encoders import EncoderChoice, choose_encoder
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks.picture_track import PictureTrack
from rtstyle.sinks.tracks.segment_file import JoinedSegments, SegmentFile
from rtstyle.sinks.tracks.sound_track import SoundTrack
from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sound import Sound

DEFAULT_RATE = Fraction(25)
FILE_OPTIONS = {"mp4": {"movflags": "+faststart"}, "mov": {"movflags": "+faststart"}}
_FRAGMENTS = {
    "movflags": "+frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "500000",
    "flush_packets": "1",
}
LIVE_OPTIONS = {
    "mp4": _FRAGMENTS,
    "mov": _FRAGMENTS,
    "matroska": {"cluster_time_limit": "500", "flush_packets": "1"},
    "webm": {"cluster_time_limit": "500", "flush_packets": "1"},
}
"""Half a second a fragment, each written out at once."""


def encoder_threads() -> int:
    """Return the threads of an encoder here; what some encoders give depends on them."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


class SoundInput(Protocol):
    """What a recording asks of a microphone."""

    @property
    def channels(self) -> int:
        """Channels of its sound."""
        ...

    def take(self) -> list[Sound]:
        """Return the pieces since the last call, without waiting."""
        ...


class VideoFileSink(FileSink):
    """Writes an MP4, MOV, MKV or WebM file, chosen by the suffix of `path`.

    Pictures become BT.709, limited range, and are tagged so, in the pixel format that `encoding`
    asks for; yuv420p without. Time stamps are those of
    the frames minus `origin` seconds. `copier` brings sound and subtitles of a source along. An
    odd width or height is padded by one repeated column or row where the codec (H.264) needs it.
    With `alpha` the transparency of the frames is kept, where `keeps_alpha` says so of `path`.
    `spherical` is the 360-degree tag that the file gets. `segments` keeps what is encoded, so that
    a run which is interrupted can go on; see `SegmentFile`. The file appears under its name on
    `close`; `path` then says where it is.

    With `live` the first frame's time becomes 0, and the file has its name from the first frame
    on and can be played at any moment up to the last second, whatever happens to this process.
    `sound` then is an open microphone, whose sound goes beside the pictures.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: Fraction | None = None,
        encoding: Encoding | None = None,
        origin: Fraction = Fraction(0),
        sample_aspect_ratio: Fraction | None = None,
        copier: StreamCopier | None = None,
        threads: int = 0,
        live: bool = False,
        sound: SoundInput | None = None,
        alpha: bool = False,
        spherical: Spherical | None = None,
        segments: SegmentFile | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.kind = CONTAINERS.get(self.path.suffix.lower(), "")
        self.encoder: EncoderChoice | None = None
        self._rate = rate or DEFAULT_RATE
        self._asked = encoding or Encoding()
        self._origin, self._ratio = origin, sample_aspect_ratio
        self._copier = copier
        self._threads = threads or encoder_threads()
        self._live, self._sound, self._spherical = live, sound, spherical
        self._alpha = AlphaConverter(self.kind) if alpha else None
        self._track: SoundTrack | None = None
        self._pending: PendingFile | None = None
        self._room: Room | None = None
        self._muxed = 0
        self._output: Any = None
        self._pictures: PictureTrack | None = None
        self._segments = None if alpha or live else segments

    def open(self) -> None:
        """Check suffix and folder, and make the temporary file."""
        if not self.kind:
            others = "" if self._live else ", .gif, or pictures like out_%05d.png"
            what = "recorded" if self._live else "written"
            raise SinkError(
                f"{self.path.name} is not a kind of video that can be {what}.",
                f"The suffix is {self.path.suffix or 'missing'!s}.",
                f"Use one of {' '.join(CONTAINERS)}{others}.",
            )
        if self._pending is None:
            self._pending = GrowingFile(self.path) if self._live else PendingFile(self.path)
            self._room = None if self._live else Room(self._pending.temporary)

    def write(self, frame: Frame) -> None:
        """Encode one frame, and copy what else belongs before it."""
        self.open()
        with writing_to(self.path), self._keeping():
            if self._output is None:
                self._start(frame)
            assert self._pictures is not None
            if frame.image.shape[:2] != self._pictures.shape:
                raise SinkError(
                    f"{self.path} cannot be written.", "The size of the pictures changed midway."
                )
            self._show(self._pictures.place(frame))
            for packet in self._pictures.encode(frame):
                self._mux(packet)
            self._take_sound()

    def write_joined(self, joined: JoinedSegments, moment: Frame) -> None:
        """Write what was encoded elsewhere, all of it, in place of frames.

        `moment` is a frame of their size and clock. `joined` must be the `segments` of this sink.
        """
        self.open()
        with writing_to(self.path), self._keeping():
            self._start(moment)
            assert self._pictures is not None
            self._pictures.show_last_for(joined.shown_for)

    def _show(self, moment: Fraction) -> None:
        """Copy what belongs before a moment, in seconds."""
        if self._copier:
            self._copier.advance(moment)

    def close(self, complete: bool = True) -> None:
        """Write what is left and give the file its name; nothing if no frame came."""
        if self._output is None:
            self.abort()
            return
        try:
            with writing_to(self.path), self._keeping():
                for packet in self._pictures.finish() if self._pictures else ():
                    self._mux(packet)
                if self._copier:
                    self._copier.finish(complete)
                self._take_sound()
                if self._track:
                    self._track.finish()
                output, self._output = self._output, None
                output.close()
                self._tag()
        except BaseException:
            self.abort()
            raise
        if self._pending:
            self.path = self._pending.commit(complete)
            self._pending = None
        if self._segments is not None:
            (self._segments.discard if complete else self._segments.close)()

    def notes(self) -> list[str]:
        """Return what became of the other streams, and how pictures were padded."""
        notes = [] if self._copier is None else list(self._copier.notes)
        if self._copier is not None and self._copier.damaged:
            notes.append(f"{self._copier.damaged} damaged packets of sound")
        if self.encoder is not None and self.encoder.even and self._pictures is not None:
            shape = self._pictures.shape
            height, width = (side + side % 2 for side in shape)
            if (height, width) != shape:
                notes.append(f"padded to {width}x{height}: {self.encoder.name} needs even sizes")
        return notes

    def _tag(self) -> None:
        """Write the 360-degree tag into a closed file where FFmpeg does not write it."""
        if self._spherical and self._pending and self.kind in ("mp4", "mov"):
            tag_mp4(self._pending.temporary, self._spherical)

    def _mux(self, packet: Any) -> None:
        """Write a packet of pictures. Raises `NoRoomError` where no index would fit behind it."""
        if self._room is not None:
            self._room.take(packet.size, self._copier.carried if self._copier else 0)
        self._output.mux(packet)
        self._muxed += 1

    def _keeping(self) -> AbstractContextManager[None]:
        """Keep what was painted when there is no room for more; a recording looks after itself."""
        return nullcontext() if self._room is None else keeping(self.path, self._keep)

    def _keep(self) -> Path | None:
        """Finish the file with what it has, and return its name; None if nothing can be played."""
        output, self._output = self._output, None
        whole = True
        try:
            if self._copier and output is not None:
                self._copier.finish(complete=False)
            if output is not None:
                output.close()
                with suppress(OSError, ValueError):
                    self._tag()
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
            # MP4 cannot be played without the index at its end, the others up to where they end.
            whole = self.kind in ("matroska", "webm")
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        if not whole or not self._muxed:
            pending.discard()
            return None
        return pending.commit(complete=False)

    @property
    def written(self) -> int:
        """Bytes so far."""
        return self._pending.size if self._pending else 0

    def abort(self) -> None:
        """Throw the temporary file away."""
        output, self._output = self._output, None
        if self._segments is not None:
            self._segments.close()
        try:
            close_anyway(self._copier, output)
        finally:
            pending, self._pending = self._pending, None
            if pending:
                pending.discard()

    def _start(self, frame: Frame) -> None:
        """Open container and encoder, now that size and time base are known."""
        assert self._pending is not None
        height, width = frame.image.shape[:2]
        self._output = av.open(self._target(), "w", format=self.kind, options=self._options())
        chosen = self._choose(width, height)
        self.encoder = chosen
        self._pictures = PictureTrack(
            self._output, self.kind, chosen, frame, rate=self._rate,
            shift=frame.pts if self._live else round(self._origin / frame.time_base),
            ratio=self._ratio, threads=self._threads, live=self._live, alpha=self._alpha,
            segments=self._segments,
        )  # fmt: skip
        if self._spherical and self.kind in ("matroska", "webm"):
            self._pictures.stream.metadata[MATROSKA_TAG] = self._spherical.xml()
        if self._copier:
            self._copier.open(self._output, self.kind)
        for moment, packets in self._pictures.replay():
            self._show(moment)
            for packet in packets:
                self._mux(packet)
        if self._sound is not None:
            self._track = SoundTrack(self._output, self.kind, self._sound.channels)
            self._zero = frame.captured_at
            # What waited since an earlier recording does not belong into this one.
            self._sound.take()

    def _target(self) -> Any:
        """Return what PyAV writes to."""
        assert self._pending is not None
        return as_file(self._pending.temporary)

    def _options(self) -> dict[str, str]:
        """Return the options of the container."""
        options = dict((LIVE_OPTIONS if self._live else FILE_OPTIONS).get(self.kind, {}))
        for name, value in (self._copier.options(self.kind) if self._copier else {}).items():
            options[name] = options.get(name, "") + value
        return options

    def _choose(self, width: int, height: int) -> EncoderChoice:
        """Return the encoder for the open container. Raises `SinkError`."""
        if self._alpha is not None:
            return alpha_encoder(self.kind, self._asked, width, height, self._rate)
        return choose_encoder(self._asked, self._output, width, height, self._rate, live=self._live)

    def _take_sound(self) -> None:
        if self._track is not None and self._sound is not None:
            for piece in self._sound.take():
                self._track.write(piece, self._zero)
