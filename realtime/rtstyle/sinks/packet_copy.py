"""Packets of a source muxed as they are: what carries sound, subtitles, data and further videos."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Protocol

import av
from av.format import Flags

from rtstyle.sinks.transcode import OUT_OF_STEP, copy_labels

PCM_SILENCE = {"pcm_u8": 0x80, "pcm_mulaw": 0xFF, "pcm_alaw": 0xD5}
"""The byte of silence; for all other kinds of PCM that can be carried it is 0."""


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


class VideoCopy(PacketCopy):
    """Muxes a further video as it is, from its first key frame on."""

    def __init__(self, output: Any, stream: Any) -> None:
        super().__init__(output, stream)
        self._begun = False

    def carry(self, packet: Any) -> bool:
        """Mux the packet; what comes before a key frame could not be decoded."""
        self._begun = self._begun or packet.is_keyframe
        return super().carry(packet) if self._begun else True


class PcmCopy(PacketCopy):
    """Muxes plain sound (PCM) into MOV, which counts its samples: a gap becomes silence.

    `filled` are the bytes of that.
    """

    def __init__(self, output: Any, stream: Any) -> None:
        super().__init__(output, stream)
        codec = stream.codec_context.codec.canonical_name
        self._level = next((v for k, v in PCM_SILENCE.items() if codec.startswith(k)), 0)
        bits = re.search(r"\d+", codec)
        each = int(bits[0]) // 8 if bits else 1
        self._block = max(1, each) * stream.codec_context.channels
        self._rate = stream.codec_context.sample_rate
        self.filled = 0
        # Seconds up to which the samples reach that were written.
        self._ends: Fraction | None = None

    def carry(self, packet: Any) -> bool:
        """Mux the packet, after silence if there is a gap before it."""
        begins = packet.pts * packet.time_base
        if self._ends is None:
            self._ends = begins
        missing = begins - self._ends
        if missing > OUT_OF_STEP:
            self._fill(round(missing * self._rate), packet.time_base)
            self._ends = begins
        # Counted first: the muxer takes the bytes away.
        seconds = Fraction(packet.size // self._block, self._rate)
        if not super().carry(packet):
            return False
        self._ends += seconds
        return True

    def _fill(self, samples: int, time_base: Fraction) -> None:
        """Mux silence, a second at a time."""
        begins = self._ends or Fraction(0)
        for first in range(0, samples, self._rate):
            part = min(self._rate, samples - first)
            silent = av.Packet(bytes([self._level]) * (part * self._block))
            self.filled += silent.size
            silent.time_base = time_base
            silent.pts = silent.dts = round((begins + Fraction(first, self._rate)) / time_base)
            silent.duration = round(Fraction(part, self._rate) / time_base)
            super().carry(silent)
