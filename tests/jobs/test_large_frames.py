"""Videos of very large frames: refused unless a height is given, and few frames in memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtstyle.engines import open_engine
from rtstyle.errors import SourceError
from rtstyle.jobs.video import stylize_video
from rtstyle.media.limits import LARGE_FRAME_PIXELS, MAX_WHOLE_PIXELS, check_whole
from rtstyle.sinks.encoding.encoders import configure
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sources import open_video
from rtstyle.sources.video_file import VideoFileSource
from rtstyle.styles import manifest

EIGHT_K = (7680, 4320)
MOST_MIB = 1430
"""1.5 GB."""


def write_large(path: Path, width: int, height: int, count: int, options: str = "") -> Path:
    """A video of flat frames, each of another grey, which takes little time to write."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        if options:
            video.codec_context.options = {"preset": "ultrafast", "x264-params": options}
        for index in range(count):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                np.frombuffer(plane, np.uint8)[:] = 40 + 9 * index
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def test_frames_beyond_the_limit_are_refused_unless_a_height_is_given() -> None:
    for width, rows, fits in ((4096, 2160, True), (5760, 2880, False), (*EIGHT_K, False)):
        assert (width * rows <= MAX_WHOLE_PIXELS) is fits
        check_whole("a.mp4", width, rows, 1080)
        check_whole("a.mp4", width, rows, rows)
        if fits:
            check_whole("a.mp4", width, rows, None)
            continue
        with pytest.raises(SourceError) as refused:
            check_whole("a.mp4", width, rows, None)
        told = str(refused.value)
        for part in (f"{width}x{rows}", "--height 1080", f"--height {rows}"):
            assert part in told


def test_what_is_refused_leaves_no_output(tmp_path: Path, pretrained_folder: Path) -> None:
    source = write_large(tmp_path / "in.mp4", 4096, 2208, 1)
    with pytest.raises(SourceError, match="too large to be painted whole"):
        stylize_video(source, tmp_path / "out.mp4", "invert", size="fast")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_large_frames_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    kinds = {}
    for name, width in (("small.mp4", 64), ("large.mp4", 4096)):
        with open_video(write_large(tmp_path / name, width, 2160 if width > 64 else 48, 2)) as it:
            assert isinstance(it, VideoFileSource)
            kinds[name] = it._reader._decoder.thread_type.name
            assert len(list(it)) == 2
    assert kinds == {"small.mp4": "AUTO", "large.mp4": "SLICE"}


def test_encoders_hold_few_large_frames() -> None:
    rate = Fraction(25)
    for name, option in (
        ("libx264", "rc-lookahead=0"), ("libx265", "rc-lookahead=2"), ("libvpx-vp9", "0"),
        ("libsvtav1", "lookahead=0"),
    ):  # fmt: skip
        small = configure(name, 640, 480, rate).options
        large = configure(name, *EIGHT_K, rate).options
        source = Encoding(source_pixels=LARGE_FRAME_PIXELS + 1)
        assert configure(name, 640, 480, rate, source).options.keys() == large.keys()
        changed = [value for key, value in large.items() if small.get(key) != value]
        assert any(option in value for value in changed)


def test_large_pictures_are_painted_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, pretrained_folder: Path
) -> None:
    from rtstyle.engines import ov

    monkeypatch.setattr(ov, "ALONE_PIXELS", 64 * 64)
    with open_engine(manifest.find_model("invert", "fast"), "openvino:cpu", streams=2) as engine:
        for side, requests in ((64, 2), (96, 1)):
            picture = np.full((1, side, side, 3), 90, np.uint8)
            assert engine.run(picture).shape == picture.shape
            shapes = (("image", picture.shape),)
            assert engine._compiled[shapes].qsize() == requests  # type: ignore[attr-defined]


def test_large_blocks_go_back_as_soon_as_they_are_free() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not with this C library")
    code = (
        "import sys, numpy as np, psutil; from rtstyle.machine import heap; "
        "sys.argv[1:] and heap.keep_large_apart(); "
        # The first one that is freed raises glibc's own bound to its size.
        "np.ones(20 << 20, np.uint8); held = psutil.Process().memory_info; before = held().rss; "
        "a = [np.ones(20 << 20, np.uint8) for _ in range(8)]; b = np.ones(3 << 20, np.uint8); "
        "del a; print(held().rss - before)"
    )
    kept, apart = (
        int(subprocess.check_output([sys.executable, "-c", code, *words]))
        for words in ([], ["apart"])
    )
    assert apart < 8 << 20
    assert kept > 100 << 20


@pytest.mark.slow
def test_a_video_of_8k_is_painted_smaller_within_the_memory(
    tmp_path: Path, pretrained_folder: Path
) -> None:
    source = write_large(tmp_path / "in.mp4", *EIGHT_K, 10, "ref=4")
    code = (
        "import sys; from rtstyle.jobs.video import stylize_video as paint; "
        "from rtstyle.machine.memory import peak_memory as peak; "
        "print(paint(*sys.argv[1:3], 'invert', size='fast', height=270).frames, peak() >> 20)"
    )
    words = [sys.executable, "-c", code, str(source), str(tmp_path / "out.mp4")]
    frames, peak = map(int, subprocess.check_output(words, timeout=200).split())
    assert frames == 10
    assert peak < MOST_MIB
