"""What paints the frames of a video, one by one or over a canvas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rtstyle.errors import UsageError
from rtstyle.jobs.mask_video import MovingMask
from rtstyle.machine import heap
from rtstyle.media.color import resize
from rtstyle.media.deep import WHITE, DeepImage, as_deep, with_rest
from rtstyle.media.limits import is_large
from rtstyle.media.yuv import Colour, over
from rtstyle.painting.canvas.coherence import Memory
from rtstyle.pipeline import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rtstyle.frame import Frame, Image
    from rtstyle.painting.canvas.coherence import CoherentPainter, Memory, Step
    from rtstyle.painting.stylizer import Stylizer
    from rtstyle.report import Progress
    from rtstyle.sinks.base import Sink
    from rtstyle.sources.base import Source


class VideoPainter:
    """Paints the frames of a clip of `total` frames, and remembers the size of what came out.

    A sweep advances with the frames, a walk with time; `mask` gives each frame its regions. What is
    transparent is laid over `background`, or left to the sink where that is None.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        total: int | None = None,
        mask: MovingMask | None = None,
        side_by_side: bool = False,
        background: Colour | None = None,
    ) -> None:
        self._background = background
        self._stylizer, self._mask, self._beside = stylizer, mask, side_by_side
        self._sweep = stylizer.recipe.sweep is not None
        self._walk = stylizer.recipe.walk is not None
        self._last = max(1, (total or 1) - 1)
        self.width = self.height = 0

    def paint_frame(self, frame: Frame) -> NDArray[Any]:
        """Paint one frame."""
        moment: dict[str, Any] = {}
        if self._mask is not None:
            moment["mask"] = self._mask.at(frame)
        if self._sweep:
            moment["at"] = min(1.0, frame.index / self._last)
        if self._walk:
            moment["at"] = frame.time
        return self.completed(frame, self._stylizer(frame.image, **moment))

    def scaled(self, frame: Frame) -> Image:
        """Return the picture of a frame at the size at which it is painted."""
        return self._stylizer.scale(frame.image)

    def finished(self, frame: Frame, image: Image, painted: Image) -> NDArray[Any]:
        """Return a frame whose network's picture is `painted`, with all that is done after it."""
        mask = None if self._mask is None else self._mask.at(frame)
        weights = self._stylizer.weights(image, mask)
        return self.completed(frame, self._stylizer.finish(image, painted.copy(), weights))

    def completed(self, frame: Frame, painted: Image) -> NDArray[Any]:
        """Lay a painted frame over the background, or beside the original, where that is asked.

        The result is uint16 where more than 8 bits of the source are wanted and show through.
        """
        original: NDArray[Any] = frame.image
        if frame.deep is not None:
            return self._deep(frame, painted, frame.deep)
        if frame.alpha is not None and self._background is not None:
            painted = over(painted, resize(frame.alpha, *painted.shape[:2]), self._background)
            original = over(original, frame.alpha, self._background)
        if self._beside:
            painted = beside(original, painted)
        self.height, self.width = painted.shape[:2]
        return painted

    def _deep(self, frame: Frame, painted: Image, deep: DeepImage) -> NDArray[Any]:
        """Return a painted frame with what 8 bits left off the source where that shows through."""
        self._show_size(painted)
        height, width = painted.shape[:2]
        if deep.shape[:2] != (height, width):
            scaled = cv2.resize(deep, (width, height), interpolation=cv2.INTER_AREA)
            deep = np.asarray(np.minimum(scaled, WHITE), np.uint16)
        share = self._share(frame, painted)
        whole: NDArray[Any] = painted
        if share is not None:
            image = resize(frame.image, height, width)
            whole = with_rest(painted, image, deep, share)
        if self._beside:
            whole = np.hstack([deep, as_deep(whole)])
        self._show_size(whole)
        return whole

    def _share(self, frame: Frame, painted: Image) -> Any:
        """Return how much of the source shows in a painted frame, None where nothing does."""
        stylizer = self._stylizer
        if stylizer.strength == 0.0:
            return 1.0
        mixed = not stylizer.network.applies_strength
        share: Any = 1 - stylizer.strength if mixed and stylizer.strength < 1 else None
        if len(stylizer.recipe.names) == 1:
            mask = None if self._mask is None else self._mask.at(frame)
            weights = stylizer.weights(painted, mask)
            if weights is not None:
                share = 1 - weights[1] * (1 - (share or 0.0))
        return share

    def _show_size(self, painted: NDArray[Any]) -> None:
        self.height, self.width = painted.shape[:2]


