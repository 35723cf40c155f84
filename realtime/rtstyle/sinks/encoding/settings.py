"""What a user may ask of the encoder of a video, in words that are the same for all encoders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rtstyle.errors import UsageError
from rtstyle.sinks.encoding.codecs import AUTO, CODECS, DEEP_CODECS, row

DEFAULT_QUALITY = 60.0
CAP = 3
"""A painted video has at most so many times the bit rate of its source, unless asked otherwise."""
LEAST_BITS = 0.03
"""Bits a pixel that the cap leaves at least: below that, painted pictures fall apart."""
_UNITS = {"": 1, "k": 1000, "m": 1_000_000}


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded.

    `codec` is a key of `CODECS` or auto, `encoder` FFmpeg's name of one or auto. At most one of
    `quality` (0 to 100, the same look with every codec), `crf` (the encoder's own number) and
    `bitrate` (bits a second) is given; with none, it is `DEFAULT_QUALITY` at no more than `CAP`
    times `source_rate`, the bits a second of a source of `source_pixels` where that is known.
    `preset` is the encoder's own word for time against size. `pixel_format` is auto, 8bit, 10bit,
    or FFmpeg's name of one. `depth` is the bits a sample of the source. With `hlg` the pictures are
    HDR: hybrid log-gamma in BT.2020, of 10 bits.
    """

    codec: str = AUTO
    encoder: str = AUTO
    quality: float | None = None
    crf: float | None = None
    bitrate: int | None = None
    preset: str | None = None
    pixel_format: str = AUTO
    depth: int = 8
    hlg: bool = False
    source_rate: int | None = None
    source_pixels: int = 0

    def __post_init__(self) -> None:
        """Raise `UsageError` for what no encoder could do."""
        if self.codec not in (AUTO, *CODECS):
            raise UsageError(
                f"{self.codec} is not a codec that can be written.",
                "",
                f"Use --codec {', '.join(CODECS)}, or name FFmpeg's with --encoder.",
            )
        if AUTO not in (self.codec, self.encoder):
            raise UsageError("--codec and --encoder exclude each other.", "", "Give one of them.")
        given = [n for n in ("quality", "crf", "bitrate") if getattr(self, n) is not None]
        if len(given) > 1:
            words = " and ".join(f"--{name}" for name in given)
            raise UsageError(f"{words} exclude each other.", "", "Give one of them.")
        if self.quality is not None and not 0 <= self.quality <= 100:
            raise UsageError(
                f"--quality {self.quality:g} is out of range.",
                "",
                f"Use 0 to 100; {DEFAULT_QUALITY:g} is the default.",
            )
        if self.crf is not None and self.crf < 0:
            raise UsageError(f"--crf {self.crf:g} is out of range.", "", "Use 0 or more.")
        if self.bitrate is not None and self.bitrate < 1000:
            raise UsageError(
                f"--bitrate {self.bitrate} is too low.", "", "Write bits a second, like 8M or 800k."
            )

    def refuse(self, kind: str) -> None:
        """Raise `UsageError` where an output of a kind that has no encoder was asked for one."""
        given = {
            "codec": self.codec != AUTO, "encoder": self.encoder != AUTO, "hdr": self.hlg,
            "pixel_format": self.pixel_format != AUTO,
            **{n: getattr(self, n) is not None for n in ("quality", "crf", "bitrate", "preset")},
        }  # fmt: skip
        for name in (name for name, asked in given.items() if asked):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is not for {kind}.", "", f"Leave {option} out.")

    @property
    def wants_depth(self) -> bool:
        """Whether more than 8 bits a sample are to be written."""
        return wanted_depth(self, row(self.encoder).codec if self.codec == AUTO else self.codec) > 8

    def cap(self, pixels: int, rate: float) -> int | None:
        """Return the bits a second that pictures of so many pixels may have, None for any."""
        asked = (self.quality, self.crf, self.bitrate) != (None, None, None)
        if asked or not self.source_rate:
            return None
        larger = max(1.0, pixels / self.source_pixels) if self.source_pixels else 1.0
        return round(max(CAP * self.source_rate * larger, LEAST_BITS * pixels * rate))


def wanted_depth(encoding: Encoding, codec: str) -> int:
    """Return the bits a sample that a codec is to get: 8, 10 or 12."""
    name = encoding.pixel_format
    if name == AUTO:
        deep = codec == "prores" or encoding.hlg
        return 10 if deep or (encoding.depth > 8 and codec in DEEP_CODECS) else 8
    if name in ("8bit", "10bit"):
        return int(name.removesuffix("bit"))
    found = re.search(r"p?0?(10|12|16)(?:le|be)?$", name)
    return int(found[1]) if found else 8


def parse_bitrate(text: str) -> int:
    """Return the bits a second of `8M`, `800k` or `8000000`. Raises `ValueError` for others."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(?:bit/s|bps)?", text.strip())
    if not found:
        raise ValueError(text)
    return round(float(found[1]) * _UNITS[found[2].lower()])


def for_one_of_several(encoding: Encoding | None, output: object) -> Encoding | None:
    """Return the settings for one of several outputs: a GIF, which has no encoder, does without."""
    return None if Path(str(output)).suffix.lower() == ".gif" else encoding
