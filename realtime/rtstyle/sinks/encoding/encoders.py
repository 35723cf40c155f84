"""Which video encoder to use, with which settings, and proof that it works here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import av.error
import cv2
import numpy as np

from rtstyle.errors import SinkError, UsageError, reason
from rtstyle.machine.scheduling import ordinary_scheduling
from rtstyle.media.deep import PACKED, is_writable, picture_converter
from rtstyle.media.limits import is_large
from rtstyle.sinks.encoding.codecs import AUTO, CODECS, ENCODERS, automatic, row
from rtstyle.sinks.encoding.settings import DEFAULT_QUALITY, Encoding, wanted_depth

BITS_PER_PIXEL = 0.3
"""Bit rate of encoders that have no constant quality, where the source does not tell its own."""
BUFFER = 1
"""Seconds within which a bounded bit rate is held."""
HELD = 0.92
"""Share of the bound that is asked for: each segment of ten seconds begins with a full buffer."""

FRUGAL: dict[str, dict[str, str]] = {
    "libx264": {"x264-params": "bframes=1:rc-lookahead=0:mbtree=0:sliced-threads=1"},
    "libx265": {"x265-params": "bframes=1:rc-lookahead=2:lookahead-slices=1:frame-threads=1"},
    "libvpx-vp9": {"lag-in-frames": "0"},
    "libaom-av1": {"lag-in-frames": "0"},
    "libsvtav1": {"svtav1-params": "lookahead=0:pred-struct=1"},
}
"""What keeps encoders from holding many frames, where these are large: x264 takes 180 MB for each
of 8K, and would hold eight of them."""

CV_CPU_AVX_512F = 13
"""OpenCV's number of AVX-512; it is not named in Python."""

NOT_BUILT = "This build of FFmpeg does not have it."

NARROWEST = {"libx265": 64}
"""Columns below which an encoder is not started: x265 4.2 writes beyond its memory at 34 to 48,
and that ends the process."""


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder with its options and pixel format. `even`: sizes must be padded to even ones."""

    name: str
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int | None = None
    pixel_format: str = "yuv420p"
    hlg: bool = False

    @property
    def even(self) -> bool:
        """Whether odd sizes have to be padded."""
        return row(self.name).even


def configure(
    name: str,
    width: int,
    height: int,
    rate: Fraction,
    encoding: Encoding | None = None,
    live: bool = False,
) -> EncoderChoice:
    """Return the encoder `name`, set for pictures of this size and rate.

    Raises `UsageError` for what this encoder cannot be asked.
    """
    encoding = encoding or Encoding()
    known = row(name)
    pixels = pixel_format_of(name, encoding)
    deep = bits_of(pixels) > 8
    options = {**known.options, **(known.deep if deep else {})}
    bit_rate = None
    if encoding.bitrate is not None:
        if not known.has_bitrate:
            raise refusal(name, "--bitrate")
        bit_rate = encoding.bitrate
        options.pop("b", None)
    elif known.quality:
        options[known.quality] = quality_of(name, encoding, deep)
        cap = None if live else encoding.cap(width * height, float(rate))
        if cap and known.cap == "b":
            options["b"] = str(cap)
        elif cap and known.cap:
            held = round(HELD * cap)
            options |= {known.cap: str(held), "bufsize": str(BUFFER * held)}
    elif encoding.crf is not None:
        raise refusal(name, "--crf")
    elif known.has_bitrate:
        bit_rate = guessed_rate(width, height, rate, encoding)
    preset = preset_of(name, encoding, live)
    if preset:
        options[known.preset] = preset
    if is_large(max(width * height, encoding.source_pixels)):
        for key, value in FRUGAL.get(name, {}).items():
            options[key] = f"{options[key]}:{value}" if key in options else value
    return EncoderChoice(name, options, bit_rate, pixels, encoding.hlg)


def repeatable(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which an encoder gives the same bytes for the same pictures.

    With AVX-512 the macroblock tree of x264 (build 165) reads memory that nobody has written: what
    it gives depends on what the heap held before (`MALLOC_PERTURB_`). With AVX2 it does not.
    """
    given = dict(options)
    if name in ("libx264", "libx264rgb") and cv2.checkHardwareSupport(CV_CPU_AVX_512F):
        given["x264-params"] = ":".join(filter(None, (given.get("x264-params"), "asm=avx2")))
    return given


