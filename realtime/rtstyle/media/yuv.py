"""Between decoded video frames and RGB, with explicit matrix and range.

OpenCV does the arithmetic for plain 8-bit 4:2:0: swscale's fast path is up to 1.5 levels too dark
on average, and its accurate path costs three times as much. Every other format goes through
swscale's accurate path, to 16-bit planes where curves follow. Buffers are reused where they may
be: fresh ones cost page faults.
"""

from __future__ import annotations

from typing import Any

import av
import av.video.reformatter
import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image
from rtstyle.media import hdr

# FFmpeg's numbers (AVColorSpace, AVColorRange, AVColorPrimaries, AVColorTransferCharacteristic).
BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020_NCL, BT2020_CL = 1, 4, 5, 6, 7, 9, 10
LIMITED, FULL = 1, 2

# Kr and Kb of each matrix, from ITU-T H.273, table 4.
LUMA_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020_NCL: (0.2627, 0.0593),
    BT2020_CL: (0.2627, 0.0593),
}

# SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND of libswscale; PyAV 17 does not name them.
ACCURATE = 0x2 | 0x2000 | 0x40000

Matrix = NDArray[np.float32]
Alpha = NDArray[np.uint8] | None
"""Opacity, (H, W), 0 to 255; None where all is opaque."""
Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)


def guess_matrix(colorspace: int, width: int, height: int, wide: bool = False) -> int:
    """Return the matrix of a video: the tagged one, else BT.709 for HD and BT.601 for SD.

    Players decide the same way (1280 pixels wide or 720 high is HD). `wide` material, HDR or
    BT.2020, has that of BT.2020.
    """
    if colorspace in LUMA_WEIGHTS:
        return colorspace
    if wide:
        return BT2020_NCL
    return BT709 if width >= 1280 or height >= 720 else SMPTE170M


def yuv_to_rgb_matrix(colorspace: int, full: bool) -> Matrix:
    """Return the (3, 4) matrix from 8-bit (Y, Cb, Cr, 1) to RGB, both 0 to 255."""
    kr, kb = LUMA_WEIGHTS[colorspace]
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0) if full else (255 / 219, 255 / 224, 16)
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    linear = np.array(
        [[luma, 0, red], [luma, -blue * kb / kg, -red * kr / kg], [luma, blue, 0]], np.float64
    )
    offset = -linear @ np.array([black, 128, 128])
    return np.column_stack([linear, offset]).astype(np.float32)


def rgb_to_yuv_matrix(colorspace: int, full: bool) -> Matrix:
    """Return the (3, 4) matrix from (R, G, B, 1) to 8-bit YCbCr, both 0 to 255."""
    forward = yuv_to_rgb_matrix(colorspace, full).astype(np.float64)
    linear = np.linalg.inv(forward[:, :3])
    return np.column_stack([linear, -linear @ forward[:, 3]]).astype(np.float32)


def full_signal(pixel_format: Any, full: bool) -> int:
    """Return what swscale makes of a full signal in 16 bits: it shifts, and fills no low bits."""
    depth = max(part.bits for part in pixel_format.components) if full else 8
    return ((1 << depth) - 1) << (16 - depth)


