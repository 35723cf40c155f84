"""Finds the line input among what records sound: where a mixer or an instrument is plugged in."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rtstyle.errors import SourceError
from rtstyle.sources.microphone import INPUTS, listed

LINE = re.compile(r"\bline\b|line[-_ ]?in|\baux\b|stereo mix|what u hear", re.IGNORECASE)
PCM = Path("/proc/asound/pcm")
CAPTURE = re.compile(r"(\d+)-(\d+): (.*?)\s*: .*capture")


def find_line(platform: str = sys.platform, listing: Path | None = None) -> str:
    """Return the platform's name of the first input that is named like a line input.

    Raises `SourceError` that names the inputs there are.
    """
    found = inputs(platform, listing or PCM)
    for device, label in found:
        if LINE.search(label):
            return device
    shown = (f"{label} ({device})" if label != device else label for device, label in found)
    names = ", ".join(shown)
    raise SourceError(
        "No input is named as a line input.",
        f"There are {names}." if names else "This machine shows nothing that records sound.",
        "Name one: --react line:DEVICE." if names else "",
    )


def inputs(platform: str, listing: Path) -> list[tuple[str, str]]:
    """Return what records sound: names for FFmpeg, and words for people."""
    if platform.startswith("linux"):
        try:
            lines = listing.read_text("utf-8", "replace").splitlines()
        except OSError:
            return []
        matches = (CAPTURE.match(line) for line in lines)
        return [(f"plughw:{int(at[1])},{int(at[2])}", at[3]) for at in matches if at]
    known = INPUTS.get(platform, ())
    return [(one.name, one.description or one.name) for name in known for one in listed(name)]
