"""One photo that is painted slowly: what is read of it before, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.jobs.slow.still import KEEP_COLOR, Paintings, painting_files
from rtstyle.media.color import Colours, match_colors, resize, with_chroma_of
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting.masks import StillMask, Weights, read_mask


def read_paintings(text: str) -> Paintings:
    """Read `a.jpg` or `a.jpg:0.7,b.jpg:0.3`.

    Raises as `painting_files`, and `SourceError` for what is not a picture.
    """
    return [(read_picture(path, whole=True).rgb, weight) for path, weight in painting_files(text)]


def working_size(photo: Image, long_side: int) -> tuple[int, int]:
    """Return (height, width) with at most `long_side` pixels; photos are never enlarged."""
    height, width = photo.shape[:2]
    factor = min(1.0, long_side / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def suit_colors(
    photo: Image, styles: Sequence[Paintings], keep_color: str | None
) -> tuple[Image, list[Paintings]]:
    """Prepare photo and paintings for a way to keep colours. Raises `UsageError` for others.

    `luminance` makes all grey, with the photo's brightness and contrast; `match` gives the
    paintings the photo's colours.
    """
    if keep_color is None:
        return photo, list(styles)
    if keep_color not in KEEP_COLOR:
        raise UsageError(
            f"Colours cannot be kept by {keep_color!r}.", "", f"Use {' or '.join(KEEP_COLOR)}."
        )
    if keep_color == "luminance":
        photo, styles = grey(photo), [[(grey(p), w) for p, w in mix] for mix in styles]
    wanted = Colours.of(photo)
    return photo, [[(match_colors(p, wanted), w) for p, w in mix] for mix in styles]


def grey(image: Image) -> Image:
    """Return the luminance of (H, W, 3) uint8 RGB in three equal channels."""
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), np.uint8)


class StillPhoto:
    """A photo with its paintings, at the size at which it is painted.

    `styles` are texts as `--style` takes them, one for each region of `mask`. `size` is the long
    side in pixels, at most the photo's. `keep_color` is None, `luminance` or `match`. `content` is
    (H, W, 3) uint8, of the photo's own size; `shape` (rows, columns) is that of the painting;
    `guides` (R, H, W) are the regions, None without a mask. Raises `UsageError`, `SourceError` or
    `StyleError`.
    """

    def __init__(
        self,
        photo: Path,
        styles: Sequence[str],
        *,
        size: int,
        mask: Path | None = None,
        keep_color: str | None = None,
        quality: int = DEFAULT_QUALITY,
    ) -> None:
        check_quality(quality)
        self._quality, self._keep_color = quality, keep_color
        picture = read_picture(photo)
        self.notes = picture.notes
        self.shape = working_size(picture.rgb, size)
        paintings = [read_paintings(text) for text in styles]
        self.guides: Weights | None = None
        if mask is not None:
            self.guides = StillMask(read_mask(mask), len(styles)).weights(*self.shape)
        self._small = scaled(picture, self.shape)
        self.content: Image
        self.paintings: list[Paintings]
        self.content, self.paintings = suit_colors(picture.rgb, paintings, keep_color)

    def write(self, image: Image, output: Path) -> tuple[str, ...]:
        """Write a painting of `shape`, with all that is kept of the photo; return what was lost."""
        if self._keep_color == "luminance":
            image = with_chroma_of(self._small.rgb, image)
        return write_picture(replace(self._small, rgb=image), output, self._quality)


def scaled(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Return a picture with its alpha at another size."""
    alpha = None if picture.alpha is None else resize(picture.alpha, *shape)
    return replace(picture, rgb=resize(picture.rgb, *shape), alpha=alpha)
