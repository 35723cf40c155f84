"""How steady paintings are over time, and whether strokes grow with the frame.

The warp error is that of Lai et al. 2018 ("Learning Blind Video Temporal Consistency"): the change
of a painted clip along the optical flow of the clip itself, where flow forward and backward agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.errors import RtstyleError
from rtstyle.frame import Image
from rtstyle.painting.flow import still_map, warp
from rtstyle_export.data import Part, read_picture, to_tensor
from rtstyle_export.maths.functional import gram_matrix
from rtstyle_export.maths.vgg import load_vgg

FLOW_ROWS = 360
"""Rows of the pictures that are compared along the flow."""
AGREE = 1.0
"""Pixels by which flow forward and backward may differ where both count as right."""
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu3_3"
STYLE_WEIGHT = 5.0

FramePainter = Callable[[Image, int], Image]
"""Paints frame number n of a clip, (H, W, 3) uint8."""


def warp_error(clip: Sequence[Image], painted: Sequence[Image]) -> tuple[float, float]:
    """Return the warp error of a painted clip, and that of the clip itself, in levels of 255.

    The root of the mean over frames of the mean square change along the DIS flow of the clip, at
    360 rows. Frames whose flow is known for less than a fifth are left out; with none left, both
    are NaN.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: list[tuple[float, float]] = []
    before: tuple[Image, Image, NDArray[np.uint8]] | None = None
    for frame, shown in zip(clip, painted, strict=True):
        size = (round(frame.shape[1] * FLOW_ROWS / frame.shape[0] / 2) * 2, FLOW_ROWS)
        now, over = (_resized(image, size) for image in (frame, shown))
        grey = np.asarray(cv2.cvtColor(now, cv2.COLOR_RGB2GRAY), np.uint8)
        if before is not None:
            back = np.asarray(search.calc(grey, before[2], None))  # type: ignore[call-overload]
            forth = np.asarray(search.calc(before[2], grey, None))  # type: ignore[call-overload]
            known = _agree(back, forth)
            if known.mean() > 0.2:
                pair = ((before[1], over), (before[0], now))
                found.append((_change(*pair[0], back, known), _change(*pair[1], back, known)))
        before = now, over, grey
    if not found:
        return math.nan, math.nan
    mean = np.sqrt(np.mean(found, axis=0))
    return float(mean[0]), float(mean[1])


