"""A clip that ships with the package, for the first try, for benchmarks and for tests.

`bunny.mp4` is cut from "Big Buck Bunny", (c) Blender Foundation, CC BY 3.0, scaled to 640x360:
132 frames at 25 a second with AAC sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def sample_clip() -> Path:
    """Path of the bundled clip."""
    return Path(__file__).with_name("bunny.mp4")


def sample_frames(count: int = 8) -> Iterator[NDArray[np.uint8]]:
    """`count` pictures (360, 640, 3) uint8 RGB, spread evenly over the bundled clip."""
    import av

    with av.open(str(sample_clip())) as container:
        stream = container.streams.video[0]
        wanted = set(np.linspace(0, stream.frames - 1, count).astype(int).tolist())
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
