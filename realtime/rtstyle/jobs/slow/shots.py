"""Shots of a video, by PySceneDetect's content detector, and the moments to be painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError, UsageError
from rtstyle.frame import Image
from rtstyle.jobs.slow.still import THRESHOLD
from rtstyle.media.color import resize
from rtstyle.sources.base import Source

SHORTEST = 0.5
"""A shot lasts at least this many seconds."""
LOOK = 256
"""Cuts are looked for in pictures of this width."""
USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames `first` to `last`, both in it, counted from 0, and their moments in seconds."""

    first: int
    last: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame to be painted: its number, its time in seconds, and the number of its shot."""

    frame: int
    time: float
    shot: int


class CutFinder:
    """Takes frames one by one; `cuts` are the numbers of those that begin a shot."""

    def __init__(self, rate: float, threshold: float = THRESHOLD) -> None:
        try:
            from scenedetect import ContentDetector, FrameTimecode
        except ImportError as error:
            raise MissingExtraError(
                "Finding cuts needs PySceneDetect.", str(error), "pip install 'rtstyle[keyframes]'"
            ) from error
        self._detector = ContentDetector(
            threshold=threshold, min_scene_len=max(1, round(SHORTEST * rate))
        )
        self._timecode, self._rate = FrameTimecode, rate
        self.cuts: list[int] = []

    def add(self, number: int, image: Image) -> None:
        """Take frame `number`, (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        small = resize(image, max(1, round(height * min(1.0, LOOK / width))), min(LOOK, width))
        found = self._detector.process_frame(
            self._timecode(number, self._rate), cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        )
        self.cuts.extend(int(cut.frame_num) for cut in found)


def find_shots(
    source: Source,
    threshold: float = THRESHOLD,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[list[Shot], list[float]]:
    """Decode a video; return its shots, and the time of every frame in seconds.

    `progress` gets the time reached. Raises `MissingExtraError`, `SourceError`, `UsageError`.
    """
    if not threshold > 0:
        raise UsageError("The threshold of a cut must be above 0.")
    with source:
        finder = CutFinder(float(source.rate or USUAL_RATE), threshold)
        times = []
        for frame in source:
            finder.add(frame.index, frame.image)
            times.append(frame.time - float(source.origin))
            progress(times[-1])
    return divide(finder.cuts, times), times


def divide(cuts: Sequence[int], times: Sequence[float]) -> list[Shot]:
    """Return the shots between cuts of a video with these moments."""
    starts = [0, *sorted({cut for cut in cuts if 0 < cut < len(times)})]
    ends = [*starts[1:], len(times)]
    return [
        Shot(first, end - 1, times[first], times[end - 1])
        for first, end in zip(starts, ends, strict=True)
    ]


def choose(
    shots: Sequence[Shot], times: Sequence[float], every: float | None = None
) -> list[Moment]:
    """Return the middle frame of each shot, or one every so many seconds from its start.

    Raises `UsageError` for `every` of 0 or less.
    """
    if every is None:
        middles = [(shot.first + shot.last) // 2 for shot in shots]
        return [Moment(k, times[k], number) for number, k in enumerate(middles)]
    if not every > 0:
        raise UsageError("The seconds between keyframes must be above 0.")
    found = []
    for number, shot in enumerate(shots):
        wanted = np.arange(shot.start, shot.end + 1e-6, every)
        places = np.searchsorted(times[shot.first : shot.last + 1], wanted - 1e-6) + shot.first
        found += [Moment(int(k), times[int(k)], number) for k in dict.fromkeys(places.tolist())]
    return found
