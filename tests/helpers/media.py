"""Clips that tests make for themselves with PyAV: any codec, time stamps, tags and sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 25
SOUND_RATE = 48000
WHITE_BLOCK = 16


def picture(width: int, height: int, index: int) -> NDArray[np.uint8]:
    """Smooth colour ramps, with the frame number as bits in the top row of 16-pixel blocks."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 210, width).astype(np.uint8)
    image[..., 1] = np.linspace(200, 60, height).astype(np.uint8)[:, None]
    image[..., 2] = 90
    for bit in range(width // WHITE_BLOCK):
        left = bit * WHITE_BLOCK
        image[:WHITE_BLOCK, left : left + WHITE_BLOCK] = 235 if index >> bit & 1 else 20
    return image


def number_of(image: NDArray[np.uint8], bits: int) -> int:
    """Read the frame number that `picture` drew, from its lowest `bits` bits."""
    middle = WHITE_BLOCK // 2
    lit = [image[middle, bit * WHITE_BLOCK + middle].mean() > 128 for bit in range(bits)]
    return sum(1 << bit for bit, on in enumerate(lit) if on)


@dataclass
class Clip:
    """What to write. `tweak` may change each frame, and `setup` the video stream."""

    width: int = 96
    height: int = 64
    frames: int = 12
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: Fraction | int = RATE
    time_base: Fraction | None = None
    pts: Sequence[int] | None = None
    sound: str | None = None
    subtitles: str | None = None
    options: dict[str, str] | None = None
    setup: Callable[[Any], None] | None = None
    image: Callable[[int, int, int], NDArray[Any]] = picture
    to_frame: Callable[[NDArray[Any]], Any] | None = None


def write_clip(path: Path, clip: Clip | None = None, **changes: Any) -> Path:
    """Write a clip to `path`; the container follows the suffix."""
    clip = clip or Clip(**changes)
    crisp = {"crf": "8", "preset": "ultrafast"} if clip.codec == "libx264" else {}
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(clip.codec, rate=clip.rate, options=clip.options or crisp)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, clip.pix_fmt
        video.thread_count = 1
        if clip.time_base:
            video.time_base = video.codec_context.time_base = clip.time_base
        if clip.setup:
            clip.setup(video)
        sound: Any = out.add_stream(clip.sound, rate=SOUND_RATE) if clip.sound else None
        if sound is not None:
            sound.codec_context.layout = "mono"
        text = add_subtitles(out, clip.subtitles) if clip.subtitles else None
        base = clip.time_base or 1 / Fraction(clip.rate)
        for index in range(clip.frames):
            array = clip.image(clip.width, clip.height, index)
            frame = clip.to_frame(array) if clip.to_frame else av.VideoFrame.from_ndarray(array)
            frame.pts = clip.pts[index] if clip.pts else index
            frame.time_base = base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            write_sound(out, sound, clip.frames / Fraction(clip.rate))
        if text is not None:
            write_subtitles(out, text)
    return path


def write_sound(out: Any, stream: Any, seconds: Fraction) -> None:
    """Encode a tone of 440 Hz."""
    total, chunk = int(seconds * SOUND_RATE), 1024
    layout_format = stream.codec_context.format.name
    kind = np.float32 if layout_format.startswith("flt") else np.int16
    scale = 0.5 if kind is np.float32 else 16000
    for first in range(0, total, chunk):
        moments = np.arange(first, min(first + chunk, total)) / SOUND_RATE
        wave = (np.sin(2 * np.pi * 440 * moments) * scale).astype(kind)[None]
        frame = av.AudioFrame.from_ndarray(wave, format=layout_format, layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, first
        frame.time_base = Fraction(1, SOUND_RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def add_subtitles(out: Any, codec: str) -> Any:
    """Add a text subtitle stream."""
    stream = out.add_stream(codec)
    stream.codec_context.subtitle_header = ASS_HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "eng"
    return stream


def write_subtitles(out: Any, stream: Any) -> None:
    """Write two lines: 0.0 to 0.2 s and 0.24 to 0.4 s."""
    from av.subtitles.subtitle import SubtitleSet

    for number, (begin, length) in enumerate(((0, 200), (240, 160))):
        text = f"{number},0,Default,,0,0,0,,line {number}".encode()
        packet = stream.codec_context.encode_subtitle(SubtitleSet.create(text, 0, length))
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = begin
        packet.duration = length
        packet.stream = stream
        out.mux(packet)


def decode(path: Path) -> list[Any]:
    """Return the decoded video frames of a file."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Return time and content of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.pts is not None
        ]


def mean_color(path: Path) -> NDArray[np.float64]:
    """Return the mean RGB of the first frame, by the exact formula of its own tags."""
    frame = decode(path)[0]
    return exact_rgb(frame).mean(axis=(0, 1))


WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def exact_rgb(frame: Any, untagged: int = 6) -> NDArray[np.float64]:
    """Return the RGB (H, W, 3), 0 to 255, of an 8-bit 4:2:0 frame in double precision."""
    height, width = frame.height, frame.width
    flat = frame.to_ndarray()
    luma = flat[:height].astype(np.float64)
    half = flat[height:].reshape(2, height // 2, width // 2).astype(np.float64)
    blue, red = (plane.repeat(2, axis=0).repeat(2, axis=1) - 128 for plane in half)
    full = frame.color_range == 2
    luma, chroma = (luma / 255, 255) if full else ((luma - 16) / 219, 224)
    kr, kb = WEIGHTS[frame.colorspace if frame.colorspace in WEIGHTS else untagged]
    r = luma + 2 * (1 - kr) * red / chroma
    b = luma + 2 * (1 - kb) * blue / chroma
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1) * 255, 0, 255)
