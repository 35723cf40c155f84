"""Which video encoder to use, and proof that it works here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import av.error
import numpy as np

from rtstyle.errors import SinkError
from rtstyle.scheduling import ordinary_scheduling
from rtstyle.yuv import YuvConverter

HARDWARE = (
    ("h264_videotoolbox",)
    if sys.platform == "darwin"
    else ("h264_nvenc", "h264_qsv", "h264_amf", "h264_vaapi")
)
SOFTWARE = {
    "mp4": ("libx264", "libopenh264", "mpeg4"),
    "mov": ("libx264", "libopenh264", "mpeg4"),
    "matroska": ("libx264", "libopenh264", "mpeg4"),
    "webm": ("libvpx-vp9", "libvpx"),
}

# Measured at 640x480 on painted frames, crf 20: superfast 4.0 core-ms a frame, 12 kB, 35.3 dB;
# veryfast 8.1, 12 kB, 35.8 dB; ultrafast 4.1, 41 kB, 36.9 dB. B-frames in a fixed pattern take 2 to
# 8 % less time than chosen ones here, at the same or a smaller size.
OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "superfast", "crf": "20", "x264-params": "b-adapt=0"},
    "libx265": {"preset": "ultrafast", "crf": "22", "x265-params": "log-level=error"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "28", "b": "0", "row-mt": "1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "8M"},
    "libsvtav1": {"preset": "11", "crf": "32"},
    "h264_nvenc": {"preset": "p4", "rc": "vbr", "cq": "21", "b": "0"},
    "h264_qsv": {"preset": "faster", "global_quality": "21"},
    "h264_amf": {"rc": "cqp", "qp_i": "20", "qp_p": "22"},
}
BITS_PER_PIXEL = 0.15
"""Bit rate for encoders that have no constant-quality setting in OPTIONS."""
ANY_SIZE = frozenset(("libvpx-vp9", "libvpx", "libaom-av1", "mpeg4", "prores_ks"))
"""Encoders that take odd widths and heights in yuv420p; H.264 and most others do not."""

NARROWEST = {"libx265": 64}
"""Columns below which an encoder is not started: x265 4.2 writes beyond its memory at 34 to 48,
and that ends the process."""


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder with its options. `even`: pictures must be padded to even sizes."""

    name: str
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int | None = None

    @property
    def even(self) -> bool:
        """Whether odd sizes have to be padded."""
        return self.name not in ANY_SIZE


def configure(name: str, width: int, height: int, rate: Fraction) -> EncoderChoice:
    """Return the encoder `name` with the options for pictures of this size and rate."""
    if name in OPTIONS:
        return EncoderChoice(name, OPTIONS[name])
    return EncoderChoice(name, bit_rate=int(width * height * float(rate) * BITS_PER_PIXEL))


def choose_encoder(
    asked: str, container: Any, width: int, height: int, rate: Fraction
) -> EncoderChoice:
    """Pick the encoder for an output container that PyAV has opened.

    `auto` takes the first hardware encoder that really encodes here, else a software one. A
    name takes just that one. Raises `SinkError` if it does not exist, fails, or does not fit.
    """
    kind = container.format.name.split(",")[0]
    names = (asked,) if asked != "auto" else automatic(kind)
    reason = ""
    for name in names:
        choice = configure(name, width, height, rate)
        reason = why_not(choice, container.supported_codecs) or try_out(name, width, height)
        if not reason:
            return choice
    raise SinkError(
        f"The video encoder {asked} cannot be used for {kind}.",
        reason,
        "Leave out --encoder, or see `rtstyle doctor` for those that work.",
    )


def automatic(kind: str) -> tuple[str, ...]:
    """Return the encoders to try for a container, best first."""
    software = SOFTWARE.get(kind, SOFTWARE["mp4"])
    return software if kind == "webm" else HARDWARE + software


def why_not(choice: EncoderChoice, allowed: set[str]) -> str:
    """Say why this encoder cannot be had for a container that allows these codecs, or ''."""
    try:
        codec = av.Codec(choice.name, "w")
    except ValueError:
        return "This build of FFmpeg does not have it."
    if codec.type != "video":
        return "It does not encode video."
    if codec.canonical_name not in allowed and codec.name not in allowed:
        return f"The container does not hold {codec.canonical_name}."
    return ""


@lru_cache(maxsize=64)
def try_out(name: str, width: int, height: int) -> str:
    """Open the encoder and encode one picture of this size; return what went wrong, or ''."""
    if width < NARROWEST.get(name, 0):
        return f"It takes pictures of {NARROWEST[name]} columns or more, not {width}."
    choice = configure(name, width, height, Fraction(25))
    try:
        with ordinary_scheduling():
            context = open_encoder(choice, width, height)
            frame = YuvConverter(choice.even)(np.full((height, width, 3), 128, np.uint8))
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            packets = context.encode(frame) + context.encode(None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return f"It does not work on this machine ({getattr(error, 'strerror', None) or error})."
    return "" if packets else "It opens on this machine but gives no output."


def open_encoder(choice: EncoderChoice, width: int, height: int) -> Any:
    """Return an open codec context, for a trial."""
    context: Any = av.CodecContext.create(choice.name, "w")
    even = int(choice.even)
    context.width, context.height = width + (width & even), height + (height & even)
    context.pix_fmt = "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = dict(choice.options)
    if choice.bit_rate:
        context.bit_rate = choice.bit_rate
    # One thread: a pool of threads costs more than encoding this single picture.
    context.thread_count = 1
    context.open()
    return context


def working_encoders(width: int = 640, height: int = 480) -> dict[str, str]:
    """Return every encoder known here with '' or the reason why it does not work (for doctor)."""
    names = dict.fromkeys((*HARDWARE, *(name for names in SOFTWARE.values() for name in names)))
    return {
        name: why_not(EncoderChoice(name), av.codecs_available) or try_out(name, width, height)
        for name in names
    }