def plane_view(frame: av.VideoFrame, index: int) -> Image:
    """Return plane `index` of an 8-bit planar frame as (H, W) uint8, without a copy."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    view: Image = rows[: plane.height, : plane.width]
    return view


class RgbConverter:
    """Turns decoded frames into (H, W, 3) uint8 RGB; for one thread, as buffers are reused."""

    def __init__(self) -> None:
        self._swscale = av.video.reformatter.VideoReformatter()
        self._key: tuple[int, ...] = ()
        self._matrix: Matrix = np.zeros((3, 4), np.float32)
        self._yuv: Image = np.empty((0, 0, 3), np.uint8)
        self._chroma: tuple[Image, Image] = (self._yuv[..., 0], self._yuv[..., 0])

    def __call__(self, frame: av.VideoFrame) -> Image:
        """Return (H, W, 3) uint8 RGB, full range, sRGB primaries; transparent becomes black."""
        image, alpha = self.split(frame)
        return image if alpha is None else over(image, alpha)

    def split(self, frame: av.VideoFrame) -> tuple[Image, Alpha]:
        """Return (H, W, 3) uint8 RGB and the alpha, (H, W) uint8, or None where all is opaque."""
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        wide = hdr.is_wide(frame.color_trc, frame.color_primaries)
        matrix = guess_matrix(frame.colorspace, frame.width, frame.height, wide)
        name = frame.format.name
        even = frame.width % 2 == 0 and frame.height % 2 == 0
        if name in ("yuv420p", "yuvj420p") and even and not wide:
            return self._from_420(frame, matrix, full), None
        transparent = any(part.is_alpha for part in frame.format.components)
        if wide and not frame.format.has_palette:
            return self._from_wide(frame, matrix, full, transparent)
        if transparent or frame.format.has_palette:
            return split_rgba(self._swscaled(frame, "rgba", matrix, full))
        return np.ascontiguousarray(self._swscaled(frame, "rgb24", matrix, full)), None

    def deep(self, frame: av.VideoFrame) -> NDArray[np.uint16] | None:
        """Return (H, W, 3) uint16 RGB with 256 steps to a level of 8 bits (`rtstyle.media.deep`).

        None for a frame that has no more than 8 bits a sample, or transparency.
        """
        parts = frame.format.components
        if max(part.bits for part in parts) <= 8 or any(part.is_alpha for part in parts):
            return None
        full = frame.color_range == FULL or frame.format.is_rgb
        wide = hdr.is_wide(frame.color_trc, frame.color_primaries)
        matrix = guess_matrix(frame.colorspace, frame.width, frame.height, wide)
        planes = self._swscaled(frame, "gbrp16le", matrix, full)
        white = full_signal(frame.format, full)
        if wide:
            return np.asarray(
                hdr.to_sdr(planes, frame.color_trc, frame.color_primaries, white, steps=256)
            )
        most = 255 * 256
        if white != most:
            planes = np.rint(planes.astype(np.float32) * np.float32(most / white))
        return np.asarray(np.minimum(planes, most), np.uint16)

    def _from_420(self, frame: av.VideoFrame, colorspace: int, full: bool) -> Image:
        width, height = frame.width, frame.height
        key = (width, height, colorspace, full)
        if key != self._key:
            self._key = key
            self._matrix = yuv_to_rgb_matrix(colorspace, full)
            self._yuv = np.empty((height, width, 3), np.uint8)
            planes = np.empty((2, height, width), np.uint8)
            self._chroma = (planes[0], planes[1])
        for index, upsampled in enumerate(self._chroma, 1):
            cv2.resize(plane_view(frame, index), (width, height), dst=upsampled)
        cv2.merge([plane_view(frame, 0), *self._chroma], dst=self._yuv)
        return np.asarray(cv2.transform(self._yuv, self._matrix), np.uint8)

    def _from_wide(
        self, frame: av.VideoFrame, matrix: int, full: bool, transparent: bool
    ) -> tuple[Image, Alpha]:
        # Planar: of swscale's packed rgb48 the chroma is wrong wherever its rows are halved.
        deep = self._swscaled(frame, "gbrap16le" if transparent else "gbrp16le", matrix, full)
        white = full_signal(frame.format, full or frame.format.is_rgb)
        rgb = hdr.to_sdr(deep[..., :3], frame.color_trc, frame.color_primaries, white)
        if not transparent:
            return rgb, None
        return rgb, opacity((deep[..., 3] >> 8).astype(np.uint8))

    def _swscaled(self, frame: av.VideoFrame, target: str, matrix: int, full: bool) -> Any:
        converted = self._swscale.reformat(
            frame,
            format=target,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            interpolation=ACCURATE,
            src_color_range=FULL if full or frame.format.is_rgb else LIMITED,
            dst_color_range=FULL,
            threads=1,
        )
        return converted.to_ndarray()


def opacity(alpha: NDArray[np.uint8]) -> Alpha:
    """Return an alpha layer, or None if it hides nothing."""
    return None if bool((alpha == 255).all()) else alpha


def split_rgba(rgba: Image) -> tuple[Image, Alpha]:
    """Return the colours (H, W, 3) and the alpha (H, W) of (H, W, 4), None where all is opaque."""
    image, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    return image, opacity(alpha)


def over(image: Image, alpha: NDArray[np.uint8], background: Colour = BLACK) -> Image:
    """Lay (H, W, 3) uint8 with straight `alpha` (H, W) over one colour; (H, W, 3) uint8."""
    weight = cv2.merge([alpha] * 3)
    shown = np.asarray(cv2.multiply(image, weight, scale=1 / 255), np.uint8)
    if background == BLACK:
        return shown
    ground = np.full(image.shape, background, np.uint8)
    behind = cv2.multiply(ground, cv2.bitwise_not(weight), scale=1 / 255)
    return np.asarray(cv2.add(shown, behind), np.uint8)


def pad(image: Image, rows: int, columns: int) -> Image:
    """Repeat the last row and column of (H, W, 3): (H + rows, W + columns, 3)."""
    padded = cv2.copyMakeBorder(image, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


class YuvConverter:
    """Turns (H, W, 3) uint8 RGB into BT.709 limited-range yuv420p frames; for one thread.

    `even` pads an odd width or height by repeating the last column or row, for codecs that need
    even sizes.
    """

    def __init__(self, even: bool = True) -> None:
        self.even = even
        self._matrix = rgb_to_yuv_matrix(BT709, full=False)
        self._yuv: Image = np.empty((0, 0, 3), np.uint8)
        self._channel: Image = np.empty((0, 0), np.uint8)

    def __call__(self, image: Image) -> av.VideoFrame:
        """Return a new yuv420p frame that is tagged as BT.709, limited range."""
        height, width = image.shape[:2]
        if self.even and (height % 2 or width % 2):
            image = pad(image, height % 2, width % 2)
            height, width = image.shape[:2]
        if self._yuv.shape != image.shape:
            self._yuv = np.empty(image.shape, np.uint8)
            self._channel = np.empty(image.shape[:2], np.uint8)
        cv2.transform(image, self._matrix, dst=self._yuv)
        frame = av.VideoFrame(width, height, "yuv420p")
        cv2.extractChannel(self._yuv, 0, dst=plane_view(frame, 0))
        for index in (1, 2):
            chroma = plane_view(frame, index)
            cv2.extractChannel(self._yuv, index, dst=self._channel)
            size = (chroma.shape[1], chroma.shape[0])
            cv2.resize(self._channel, size, dst=chroma, interpolation=cv2.INTER_AREA)
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        frame.color_range = LIMITED
        return frame
