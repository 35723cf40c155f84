"""Frames of a video file, decoded by PyAV: every one, in order, upright, in RGB."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from rtstyle.errors import SourceError
from rtstyle.frame import Frame, Image
from rtstyle.media.color import resize
from rtstyle.media.container import (
    Media,
    as_media,
    picture_rate,
    promised_end,
)
from rtstyle.media.deep import DeepImage, dithered
from rtstyle.media.orientation import Matrix, display_matrix, turns, upright
from rtstyle.media.picture_file import hide_transparent
from rtstyle.media.spherical import read_spherical
from rtstyle.media.timestamps import TimestampMender, check_times, exact_seconds, with_following
from rtstyle.media.yuv import Alpha, RgbConverter, over
from rtstyle.sources.base import Source
from rtstyle.sources.deinterlace import check_deinterlace, deinterlaced
from rtstyle.sources.packets import PacketReader

DEFAULT_RATE = Fraction(25)

MISSING = Fraction(1, 2)
"""Seconds that a file may be shorter than its header says without being called cut off."""
FAINT = 8
"""Alpha below which a pixel counts as hidden: codecs do not keep 0 exactly."""
HELD = Fraction(1, 10)
"""Seconds from the start to the next picture, above which the one still shown comes first."""
SEEK_BACK = (0, 2, 8, 32)
"""Seconds before the start to seek to, one after the other, until the first frame is not missed."""


class VideoFileSource(Source):
    """Every frame of a video file between `start` and `end` (seconds), with its own time stamp.

    A picture that is still shown at `start`, as in slides, counts from there on.
    Rotation is applied, colours become full-range RGB, HDR becomes plain, interlaced frames are
    made whole by `deinterlace`, one of `DEINTERLACE`. Transparency is laid over black, or kept in
    the frames with `keep_alpha`. Damaged packets are skipped and counted in `counts`; a size that
    changes midway is scaled to the first. Raises `SourceError` for what is not a readable video.
    """

    def __init__(
        self,
        path: str | Path | Media,
        *,
        start: float | None = None,
        end: float | None = None,
        threads: int = 0,
        deinterlace: str = "auto",
        keep_alpha: bool = False,
    ) -> None:
        super().__init__()
        check_times(start, end)
        self._deinterlace = check_deinterlace(deinterlace)
        self._keep_alpha = keep_alpha
        self.media = as_media(path)
        self.name = self.media.name
        self.start, self.end = start, end
        self.threads = threads or min(4, os.cpu_count() or 1)
        self.duration: float | None = None
        self._reader = PacketReader(self.media, self.threads, self.counts)
        self._stopped = False
        self._matrix: Matrix | None = None
        # Packets of AVI have a place in the order of decoding and no time of presentation, and
        # what FFmpeg makes of that is out of order. Frames leave the decoder evenly, this late.
        self._late: int | None = None

    def open(self) -> None:
        """Open the file and read its header."""
        if self._reader.is_open:
            return
        try:
            self._reader.open()
            self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._reader.is_open:
            self._reader.close()
            # The frames that were asked for side data, see `__iter__`.
            gc.collect(1)

    def stop(self) -> None:
        """End the iteration after the present frame."""
        self._stopped = True
        self.media.stop()

    def __iter__(self) -> Iterator[Frame]:
        self.open()
        self._to_rgb, time_base = RgbConverter(), self.time_base
        mend = TimestampMender(time_base, round(1 / (self.rate or DEFAULT_RATE) / time_base))
        first = self._seek()
        self.media.settle()
        last = None if self.end is None else self.zero + exact_seconds(self.end)
        index, matrix, shown, longest = 0, self._matrix, 0, 0
        before: av.VideoFrame | None = None
        for decoded, following in with_following(self._decode()):
            if self._stopped:
                break
            if index and decoded.key_frame:
                # PyAV's side data and its frame hold each other until the garbage collector comes:
                # asked of every frame, some 100 decoded frames were in memory at once.
                gc.collect(1)
                matrix = display_matrix(decoded)
            pts = mend(self._stamp(decoded), self._stamp(following))
            if mend.mended:
                self.counts["mended time stamps"] = mend.mended
            moment = pts * time_base
            if moment < first:
                before, ends = decoded, moment + (decoded.duration or 0) * time_base
                continue
            cut = last is not None and moment >= last
            if before is not None and (cut or moment - self.origin > HELD):
                until = last if last is not None and cut else moment
                held = self._held(before, matrix, until)
                yield held
                index, shown = 1, held.pts
            before = None
            if cut:
                break
            if index >= self.skip:
                image, alpha, deep = self._picture(decoded, matrix)
                duration = self._duration(decoded, following, pts, last)
                yield Frame(image, index, pts, time_base, time.monotonic(), duration, alpha, deep)
            index += 1
            longest = max(longest, decoded.duration or 0, pts - shown if index > 1 else 0)
            shown = pts
        else:
            if not mend.mended and index > 1 and not self._stopped:
                self._note_missing(shown + longest, longest)
        if before is not None and not self._stopped and ends > self.origin:
            until = ends if last is None else min(ends, last)
            yield self._held(before, matrix, until)
        elif index == 0 and not self._stopped:
            raise self._nothing_found()

    def _picture(
        self, decoded: av.VideoFrame, matrix: Matrix | None
    ) -> tuple[Image, Alpha, DeepImage | None]:
        """Return a frame upright and of the common size, its alpha and its depth if kept."""
        if self.deep:
            found = self._to_rgb.deep(decoded)
            whole = None if found is None else self._fit(upright(found, matrix))
            if whole is not None:
                return dithered(whole), None, whole
        image, alpha = self._to_rgb.split(decoded)
        if alpha is not None and not self._keep_alpha:
            image, alpha = over(image, alpha), None
        if alpha is None:
            return self._fit(upright(image, matrix)), None, None
        hide_transparent(image, alpha, FAINT)
        image = self._fit(upright(image, matrix))
        return image, resize(upright(alpha, matrix), self.height, self.width), None

    def _held(self, decoded: av.VideoFrame, matrix: Matrix | None, until: Fraction) -> Frame:
        """Return a picture that was shown before the start as shown from there `until` a moment."""
        pts = math.floor(self.origin / self.time_base)
        duration = max(1, round(until / self.time_base) - pts)
        image, alpha, deep = self._picture(decoded, matrix)
        return Frame(image, 0, pts, self.time_base, time.monotonic(), duration, alpha, deep)

    def _duration(
        self,
        decoded: av.VideoFrame,
        following: av.VideoFrame | None,
        pts: int,
        last: Fraction | None,
    ) -> int:
        """Return how long a frame is shown in ticks, up to the moment `last` at most."""
        duration = decoded.duration or 0
        if last is None:
            return duration
        room = max(1, round(last / self.time_base) - pts)
        stamp, ahead = self._stamp(decoded), self._stamp(following)
        if stamp is not None and ahead is not None and ahead - stamp >= room:
            # The last before the end: not every container says how long it is shown.
            return room
        return min(duration, room)

    def _note_missing(self, end: int, longest: int) -> None:
        """Count the seconds by which the file ends before its header says so."""
        promised = promised_end(self._reader.stream, self._reader.container)
        if promised is None:
            return
        missing = promised - end * self.time_base
        # The last picture may be shown as long as any other.
        if missing > max(MISSING, 2 * longest * self.time_base):
            self.counts["seconds missing at the end"] = max(1, round(missing))

    def _read_header(self) -> None:
        container, stream = self._reader.container, self._reader.stream
        self.time_base = stream.time_base or Fraction(1, 90000)
        self.rate = stream.average_rate or stream.guessed_rate or None
        self.zero = Fraction(container.start_time or 0, av.time_base)
        self.origin = self.zero + exact_seconds(self.start)
        ratio = stream.sample_aspect_ratio
        self.sample_aspect_ratio = ratio if ratio and ratio != 1 else None
        self.duration = self._find_duration()
        self.bit_rate = picture_rate(container, stream)
        self.frames = self._estimate_frames()
        self.width, self.height = stream.width, stream.height
        self._learn_from_first_frame()
        if self.start and self.duration and self.start >= self.duration:
            raise SourceError(
                f"{self.name} has no frame after {self.start:g} s.",
                f"It is {self.duration:.2f} s long.",
                "Choose an earlier --start.",
            )

    def _learn_from_first_frame(self) -> None:
        """Decode one frame for what only frames know: rotation, and the size in odd files."""
        frame = next(self._decode(), None)
        if frame is None:
            raise self._nothing_found()
        self.width, self.height = frame.width, frame.height
        self.depth = max(part.bits for part in frame.format.components)
        self.timed = frame.pts is not None
        if self._reader.container.format.name == "avi" and frame.dts is not None:
            self._late = frame.dts - (self._reader.stream.start_time or 0)
        self._matrix = display_matrix(frame)
        self.has_alpha = RgbConverter().split(frame)[1] is not None
        boxes = "mov" in self._reader.container.format.name and not self.media.pipe
        path = self.media.path if boxes else None
        self.spherical = read_spherical(frame, dict(self._reader.stream.metadata), path)
        if turns(self._matrix):
            self.width, self.height = frame.height, frame.width
            if self.sample_aspect_ratio:
                self.sample_aspect_ratio = 1 / self.sample_aspect_ratio
        del frame
        gc.collect(1)
        # Raw streams cannot seek back, and counts start at 0.
        self._reader.rewind()
        self.counts.clear()

    def _find_duration(self) -> float | None:
        container, stream = self._reader.container, self._reader.stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if container.duration:
            return float(container.duration / av.time_base)
        return None

    def _estimate_frames(self) -> int | None:
        total: int | None = self._reader.stream.frames or None
        if total is None and self.duration and self.rate:
            total = round(self.duration * self.rate)
        if total is None or (self.start is None and self.end is None):
            return total
        if not self.duration:
            return None
        shown = min(self.end or self.duration, self.duration) - (self.start or 0)
        return max(0, round(total * shown / self.duration))

    def _seek(self) -> Fraction:
        """Go to a key frame before the start; return the moment of the first frame."""
        if not self.start:
            return Fraction(-(2**62))
        first = self.origin
        # A pipe cannot seek, and raw streams have no times to seek by: decoding from the beginning
        # comes to the same.
        seekable = self.timed and not self.media.pipe
        if seekable and not any(self._lands(first, back) for back in SEEK_BACK):
            self._reader.rewind()
        # A time given with three decimals must not miss the frame it was read from.
        return first - Fraction(1, 2000)

    def _lands(self, first: Fraction, back: int) -> bool:
        """Seek to `back` seconds before `first`; say whether decoding there does not miss it.

        MPEG-TS and others have no list of key frames: a seek ends anywhere, and the decoder
        waits for the next one.
        """
        if self._stopped:
            return True
        if first - back < self.zero:
            return False
        target = int((first - back) / self.time_base)
        before = self.counts.copy()
        try:
            self._reader.seek(target)
            frame = next(self._decode(), None)
            self._reader.seek(target)
        except av.error.FFmpegError:
            return False
        finally:
            # What the trial counted comes again.
            self.counts.clear()
            self.counts.update(before)
        found = self._stamp(frame)
        return found is not None and found * self.time_base <= first

    def _stamp(self, frame: av.VideoFrame | None) -> int | None:
        """Return the presentation time of a frame in ticks, else what its packet had, else None."""
        if frame is None:
            return None
        if self._late is not None:
            return None if frame.dts is None else frame.dts - self._late
        return frame.dts if frame.pts is None else frame.pts

    def _decode(self) -> Iterator[av.VideoFrame]:
        frames = self._reader.frames()
        return deinterlaced(frames, self._deinterlace, self.time_base, self.counts)

    def _fit(self, image: Any) -> Any:
        if image.shape[:2] == (self.height, self.width):
            return image
        self.counts["frames of another size"] += 1
        size = (self.width, self.height)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), image.dtype)

    def _nothing_found(self) -> SourceError:
        if self.start or self.end:
            return SourceError(
                f"{self.name} has no frame between --start and --end.",
                f"It is {self.duration:.2f} s long." if self.duration else "",
                "Choose other times.",
            )
        if self.media.pipe:
            return SourceError(
                f"No frame of {self.name} can be decoded.",
                "It is damaged, or of a kind that cannot be read from a pipe: MP4 with its index "
                "at the end, for example.",
                "Use Matroska, NUT, Y4M or MPEG-TS, or a file.",
            )
        return SourceError(
            f"No frame of {self.name} can be decoded.",
            "The file is empty, damaged or cut off.",
            "Check that it plays, or fetch it again.",
        )
