"""Photos, textures and keyframes by `WctStylizer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtstyle.closeable import Closing
from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle.jobs.image import ImageReport
from rtstyle.jobs.slow.still import Paintings
from rtstyle.jobs.slow.still_photo import StillPhoto, read_paintings
from rtstyle.media.color import resize
from rtstyle.media.picture import Picture, write_picture
from rtstyle.painting.wct.defaults import ALPHA
from rtstyle.painting.wct.stylizer import Blend, WctStylizer

if TYPE_CHECKING:
    from rtstyle.jobs.slow.keyframes import Known

SYNTAX = "Write 4,3,2,1 or, with strengths, 4:0.8,3:0.5."
SHARE = 0.5
"""Weight of the last keyframe, warped, in the next one."""
COARSE = 3
"""Levels from this on lay out forms. What is known is laid over their result and goes through the
finer ones: in the photo it would be painted twice over, and keyframes would differ more, not less.
"""


def parse_levels(
    text: str | None, alpha: float | None
) -> tuple[list[int] | None, dict[int, float]]:
    """Return levels (None: all there are) and their strengths out of `4:0.8,3,2`.

    `alpha` serves levels without a strength of their own. Raises `UsageError`.
    """
    usual = ALPHA if alpha is None else alpha
    if text is None:
        return None, dict.fromkeys(range(1, 6), usual)
    found: dict[int, float] = {}
    for part in text.split(","):
        level, colon, strength = part.strip().partition(":")
        try:
            found[int(level)] = float(strength) if colon else usual
        except ValueError:
            raise UsageError(f"{part!r} is not a level.", "", SYNTAX) from None
    return list(found), found


def open_stylizer(
    levels: str | None, alpha: float | None, folder: Path | None, device: str, threads: int
) -> WctStylizer:
    """Return a stylizer for these options; `device` auto is the CPU."""
    chosen, alphas = parse_levels(levels, alpha)
    device = "cpu" if device == "auto" else device
    return WctStylizer(chosen, alphas, folder=folder, device=device, threads=threads)


def learn(
    stylizer: WctStylizer, paintings: Paintings, shape: tuple[int, int], scale: float
) -> Blend:
    """Return the blend of paintings for pictures of `shape`, (rows, columns)."""
    return [(stylizer.learn(picture, shape, scale), weight) for picture, weight in paintings]


def paint_still(
    photo: StillPhoto,
    *,
    style_scale: float,
    levels: str | None,
    alpha: float | None,
    device: str,
    threads: int,
) -> tuple[Image, str]:
    """Paint a photo; return the painting, of its `shape`, and the levels with their strengths."""
    with open_stylizer(levels, alpha, None, device, threads) as stylizer:
        blends = [learn(stylizer, mix, photo.shape, style_scale) for mix in photo.paintings]
        painted = stylizer(resize(photo.content, *photo.shape), blends, photo.guides)
        return painted, describe(stylizer.alphas, stylizer.levels)


def write_still(
    photo: Path,
    output: Path,
    styles: Sequence[str],
    tell: Callable[[str], None],
    *,
    style_scale: float,
    levels: str | None,
    alpha: float | None,
    device: str,
    threads: int,
    **how: Any,
) -> tuple[ImageReport, str]:
    """Paint a photo file into another; return what became of it, and the levels of `paint_still`.

    `how` are the arguments of `StillPhoto`, whose errors it raises. `tell` is told what the photo
    lost in reading.
    """
    read = StillPhoto(photo, styles, **how)
    for note in read.notes:
        tell(f"note: {photo}: {note}")
    painted, used = paint_still(
        read, style_scale=style_scale, levels=levels, alpha=alpha, device=device, threads=threads
    )
    height, width = read.shape
    return ImageReport(photo, output, width, height, 1, read.write(painted, output)), used


def make_texture(
    painting: str,
    shape: tuple[int, int],
    *,
    style_scale: float,
    levels: str | None,
    seed: int,
    device: str,
    threads: int,
) -> Image:
    """Make a texture of `shape` (rows, columns): noise goes through all levels some times."""
    paintings = read_paintings(painting)
    with open_stylizer(levels, 1.0, None, device, threads) as stylizer:
        return stylizer.texture(learn(stylizer, paintings, shape, style_scale), *shape, seed)


def write_texture(
    painting: str, output: Path, shape: tuple[int, int], *, quality: int, **how: Any
) -> None:
    """Make a texture into a file. `how` are the other arguments of `make_texture`."""
    write_picture(Picture(make_texture(painting, shape, **how)), output, quality)


def keyframe_painter(
    paintings: Paintings,
    shape: tuple[int, int],
    *,
    style_scale: float,
    levels: str | None,
    alpha: float | None,
    device: str,
    threads: int,
    share: float | None,
) -> WctPainter:
    """Return the painter of keyframes of `shape`, (rows, columns). Raises `UsageError`."""
    stylizer = open_stylizer(levels, alpha, None, device, threads)
    blend = learn(stylizer, paintings, shape, style_scale)
    return WctPainter(stylizer, blend, SHARE if share is None else share)


class WctPainter(Closing):
    """A `rtstyle.jobs.slow.keyframes.Painter` with one blend of paintings; closes its stylizer."""

    def __init__(self, stylizer: WctStylizer, blend: Blend, share: float = SHARE) -> None:
        self.stylizer, self.blend, self.share = stylizer, blend, share
        coarse = [level for level in stylizer.levels if level >= COARSE]
        self._join = min(coarse or stylizer.levels)

    def __call__(self, photo: Image, known: Known | None) -> Image:
        """Paint (H, W, 3) uint8 RGB; `known` lays what was painted before over a picture."""

        def join(level: int, image: Image) -> Image | None:
            return known(image) if known is not None and level == self._join else None

        return self.stylizer(photo, [self.blend], on_level=join)

    def close(self) -> None:
        """Free the networks."""
        self.stylizer.close()


def describe(alphas: Mapping[int, float], levels: Sequence[int]) -> str:
    """Return levels and strengths as they are given on the command line."""
    return ",".join(f"{level}:{alphas[level]:g}" for level in levels)
