"""Which outputs keep transparency, and how pictures with it are encoded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.video.reformatter
import cv2
import numpy as np

from rtstyle.files.numbered import is_pattern, split_target
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize
from rtstyle.media.yuv import ACCURATE, BT709, FULL, LIMITED, Alpha, YuvConverter, plane_view
from rtstyle.sinks.encoding.codecs import CONTAINERS, row
from rtstyle.sinks.encoding.encoders import EncoderChoice, configure
from rtstyle.sinks.encoding.settings import Encoding

VIDEO = {"webm": "libvpx-vp9", "mov": "prores_ks"}
_PRORES = {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}
PIXELS = {"webm": "yuva420p", "mov": "yuva444p10le"}
PICTURES = frozenset((".png", ".tif", ".tiff", ".webp"))


def alpha_encoder(
    kind: str, encoding: Encoding, width: int, height: int, rate: Fraction
) -> EncoderChoice:
    """Return the encoder of pictures with alpha for a container, a key of `VIDEO`."""
    name = VIDEO[kind]
    if name == "prores_ks":
        return EncoderChoice(name, dict(_PRORES), pixel_format=PIXELS[kind])
    chosen = configure(name, width, height, rate, replace(encoding, pixel_format="auto", depth=8))
    return replace(chosen, pixel_format=PIXELS[kind])


def keeps_alpha(output: Path, encoding: Encoding | None = None) -> bool:
    """Return True if an output name, a video or pictures, can hold transparency.

    `encoding` is what was asked for: of another codec, or of a named pixel format, there is none.
    """
    if is_pattern(output) or output.is_dir() or not output.suffix:
        return Path(split_target(output)[1]).suffix.lower() in PICTURES
    name = VIDEO.get(CONTAINERS.get(output.suffix.lower(), ""))
    asked = encoding or Encoding()
    if name is None or asked.encoder not in ("auto", name) or asked.hlg:
        return False
    if asked.codec not in ("auto", row(name).codec) or asked.pixel_format != "auto":
        return False
    return name in av.codecs_available


def alpha_of(frame: Frame) -> Alpha:
    """Return the alpha of a frame at the size of its picture."""
    return None if frame.alpha is None else resize(frame.alpha, *frame.image.shape[:2])


def with_alpha(image: Image, alpha: Alpha) -> Image:
    """Return (H, W, 3) with its alpha, opaque where there is None, as (H, W, 4)."""
    if alpha is None:
        alpha = np.full(image.shape[:2], 255, np.uint8)
    return np.asarray(cv2.merge([image, alpha]), np.uint8)


class AlphaConverter:
    """Turns pictures and their alpha into frames for the encoder of a container; for one thread.

    `kind` is a key of `VIDEO`.
    """

    def __init__(self, kind: str) -> None:
        self._format = PIXELS[kind]
        self._to_yuv = YuvConverter(even=False)
        self._swscale: Any = av.video.reformatter.VideoReformatter()

    def __call__(self, image: Image, alpha: Alpha) -> av.VideoFrame:
        """Return a new frame of BT.709, limited range, with alpha."""
        if self._format == "yuva420p":
            frame = self._beside(self._to_yuv(image), with_alpha(image, alpha)[..., 3])
        else:
            rgba = av.VideoFrame.from_ndarray(with_alpha(image, alpha), "rgba")
            frame = self._swscale.reformat(
                rgba,
                format=self._format,
                src_colorspace=BT709,
                dst_colorspace=BT709,
                interpolation=ACCURATE,
                src_color_range=FULL,
                dst_color_range=LIMITED,
                threads=1,
            )
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        frame.color_range = LIMITED
        return frame

    def _beside(self, opaque: av.VideoFrame, alpha: Image) -> av.VideoFrame:
        """Return a yuv420p frame with an alpha plane beside the others."""
        frame = av.VideoFrame(opaque.width, opaque.height, self._format)
        for number in range(3):
            plane_view(frame, number)[:] = plane_view(opaque, number)
        plane_view(frame, 3)[:] = alpha
        return frame
