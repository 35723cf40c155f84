"""The parts of a video joined: packets copied, nothing encoded again, with sound and the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from rtstyle.frame import Frame
from rtstyle.jobs.video import kept_sphere, make_copier
from rtstyle.sinks.tracks.segment_file import JoinedSegments
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sources import open_video

if TYPE_CHECKING:
    from rtstyle.jobs.parts.paint import Work
    from rtstyle.media.container import Media


def join_parts(
    media: Media,
    output: Path,
    work: Work,
    parts: Sequence[Callable[[], BinaryIO]],
    *,
    audio: bool = True,
    keep_location: bool = False,
) -> list[str]:
    """Write painted parts into the video `output`, and return notes for the user.

    `parts` open the files of segments, in order. Sound and subtitles come from the source. Raises
    `SourceError` or `SinkError`; an existing output is replaced once the new one is whole.
    """
    with ExitStack() as stack:
        frames = stack.enter_context(
            open_video(media, work.start, work.end, deinterlace=work.deinterlace, keep_alpha=True)
        )
        copier = None
        if audio:
            copier = make_copier(media, output, work.start, work.end, None, keep_location)
        spherical, notes = kept_sphere(frames.spherical, output, work.side_by_side)
        joined = JoinedSegments(output, parts)
        sink = VideoFileSink(
            output, rate=frames.rate, encoding=work.encoding, origin=frames.origin,
            sample_aspect_ratio=frames.sample_aspect_ratio, copier=copier, spherical=spherical,
            threads=work.threads, segments=joined,
        )  # fmt: skip
        stack.callback(sink.abort)
        height, width = joined.encoder["shape"]
        blank = np.zeros((height, width, 3), np.uint8)
        clock = Fraction(joined.encoder["time_base"])
        sink.write_joined(joined, Frame(blank, 0, 0, clock, time.monotonic()))
        sink.close()
    return notes + sink.notes()
