"""Sound, subtitles, chapters and titles of the source, carried over into the output."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Discard

from rtstyle.media.container import Media, as_media, pick_video_stream
from rtstyle.media.timestamps import exact_seconds
from rtstyle.sinks.tracks import keepsakes
from rtstyle.sinks.tracks.packet_copy import Carrier, PacketCopy, PcmCopy, VideoCopy
from rtstyle.sinks.tracks.time_line import TimeLine
from rtstyle.sinks.tracks.transcode import AudioTranscoder, SubtitleTranscoder, changes_midway

AUDIO_ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "nut": "aac", "webm": "libopus"}
TEXT_ENCODERS = {
    "mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "nut": "subrip", "webm": "webvtt",
}  # fmt: skip
# FFmpeg writes these into MP4, but hardly any player reads them there.
UNPLAYABLE = {"mp4": ("pcm_", "vorbis"), "mov": ("vorbis", "opus", "flac")}
WHOLE = ("mov", "matroska")
"""Containers with an index: their time stamps do not break."""


class StreamCopier:
    """Reads the other streams of `path` beside the video and muxes them in step with it.

    `start` and `end` are seconds as in the source; the output begins at 0. Only what is needed
    next is in memory. `notes` says what was re-encoded or left out, and why; `damaged` counts
    packets that could not be carried over. What says where the video was taken is only carried
    over with `keep_location`.
    """

    def __init__(
        self,
        path: str | Path | Media,
        *,
        start: float | None = None,
        end: float | None = None,
        keep_location: bool = False,
    ) -> None:
        self._media = as_media(path)
        # A pipe is read from its beginning on, while the picture has hardly begun.
        self._reserved = self._media.reserve()
        self._keep_location = keep_location
        self._painted: int | None = None
        self._lost_data: list[str] = []
        self.notes: list[str] = []
        self._carried = 0
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

    @property
    def carried(self) -> int:
        """Bytes that were carried over so far, with the silence in gaps of PCM."""
        silence = [c.filled for c in self._carriers.values() if isinstance(c, PcmCopy)]
        return self._carried + sum(silence)

    def options(self, kind: str) -> dict[str, str]:
        """Open the source; return the options with which a container of a `kind` keeps its tags."""
        if self._input is None:
            self._input = self._reserved.open()
        keys = keepsakes.needs_keys(self._input.metadata, kind)
        return {"movflags": "+use_metadata_tags"} if keys else {}

    def open(self, output: Any, kind: str) -> None:
        """Add the streams of the source to `output`, before its header is written."""
        self.options(kind)
        self._kind = kind
        self._painted = painted_stream(self._input, self._media.name)
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
        else:
            self._reserved.close()

    def _master(self) -> int | None:
        """Return the picture's stream where time lines break, and all must break in step."""
        if any(name in self._input.format.name for name in WHOLE):
            return None
        return int(pick_video_stream(self._input, self._media.name).index)

    def advance(self, seconds: Fraction) -> None:
        """Mux everything that belongs up to `seconds` on the output's scale."""
        while self._held is not None and self._held.pts * self._held.time_base <= seconds:
            self._carry(self._held)
            self._held = next(self._packets, None)

    def _carry(self, packet: Any) -> None:
        """Hand a packet to its carrier; one that it cannot take is counted, not the end."""
        try:
            size = packet.size
            if self._carriers[packet.stream.index].carry(packet):
                self._carried += size
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
        self._reserved.close()

    def _carrier(self, output: Any, stream: Any) -> Carrier | None:
        """Return what moves this stream into the output; None leaves it out."""
        if stream.type == "data":
            return self._data_carrier(output, stream)
        if stream.type not in ("audio", "subtitle", "video") or stream.index == self._painted:
            return None
        label = f"{stream.type} stream {stream.index}"
        if stream.type == "video" and keepsakes.is_cover(stream):
            self.notes.append(f"the cover picture (stream {stream.index}) is left out")
            return None
        if stream.codec_context is None:
            self.notes.append(f"{label} left out: unknown codec")
            return None
        context = stream.codec_context
        if stream.type == "audio" and not (context.sample_rate and context.channels):
            self.notes.append(f"{label} left out: it holds no sound")
            return None
        codec = stream.codec_context.codec.canonical_name
        refused = UNPLAYABLE.get(self._kind, ())
        if codec == "aac" and not context.extradata and self._changes_midway(stream.index):
            # One description of the sound serves the whole file.
            refused = (*refused, "aac")
        if codec in output.supported_codecs and not codec.startswith(refused or ("\0",)):
            counted = self._kind == "mov" and codec.startswith("pcm_")
            if stream.type == "video":
                self.notes.append(f"{label} ({codec}) is kept as it is, not painted")
                return VideoCopy(output, stream)
            return (PcmCopy if counted else PacketCopy)(output, stream)
        if stream.type == "video":
            self.notes.append(f"{label} ({codec}) left out: {self._kind} cannot hold it")
            return None
        carrier: AudioTranscoder | SubtitleTranscoder
        try:
            if stream.type == "audio":
                name = AUDIO_ENCODERS[self._kind]
                carrier = AudioTranscoder(output, stream, name)
            else:
                name = TEXT_ENCODERS[self._kind]
                carrier = SubtitleTranscoder(output, stream, name)
        except (av.error.FFmpegError, ValueError, RuntimeError) as error:
            self.notes.append(f"{label} ({codec}) left out: {self._kind} cannot hold it ({error})")
            return None
        told = f"{label} re-encoded from {codec} to {name}{carrier.note}: {self._kind} needs it"
        self.notes.append(told)
        return carrier

    def _changes_midway(self, index: int) -> bool:
        """Return True if AAC changes midway; what is not a file is not read through for that."""
        path = self._media.path
        return path is not None and not self._media.pipe and changes_midway(path, index)

    def _data_carrier(self, output: Any, stream: Any) -> Carrier | None:
        """Return what keeps a stream of data: what sensors of a camera noted, the place too."""
        if "timecode" in stream.metadata:
            # Kept as a tag of the picture, of which the container makes a track.
            return None
        if self._keep_location and keepsakes.holds_data(stream, self._kind):
            return PacketCopy(output, stream)
        self._lost_data.append(str(stream.index))
        return None

    def _note_data(self) -> None:
        if not self._lost_data:
            return
        streams = f"data of sensors (stream {', '.join(self._lost_data)})"
        why = f"{self._kind} cannot hold it"
        if not self._keep_location:
            why = "it may tell the place; --keep-location keeps it where the container can"
        self.notes.append(f"{streams} left out: {why}")

    def _seek(self, wanted: list[Any]) -> None:
        try:
            self._input.seek(int(self._origin * av.time_base))
        except av.error.FFmpegError:
            self._lost += 1
        for stream in wanted:
            if stream.codec_context.is_open:
                stream.codec_context.flush_buffers()

    def _demux(self, wanted: list[Any]) -> Iterator[Any]:
        """Yield the packets as they are, except for damaged ones."""
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
        """Copy titles, dates, time code, attached files and chapters."""
        tags, keep = dict(self._input.metadata), self._keep_location
        output.metadata.update(keepsakes.kept_tags(tags, self._kind, keep))
        self.notes += keepsakes.tag_notes(tags, self._kind, keep)
        attached = [s for s in self._input.streams if s.type == "attachment"]
        self.notes += keepsakes.attach(output, self._kind, attached)
        self._note_data()
        self._copy_time_code(output)
        chapters = [c for c in map(self._move_chapter, self._input.chapters()) if c is not None]
        if chapters:
            output.set_chapters(chapters)

    def _copy_time_code(self, output: Any) -> None:
        """Give the painted picture the time code of the first frame that is kept."""
        if self._painted is None:
            return
        video = self._input.streams[self._painted]
        code = keepsakes.time_code_of(self._input, video)
        if code is None or not output.streams.video:
            return
        rate = Fraction(video.average_rate or video.guessed_rate or 0)
        moved = keepsakes.later(code, exact_seconds(self._start), rate)
        output.metadata.pop("timecode", None)
        if moved is None:
            self.notes.append(f"the time code {code} is left out: it cannot be read")
            return
        output.streams.video[0].metadata["timecode"] = moved

    def _move_chapter(self, chapter: Any) -> Any:
        base = chapter["time_base"] or Fraction(1, av.time_base)
        shift = round(self._origin / base)
        begins, ends = max(0, chapter["start"] - shift), chapter["end"] - shift
        if self._limit is not None:
            ends = min(ends, round(self._limit / base))
        return {**chapter, "start": begins, "end": ends} if ends > begins else None


def painted_stream(container: Any, name: str) -> int | None:
    """Return the index of the stream that is painted, None where there is no video."""
    if not container.streams.video:
        return None
    return int(pick_video_stream(container, name).index)
