"""Decoded sound of any layout, brought to the one format that an encoder takes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.audio.resampler import AudioResampler

DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
MOST_GUESSED = 8
"""Channels without a layout up to which FFmpeg guesses one."""


class MixDown:
    """Converts frames to `sample_format`, `layout` (mono or stereo) and `rate`, whatever they are.

    A stream may change its layout, format or rate midway, as broadcasts do.
    """

    def __init__(self, sample_format: str, layout: str, rate: int) -> None:
        self._format, self._layout, self._rate = sample_format, layout, rate
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._pan: Callable[[Any], list[Any]] = as_it_is

    def __call__(self, frame: Any) -> list[Any]:
        """Return the converted frames that are ready. Raises what FFmpeg raises."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        out = [] if kind == self._kind else self.flush()
        if self._resampler is None:
            self._kind = kind
            self._pan = first_two(frame) if is_unknown(frame.layout) else as_it_is
            self._resampler = AudioResampler(self._format, self._layout, self._rate)
        frame.pts = None
        for part in self._pan(frame):
            part.pts = None
            out += self._resampler.resample(part)
        return out

    def flush(self) -> list[Any]:
        """Return what is held back; the next frame begins anew."""
        resampler, self._resampler = self._resampler, None
        return [] if resampler is None else list(resampler.resample(None))

    def silence(self, samples: int) -> Any:
        """Return a silent frame as the encoder takes it.

        Never as the source has it: PyAV lists more planes than a planar frame of eight channels or
        more has, and writing to them crashes the process.
        """
        sample_format = av.AudioFormat(self._format)
        channels = av.AudioLayout(self._layout).nb_channels
        shape = (channels, samples) if sample_format.is_planar else (1, samples * channels)
        name = sample_format.packed.name
        level = 128 if name == "u8" else 0
        array: Any = np.full(shape, level, DTYPES[name])
        frame: Any = av.AudioFrame.from_ndarray(array, format=self._format, layout=self._layout)
        frame.sample_rate = self._rate
        return frame


def as_it_is(frame: Any) -> list[Any]:
    """Return the frame."""
    return [frame]


def is_unknown(layout: Any) -> bool:
    """Return True if FFmpeg cannot tell where the channels belong, as for `9 channels`."""
    return bool(layout.nb_channels > MOST_GUESSED and layout.name.endswith(" channels"))


def first_two(like: Any) -> Callable[[Any], list[Any]]:
    """Return what makes stereo of the first two channels of frames like this."""
    graph: Any = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=like.sample_rate,
        format=like.format.name,
        layout=like.layout.name,
        channels=like.layout.nb_channels,
        time_base=Fraction(1, like.sample_rate),
    )
    pan, sink = graph.add("pan", "stereo|FL=c0|FR=c1"), graph.add("abuffersink")
    graph.link_nodes(source, pan, sink).configure()

    def through(frame: Any) -> list[Any]:
        graph.push(frame)
        out: list[Any] = []
        while True:
            try:
                out.append(graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return out

    return through


def loss(layout: Any, channels: int) -> str:
    """Return what is lost when sound of `layout` becomes `channels` (1 or 2), for the user."""
    if layout.nb_channels <= channels:
        return ""
    if is_unknown(layout):
        return f", the first two of {layout.name}"
    return f", {layout.name} mixed down to {'stereo' if channels == 2 else 'mono'}"
