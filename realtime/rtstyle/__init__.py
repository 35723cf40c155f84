"""Paint a webcam, a video or a photo in the style of a painting.

    import rtstyle

    with rtstyle.Stylizer("mosaic") as stylize:
        painted = stylize(frame)  # (H, W, 3) uint8 RGB in and out

Names are imported on first use, so that `import rtstyle` alone costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtstyle import styles
    from rtstyle.jobs.image import stylize_image
    from rtstyle.jobs.video import stylize_video
    from rtstyle.painting.stylizer import Stylizer
    from rtstyle.sinks.encoding.settings import Encoding
    from rtstyle.styles.recipe import Recipe

    __version__: str

__all__ = [
    "Encoding",
    "Recipe",
    "Stylizer",
    "__version__",
    "styles",
    "stylize_image",
    "stylize_video",
]

# Before anything imports ONNX Runtime, and inherited by every process that is started: otherwise it
# keeps a device id and a database of events in the user's folders.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Before anything imports OpenCV: on Windows a camera otherwise takes up to a minute to open, while
# Media Foundation looks for hardware that converts its pictures (opencv/opencv#17687).
os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")

_HOMES = {
    "Encoding": "rtstyle.sinks.encoding.settings",
    "Recipe": "rtstyle.styles.recipe",
    "Stylizer": "rtstyle.painting.stylizer",
    "stylize_image": "rtstyle.jobs.image",
    "stylize_video": "rtstyle.jobs.video",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("rtstyle")
    if name == "styles":
        return importlib.import_module("rtstyle.styles")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rtstyle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
