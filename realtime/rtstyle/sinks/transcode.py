"""Sound and text subtitles re-encoded, for containers that cannot hold them as they are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.resampler import AudioResampler

OPUS_RATE = 48000
BIT_RATES = {"aac": 96_000, "libopus": 80_000}
"""Bits a second for each channel, at which the loss is not heard."""


class AudioTranscoder:
    """Decodes the packets of an audio stream and encodes them with the encoder `name`."""

    def __init__(self, output: Any, stream: Any, name: str) -> None:
        source = stream.codec_context
        rate = OPUS_RATE if name == "libopus" else source.sample_rate
        self._input, self._output = stream, output
        self._stream = output.add_stream(name, rate=rate)
        for key in ("language", "title"):
            if key in stream.metadata:
                self._stream.metadata[key] = stream.metadata[key]
        encoder = self._stream.codec_context
        channels = min(source.channels, 2)
        # More than two channels are mixed down: surround layouts differ from codec to codec.
        encoder.layout = "stereo" if channels == 2 else "mono"
        encoder.bit_rate = BIT_RATES[name] * channels
        encoder.open()
        self._resampler = AudioResampler(
            encoder.format, encoder.layout, encoder.sample_rate, encoder.frame_size or None
        )
        self._next: int | None = None
        self._tick = Fraction(1, encoder.sample_rate)

    def carry(self, packet: Any) -> None:
        """Decode, resample, encode and mux one packet; damaged ones leave a gap."""
        begins = packet.pts * packet.time_base
        try:
            frames = self._input.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            if self._next is None:
                self._next = max(0, round(begins / self._tick))
            frame.pts = None
            self._encode(self._resampler.resample(frame))

    def finish(self) -> None:
        """Encode and mux what decoder, resampler and encoder still hold."""
        if self._next is None:
            return
        self._encode(self._resampler.resample(None))
        self._output.mux(self._stream.encode(None))

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = self._next, self._tick
            self._next = (self._next or 0) + frame.samples
            self._output.mux(self._stream.encode(frame))


class SubtitleTranscoder:
    """Decodes text subtitles and encodes them with the encoder `name`.

    Raises `ValueError` for pictures as subtitles (DVD, Blu-ray), which are no text.
    """

    def __init__(self, output: Any, stream: Any, name: str) -> None:
        if stream.codec_context.codec.properties & av.codec.codec.Properties.BITMAP_SUB.value:
            raise ValueError("its subtitles are pictures")
        self._input, self._output = stream, output
        stream.codec_context.open(strict=False)
        self._stream = output.add_stream(name)
        if "language" in stream.metadata:
            self._stream.metadata["language"] = stream.metadata["language"]
        encoder = self._stream.codec_context
        encoder.subtitle_header = stream.codec_context.subtitle_header
        encoder.time_base = Fraction(1, 1000)
        encoder.open()

    def carry(self, packet: Any) -> None:
        """Decode, encode and mux one subtitle."""
        pts, duration, time_base = packet.pts, packet.duration, packet.time_base
        try:
            decoded = self._input.codec_context.decode2(packet)
        except av.error.FFmpegError:
            return
        if not decoded:
            return
        encoded = self._stream.codec_context.encode_subtitle(decoded)
        encoded.time_base = time_base
        encoded.pts = encoded.dts = pts
        encoded.duration = duration
        encoded.stream = self._stream
        self._output.mux(encoded)

    def finish(self) -> None:
        """Nothing is held back."""
