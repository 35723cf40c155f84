"""The pictures of a video file: encoded in segments, each by a fresh encoder.

What an encoder remembers ends with its segment, so that a run which goes on from one gives the same
file as a run that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.machine.heap import give_back
from rtstyle.machine.scheduling import ordinary_scheduling
from rtstyle.media.deep import picture_converter, shallow
from rtstyle.media.hdr import BT2020, HLG
from rtstyle.media.yuv import BT709, BT2020_NCL, LIMITED
from rtstyle.sinks.encoding.alpha import AlphaConverter, alpha_of
from rtstyle.sinks.encoding.encoders import EncoderChoice, repeatable, silence
from rtstyle.sinks.tracks.segment_file import REST, Kept, SegmentFile, Written

SEGMENT = 10
"""Seconds of a segment."""
FARTHEST = 60
"""Seconds from a picture's decoding to its show, above which an encoder is not believed."""
HELD = 16
"""Or so many pictures, where they are farther apart than in films."""


def segment_length(rate: Fraction) -> int:
    """Return the number of frames in a segment, at a rate in frames a second."""
    return max(1, round(SEGMENT * rate))


LAZY = ("libx264", "libx264rgb")
"""Encoders that take memory for frames only once they come."""


class PictureTrack:
    """The stream of pictures in an open container.

    `shift` ticks are taken off the time stamps of frames. `alpha` converts pictures with alpha.
    With `segments` the pictures are encoded in segments, which are kept there once they are whole.
    With `live` no frame is held back.
    """

    def __init__(
        self,
        output: Any,
        kind: str,
        chosen: EncoderChoice,
        frame: Frame,
        *,
        rate: Fraction,
        shift: int = 0,
        ratio: Fraction | None = None,
        threads: int = 1,
        live: bool = False,
        alpha: AlphaConverter | None = None,
        segments: SegmentFile | None = None,
    ) -> None:
        self.shape = frame.image.shape[:2]
        self._kind, self._chosen, self._rate, self._ratio = kind, chosen, rate, ratio
        self._threads, self._time_base, self._shift = threads, frame.time_base, shift
        self._alpha = alpha
        self._convert = (
            None if alpha else picture_converter(chosen.pixel_format, chosen.even, chosen.hlg)
        )
        self._options = {**chosen.options, **tuning(chosen, rate, live)}
        # Not among the options that segments note: machines of a cluster differ in it.
        self._given = self._options
        if segments is not None:
            self._given = repeatable(chosen.name, self._options)
        self.stream: Any = output.add_stream(chosen.name, rate=rate, options=self._given)
        self.stream.time_base = frame.time_base
        self._context: Any = self.stream.codec_context
        self._configure(self._context)
        if segments is not None and chosen.name in LAZY:
            # The stream keeps its own encoder to the end, which then holds no frames: fed with the
            # first segment, it would hold 60 MB of them at 640x480 beside those of the next.
            self._context = self._fresh()
        self._segments = segments
        self._length = (segments.length or segment_length(rate)) if segments else 0
        self._segment: list[Written] = []
        # What the encoder of the last segment gave at its end goes out with the next frame.
        self._rest: list[Any] = []
        self._last: int | None = None
        self._longest = 0
        self._last_dts: int | None = None
        self._shown_for = 0
        if segments is not None:
            self._check_encoder(segments)

    def _check_encoder(self, segments: SegmentFile) -> None:
        """Raise `SinkError` unless segments of an earlier run were encoded as these will be."""
        chosen = self._chosen
        mine = {
            "name": chosen.name, "options": self._options, "bit_rate": chosen.bit_rate,
            "pixel_format": chosen.pixel_format, "shape": self.shape,
            "time_base": str(self._time_base), "rate": str(self._rate), "length": self._length,
        }  # fmt: skip
        if not segments.begin(mine):
            raise SinkError(
                f"{segments.path} was encoded in another way.",
                "The encoder or the size of the pictures differs.",
                "Leave out --resume to begin anew.",
            )

    def _configure(self, context: Any) -> None:
        height, width = self.shape
        even = int(self._chosen.even)
        context.width, context.height = width + (width & even), height + (height & even)
        context.pix_fmt = self._chosen.pixel_format
        if context.codec.canonical_name == "hevc" and self._kind in ("mp4", "mov"):
            # The name under which Apple's players know it.
            context.codec_tag = "hvc1"
        # The source's own time base, so that variable rates keep their exact time stamps.
        context.time_base, context.framerate = self._time_base, self._rate
        context.thread_count = self._threads
        context.color_range = LIMITED
        tags = (BT2020_NCL, BT2020, HLG) if self._chosen.hlg else (BT709, BT709, BT709)
        context.colorspace, context.color_primaries, context.color_trc = tags
        if self._ratio:
            context.sample_aspect_ratio = self._ratio
        if self._chosen.bit_rate:
            context.bit_rate = self._chosen.bit_rate

    def replay(self) -> Iterator[tuple[Fraction, list[Any]]]:
        """Yield the moments of the frames of an earlier run, in seconds, with their packets."""
        if self._segments is None:
            return
        for written in self._segments.replay():
            packets = [kept.packet() for kept in written.packets]
            for packet in packets:
                # Parts that were painted side by side do not know of each other.
                self._follow(packet)
            self._own(packets)
            if written.pts == REST:
                self._rest = packets
                continue
            self._last = written.pts
            packets, self._rest = self._rest + packets, []
            yield written.pts * self._time_base, packets

    def place(self, frame: Frame) -> Fraction:
        """Choose the frame's moment in the output, never negative, always rising, and return it."""
        pts = max(0, frame.pts - self._shift)
        if self._last is not None:
            pts = max(pts, self._last + 1)
            self._longest = max(self._longest, pts - self._last)
        self._last = pts
        return pts * self._time_base

    def encode(self, frame: Frame) -> list[Any]:
        """Encode a frame that was placed; return the packets that came out."""
        if self._convert is not None:
            picture = self._convert(frame.image)
        else:
            assert self._alpha is not None
            picture = self._alpha(shallow(frame.image), alpha_of(frame))
        assert self._last is not None
        picture.pts, picture.time_base = self._last, self._time_base
        self._shown_for = frame.duration
        if self._segments is None:
            return self._packets(picture)
        if len(self._segment) == self._length:
            # Only now: the last segment of all ends in `finish`.
            self.end_segment()
            self._context = self._fresh()
            give_back()  # what the last one held
        packets = self._packets(picture)
        self._segment.append(kept(self._last, packets))
        packets, self._rest = self._rest + packets, []
        return packets

    def end_segment(self) -> None:
        """Keep the present segment as a whole one."""
        assert self._segments is not None
        self._rest = self._packets(None)
        self._segments.add([*self._segment, kept(REST, self._rest)], self._shown_for)
        self._segment = []

    def _fresh(self) -> Any:
        """Return another encoder that is set like the first."""
        first = self.stream.codec_context
        context: Any = av.CodecContext.create(self._chosen.name, "w")
        context.bit_rate = first.bit_rate or 0
        context.bit_rate_tolerance = first.bit_rate_tolerance or 0
        context.flags = first.flags
        context.options = dict(self._given)
        self._configure(context)
        return context

    def _packets(self, picture: Any) -> list[Any]:
        if self._context.is_open:
            packets = list(self._context.encode(picture))
        else:
            # The first picture opens the encoder, and its threads.
            silence()
            with ordinary_scheduling():
                packets = list(self._context.encode(picture))
        for packet in packets:
            self._mend(packet)
        self._own(packets)
        return packets

    def _mend(self, packet: Any) -> None:
        """Give a packet a time of decoding that rises, and lies before it is shown."""
        if packet.pts is None:
            return
        # Of clips of one or two frames x265 4.2 gives times that it never set.
        most = max(FARTHEST / self._time_base, HELD * self._longest)
        if packet.dts is None or not 0 <= packet.pts - packet.dts <= most:
            packet.dts = packet.pts
        self._follow(packet)

    def _follow(self, packet: Any) -> None:
        """Let a packet be decoded after the last one: an encoder does not know the one before."""
        if self._last_dts is not None:
            packet.dts = max(packet.dts, self._last_dts + 1)
        self._last_dts = packet.dts

    def _own(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.stream, packet.time_base = self.stream, self._time_base

    def show_last_for(self, duration: int) -> None:
        """Set for how many ticks the last picture is shown, where it came from `replay`."""
        self._shown_for = duration

    def finish(self) -> list[Any]:
        """Return what the encoder held back, with the time for which the last picture is shown."""
        # After `replay` of all there is nothing to encode.
        begun = bool(self._segment) or self._segments is None
        packets = self._rest + (self._packets(None) if begun else [])
        # MP4 has it from the packet that is decoded last, others from the one that is shown last.
        decoded_last = packets[-1:] if self._kind in ("mp4", "mov") else []
        for packet in [p for p in packets if p.pts == self._last] + decoded_last:
            if self._shown_for:
                packet.duration = self._shown_for
        return packets


def kept(pts: int, packets: list[Any]) -> Written:
    """Return what came out with the frame at `pts`, before a container changes time stamps."""
    return Written(pts, [Kept.of(packet) for packet in packets])


def tuning(chosen: EncoderChoice, rate: Fraction, live: bool) -> dict[str, str]:
    """Return what makes the encoder hold no frames back, for a live file."""
    if not live:
        return {}
    second = str(max(1, round(rate)))
    return {"g": second, **({"tune": "zerolatency"} if chosen.name == "libx264" else {})}
