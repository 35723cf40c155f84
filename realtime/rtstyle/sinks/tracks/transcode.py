"""Sound and text subtitles re-encoded, for containers that cannot hold them as they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from rtstyle.files.names import as_file
from rtstyle.media.container import LENIENT_TEXT
from rtstyle.sinks.tracks.mixdown import MixDown, loss

BEST_RATE = 48000
"""Samples a second; more are not heard, and Opus has no other."""
OUT_OF_STEP = Fraction(1, 20)
"""Seconds of difference from which sound is brought back into step."""
USUAL_FRAME = 1024
BIT_RATES = {"aac": 96_000, "libopus": 80_000}
"""Bits a second for each channel, at which the loss is not heard."""


class AudioTranscoder:
    """Decodes the packets of an audio stream and encodes them with the encoder `name`.

    `note` says what is lost, for the user. Raises `ValueError` for sound that cannot be mixed.
    """

    def __init__(self, output: Any, stream: Any, name: str) -> None:
        source = stream.codec_context
        rate = fitting_rate(name, source.sample_rate)
        self._input, self._output = stream, output
        channels = min(source.channels, 2)
        self.note = loss(source.layout, channels)

        def set_up(encoder: Any) -> Any:
            # More than two channels are mixed down: surround layouts differ from codec to codec.
            encoder.layout = "stereo" if channels == 2 else "mono"
            encoder.bit_rate = BIT_RATES[name] * channels
            encoder.open()
            return encoder

        # First apart from the output, where a stream that cannot be encoded would stay.
        trial: Any = av.CodecContext.create(name, "w")
        trial.sample_rate, trial.format = rate, trial.codec.audio_formats[0]
        set_up(trial)
        try_to_mix(source)
        self._stream = output.add_stream(name, rate=rate)
        copy_labels(stream, self._stream)
        encoder = set_up(self._stream.codec_context)
        self._mix = MixDown(encoder.format.name, encoder.layout.name, encoder.sample_rate)
        self._waiting: Any = av.AudioFifo()
        self._size = encoder.frame_size or USUAL_FRAME
        self._next: int | None = None
        self._rate = encoder.sample_rate
        self._tick = Fraction(1, self._rate)
        # Seconds up to which sound or silence has come.
        self._fed = Fraction(0)

    def carry(self, packet: Any) -> bool:
        """Decode, resample, encode and mux one packet; damaged ones leave silence."""
        begins = packet.pts * packet.time_base
        try:
            frames = self._input.decode(packet)
        except av.error.FFmpegError:
            return False
        for frame in frames:
            timed = frame.pts is not None and frame.time_base
            self._feed(frame, frame.pts * frame.time_base if timed else begins)
        return True

    def _feed(self, frame: Any, begins: Fraction) -> None:
        """Encode a decoded frame at its time: after silence, or not at all if that is past."""
        if self._next is None:
            self._next = max(0, round(begins / self._tick))
            self._fed = begins
        if begins < self._fed - OUT_OF_STEP:
            return
        if begins > self._fed + OUT_OF_STEP:
            self._encode(self._mix.flush())
            self._fill(round((begins - self._fed) * self._rate))
            self._fed = begins
        self._fed += Fraction(frame.samples, frame.sample_rate)
        self._encode(self._mix(frame))

    def _fill(self, samples: int) -> None:
        """Encode silence, a second at a time."""
        while samples > 0:
            part = min(samples, self._rate)
            self._encode([self._mix.silence(part)])
            samples -= part

    def finish(self) -> None:
        """Encode and mux what decoder, resampler and encoder still hold."""
        if self._next is None:
            return
        self._encode(self._mix.flush(), last=True)
        self._output.mux(self._stream.encode(None))

    def _encode(self, frames: list[Any], last: bool = False) -> None:
        """Encode in pieces of the size that the encoder takes; only the last may be shorter."""
        for frame in frames:
            # The queue takes frames of one time base only.
            frame.pts, frame.time_base = None, self._tick
            self._waiting.write(frame)
        for piece in self._waiting.read_many(self._size, partial=last):
            piece.pts, piece.time_base = self._next, self._tick
            self._next = (self._next or 0) + piece.samples
            self._output.mux(self._stream.encode(piece))


def try_to_mix(source: Any) -> None:
    """Raise `ValueError` if sound laid out like that of this codec context cannot be mixed."""
    layout = source.layout
    silent: Any = av.AudioFrame("flt", layout.name, USUAL_FRAME)
    silent.sample_rate = source.sample_rate
    try:
        MixDown("flt", "stereo", BEST_RATE)(silent)
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(f"its sound is {layout.name}") from error


def fitting_rate(name: str, rate: int) -> int:
    """Return the sample rate that the encoder `name` takes for sound of `rate`."""
    if name == "libopus":
        return BEST_RATE
    known = sorted(av.Codec(name, "w").audio_rates or (rate,))
    return min((r for r in known if rate <= r <= BEST_RATE), default=BEST_RATE)


def changes_midway(path: Path, index: int) -> bool:
    """Return True if AAC with a header in each packet (ADTS, in MPEG-TS) changes rate or layout.

    Reads the file through, without decoding anything.
    """
    first: tuple[int, int] | None = None
    try:
        with av.open(as_file(path), **LENIENT_TEXT) as container:
            for packet in container.demux(container.streams[index]):
                head = bytes(memoryview(packet)[:4]) if packet.size >= 4 else b""
                if len(head) < 4 or head[0] != 0xFF or head[1] & 0xF0 != 0xF0:
                    continue
                # Profile, rate and layout: ISO/IEC 13818-7, section 6.2.
                now = head[2] & 0xFD, head[3] & 0xC0
                if first is not None and now != first:
                    return True
                first = now
    except (av.error.FFmpegError, IndexError):
        # Damage in the middle is told where the packets are carried over.
        return False
    return False


class SubtitleTranscoder:
    """Decodes text subtitles and encodes them with the encoder `name`.

    Raises `ValueError` for pictures as subtitles (DVD, Blu-ray), which are not text.
    """

    note = ""

    def __init__(self, output: Any, stream: Any, name: str) -> None:
        if stream.codec_context.codec.properties & av.codec.codec.Properties.BITMAP_SUB.value:
            raise ValueError("its subtitles are pictures")
        self._input, self._output = stream, output
        stream.codec_context.open(strict=False)
        header = stream.codec_context.subtitle_header

        def set_up(encoder: Any) -> Any:
            encoder.subtitle_header, encoder.time_base = header, Fraction(1, 1000)
            encoder.open()
            return encoder

        # First apart from the output, where a stream that cannot be encoded would stay.
        set_up(av.CodecContext.create(name, "w"))
        self._stream = output.add_stream(name)
        copy_labels(stream, self._stream)
        set_up(self._stream.codec_context)

    def carry(self, packet: Any) -> bool:
        """Decode, encode and mux one subtitle."""
        pts, duration, time_base = packet.pts, packet.duration, packet.time_base
        try:
            decoded = self._input.codec_context.decode2(packet)
        except av.error.FFmpegError:
            return False
        if not decoded:
            return True
        encoded = self._stream.codec_context.encode_subtitle(decoded)
        encoded.time_base = time_base
        encoded.pts = encoded.dts = pts
        encoded.duration = duration
        encoded.stream = self._stream
        self._output.mux(encoded)
        return True

    def finish(self) -> None:
        """Nothing is held back."""


def copy_labels(source: Any, target: Any) -> None:
    """Copy language, title and disposition of a stream."""
    for key in ("language", "title"):
        if key in source.metadata:
            target.metadata[key] = source.metadata[key]
    target.disposition = source.disposition