class CoherentVideoPainter:
    """Paints the frames of a clip in order, with a network that sees what it has painted.

    `keyframe_at` returns a painting of the frame at a time in seconds, where there is one. With
    `keep_every`, what the painter knows after each so many frames is kept for `state_after`, so
    that a run that is interrupted can `go_on` there.
    """

    def __init__(
        self,
        painter: VideoPainter,
        coherent: CoherentPainter,
        keyframe_at: Callable[[float], Image | None] = lambda _: None,
        keep_every: int = 0,
    ) -> None:
        self._painter, self._coherent, self._keyframe_at = painter, coherent, keyframe_at
        self._keep_every = keep_every
        self._kept: dict[int, Memory] = {}

    @property
    def width(self) -> int:
        """Columns of the pictures that came out."""
        return self._painter.width

    @property
    def height(self) -> int:
        """Rows of the pictures that came out."""
        return self._painter.height

    def prepare(self, frame: Frame) -> tuple[Image, Step]:
        """Scale a frame, and find what moved in it."""
        image = self._painter.scaled(frame)
        keyframe = self._keyframe_at(frame.time)
        return image, self._coherent.prepare(image, frame.index, keyframe)

    def paint_prepared(self, frame: Frame, found: tuple[Image, Step]) -> NDArray[Any]:
        """Paint a frame over what was painted before."""
        image, step = found
        painted = self._coherent.paint(image, step)
        frames = frame.index + 1
        if self._keep_every and frames % self._keep_every == 0:
            self._kept[frames] = self._coherent.memory_after(step)
        return self._painter.finished(frame, image, painted)

    def state_after(self, frames: int) -> dict[str, NDArray[Any]] | None:
        """Return what the painter knew after so many frames, and forget what was before."""
        for number in [number for number in self._kept if number < frames]:
            del self._kept[number]
        memory = self._kept.pop(frames, None)
        return None if memory is None else memory.to_arrays()

    def go_on(self, state: Mapping[str, NDArray[Any]] | None) -> None:
        """Go on after the frames of another run, which left `state`. Raises `UsageError`."""

        try:
            memory = Memory.from_arrays(state or {})
        except (KeyError, ValueError) as error:
            raise UsageError(
                "--resume cannot go on: the canvas of the interruption is not there.",
                "It is kept beside the output, as .canvas0 or .canvas1.",
                "Leave out --resume to begin anew.",
            ) from error
        self._coherent.go_on(memory)


def video_pipeline(
    frames: Source,
    painter: VideoPainter | CoherentVideoPainter,
    sink: Sink,
    streams: int,
    progress: Callable[[Progress], None] | None,
) -> Pipeline:
    """Return the pipeline of an open video: frames over a canvas, and large ones, one at a time."""
    large = is_large(frames.width * frames.height)
    if large:
        heap.keep_large_apart()
    alone = large or isinstance(painter, CoherentVideoPainter)
    return Pipeline(
        frames, painter, [sink], workers=1 if alone else streams, ahead=1 if large else 2,
        progress=progress,
    )  # fmt: skip


def beside(image: Image, painted: Image) -> Image:
    """Return the painted picture with the original, at its size, to the left."""
    return np.hstack([resize(image, *painted.shape[:2]), painted])
