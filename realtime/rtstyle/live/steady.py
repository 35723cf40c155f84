"""A live picture painted over its last frame, by networks that see a canvas."""

from __future__ import annotations

from collections.abc import Hashable

from rtstyle.frame import Image
from rtstyle.painting.canvas.coherence import CoherentPainter, Run
from rtstyle.painting.strokes import Enlarge


class SteadyPainter:
    """Paints the frames that it is given as they follow each other, dropped ones left out.

    `key` says with what it paints: another network, size or stroke needs another painter. The flow
    is computed as the frame is painted, so that it is never late and nothing waits for it.
    """

    def __init__(
        self,
        run: Run,
        enlarge: Enlarge,
        key: Hashable,
        *,
        stroke_size: float = 1.0,
        coherence: float = 1.0,
    ) -> None:
        self.key = key
        self._painter = CoherentPainter(run, enlarge, stroke_size=stroke_size, coherence=coherence)
        self._count = 0

    def __call__(self, image: Image) -> Image:
        """Paint the next frame, (H, W, 3) uint8 RGB."""
        step = self._painter.prepare(image, self._count)
        self._count += 1
        return self._painter.paint(image, step)
