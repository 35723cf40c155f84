"""The table of codecs: which encoders write them, in which pixel formats, and how they are asked.

One row an encoder, so that every encoder is asked for the same things in its own words: constant
quality, a bit rate, the trade of time for size, and silence.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

AUTO = "auto"
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Kinds of video files, and FFmpeg's name of the container of each."""
PRORES_PROFILES = ("proxy", "lt", "standard", "hq")


@dataclass(frozen=True)
class Encoder:
    """How one of FFmpeg's encoders is asked.

    `quality` is its option of constant quality, with the values at `--quality` 0 and 100 in
    `scale`; empty where it has none. `cap` is its option that bounds the bit rate of constant
    quality. `preset` is its option that trades time for size, `presets` what that takes (empty:
    whatever the encoder says), `speed` the value for files and `live_speed` that for a picture that
    cannot wait. `formats` are its pixel formats by bits a sample, the preferred one. `even`:
    pictures need even sizes. For more than 8 bits a sample, `deep` are options in place of
    `options`, and `deep_scale` takes the place of `scale`, where they are given.
    """

    codec: str
    formats: Mapping[int, str] = field(default_factory=lambda: {8: "yuv420p"})
    quality: str = ""
    scale: tuple[float, float] = (0, 0)
    cap: str = ""
    preset: str = ""
    presets: tuple[str, ...] = ()
    speed: str = ""
    live_speed: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    has_bitrate: bool = True
    even: bool = True
    deep: Mapping[str, str] = field(default_factory=dict)
    deep_scale: tuple[float, float] | None = None


_X26X = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_BOTH = {8: "yuv420p", 10: "yuv420p10le"}
_HARD = {8: "nv12", 10: "p010le"}


def _nvenc(codec: str, formats: Mapping[int, str]) -> Encoder:
    return Encoder(
        codec, formats, "cq", (45, 15), "maxrate", "preset", speed="p4", live_speed="p3",
        options={"rc": "vbr", "b": "0"},
    )  # fmt: skip


def _qsv(codec: str, formats: Mapping[int, str]) -> Encoder:
    return Encoder(
        codec, formats, "global_quality", (45, 15), "", "preset", speed="faster",
        live_speed="veryfast",
    )  # fmt: skip


def _amf(codec: str, formats: Mapping[int, str]) -> Encoder:
    return Encoder(codec, formats, options={"usage": "transcoding"})


# Qualities are measured, see "How large files become" in scripts/README.md: at --quality 60 painted
# clips have the same SSIM with each of these encoders.
ENCODERS: Mapping[str, Encoder] = {
    "libx264": Encoder(
        "h264", _BOTH, "crf", (42, 12), "maxrate", "preset", _X26X, "veryfast", "superfast",
        # B-frames in a fixed pattern take 2 to 8 % less time than chosen ones, at the same size.
        {"x264-params": "b-adapt=0"},
    ),
    "libopenh264": Encoder("h264"),
    "mpeg4": Encoder("mpeg4", even=False),
    "libx265": Encoder(
        "hevc", _BOTH, "crf", (42, 12), "maxrate", "preset", _X26X, "ultrafast", "ultrafast",
        # Without adaptive quantisation, which these presets leave out, slow gradients show bands.
        {"x265-params": "log-level=none:aq-mode=2:aq-strength=1"},
        # A gradient of 10 bits that moves gets bands unless even areas are quantised finer still.
        # With that, a painted clip has the same SSIM and size at a CRF that is five lower.
        deep={"x265-params": "log-level=none:aq-mode=1:aq-strength=2"}, deep_scale=(37, 7),
    ),
    "libsvtav1": Encoder(
        "av1", _BOTH, "crf", (63, 15), "maxrate", "preset", tuple(map(str, range(14))), "10", "12",
    ),
    "libaom-av1": Encoder(
        "av1", _BOTH, "crf", (63, 15), "", "cpu-used", tuple(map(str, range(9))), "8", "8",
        {"b": "0", "row-mt": "1"}, even=False,
    ),
    "libvpx-vp9": Encoder(
        "vp9", _BOTH, "crf", (63, 20), "b", "cpu-used", tuple(map(str, range(9))), "8", "8",
        {"deadline": "realtime", "b": "0", "row-mt": "1"}, even=False,
    ),
    "libvpx": Encoder(
        "vp8", {8: "yuv420p"}, "crf", (58, 4), "", "cpu-used", tuple(map(str, range(17))), "8", "8",
        {"deadline": "realtime", "b": "8M"}, even=False,
    ),
    "prores_ks": Encoder(
        "prores", {10: "yuv422p10le"}, options={"vendor": "apl0"}, has_bitrate=False,
        preset="profile", presets=(*PRORES_PROFILES, "4444", "4444xq"), speed="standard",
        live_speed="lt", even=False,
    ),
    "ffv1": Encoder("ffv1", _BOTH, has_bitrate=False, even=False),
    "h264_nvenc": _nvenc("h264", {8: "yuv420p"}),
    "hevc_nvenc": _nvenc("hevc", {8: "yuv420p", 10: "p010le"}),
    "av1_nvenc": _nvenc("av1", {8: "yuv420p", 10: "p010le"}),
    "h264_qsv": _qsv("h264", {8: "nv12"}),
    "hevc_qsv": _qsv("hevc", _HARD),
    "av1_qsv": _qsv("av1", _HARD),
    "h264_amf": _amf("h264", {8: "nv12"}),
    "hevc_amf": _amf("hevc", _HARD),
    "av1_amf": _amf("av1", _HARD),
    "h264_videotoolbox": Encoder("h264", {8: "nv12"}),
    "hevc_videotoolbox": Encoder("hevc", _HARD),
    "prores_videotoolbox": Encoder("prores", {10: "p210le"}, has_bitrate=False),
}  # fmt: skip

_CARDS = ("videotoolbox",) if sys.platform == "darwin" else ("nvenc", "qsv", "amf")
CODECS: Mapping[str, tuple[str, ...]] = {
    "h264": (*(f"h264_{card}" for card in _CARDS), "libx264", "libopenh264"),
    "hevc": (*(f"hevc_{card}" for card in _CARDS), "libx265"),
    "av1": (*(f"av1_{card}" for card in _CARDS if card != "videotoolbox"), "libsvtav1",
            "libaom-av1"),
    "vp9": ("libvpx-vp9",),
    "prores": (*("prores_videotoolbox",) * (sys.platform == "darwin"), "prores_ks"),
}  # fmt: skip
"""What `--codec` takes, with the encoders that are tried: hardware first, then software."""

DEEP_CODECS = frozenset(("hevc", "av1", "prores", "vp9"))
"""Codecs whose players show 10 bits; H.264 of 10 bits plays hardly anywhere."""

FALLBACKS = {"webm": ("libvpx-vp9", "libvpx")}
LAST = ("mpeg4",)


def automatic(kind: str) -> tuple[str, ...]:
    """Return the encoders to try for a container where nothing was asked for, best first."""
    return FALLBACKS.get(kind, (*CODECS["h264"], *LAST))


def row(name: str) -> Encoder:
    """Return how an encoder is asked; one that is not in the table by its bit rate alone."""
    return ENCODERS.get(name, Encoder(name))
