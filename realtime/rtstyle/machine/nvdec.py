"""Decoding on an NVIDIA card (NVDEC), by FFmpeg. Frames are brought back as they are decoded.

It has never run on a card: no machine of this project had one. What happens without is tested, and
that its packed frames become the planar ones of a decoder on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import reason
from rtstyle.files.names import as_file

DEEP = "p010le"
PLANAR = {"nv12": "yuv420p", DEEP: "yuv420p10le"}
"""What a card decodes into, and the format with the same samples that decoders on the CPU give."""


def open_with_card(path: Path, **options: Any) -> tuple[Any, str]:
    """Open a video so that the card decodes it, where it can.

    Returns the container, or None, and why the CPU has to decode, or an empty text.
    """
    from av.codec.hwaccel import HWAccel

    try:
        # Without a driver this raises, whatever is said of software.
        accelerated = HWAccel("cuda", allow_software_fallback=True)
        container: Any = av.open(as_file(path), hwaccel=accelerated, **options)
    except (av.error.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return None, (
            f"decoded on the CPU: FFmpeg cannot use an NVIDIA card here ({reason(error)}); "
            "it needs NVIDIA's driver"
        )
    pictures = [stream.codec_context for stream in container.streams.video]
    if not any(context.is_hwaccel for context in pictures):
        names = ", ".join(context.name for context in pictures) or "no picture"
        return container, f"decoded on the CPU: NVDEC does not decode {names}"
    return container, ""


def as_planar(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a frame in the format that a decoder on the CPU gives, with the same samples."""
    form = PLANAR.get(frame.format.name)
    if form is None:
        return frame
    planar = frame.reformat(format=form)
    if frame.format.name == DEEP:
        # libswscale leaves grey in some samples, now and then. It has copied all that is beside.
        luma, chroma = (_samples(plane) for plane in frame.planes)
        for plane, values in zip(
            planar.planes, (luma, chroma[:, ::2], chroma[:, 1::2]), strict=True
        ):
            rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            rows[:, : plane.width] = values[: plane.height, : plane.width] >> 6
            plane.update(rows.tobytes())
    return planar


def _samples(plane: Any) -> NDArray[np.uint16]:
    """Return a plane of 16-bit samples with its padding: (rows, samples of a line)."""
    return np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)
