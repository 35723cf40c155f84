"""Small jobs that `rtstyle doctor` really does: libraries that are there may still not fit.

Each function does one job from end to end and says what came of it, or raises what went wrong.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from rtstyle.errors import RtstyleError, StyleError
from rtstyle.files.temporary import temporary_folder
from rtstyle.report import in_frames
from rtstyle.styles import manifest

SECONDS = 0.2
"""How much of the sample clip is painted."""


def paint_video() -> str:
    """Paint the beginning of the sample clip, with its sound, into a file."""
    from rtstyle.jobs.video import stylize_video
    from rtstyle.samples import sample_clip

    with temporary_folder() as folder:
        report = stylize_video(
            sample_clip(), Path(folder) / "painted.mp4", _style(), size="fast", end=SECONDS
        )
    return f"{in_frames(report.frames)}, {report.width}x{report.height}"


def paint_like_a_picture() -> str:
    """Read a style off a picture, and paint another with it."""
    from rtstyle.engines import devices, open_engine
    from rtstyle.styles import paintings

    size = manifest.any_size("fast")
    if size not in manifest.load_manifest().any:
        raise StyleError("The folder of styles has no network for pictures.")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    # Not as a file: what a file gives is remembered, and would not be tried again.
    numbers = paintings.encode_image(noise, size)
    with open_engine(manifest.find_any("content", size).path) as engine:
        extra = devices.blank_extra(engine, 64, 64)
        painted = engine.run(noise[None], extra)
    if not np.isfinite(numbers).all() or painted.shape != (1, 64, 64, 3):
        raise RtstyleError(f"It gave {painted.shape} and {int(np.isnan(numbers).sum())} NaN.")
    return f"{numbers.size} numbers of a picture"


def serve_page() -> str:
    """Start the server for a moment, and ask it how it is."""
    from urllib.request import ProxyHandler, build_opener

    from rtstyle.serve.server import Options, serving

    began = time.perf_counter()
    with serving(Options(port=0, style=_style(), camera="test")) as running:
        # A proxy that the user has set must not be asked for this machine.
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{running.address}/health", timeout=30) as answer:
            answer.read()
    return f"started in {time.perf_counter() - began:.1f} s"


def _style() -> str:
    names = manifest.style_names()
    if not names:
        raise StyleError("The folder of styles is empty.")
    return manifest.DEFAULT_STYLE if manifest.DEFAULT_STYLE in names else names[0]
