"""One photo that is painted slowly: what is read of it before, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rtstyle.frame import Image
from rtstyle.jobs.slow.still import Paintings, read_paintings, suit_colors, working_size
from rtstyle.media.color import resize, with_chroma_of
from rtstyle.media.limits import DEFAULT_QUALITY, check_quality
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting.masks import StillMask, Weights, read_mask


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
