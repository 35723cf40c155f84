"""Which decoder a video stream gets, and what it may take."""

from __future__ import annotations

from typing import Any

import av

from rtstyle.media.limits import MAX_FRAME_PIXELS, check_pixels, is_large

WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha that WebM keeps beside the picture; FFmpeg's own do not."""


def open_decoder(stream: Any, name: str, threads: int | None = None) -> Any:
    """Return the decoder of a stream of the file `name`, bounded in the size of its frames.

    `threads` decode several frames at once, or one if they are large; None leaves that as it is.
    Raises `SourceError` for frames of more than `MAX_FRAME_PIXELS`.
    """
    check_pixels(name, stream.width, stream.height, most=MAX_FRAME_PIXELS)
    decoder = stream.codec_context
    better = WITH_ALPHA.get(decoder.name)
    if better and stream.metadata.get("alpha_mode") == "1" and better in av.codecs_available:
        decoder = av.CodecContext.create(better, "r")
    # For frames that turn out larger midway.
    decoder.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    if threads is not None and not decoder.is_hwaccel:
        # Threads that share a frame need no further ones in memory.
        large = is_large(stream.width * stream.height)
        decoder.thread_type = "SLICE" if large else "AUTO"
        decoder.thread_count = threads
    return decoder
