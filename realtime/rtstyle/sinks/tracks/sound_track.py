"""The sound of a recording: pieces of a microphone, encoded beside the pictures."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from rtstyle.sound import Sound

CODECS = {"webm": "libopus"}
USUAL_CODEC = "aac"
RATE = 48000
TOLERANCE = 0.08
"""Seconds by which the sound may lie beside its time before it is moved: clocks drift apart, and
pieces arrive in bursts."""


class SoundTrack:
    """One sound stream of an output container; make it before the first packet is written.

    `container` is open for writing, `kind` its FFmpeg name. `write` places each piece by its
    `at`, relative to `zero`, the `captured_at` of the first picture: what lies before is cut off,
    gaps become silence, and overlaps are cut. All calls from the thread of the pictures.
    """

    def __init__(self, container: Any, kind: str, channels: int) -> None:
        layout = "mono" if channels == 1 else "stereo"
        self._container = container
        self._stream = container.add_stream(CODECS.get(kind, USUAL_CODEC), rate=RATE)
        self._stream.layout = layout
        self._stream.time_base = Fraction(1, RATE)
        wanted = self._stream.codec_context.format.name
        self._resampler: Any = None
        self._format, self._layout = wanted, layout
        self._samples = 0
        self._in_rate = 0

    def write(self, sound: Sound, zero: float) -> None:
        """Encode one piece. Raises what PyAV raises if the file cannot be written."""
        samples = sound.samples
        if self._in_rate != sound.rate:
            self._flush()
            self._resampler = av.AudioResampler(
                format=self._format,
                layout=self._layout,
                rate=RATE,
                frame_size=self._stream.codec_context.frame_size or None,
            )
            self._in_rate, self._out_at_start, self._in = sound.rate, self._samples, 0
        late = sound.at - zero - self._moment()
        # The beginning can be exact, as nothing that was heard has to be moved.
        tolerance = TOLERANCE if self._samples or self._in else 0.0
        if late > tolerance:
            silence = np.zeros((round(late * sound.rate), samples.shape[1]), np.int16)
            self._push(silence)
        elif late < -tolerance:
            samples = samples[round(-late * sound.rate) :]
        self._push(samples)

    def finish(self) -> None:
        """Encode what is left."""
        self._flush()
        for packet in self._stream.encode(None):
            self._container.mux(packet)

    def _moment(self) -> float:
        """Seconds from the first picture to the end of the sound so far."""
        return self._out_at_start / RATE + self._in / self._in_rate

    def _push(self, samples: Any) -> None:
        if not len(samples):
            return
        channels = samples.shape[1]
        if channels > 2:
            samples, channels = samples[:, :2], 2
        layout = "mono" if channels == 1 else "stereo"
        packed = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = self._in_rate
        self._in += len(samples)
        self._encode(self._resampler.resample(frame))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))
            self._resampler = None

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = self._samples, Fraction(1, RATE)
            self._samples += frame.samples
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
