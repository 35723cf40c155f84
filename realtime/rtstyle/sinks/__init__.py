"""Where frames go. Each sink is a file here; `open_output` chooses one by the name.

Knows nothing of sources, painting or live pictures: what it needs is handed in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.files.numbered import is_pattern

if TYPE_CHECKING:
    from rtstyle.media.spherical import Spherical
    from rtstyle.sinks.base import FileSink, Footage
    from rtstyle.sinks.encoding.settings import Encoding
    from rtstyle.sinks.tracks.segment_file import SegmentFile
    from rtstyle.sinks.tracks.stream_copy import StreamCopier


def open_output(
    path: str | Path,
    source: Footage,
    *,
    encoding: Encoding | None = None,
    copier: StreamCopier | None = None,
    alpha: bool = False,
    spherical: Spherical | None = None,
    kind: str | None = None,
    segments: SegmentFile | None = None,
) -> FileSink:
    """Return the sink for an output name, not opened yet: video, GIF, or pictures.

    `encoding` is what a video's encoder is asked for. With `alpha` the output keeps the
    transparency of frames, where `keeps_alpha` says so of its name. `spherical` is the 360-degree
    tag of a video. `kind` is FFmpeg's name of a format, for a pipe. `segments` keeps what is
    encoded of a video file, so that an interrupted run can go on. A name without a suffix, one that
    ends in `/`, or an existing folder means pictures in it. Raises `UsageError` for settings of an
    encoder where there is none.
    """
    target = Path(path)
    from rtstyle.sinks.images import ImageSequenceSink

    video: dict[str, Any] = {
        "rate": source.rate,
        "encoding": encoding,
        "origin": source.origin,
        "sample_aspect_ratio": source.sample_aspect_ratio,
        "copier": copier,
        "spherical": spherical,
    }
    if kind is not None:
        from rtstyle.sinks.pipe import PipeSink

        return PipeSink(target, kind, **video)
    if is_pattern(target) or target.is_dir() or not target.suffix:
        if encoding is not None:
            encoding.refuse("pictures")
        return ImageSequenceSink(
            target, sample_aspect_ratio=source.sample_aspect_ratio, alpha=alpha
        )
    if target.suffix.lower() == ".gif":
        from rtstyle.sinks.gif import GifSink

        if encoding is not None:
            encoding.refuse("GIF")
        return GifSink(target, origin=source.origin, sample_aspect_ratio=source.sample_aspect_ratio)
    from rtstyle.sinks.video_file import VideoFileSink

    return VideoFileSink(target, alpha=alpha, segments=segments, **video)
