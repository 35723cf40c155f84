"""What was encoded of a video so far, segment by segment, so that an interrupted run can go on.

A segment begins with a key frame of a fresh encoder and refers to nothing outside itself. Each is
written once it is whole: a run that is killed loses the one that it was in.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from rtstyle.errors import SinkError, UsageError
from rtstyle.files.temporary import replacing, with_addition

MAGIC = b"rtstyle segments 1\n"

State = Mapping[str, NDArray[Any]]
"""What a painter must know of the frames before the next segment, as arrays by name."""


def segment_path(output: Path) -> Path:
    """Return where the segments of an output are kept: `out.mp4.state`."""
    return with_addition(output, f"{output.suffix}.state", "")


def state_path(output: Path, number: int) -> Path:
    """Return where the painter's state at the end of segment `number` is kept.

    Two files take turns: one is whole whatever happens while the other is written.
    """
    return with_addition(output, f"{output.suffix}.canvas{number % 2}", "")


REST = -1
"""In place of a frame's time: what an encoder gave at the end of its segment."""


@dataclass(frozen=True)
class Kept:
    """A packet as it came out of the encoder: time stamps in ticks of the frames."""

    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes

    @classmethod
    def of(cls, packet: Any) -> Kept:
        """Keep a packet, before a container changes its time stamps."""
        key = bool(packet.is_keyframe)
        return cls(packet.pts, packet.dts, packet.duration or 0, key, bytes(packet))

    def packet(self) -> Any:
        """Return it as a packet of PyAV's."""
        packet = av.Packet(self.data)
        packet.pts, packet.dts, packet.duration = self.pts, self.dts, self.duration
        packet.is_keyframe = self.key
        return packet


@dataclass(frozen=True)
class Written:
    """The packets that came out when one frame went in; `pts` is the frame's in ticks, or REST."""

    pts: int
    packets: Sequence[Kept]


class SegmentFile:
    """The segments of one run. `identity` is what decides its result; `frames` counts the frames.

    `length` is the frames of a segment, None for as many as usual.

    `resume` finds what an earlier run of the same identity left, `begin` starts anew, `add` appends
    a whole segment, `replay` gives back what is there. Where the file cannot be written, the run
    goes on without it. `state_after` returns the painter's state after so many frames, which is
    kept for the last segment.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self.path, self._output = segment_path(output), output
        self.state_after: Callable[[int], State | None] = lambda _: None
        self.identity = json.loads(json.dumps(identity, default=str, sort_keys=True))
        self.frames = 0
        self.length: int | None = None
        self.encoder: Any = None
        self._file: BinaryIO | None = None
        self._begins = self._ends = self._count = 0

    def resume(self) -> int:
        """Return how many frames an earlier run left, 0 for none. Raises `UsageError` for another.

        The identity must be that of this run.
        """
        try:
            file = self.path.open("r+b")
        except OSError:
            return 0
        head = read_head(file)
        if head is None:
            file.close()
            return 0
        if head["identity"] != self.identity:
            file.close()
            raise UsageError(
                f"{self.path} belongs to a run with other options.",
                f"They differ in {', '.join(differing(head['identity'], self.identity))}.",
                "Repeat the options of that run, or leave out --resume to begin anew.",
            )
        self.encoder, self._begins = head["encoder"], file.tell()
        self._ends = self._begins
        for segment in segments(file):
            self.frames += count(segment["frames"])
            self._count += 1
            self._ends = file.tell()
        self._file = file
        return self.frames

    def begin(self, encoder: Mapping[str, Any]) -> bool:
        """Remember what encodes; return False if that is not what encoded an earlier run's part.

        Segments of another run are replaced once one is whole.
        """
        mine = json.loads(json.dumps(encoder))
        if self._file is None:
            self.encoder = mine
        return bool(self.encoder == mine)

    def add(self, frames: Sequence[Written], shown_for: int = 0) -> None:
        """Append a whole segment, whose last frame is shown for so many ticks."""
        try:
            if self._file is None:
                self._file = self.path.open("w+b")
                head = {"identity": self.identity, "encoder": self.encoder}
                self._file.write(MAGIC + json.dumps(head).encode() + b"\n")
                self._begins = self._ends = self._file.tell()
            self._file.seek(self._ends)
            self._file.truncate()
            self._keep_state(self.frames + sum(frame.pts != REST for frame in frames))
            table = [[frame.pts, [described(p) for p in frame.packets]] for frame in frames]
            self._file.write(json.dumps({"frames": table, "shown_for": shown_for}).encode() + b"\n")
            for frame in frames:
                for packet in frame.packets:
                    self._file.write(packet.data)
            self._file.write(b"\n")
            self._file.flush()
            self._ends = self._file.tell()
            self.frames += count(table)
            self._count += 1
        except OSError:
            # A full disk: the output itself will say so.
            self.discard()

    def _keep_state(self, frames: int) -> None:
        state = self.state_after(frames)
        if state is not None:
            with (
                replacing(state_path(self._output, self._count)) as fresh,
                fresh.open("wb") as file,
            ):
                np.savez(file, **{**state, "frames": np.array(frames)})  # type: ignore[arg-type]

    def state(self) -> State | None:
        """Return the painter's state after the frames of an earlier run, None if there is none."""
        try:
            with np.load(state_path(self._output, self._count - 1), allow_pickle=False) as kept:
                found = dict(kept)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        frames = found.pop("frames", np.array(-1))
        return found if np.array_equal(frames, self.frames) else None

    def replay(self) -> Iterator[Written]:
        """Give back the frames of all whole segments, in order."""
        file = self._file
        if file is None:
            return
        file.seek(self._begins)
        while file.tell() < self._ends:
            yield from read_segment(file, json.loads(file.readline()))

    def close(self) -> None:
        """Close the file and keep it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove the file: the output is whole, or cannot be."""
        self.close()
        for path in (self.path, *(state_path(self._output, number) for number in range(2))):
            with suppress(OSError):
                path.unlink(missing_ok=True)


