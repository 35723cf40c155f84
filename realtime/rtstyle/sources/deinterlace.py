"""Interlaced frames as whole ones, by FFmpeg's bwdif: one for each, as many as before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import av.filter

from rtstyle.errors import UsageError

DEINTERLACE = ("auto", "on", "off")
"""Where frames say that they are interlaced; all of them; none."""
COUNTED = "frames deinterlaced"


def check_deinterlace(mode: str) -> str:
    """Return `mode`. Raises `UsageError` unless it is one of `DEINTERLACE`."""
    if mode not in DEINTERLACE:
        raise UsageError(f"--deinterlace {mode} does not exist.", "", "Use auto, on or off.")
    return mode


def deinterlaced(
    frames: Iterator[av.VideoFrame], mode: str, time_base: Fraction, counts: Counter[str]
) -> Iterator[av.VideoFrame]:
    """Yield decoded frames, deinterlaced by `mode`, and count those that were.

    Time stamps and tags stay. From the first interlaced frame on one frame is held back.
    """
    weaver: _Weaver | None = None
    for frame in frames:
        wanted = mode == "on" or (mode == "auto" and frame.interlaced_frame)
        if weaver is None and not wanted:
            yield frame
            continue
        if weaver is not None and not weaver.fits(frame):
            yield from weaver.finish()
            weaver = None
        if weaver is None:
            weaver = _Weaver(frame, mode, time_base)
        counts[COUNTED] += bool(wanted)
        yield from weaver.push(frame)
    if weaver is not None:
        yield from weaver.finish()


class _Weaver:
    """A filter graph for frames of one size and format."""

    def __init__(self, frame: av.VideoFrame, mode: str, time_base: Fraction) -> None:
        self._shape = (frame.width, frame.height, frame.format.name)
        self._tags = (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)
        self._graph = av.filter.Graph()
        begin = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        which = "all" if mode == "on" else "interlaced"
        steps = [
            self._graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}"),
            # bwdif halves the time base.
            self._graph.add("settb", f"expr={time_base.numerator}/{time_base.denominator}"),
            self._graph.add("format", frame.format.name),
            self._graph.add("buffersink"),
        ]
        for step in steps:
            begin.link_to(step)
            begin = step
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        return self._shape == (frame.width, frame.height, frame.format.name)

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        self._graph.push(frame)
        while True:
            try:
                out: Any = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # The graph does not know them all.
            out.colorspace, out.color_range, out.color_trc, out.color_primaries = self._tags
            yield out

    def finish(self) -> Iterator[av.VideoFrame]:
        yield from self.push(None)