def refusal(name: str, option: str) -> UsageError:
    """Return the error for an option that an encoder does not have."""
    return UsageError(
        f"{option} is not for the encoder {name}.",
        "It has no such setting.",
        f"Leave out {option}.",
    )


def quality_of(name: str, encoding: Encoding, deep: bool = False) -> str:
    """Return the value of an encoder's option of constant quality; `deep`: of over 8 bits."""
    if encoding.crf is not None:
        return f"{encoding.crf:g}"
    known = row(name)
    worst, best = (deep and known.deep_scale) or known.scale
    quality = DEFAULT_QUALITY if encoding.quality is None else encoding.quality
    return f"{worst + (best - worst) * quality / 100:.0f}"


def guessed_rate(width: int, height: int, rate: Fraction, encoding: Encoding) -> int:
    """Return the bits a second of an encoder without constant quality."""
    pixels = width * height
    quality = DEFAULT_QUALITY if encoding.quality is None else encoding.quality
    # Six points of quality are about 2.0 of the CRF scale here, and 6 of those twice the bits.
    bits = BITS_PER_PIXEL * 2 ** ((quality - DEFAULT_QUALITY) / 20)
    wanted = int(pixels * float(rate) * bits)
    return min(wanted, encoding.cap(pixels, float(rate)) or wanted)


