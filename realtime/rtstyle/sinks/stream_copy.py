"""Sound, subtitles, chapters and titles of the source, carried over into the output."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import av.error
from av.format import Flags
from av.stream import Discard

from rtstyle.av_versions import LENIENT_TEXT
from rtstyle.sinks.time_line import TimeLine
from rtstyle.sinks.transcode import AudioTranscoder, SubtitleTranscoder, copy_labels
from rtstyle.sources.base import exact_seconds
from rtstyle.sources.video_file import pick_video_stream

AUDIO_ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
TEXT_ENCODERS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# FFmpeg writes these into MP4, but hardly any player reads them there.
UNPLAYABLE = {"mp4": ("pcm_", "vorbis"), "mov": ("vorbis", "opus", "flac")}
WHOLE = ("mov", "matroska")
"""Containers with an index: their time stamps do not break."""
PRIVATE_METADATA = frozenset(
    ("encoder", "major_brand", "minor_version", "compatible_brands", "duration")
)


class Carrier(Protocol):
    """Moves the packets of one stream into the output."""

    def carry(self, packet: Any) -> bool:
        """Take one packet of the source, with time stamps already on the output's scale.

        Returns False for one that had to be left out.
        """
        ...

    def finish(self) -> None:
        """Write what is still held back."""
        ...


class PacketCopy:
    """Muxes packets as they are."""

    def __init__(self, output: Any, stream: Any) -> None:
        self._output = output
        self._stream = output.add_stream_from_template(stream, opaque=True)
        copy_labels(stream, self._stream)
        self._last: int | None = None
        # Two signs of subtitles often start at once; short pieces of sound in coarse ticks, too.
        equal = stream.type == "subtitle" or output.format.flags & Flags.ts_nonstrict.value
        self._step = 0 if equal else 1

    def carry(self, packet: Any) -> bool:
        """Mux the packet, unless it would fall back behind the last one."""
        if packet.dts is None:
            packet.dts = packet.pts
        if self._last is not None:
            if packet.dts < self._last:
                return False
            packet.dts = max(packet.dts, self._last + self._step)
            packet.pts = max(packet.pts, packet.dts)
        self._last = packet.dts
        packet.stream = self._stream
        self._output.mux(packet)
        return True

    def finish(self) -> None:
        """Nothing is held back."""


class StreamCopier:
    """Reads the other streams of `path` beside the video and muxes them in step with it.

    `start` and `end` are seconds as in the source; the output begins at 0. Only what is needed
    next is in memory. `notes` says what was re-encoded or left out, and why; `damaged` counts
    packets that could not be carried over.
    """

    def __init__(self, path: Path, *, start: float | None = None, end: float | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._lost = 0
        self._start, self._end = start, end
        self._input: Any = None
        self._carriers: dict[int, Carrier] = {}
        self._packets: Iterator[Any] = iter(())
        self._line = TimeLine(self._packets)
        self._held: Any = None

    @property
    def damaged(self) -> int:
        """How many packets could not be carried over."""
        return self._lost + self._line.dropped

    def open(self, output: Any, kind: str) -> None:
        """Open the source and add its streams to `output`, before its header is written."""
        self._input = av.open(str(self.path), **LENIENT_TEXT)
        self._kind = kind
        zero = max(Fraction(self._input.start_time or 0, av.time_base), Fraction(0))
        self._origin = zero + exact_seconds(self._start)
        self._limit = None if self._end is None else zero + exact_seconds(self._end) - self._origin
        master = self._master()
        for stream in self._input.streams:
            carrier = self._carrier(output, stream)
            if carrier is not None:
                self._carriers[stream.index] = carrier
            elif stream.index != master:
                # The demuxer then need not even read the picture.
                stream.discard = Discard.all
        self._copy_global(output)
        wanted = [s for s in self._input.streams if s.index in self._carriers]
        if wanted:
            if self._start:
                self._seek(wanted)
            read = [
                s for s in self._input.streams if s.index in self._carriers or s.index == master
            ]
            self._line = TimeLine(self._demux(read), master)
            self._packets = filter(self._place, self._line)
            self._held = next(self._packets, None)

    def _master(self) -> int | None:
        """Return the picture's stream where time lines break, and all must break in step."""
        if any(name in self._input.format.name for name in WHOLE):
            return None
        return int(pick_video_stream(self._input, self.path).index)

    def advance(self, seconds: Fraction) -> None:
        """Mux everything that belongs up to `seconds` on the output's scale."""
        while self._held is not None and self._held.pts * self._held.time_base <= seconds:
            self._carry(self._held)
            self._held = next(self._packets, None)

    def _carry(self, packet: Any) -> None:
        """Hand a packet to its carrier; one that it cannot take is counted, not the end."""
        try:
            if self._carriers[packet.stream.index].carry(packet):
                return
        except (av.error.InvalidDataError, av.error.ArgumentError, OverflowError):
            pass
        self._lost += 1

    def finish(self, complete: bool) -> None:
        """Mux the rest, unless the output is cut short, and close the source."""
        while complete and self._held is not None:
            self.advance(self._held.pts * self._held.time_base)
        for carrier in self._carriers.values():
            carrier.finish()
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._held, self._packets = None, iter(())
        if self._input is not None:
            self._input.close()
            self._input = None

    def _carrier(self, output: Any, stream: Any) -> Carrier | None:
        """Return what moves this stream into the output; None leaves it out."""
        if stream.type not in ("audio", "subtitle"):
            return None
        label = f"{stream.type} stream {stream.index}"
        if stream.codec_context is None:
            self.notes.append(f"{label} left out: unknown codec")
            return None
        context = stream.codec_context
        if stream.type == "audio" and not (context.sample_rate and context.channels):
            self.notes.append(f"{label} left out: it holds no sound")
            return None
        codec = stream.codec_context.codec.canonical_name
        refused = UNPLAYABLE.get(self._kind, ())
        if codec in output.supported_codecs and not codec.startswith(refused or ("\0",)):
            return PacketCopy(output, stream)
        try:
            if stream.type == "audio":
                name = AUDIO_ENCODERS[self._kind]
                carrier: Carrier = AudioTranscoder(output, stream, name)
            else:
                name = TEXT_ENCODERS[self._kind]
                carrier = SubtitleTranscoder(output, stream, name)
        except (av.error.FFmpegError, ValueError, RuntimeError) as error:
            self.notes.append(f"{label} ({codec}) left out: {self._kind} cannot hold it ({error})")
            return None
        self.notes.append(f"{label} re-encoded from {codec} to {name}: {self._kind} needs it")
        return carrier

    def _seek(self, wanted: list[Any]) -> None:
        try:
            self._input.seek(int(self._origin * av.time_base))
        except av.error.FFmpegError:
            self._lost += 1
        for stream in wanted:
            if stream.codec_context.is_open:
                stream.codec_context.flush_buffers()

    def _demux(self, wanted: list[Any]) -> Iterator[Any]:
        """Yield the packets as they are, but for damaged ones."""
        try:
            for packet in self._input.demux(wanted):
                if packet.pts is None or packet.size == 0:
                    continue
                if packet.is_corrupt:
                    self._lost += packet.stream.index in self._carriers
                    continue
                yield packet
        except av.error.FFmpegError:
            self._lost += 1
        except IndexError:
            # PyAV trips over streams that were announced midway, once all others are at their end.
            return

    def _place(self, packet: Any) -> bool:
        """Move a packet's time stamps; return False if it lies outside."""
        shift = round(self._origin / packet.time_base)
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        begins = packet.pts * packet.time_base
        ends = begins + (packet.duration or 0) * packet.time_base
        if self._limit is not None and begins >= self._limit:
            return False
        if packet.stream.type == "subtitle":
            return ends > 0 and self._clip(packet, begins)
        # Encoders' lead-in lies before 0, and MP4 keeps it apart with an edit list.
        lead_in = not self._start and self._kind in ("mp4", "mov")
        return begins >= 0 or lead_in

    def _clip(self, packet: Any, begins: Fraction) -> bool:
        if begins < 0:
            packet.duration += packet.pts
            packet.pts = packet.dts = 0
        if self._limit is not None and packet.duration:
            left = round(self._limit / packet.time_base) - packet.pts
            packet.duration = max(1, min(packet.duration, left))
        return True

    def _copy_global(self, output: Any) -> None:
        """Copy titles and chapters."""
        for key, value in self._input.metadata.items():
            if key.lower() not in PRIVATE_METADATA:
                output.metadata[key] = value
        chapters = [c for c in map(self._move_chapter, self._input.chapters()) if c is not None]
        if chapters:
            output.set_chapters(chapters)

    def _move_chapter(self, chapter: Any) -> Any:
        base = chapter["time_base"] or Fraction(1, av.time_base)
        shift = round(self._origin / base)
        begins, ends = max(0, chapter["start"] - shift), chapter["end"] - shift
        if self._limit is not None:
            ends = min(ends, round(self._limit / base))
        return {**chapter, "start": begins, "end": ends} if ends > begins else None
