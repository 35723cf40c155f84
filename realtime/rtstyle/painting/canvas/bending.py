"""How far what is on the canvas was bent since it was painted, and where it must be painted anew.

Strokes that are moved along with a face that turns are stretched and sheared with it, a little from
frame to frame, and after some ten frames are smears. As a mesh is made anew where its cells have
lost their shape, strokes are laid anew where theirs is lost: over a ground of the old colours.

For each pixel, the derivative F of the place at which its paint was laid is kept, the deformation
gradient of continuum mechanics. The paint is bent by |ln F'F|, the Frobenius norm of twice the
logarithmic strain (Hencky): 0 for shifts and turns, and as much for strokes that are drawn out to
twice their length (1.4) as for those that are pressed to a half.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.engines.canvas import Canvas
from rtstyle.frame import Image
from rtstyle.painting.canvas.laying import at_half, full_size
from rtstyle.painting.canvas.motion import Motion, Part, enclosing, positions

BENT = 1.5
"""How far paint may be bent. With less, strokes keep their shape and clips are less steady: see
scripts/README.md."""
LEAST = 1e-6
AROUND = np.ones((5, 5), np.uint8)
"""Pixels of the small picture that are painted anew with one whose paint is worn."""

GROUND = 20
"""Trust in the ground that worn paint leaves. Without any, networks outline the gap; from 45 on
they keep the ground and lay fewer strokes."""
REDUCED = 4
SMOOTH = 3.0
WIDE = 10.0
"""Sigmas in pixels: of the ground, and from which on colours are not strokes; by how much pictures
are reduced to find these."""
MARGIN = 48
"""Pixels around worn paint that its new colours are found from: the reach of the wider blur."""

Bend = NDArray[np.float32]
"""(h, w, 4): dx'/dx, dx'/dy, dy'/dx, dy'/dy of the place (x', y') where paint was laid."""


def unbent(height: int, width: int) -> Bend:
    """Return the bend of fresh paint."""
    return np.tile(np.array([1, 0, 0, 1], np.float32), (height, width, 1))


def strain(bend: Bend) -> NDArray[np.float32]:
    """Return how far paint is bent: (h, w)."""
    xx, xy, yx, yy = cv2.split(bend)
    half = (xx * xx + xy * xy + yx * yx + yy * yy) / 2
    area = np.square(xx * yy - xy * yx)
    apart = np.sqrt(np.maximum(np.square(half) - area, 0))
    # The eigenvalues of F'F; 0 is paint that was drawn out without end.
    first = np.log(half + apart + LEAST)
    second = np.log(np.maximum(area / (half + apart + LEAST), LEAST))
    return np.asarray(np.sqrt(first * first + second * second), np.float32)


def bent_on(before: Bend | None, motion: Motion, limit: float = BENT) -> tuple[Bend | None, Motion]:
    """Bend the paint of the last frame along, and trust nothing that is bent beyond a limit.

    Returns the bend after the frame, at half the size of the flow, and the motion with less trust.
    Where nothing was known of the last frame, the paint is fresh.
    """
    if motion.flow is None:
        return None, motion
    rows, columns = motion.flow.shape[:2]
    height, width = max(1, rows // 2), max(1, columns // 2)
    if before is None or before.shape[:2] != (height, width):
        before = unbent(height, width)
    flow = np.asarray(cv2.resize(motion.flow, (width, height), interpolation=cv2.INTER_AREA))
    flow *= np.array([width / columns, height / rows], np.float32)
    bend = _followed(before, np.asarray(flow, np.float32))
    lost = np.where(strain(bend) > limit, np.uint8(255), np.uint8(0))
    worn = np.asarray(cv2.dilate(lost, AROUND), np.uint8)
    trust = motion.trust
    small = cv2.resize(trust, (width, height), interpolation=cv2.INTER_NEAREST)
    bend[(small == 0) | (worn > 0)] = (1, 0, 0, 1)
    worn = np.asarray(cv2.bitwise_and(worn, cv2.inRange(small, (1,), (255,))), np.uint8)
    if not worn.any():
        return bend, motion
    there = cv2.resize(worn, trust.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return bend, Motion(motion.flow, np.where(there > 0, np.uint8(0), trust), worn)


def primed(canvas: Canvas, before: Image, worn: NDArray[np.uint8]) -> Canvas:
    """Return a canvas whose worn paint is smoothed to a ground for new strokes.

    `before` is the last painting moved along, (H, W, 3); `worn` is as in `Motion`.
    """
    there = at_half(worn, before)
    picture, part = canvas.picture.copy(), _around(worn, before)
    # So wide a blur of a reduced picture is the same, for a third of the time.
    small = cv2.GaussianBlur(_reduced(before[part]), (0, 0), SMOOTH / REDUCED)
    ground = cv2.resize(small, before[part].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    cv2.copyTo(ground, full_size(there, before)[part], picture[part])
    return Canvas(picture, np.where(there > 0, np.uint8(GROUND), canvas.trust))


def in_colours_of(before: Image, painted: Image, worn: NDArray[np.uint8]) -> Image:
    """Return a painting whose colours go on as before where worn paint was painted anew.

    `before` is the last painting moved along, both are (H, W, 3); `worn` is as in `Motion`. What is
    wider than a stroke is taken from it, the strokes are new: without this a patch that is painted
    anew may take another colour than the one it had.
    """
    rows, columns = (max(1, side // REDUCED) for side in painted.shape[:2])
    there = cv2.resize(worn, (columns, rows), interpolation=cv2.INTER_LINEAR)
    part, painted = _around(worn, painted), painted.copy()
    old, new = _reduced(before[part]), _reduced(painted[part])
    there = there[tuple(slice(one.start // REDUCED, one.stop // REDUCED) for one in part)]
    mask = (there.astype(np.float32) / 255)[..., None]
    apart = (old.astype(np.float32) - new) * mask
    sigma = WIDE / REDUCED
    share = cv2.GaussianBlur(mask, (0, 0), sigma)[..., None]
    smooth = cv2.GaussianBlur(apart, (0, 0), sigma) * (mask / np.maximum(share, 1e-3))
    whole = cv2.resize(smooth, painted[part].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    painted[part] = cv2.add(painted[part], whole, dtype=cv2.CV_8U)
    return painted


def _around(worn: NDArray[np.uint8], picture: Image) -> Part:
    """Return the rows and columns of a picture (H, W, 3) that depend on its worn paint.

    Worn paint is most often a tenth of a frame, and all else stays as it is.
    """
    height, width = picture.shape[:2]
    if height % REDUCED or width % REDUCED:
        return slice(0, height), slice(0, width)
    found = enclosing(worn, (height, width)) or (slice(0, 0), slice(0, 0))
    rows, columns = (
        slice(
            max(0, one.start - MARGIN) // REDUCED * REDUCED,
            min(side, -(-(one.stop + MARGIN) // REDUCED) * REDUCED),
        )
        for one, side in zip(found, (height, width), strict=True)
    )
    return rows, columns


def _reduced(picture: Image) -> Image:
    """Return a picture (H, W, 3) at 1 / `REDUCED` of its size."""
    height, width = picture.shape[:2]
    size = (max(1, width // REDUCED), max(1, height // REDUCED))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _followed(before: Bend, flow: NDArray[np.float32]) -> Bend:
    """Return the bend of paint that came from where `flow` (h, w, 2) says, by the chain rule."""
    height, width = flow.shape[:2]
    where = positions(height, width) + flow
    moved = cv2.remap(before, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    # A stroke is some pixels wide: less than that bends it as a whole.
    smooth = cv2.blur(flow, (5, 5))
    by_x, by_y = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, ksize=3) / 8 for x in (1, 0))
    xx, xy, yx, yy = cv2.split(moved)
    (dxx, dyx), (dxy, dyy) = cv2.split(by_x), cv2.split(by_y)
    dxx, dyy = dxx + 1, dyy + 1
    rows = (xx * dxx + xy * dyx, xx * dxy + xy * dyy, yx * dxx + yy * dyx, yx * dxy + yy * dyy)
    return np.asarray(cv2.merge(rows), np.float32)
