"""A video that goes on where it was interrupted: the same bytes as one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import decode, write_clip

from rtstyle.errors import SinkError, UsageError
from rtstyle.frame import Frame
from rtstyle.sinks.encoding import encoders
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks import picture_track
from rtstyle.sinks.tracks.segment_file import SegmentFile, segment_path
from rtstyle.sinks.tracks.stream_copy import StreamCopier
from rtstyle.sinks.video_file import VideoFileSink

FRAMES, WHOLE = 47, 10
"""Frames of the clip, and of a segment here."""
BASE = Fraction(1, 600)
IDENTITY = {"source": "a.mp4", "style": "mosaic"}


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_track, "SEGMENT", Fraction(WHOLE, 25))


def frame(index: int) -> Frame:
    random = np.random.default_rng(index // 3)
    image = random.integers(0, 255, (12, 16, 3)).astype(np.uint8).repeat(6, 0).repeat(6, 1)
    # An uneven rate, as phones write it.
    return Frame(image, index, 24 * index + index % 3 * 5, BASE, 0.0, 24)


def write(
    out: Path,
    sound: Path | None = None,
    *,
    until: int = FRAMES,
    resume: bool = False,
    stop: str = "",
    **asked: Any,
) -> int:
    """Write frames as far as `until` and end as `stop` says; return how many were there before."""
    segments = SegmentFile(out, IDENTITY)
    first = segments.resume() if resume else 0
    copier = None if sound is None else StreamCopier(sound)
    sink = VideoFileSink(
        out, rate=Fraction(25), copier=copier, segments=segments, encoding=Encoding(**asked)
    )
    sink.open()
    try:
        for index in range(first, until):
            sink.write(frame(index))
    except SinkError:
        sink.abort()
        raise
    if stop == "killed":
        # What a process that is killed leaves: the file is not closed, and its end is torn.
        sink.abort()
        with segment_path(out).open("ab") as file:
            file.write(b'{"frames": [[240, [[240, 240, 24, 1, 99')
    else:
        sink.close(complete=not stop)
    return first


def left_behind(out: Path) -> int:
    segments = SegmentFile(out, IDENTITY)
    try:
        return segments.resume()
    finally:
        segments.close()


def packets(path: Path) -> list[tuple[Any, ...]]:
    """Return all that is in a file but the random numbers by which Matroska tells files apart."""
    with av.open(str(path)) as container:
        return [
            (p.stream.index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
            if p.pts is not None
        ]


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["killed", "interrupted"])
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("a.mp4", {"encoder": "libx264"}),
        ("a.mkv", {"encoder": "libx264", "bitrate": 300_000}),
        ("a.mp4", {"encoder": "libx265", "pixel_format": "10bit"}),
        ("a.webm", {"encoder": "libvpx-vp9"}),
        ("a.mov", {"codec": "prores"}),
    ],
)
def test_a_video_that_goes_on_is_the_same_file(
    tmp_path: Path, name: str, asked: dict[str, Any], stop: str
) -> None:
    if asked.get("encoder") and encoders.try_out(asked["encoder"], 96, 72):
        pytest.skip(f"no {asked['encoder']} here")
    source = write_clip(tmp_path / "in.mp4", frames=FRAMES, sound="aac")
    (tmp_path / "whole").mkdir()
    whole, out = tmp_path / "whole" / name, tmp_path / name
    write(whole, source, **asked)
    assert len(decode(whole)) == FRAMES
    # The frames at which segments end, and moments around and between them, in one run after
    # another.
    found = [
        write(out, source, until=until, resume=True, stop=stop, **asked)
        for until in (1, 10, 11, 12, 25, 31)
    ]
    assert found == [0, 0, 0, 10, 10, 20]
    assert segment_path(out).exists()
    assert write(out, source, resume=True, **asked) == 30
    assert packets(out) == packets(whole)
    assert not segment_path(out).exists()


@pytest.mark.parametrize("seed", range(10))
def test_random_moments(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    (tmp_path / "whole").mkdir()
    whole, out = tmp_path / "whole" / "a.mp4", tmp_path / "a.mp4"
    write(whole, encoder="libx264")
    moments = sorted(random.integers(1, FRAMES, 3).tolist())
    for moment in moments:
        found = write(out, until=moment, resume=True, stop="killed", encoder="libx264")
        assert found <= moment
    write(out, resume=True, encoder="libx264")
    assert out.read_bytes() == whole.read_bytes()


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    write(out, until=15, stop="killed", encoder="libx264")
    with pytest.raises(UsageError, match=r"other options.*style"):
        SegmentFile(out, {**IDENTITY, "style": "wave"}).resume()
    with pytest.raises(SinkError, match="another way"):
        write(out, resume=True, encoder="libx264", quality=10)
    # Without --resume it begins anew, and its own segments take their place.
    write(out, until=11, stop="killed", encoder="libx264", quality=10)
    assert left_behind(out) == 10


def test_what_is_no_file_of_segments_counts_for_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    for content in (b"", b"nonsense", b"rtstyle segments 1\n", b"rtstyle segments 1\n{\n"):
        segment_path(out).write_bytes(content)
        assert left_behind(out) == 0
    head = json.dumps({"identity": IDENTITY, "encoder": None}).encode()
    torn = b'{"frames": [[0, [[0, 0, 1, 1, 500]]]]}\nshort'
    segment_path(out).write_bytes(b"rtstyle segments 1\n" + head + b"\n" + torn)
    assert left_behind(out) == 0


def test_short_clips_leave_nothing_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", until=WHOLE, encoder="libx264")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_no_more_than_one_encoder_holds_frames(tmp_path: Path) -> None:
    """The stream's own encoder lives as long as the file, so it is given no frames at all."""
    segments = SegmentFile(tmp_path / "a.mp4", IDENTITY)
    sink = VideoFileSink(
        tmp_path / "a.mp4", segments=segments, encoding=Encoding(encoder="libx264")
    )
    with sink:
        used = []
        for index in range(2 * WHOLE + 1):
            sink.write(frame(index))
            assert sink._pictures is not None
            if sink._pictures._context not in used:
                used.append(sink._pictures._context)
        assert len(used) == 3
        assert sink._pictures.stream.codec_context not in used


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from fractions import Fraction
from rtstyle.frame import Frame
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.tracks.segment_file import SegmentFile
from rtstyle.sinks.video_file import VideoFileSink

out = Path(sys.argv[1])
random = np.random.default_rng(0)
wide = np.kron(random.integers(0, 255, (38, 48, 3)), np.ones((8, 8, 1), int))
sink = VideoFileSink(
    out, rate=Fraction(25), segments=SegmentFile(out, {}), encoding=Encoding(encoder=sys.argv[2])
)
sink.open()
for n in range(24):
    part = wide[2 * n % 40 :, 3 * n % 40 :][:240, :320]
    noisy = (part + random.integers(-25, 25, part.shape)).clip(0, 255).astype(np.uint8)
    sink.write(Frame(noisy, n, n, Fraction(1, 25), 0.0, 1))
sink.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc fills what it hands out as it is told")
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_bytes_do_not_depend_on_what_memory_held_before(tmp_path: Path, encoder: str) -> None:
    """x264 read memory that it had not written, where a CPU has AVX-512."""
    found = set()
    for fill in ("1", "85"):
        out = tmp_path / f"{fill}.mp4"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(out), encoder],
            env={**os.environ, "MALLOC_PERTURB_": fill}, check=True,
        )  # fmt: skip
        found.add(out.read_bytes())
    assert len(found) == 1