def preset_of(name: str, encoding: Encoding, live: bool) -> str:
    """Return the value of an encoder's preset, "" for none. Raises `UsageError`."""
    known = row(name)
    if encoding.preset is None:
        if name == "prores_ks" and encoding.quality is not None:
            return known.presets[min(3, int(encoding.quality // 25))]
        return known.live_speed if live else known.speed
    if not known.preset:
        raise refusal(name, "--preset")
    if known.presets and encoding.preset not in known.presets:
        raise UsageError(
            f"{encoding.preset} is not a preset of {name}.", "", f"Use {', '.join(known.presets)}."
        )
    return encoding.preset


def pixel_format_of(name: str, encoding: Encoding) -> str:
    """Return the pixel format for an encoder. Raises `UsageError` for one it does not take."""
    known, asked = row(name), encoding.pixel_format
    depth = wanted_depth(encoding, known.codec)
    takes = taken_formats(name)
    if asked in (AUTO, "8bit", "10bit"):
        usual = known.formats.get(depth)
        if usual is None and asked == AUTO and not encoding.hlg:
            usual = next(iter(known.formats.values()))
        if usual is not None and (not takes or usual in takes):
            return usual
        if asked == AUTO and not encoding.hlg:
            return next((form for form in takes if is_writable(form)), "yuv420p")
        what = (
            f"HDR needs 10 bits, which {name}" if encoding.hlg else f"{depth} bits a sample: {name}"
        )
        raise UsageError(
            f"{what} does not write here.", "", "Use --codec hevc, av1 or prores for 10 bits."
        )
    if encoding.hlg and depth < 10:
        raise UsageError(f"HDR needs 10 bits, not {asked}.", "", "Leave out --pixel-format.")
    if not is_writable(asked) or (takes and asked not in takes):
        can = [form for form in takes if is_writable(form)]
        raise UsageError(f"{name} does not take {asked}.", "", f"Use {', '.join(can)}.")
    return asked


def bits_of(pixel_format: str) -> int:
    """Return the bits a sample of a pixel format, 8 for one that FFmpeg does not know."""
    try:
        return av.VideoFormat(PACKED.get(pixel_format, pixel_format)).components[0].bits
    except ValueError:
        return 8


@lru_cache(maxsize=64)
def taken_formats(name: str) -> tuple[str, ...]:
    """Return the pixel formats that an encoder takes, () where it does not tell."""
    try:
        return tuple(form.name for form in av.Codec(name, "w").video_formats or ())
    except ValueError:
        return ()


def choose_encoder(
    encoding: Encoding,
    container: Any,
    width: int,
    height: int,
    rate: Fraction,
    live: bool = False,
) -> EncoderChoice:
    """Pick the encoder for an output container that PyAV has opened.

    A codec, or nothing asked, takes the first hardware encoder that really encodes here, else a
    software one. A named encoder is taken or refused. Raises `SinkError` if none exists, works and
    fits, and `UsageError` for settings that it does not have.
    """
    kind = container.format.name.split(",")[0]
    reasons: list[str] = []
    lacking: UsageError | None = None
    for name in candidates(encoding, kind):
        if why := why_not(name, container.supported_codecs):
            reasons.append(why)
            continue
        try:
            choice = configure(name, width, height, rate, encoding, live)
        except UsageError as error:
            # Another encoder of the codec may have the setting. Else the first one is told that
            # works here: it would have been taken.
            if lacking is None and not try_out(name, width, height):
                lacking = error
            reasons.append(str(error))
            continue
        if not (why := try_out(name, width, height, choice)):
            return choice
        reasons.append(why)
    if lacking is not None:
        raise lacking
    raise SinkError(
        f"{named(encoding)} cannot be used for {kind}.",
        # Of several encoders most may not be built in.
        next((why for why in reasons if why != NOT_BUILT), NOT_BUILT),
        "Leave out --codec and --encoder, or see `rtstyle doctor` for those that work.",
    )


def named(encoding: Encoding) -> str:
    """Return what was asked for, in words."""
    return (
        f"The codec {encoding.codec}"
        if encoding.codec != AUTO
        else (f"The video encoder {encoding.encoder}")
    )


def candidates(encoding: Encoding, kind: str) -> tuple[str, ...]:
    """Return the encoders to try, best first; FFmpeg's second names become the first ones."""
    if encoding.encoder != AUTO:
        try:
            return (av.Codec(encoding.encoder, "w").name,)
        except ValueError:
            return (encoding.encoder,)
    return automatic(kind) if encoding.codec == AUTO else CODECS[encoding.codec]


def why_not(name: str, allowed: set[str]) -> str:
    """Say why this encoder cannot serve a container that allows these codecs, or ''."""
    try:
        codec = av.Codec(name, "w")
    except ValueError:
        return NOT_BUILT
    if codec.type != "video":
        return "It does not encode video."
    if codec.canonical_name not in allowed and codec.name not in allowed:
        return f"The container does not hold {codec.canonical_name}."
    return ""


_tried: dict[Any, str] = {}


def try_out(name: str, width: int, height: int, choice: EncoderChoice | None = None) -> str:
    """Open the encoder and encode one picture of this size; return what went wrong, or ''."""
    choice = choice or configure(name, width, height, Fraction(25))
    key = (choice.name, width, height, choice.pixel_format, *sorted(choice.options.items()))
    if key not in _tried:
        if len(_tried) > 64:
            _tried.clear()
        _tried[key] = _encode_one(choice, width, height)
    return _tried[key]


def _encode_one(choice: EncoderChoice, width: int, height: int) -> str:
    least = NARROWEST.get(choice.name, 0)
    if width < least:
        return f"It takes pictures of {least} columns or more, not {width}."
    try:
        silence()
        with ordinary_scheduling():
            context = open_encoder(choice, width, height)
            convert = picture_converter(choice.pixel_format, choice.even, choice.hlg)
            frame = convert(np.full((height, width, 3), 128, np.uint8))
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            packets = context.encode(frame) + context.encode(None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return f"It does not work on this machine ({reason(error)})."
    return "" if packets else "It opens on this machine but gives no output."


def open_encoder(choice: EncoderChoice, width: int, height: int) -> Any:
    """Return an open codec context, for a trial."""
    context: Any = av.CodecContext.create(choice.name, "w")
    even = int(choice.even)
    context.width, context.height = width + (width & even), height + (height & even)
    context.pix_fmt = choice.pixel_format
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = dict(choice.options)
    if choice.bit_rate:
        context.bit_rate = choice.bit_rate
    # One thread: a pool of threads costs more than encoding this single picture.
    context.thread_count = 1
    context.open()
    return context


def silence() -> None:
    """Keep SVT-AV1 from printing, by its variable of the environment; errors are raised anyway."""
    os.environ.setdefault("SVT_LOG", "0")


def working_encoders(width: int = 640, height: int = 480) -> dict[str, str]:
    """Return every encoder known here with '' or the reason why it does not work (for doctor)."""
    return {
        name: why_not(name, av.codecs_available) or try_out(name, width, height)
        for name in ENCODERS
    }
