"""The clips of a benchmark: the bundled one at another size, and the same many times over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter

from rtstyle.errors import UsageError
from rtstyle.samples import sample_clip

SAMPLE_FRAMES = 132
"""How many frames the bundled clip has."""

# Quick, and good enough that the decoder has as much to do as with a film.
_ENCODER = {"preset": "veryfast", "crf": "20"}


def prepare_clip(path: Path, width: int, height: int, frames: int = SAMPLE_FRAMES) -> Path:
    """Write the first `frames` of the bundled clip, scaled and cropped to the size, with sound.

    Returns `path` (an .mp4). Raises `UsageError` for a size that is odd or below 16, or for
    another number of frames than 1 to `SAMPLE_FRAMES`.
    """
    check_clip(width, height, frames)
    with av.open(str(sample_clip())) as source, av.open(str(path), "w") as output:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        video = output.add_stream("libx264", rate=picture.average_rate, options=dict(_ENCODER))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = picture.time_base
        video.codec_context.thread_count = 1
        audio = output.add_stream_from_template(sound)
        end = Fraction(frames) / Fraction(picture.average_rate or 25)
        for frame in fitted(source, picture, width, height, frames):
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        _copy_sound(source, sound, output, audio, end)
    return path


def repeat_clip(path: Path, source: Path, times: int) -> Path:
    """Write `source` (an .mp4) `times` over to `path`, its packets copied. Returns `path`."""
    with av.open(str(source)) as first, av.open(str(path), "w") as output:
        targets = {s.index: output.add_stream_from_template(s) for s in first.streams}
        picture = first.streams.video[0]
        length = Fraction(picture.duration or 0) * Fraction(picture.time_base or 0)
        last: dict[int, int] = defaultdict(lambda: -(2**62))
        for turn in range(times):
            with av.open(str(source)) as again:
                for packet in _packets(again):
                    index = packet.stream.index
                    _shift(packet, round(turn * length / packet.time_base))
                    # Sound may be a little longer than the pictures; time must not run back.
                    if packet.dts > last[index]:
                        last[index] = packet.dts
                        packet.stream = targets[index]
                        output.mux(packet)
    return path


def check_clip(width: int, height: int, frames: int) -> None:
    """Raise `UsageError` for a clip that `prepare_clip` cannot make."""
    if width % 2 or height % 2 or min(width, height) < 16:
        raise UsageError(
            f"A clip of {width}x{height} cannot be made.", "", "Use even sides from 16 up."
        )
    if not 1 <= frames <= SAMPLE_FRAMES:
        raise UsageError(f"{frames} frames are out of range.", "", f"Use 1 to {SAMPLE_FRAMES}.")


def fitted(source: Any, stream: Any, width: int, height: int, frames: int) -> Iterator[Any]:
    """Yield the first frames, scaled to cover the size and cropped to it in the middle."""
    graph = av.filter.Graph()
    entry = graph.add_buffer(template=stream)
    scale = graph.add(
        "scale", f"{width}:{height}:force_original_aspect_ratio=increase:force_divisible_by=2"
    )
    crop, leave = graph.add("crop", f"{width}:{height}"), graph.add("buffersink")
    graph.link_nodes(entry, scale, crop, leave).configure()
    for index, frame in enumerate(source.decode(stream)):
        if index == frames:
            return
        graph.push(frame)
        yield graph.pull()


def _copy_sound(source: Any, sound: Any, output: Any, audio: Any, end: Fraction) -> None:
    source.seek(0)
    for packet in source.demux(sound):
        if packet.dts is not None and packet.pts * packet.time_base < end:
            packet.stream = audio
            output.mux(packet)


def _packets(container: Any) -> Iterator[Any]:
    return (packet for packet in container.demux() if packet.dts is not None)


def _shift(packet: Any, offset: int) -> None:
    packet.pts += offset
    packet.dts += offset
