"""Frames of a video as the photographs of a run: whoever has no folder of these has a video."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from rtstyle.errors import TrainingError
from rtstyle.files.temporary import replacing
from rtstyle.frame import Frame, Image
from rtstyle.media.color import with_square_pixels
from rtstyle.media.picture import Picture, write_picture
from rtstyle.sources import open_video
from rtstyle_export.train.frames.pairs import Spread, at_rows

FOLDER = "photos"
"""Where the frames lie, in the folder of the run."""
MOST = 64
"""Frames that are kept, evenly spread over the video; each is cut several times in training."""
ROWS = 600
"""Rows of the frames, at most."""
LONG = 3000
"""Frames of a video from which on it is quicker to seek than to decode all of it."""
MOST_READ = 36 * LONG
"""Frames that are read of a video that does not tell its length: an hour at 30 FPS."""


def photos_of(video: Path, folder: Path, most: int = MOST) -> Path:
    """Write frames of a video, evenly spread, into the folder of a run; return where they are.

    Frames that an earlier start of the run has written are taken as they are. Raises `SourceError`
    for what is not a video, and `TrainingError` for one without frames.
    """
    # By its name: another clip for the same run has frames of its own.
    photos = folder / FOLDER / video.stem
    if photos.is_dir():
        return photos
    images = _spread_over(video, most)
    if not images:
        raise TrainingError(f"{video} has no frames.", todo="Name a folder of photographs.")
    with replacing(photos) as partial:
        partial.mkdir(parents=True)
        for number, image in enumerate(images):
            write_picture(Picture(image), partial / f"{number:03d}.jpg")
    return photos


def _spread_over(video: Path, most: int) -> list[Image]:
    """Return up to `most` frames (H, W, 3), evenly spread over a video."""
    with open_video(video) as source:
        shape = source.sample_aspect_ratio

        def small(frame: Frame) -> Image:
            return at_rows(with_square_pixels(frame.image, shape), ROWS)

        if source.frames is None or source.rate is None or source.frames < LONG:
            spread = Spread(most)
            # Of one that does not tell its length all is read: an hour of it at most.
            for frame in islice(source, MOST_READ):
                spread.add(frame.time, partial(small, frame))
            return [image for _, image in spread.kept]
        seconds = float(source.frames / source.rate)
    return [small(frame) for frame in _sought(video, seconds, most)]


def _sought(video: Path, seconds: float, most: int) -> Iterator[Frame]:
    """Yield a frame of each of `most` equal parts of a video."""
    for part in range(most):
        with open_video(video, start=seconds * (part + 0.5) / most) as source:
            yield from islice(source, 1)
