"""Painted frames of a clip beside the frames that they are of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.errors import TrainingError
from rtstyle.frame import Image
from rtstyle.jobs.keyframe_canvas import NEAR, read_index
from rtstyle.jobs.slow.keyframes import INDEX
from rtstyle.media.color import resize, with_square_pixels
from rtstyle.media.picture import Picture, write_picture
from rtstyle.sources import open_video
from rtstyle_export.data import list_pictures, read_picture

MOST_UNPAIRED = 48
"""Frames that nobody painted that are kept, evenly spread over the clip."""
MOST_SKEW = 0.03
"""By how much the proportions of a painted picture may differ from the clip's."""
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class FramePairs:
    """Frames of a clip, all (H, W, 3) uint8: K with their paintings, and others without.

    `nearest` tells for each of the others which painting is nearest in time.
    """

    frames: list[Image]
    painted: list[Image]
    others: list[Image]
    nearest: list[int]

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return frames, paintings and others as (N, 3, H, W) uint8."""
        return tuple(map(stacked, (self.frames, self.painted, self.others)))  # type: ignore[return-value]

    def write_frame(self, file: Path) -> Path:
        """Write the frame of the first painting, for previews; return the file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_picture(Picture(self.frames[0]), file)
        return file


def stacked(pictures: list[Image]) -> Tensor:
    """Return pictures (H, W, 3) of one size as (N, 3, H, W) uint8; none as (0, 3, 1, 1)."""
    if not pictures:
        return torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


@dataclass(slots=True)
class Spread:
    """Keeps at most `most` of the items that come one by one, evenly spread over them."""

    most: int
    every: int = 1
    seen: int = 0
    kept: list[tuple[float, Image]] = field(default_factory=list)

    def add(self, time: float, image: Image | Callable[[], Image]) -> None:
        """Take the next one, or what makes it where it is kept for now."""
        if self.seen % self.every == 0:
            self.kept.append((time, image() if callable(image) else image))
        self.seen += 1
        if len(self.kept) > self.most:
            self.kept = self.kept[::2]
            self.every *= 2


def painted_files(folder: Path) -> tuple[list[tuple[float, Path]], bool]:
    """Return the painted pictures of a folder, and whether they go by time.

    With an index of `rtstyle keyframes` each comes with its seconds. Without, the last number in
    the name of a picture is that of its frame, from 1, as `rtstyle video in.mp4 f_%05d.png` and
    FFmpeg count. Raises `TrainingError` or `UsageError`.
    """
    if (folder / INDEX).is_file():
        return read_index(folder), True
    found = []
    for path in list_pictures(folder):
        numbers = NUMBER.findall(path.stem)
        if not numbers or int(numbers[-1]) < 1:
            raise TrainingError(
                f"It is not known which frame {path} shows.",
                f"{folder} has no {INDEX} of `rtstyle keyframes`, and the name has no number.",
                "Name it by the number of its frame, as frame_00012.png.",
            )
        found.append((float(int(numbers[-1]) - 1), path))
    return sorted(found), False


def read_pairs(folder: Path, clip: Path, rows: int, most: int = MOST_UNPAIRED) -> FramePairs:
    """Read the painted pictures of `folder` and the frames of `clip` that they show.

    All at `rows` rows at most, in the size of the clip. Raises `TrainingError` for a picture whose
    frame is not in the clip, or of other proportions, `UsageError` and `SourceError`.
    """
    wanted, by_time = painted_files(folder)
    found: dict[int, tuple[float, Image]] = {}
    spread = Spread(most)
    with open_video(clip) as source:
        origin = float(source.origin)
        for frame in source:
            time = frame.time - origin
            place = time if by_time else float(frame.index)
            own = [n for n, (at, _) in enumerate(wanted) if abs(at - place) < NEAR]
            image = with_square_pixels(frame.image, source.sample_aspect_ratio)
            image = at_rows(image, rows)
            for number in own:
                found[number] = time, image
            if not own:
                spread.add(time, image)
    for number, (place, path) in enumerate(wanted):
        if number not in found:
            where = f"at {place:.2f} seconds" if by_time else f"number {round(place) + 1}"
            raise TrainingError(
                f"{path} has no frame in {clip}.",
                f"There is none {where}.",
                "Give the clip that these are frames of.",
            )
    numbers = range(len(wanted))
    times = np.array([found[n][0] for n in numbers])
    frames = [found[n][1] for n in numbers]
    painted = [like(frames[n], wanted[n][1], clip) for n in numbers]
    nearest = [int(np.abs(times - time).argmin()) for time, _ in spread.kept]
    return FramePairs(frames, painted, [image for _, image in spread.kept], nearest)


def at_rows(image: Image, rows: int) -> Image:
    """Return (H, W, 3) at `rows` rows, where it has more."""
    height, width = image.shape[:2]
    if height <= rows:
        return image
    return resize(image, rows, max(1, round(width * rows / height)))


def like(frame: Image, path: Path, clip: Path) -> NDArray[np.uint8]:
    """Read a painted picture in the size of its frame. Raises `TrainingError`."""
    picture = read_picture(path)
    (height, width), (rows, columns) = picture.shape[:2], frame.shape[:2]
    if abs(width * rows / (height * columns) - 1) > MOST_SKEW:
        raise TrainingError(
            f"{path} has other proportions than {clip}.",
            f"It has {width}x{height} pixels, and a frame {columns}x{rows}.",
            "Paint whole frames.",
        )
    return resize(picture, rows, columns)