def _resized(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _warped(values: NDArray[np.generic], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(warp(values, still_map(*flow.shape[:2]) + flow), np.float32)


def _agree(back: NDArray[np.float32], forth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the flow back, and from there forth, leads to the same place."""
    height, width = back.shape[:2]
    x = np.arange(width) + back[..., 0]
    y = np.arange(height)[:, None] + back[..., 1]
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    apart = np.linalg.norm(_warped(forth, back) + back, axis=2)
    return np.asarray((apart < AGREE) & inside)


def _change(
    before: Image, now: Image, back: NDArray[np.float32], known: NDArray[np.bool_]
) -> float:
    moved = _warped(before, back)[known]
    return float(np.mean(np.square(moved - now[known])))


@dataclass(frozen=True, slots=True)
class TruePair:
    """Two frames (H, W, 3) whose motion is known: where each pixel of `first` lies in `second`.

    `flow` is (H, W, 2) in pixels, `known` (H, W) says where it is known and stays in sight.
    """

    first: Image
    second: Image
    flow: NDArray[np.float32]
    known: NDArray[np.bool_]

    @classmethod
    def read(cls, first: Path, second: Path, flow: Path, masks: Sequence[Path] = ()) -> TruePair:
        """Read frames, a flow in Middlebury's format, and masks that are not 0 where to leave out.

        Raises `RtstyleError` for files that do not go together.
        """
        pictures = [read_picture(path) for path in (first, second)]
        found = cv2.readOpticalFlow(str(flow))
        rows, columns = pictures[0].shape[:2]
        if found is None or found.shape[:2] != (rows, columns):
            raise RtstyleError(f"{flow} is not the flow of {first}.", "", "Give both of one scene.")
        known = np.abs(found).max(axis=2) < 1e9
        there = np.where(known[..., None], found, 0) + still_map(rows, columns)
        known &= (there >= 0).all(2) & (there[..., 0] < columns - 1) & (there[..., 1] < rows - 1)
        for path in masks:
            known &= np.asarray(read_picture(path))[..., 0] == 0
        return cls(pictures[0], pictures[1], np.where(known[..., None], found, 0), known)

    def change(self, first: Image, second: Image) -> float:
        """Return the rms change along the motion of paintings of the two, in levels of 255."""
        return math.sqrt(_change(second, first, self.flow, self.known))


def sharpness(image: Image) -> float:
    """Return the variance of the Laplacian of the grey picture."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


@dataclass(frozen=True, slots=True)
class Objective:
    """Content + 5 x style at 480 px: MSE of relu3_3, MSE of Gram matrices, on VGG-16."""

    vgg: Callable[[Tensor], dict[str, Tensor]]
    grams: dict[str, Tensor]

    @classmethod
    def of(
        cls, painting: Path, part: Part = (), weights: Path | None = None, side: int = 480
    ) -> Objective:
        """Take a painting with its short side at `side` pixels."""
        vgg = load_vgg("vgg16", STYLE_LAYERS, weights)
        with torch.no_grad():
            found = vgg(to_tensor(read_picture(painting, side, part)))
        return cls(vgg, {layer: gram_matrix(found[layer]) for layer in STYLE_LAYERS})

    def style(self, painted: Image) -> float:
        """Return the style loss of a picture (H, W, 3)."""
        with torch.no_grad():
            return self._style(self.vgg(to_tensor(painted)))

    def total(self, photo: Image, painted: Image) -> tuple[float, float]:
        """Return content and style loss of a painted photo, both (H, W, 3)."""
        with torch.no_grad():
            wanted, found = self.vgg(to_tensor(photo)), self.vgg(to_tensor(painted))
            content = (found[CONTENT_LAYER] - wanted[CONTENT_LAYER]).square().mean()
            return float(content), self._style(found)

    def _style(self, found: dict[str, Tensor]) -> float:
        parts = ((gram_matrix(found[k]) - gram).square().mean() for k, gram in self.grams.items())
        return float(sum(parts))


@dataclass(frozen=True, slots=True)
class Steadiness:
    """A painted clip beside the same clip painted frame by frame.

    `errors` are the warp errors of the clip itself, frame by frame, and over the canvas, in levels;
    `sharpness` and `style` those over the canvas over those frame by frame, means over frames.
    """

    errors: tuple[float, float, float]
    sharpness: float
    style: float

    @property
    def ratio(self) -> float:
        """Warp error over the canvas over that frame by frame."""
        return self.errors[2] / self.errors[1]


def steadiness(
    clip: Sequence[Image],
    alone: FramePainter,
    over: FramePainter,
    style_loss: Callable[[Image], float],
    every: int = 6,
) -> Steadiness:
    """Paint a clip frame by frame and over the canvas, and compare.

    Style loss and sharpness are those of every so many frames, but for the first.
    """
    first, second = ([paint(image, n) for n, image in enumerate(clip)] for paint in (alone, over))
    frames = range(every, len(clip), every) or range(len(clip))

    def over_alone(measure: Callable[[Image], float]) -> float:
        return float(np.mean([measure(second[n]) for n in frames])) / float(
            np.mean([measure(first[n]) for n in frames])
        )

    plain, itself = warp_error(clip, first)
    return Steadiness(
        (itself, plain, warp_error(clip, second)[0]), over_alone(sharpness), over_alone(style_loss)
    )


def camera_noise(photo: Image, count: int, sigma: float = 2.0, seed: int = 0) -> Iterable[Image]:
    """Yield `count` frames of a photo (H, W, 3) that only a camera's noise tells from each other.

    `sigma` is in levels of 255.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        noisy = photo + rng.normal(0, sigma, photo.shape)
        yield np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def slow_pan(photo: Image, count: int, step: tuple[float, float] = (0.5, 0.3)) -> Iterable[Image]:
    """Yield `count` views of a photo (H, W, 3), each `step` pixels farther right and down.

    They are as much smaller than the photo as it takes.
    """
    height, width = (
        side - math.ceil(count * one) for side, one in zip(photo.shape, step[::-1], strict=False)
    )
    for number in range(count):
        right, down = (number * one for one in step)
        matrix = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
        view = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC)
        yield np.asarray(view, np.uint8)


def growth(frames: Iterable[Image], over: FramePainter, alone: FramePainter) -> float:
    """Return the sharpness of the last frame over the canvas over that of it painted anew."""
    painted = image = None
    for number, image in enumerate(frames):
        painted = over(image, number)
    if painted is None or image is None:
        raise ValueError("no frames")
    return sharpness(painted) / sharpness(alone(image, 0))


def change_between(frames: Iterable[Image], paint: FramePainter) -> tuple[float, float]:
    """Return the rms change from frame to frame of a painting, and of the frames themselves."""
    found: list[tuple[float, float]] = []
    before: tuple[Image, Image] | None = None
    for number, frame in enumerate(frames):
        now = paint(frame, number), frame
        if before is not None:
            found.append((_square(now[0], before[0]), _square(now[1], before[1])))
        before = now
    painted, plain = np.sqrt(np.mean(found, axis=0))
    return float(painted), float(plain)


def _square(one: Image, two: Image) -> float:
    return float(np.mean(np.square(one.astype(np.float32) - two)))


def stroke_ratio(
    photo: Image,
    rows: int,
    paint: Callable[[Image], Image],
    style_loss: Callable[[Image], float],
    base: int = 480,
) -> float:
    """Return the style loss of a photo painted at `rows` and reduced, over that painted at `base`.

    Rows count the short side.
    """
    small, large = (_at_rows(photo, count) for count in (base, rows))
    shown = cv2.resize(paint(large), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    return style_loss(np.asarray(shown, np.uint8)) / style_loss(paint(small))


def _at_rows(photo: Image, rows: int) -> Image:
    factor = rows / min(photo.shape[:2])
    size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, size, interpolation=kind), np.uint8)