class JoinedSegments(SegmentFile):
    """The segments of an output that were written side by side: `parts` open their files, in order.

    Nothing can be added. Raises `SinkError` for parts that were not encoded alike.
    """

    def __init__(self, output: Path, parts: Sequence[Callable[[], BinaryIO]]) -> None:
        super().__init__(output, {})
        self._parts = parts
        self.shown_for = 0
        self.encoder = self._encoder(parts[0])
        self.length = self.encoder["length"]

    def _encoder(self, opened: Callable[[], BinaryIO]) -> Any:
        with opened() as file:
            head = read_head(file)
        if head is None:
            raise SinkError("A part of the video is damaged.", "", "Run the same command again.")
        return head["encoder"]

    def begin(self, encoder: Mapping[str, Any]) -> bool:
        """Return False unless the parts were encoded so."""
        return bool(self.encoder == json.loads(json.dumps(encoder)))

    def replay(self) -> Iterator[Written]:
        """Give back the frames of all parts."""
        for opened in self._parts:
            with opened() as file:
                head = read_head(file)
                if head is None or head["encoder"] != self.encoder:
                    raise SinkError(
                        "The parts of the video were not encoded alike.",
                        "Machines of the cluster have different encoders.",
                        "Name one that all of them have, as with --encoder libx264.",
                    )
                while line := file.readline():
                    segment = json.loads(line)
                    self.shown_for = segment["shown_for"]
                    self.frames += count(segment["frames"])
                    yield from read_segment(file, segment)

    def discard(self) -> None:
        """Keep the parts: they are another's."""


def read_head(file: BinaryIO) -> Any:
    """Return what stands at the beginning of a file of segments, None where it is not one."""
    if file.readline() != MAGIC:
        return None
    with suppress(ValueError):
        return json.loads(file.readline())
    return None


def read_segment(file: BinaryIO, segment: Mapping[str, Any]) -> Iterator[Written]:
    """Read the frames of a segment behind its head."""
    for pts, packets in segment["frames"]:
        yield Written(pts, [restored(file, values) for values in packets])
    file.read(1)


def segments(file: BinaryIO) -> Iterator[Any]:
    """Yield the heads of whole segments from here on, each with the file at its end."""
    size = os.fstat(file.fileno()).st_size
    while True:
        line = file.readline()
        try:
            segment = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            segment = None
        if segment is None:
            return
        length = sum(values[-1] for _, packets in segment["frames"] for values in packets) + 1
        if file.tell() + length > size:
            return
        file.seek(length, os.SEEK_CUR)
        yield segment


def count(table: Sequence[Any]) -> int:
    """Return the number of frames in the table of a segment."""
    return sum(pts != REST for pts, _ in table)


def described(packet: Kept) -> list[int]:
    """Return what makes a packet besides its bytes."""
    return [packet.pts, packet.dts, packet.duration, int(packet.key), len(packet.data)]


def restored(file: BinaryIO, values: list[int]) -> Kept:
    """Read the packet of which `described` told."""
    pts, dts, duration, key, size = values
    return Kept(pts, dts, duration, bool(key), file.read(size))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names under which two identities differ."""
    names = sorted({*one, *other})
    return [name.replace("_", " ") for name in names if one.get(name) != other.get(name)]
