"""Pictures of more than 8 bits a sample: uint16, 256 to each level of 8 bits, so 0 to 65280.

Networks paint 8 bits. What comes before and after them need not: a deep source is dithered to 8
bits, so that a slow gradient stays one on average, and what is painted is encoded with the
precision of the output's pixel format.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import av
import av.video.reformatter
import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image
from rtstyle.media import hdr
from rtstyle.media.yuv import BT709, BT2020_NCL, LIMITED, YuvConverter, rgb_to_yuv_matrix

LEVEL = 256
"""Steps of a deep picture to one level of 8 bits."""
WHITE = 255 * LEVEL
DeepImage = NDArray[np.uint16]
PACKED = {"nv12": "yuv420p", "p010le": "yuv420p10le", "p210le": "yuv422p10le"}
"""Formats with both colours in one plane, and the planar one with the same samples."""
Converter = Callable[[NDArray[Any]], av.VideoFrame]


@lru_cache(maxsize=1)
def thresholds() -> NDArray[np.uint16]:
    """Return the (16, 16) matrix of Bayer 1973: each of 0 to 255 once, evenly spread."""
    pattern = np.zeros((1, 1), np.uint16)
    for _ in range(4):
        pattern = np.block([[4 * pattern, 4 * pattern + 2], [4 * pattern + 3, 4 * pattern + 1]])
    return pattern.astype(np.uint16)


def dithered(deep: DeepImage) -> Image:
    """Return a deep picture (H, W, 3) as uint8: one level or the next, in proportion.

    The pattern stands still, so that nothing flickers; its mean over 16x16 pixels is exact.
    """
    height, width = deep.shape[:2]
    tiles = np.tile(thresholds(), (-(-height // 16), -(-width // 16)))[:height, :width]
    raised = cv2.add(np.minimum(deep, WHITE), cv2.merge([tiles] * 3))
    return np.asarray(np.asarray(raised, np.uint16) >> 8, np.uint8)


def as_deep(image: NDArray[Any]) -> DeepImage:
    """Return a picture, uint8 or deep already, as a deep one."""
    if image.dtype == np.uint16:
        return np.asarray(image, np.uint16)
    return np.asarray(image, np.uint16) * np.uint16(LEVEL)


def with_rest(painted: Image, image: Image, deep: DeepImage, share: Any) -> DeepImage:
    """Return `painted` with what 8 bits left off the source, where the source shows through.

    `painted` and `image`, what was painted, are (H, W, 3) uint8, `deep` is the source behind
    `image`, of the same size. `share` is how much of the source shows, 0 to 1: a number or (H, W).
    """
    rest = deep.astype(np.float32) - image.astype(np.float32) * LEVEL
    weight = np.asarray(share, np.float32)
    whole = painted.astype(np.float32) * LEVEL + rest * (
        weight[..., None] if weight.ndim == 2 else weight
    )
    return np.asarray(np.rint(whole).clip(0, WHITE), np.uint16)


def is_writable(pixel_format: str) -> bool:
    """Return True if pictures can be converted to that pixel format here: YCbCr, 8 to 16 bits."""
    try:
        form = av.VideoFormat(PACKED.get(pixel_format, pixel_format))
    except ValueError:
        return False
    name = form.name
    if not name.startswith("yuv4") or "p" not in name or name.startswith("yuvj"):
        return False
    return name.endswith(("p", "le")) and len(form.components) == 3 and form.is_planar


def picture_converter(pixel_format: str, even: bool, hlg: bool = False) -> Converter:
    """Return what turns pictures, uint8 or deep, into frames of a pixel format; for one thread."""
    if pixel_format == "yuv420p" and not hlg:
        plain = YuvConverter(even)
        return lambda image: plain(shallow(image))
    return DeepConverter(pixel_format, even=even, hlg=hlg)


def shallow(image: NDArray[Any]) -> Image:
    """Return a picture as uint8; a deep one is dithered."""
    return dithered(image) if image.dtype == np.uint16 else np.asarray(image, np.uint8)


class DeepConverter:
    """Turns (H, W, 3) RGB, uint8 or deep, into frames of BT.709, limited range; for one thread.

    With `hlg` the frames are hybrid log-gamma in BT.2020 (ITU-R BT.2100). `even` pads an odd width
    or height by repeating the last column or row.
    """

    def __init__(self, pixel_format: str, *, even: bool = True, hlg: bool = False) -> None:
        self.even, self.hlg = even, hlg
        self.pixel_format = pixel_format
        form = av.VideoFormat(PACKED.get(pixel_format, pixel_format))
        self._planar = form.name
        self._bits = form.components[0].bits
        self._matrix = rgb_to_yuv_matrix(BT2020_NCL if hlg else BT709, full=False)
        # From 256 a level to 256 a level: the offset is in levels.
        self._matrix[:, 3] *= LEVEL
        self._swscale: Any = None
        if pixel_format != form.name:
            self._swscale = av.video.reformatter.VideoReformatter()

    def __call__(self, image: NDArray[Any]) -> av.VideoFrame:
        """Return a new frame of the pixel format, tagged with what it is."""
        height, width = image.shape[:2]
        if self.even and (height % 2 or width % 2):
            edge = cv2.BORDER_REPLICATE
            padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, edge)
            image = np.asarray(padded, image.dtype)
            height, width = image.shape[:2]
        deep = as_deep(image)
        if self.hlg:
            deep = hdr.to_hlg(deep)
        yuv = np.asarray(cv2.transform(deep, self._matrix), np.uint16)
        frame = av.VideoFrame(width, height, self._planar)
        for number, plane in enumerate(frame.planes):
            part = cv2.extractChannel(yuv, number)
            if number:
                size = (plane.width, plane.height)
                part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            self._fill(plane, np.asarray(part, np.uint16))
        if self._swscale is not None:
            frame = self._swscale.reformat(frame, format=self.pixel_format, threads=1)
        tags = (BT2020_NCL, hdr.BT2020, hdr.HLG) if self.hlg else (BT709, BT709, BT709)
        frame.colorspace, frame.color_primaries, frame.color_trc = tags
        frame.color_range = LIMITED
        return frame

    def _fill(self, plane: Any, values: NDArray[np.uint16]) -> None:
        """Round samples of 16 bits to those of the format, and write them into a plane."""
        drop = 16 - self._bits
        if drop:
            most = np.uint16(((1 << self._bits) - 1) << drop)
            values = (np.minimum(values, most) + np.uint16(1 << (drop - 1))) >> np.uint16(drop)
        kind = np.uint8 if self._bits == 8 else np.uint16
        rows = np.frombuffer(memoryview(plane), kind)
        rows = rows.reshape(-1, plane.line_size // np.dtype(kind).itemsize)
        rows[: plane.height, : plane.width] = values
