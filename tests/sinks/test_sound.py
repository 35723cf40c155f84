"""Sound of every layout, with and without a gap, carried into every container.

FFmpeg and PyAV crash the process on some of these combinations if they are used wrongly, so each
container is tried in a child process.
"""

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
from helpers import sound_layouts
from helpers.sound_layouts import carry, levels

from rtstyle.sinks.tracks.mixdown import MixDown
from rtstyle.sinks.tracks.stream_copy import StreamCopier

CHILD = Path(sound_layouts.__file__)
PATIENCE = 300


def child(*words: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.run(
        [sys.executable, str(CHILD), *map(str, words)], capture_output=True, text=True,
        timeout=PATIENCE, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound of every codec and layout, with and without a gap."""
    folder = tmp_path_factory.mktemp("sources")
    done = child("write", folder)
    assert done.returncode == 0, done.stderr[-500:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webm", "mp4", "mov", "matroska"])
def test_every_layout_is_carried_and_gaps_stay_silent(
    kind: str, sources: Path, tmp_path: Path
) -> None:
    done = child(kind, sources, tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines[-1:], done.stderr[-500:])
    cases = [case for case in map(json.loads, lines) if "kept" in case]
    assert len({(case["codec"], case["layout"]) for case in cases}) >= 100
    for case in cases:
        assert case["damaged"] == 0, case
        if case["levels"]:
            first, middle, last = case["levels"]
            assert min(first, last) > 0.1, case
            assert middle < 0.1 * first if case["gap"] else middle > 0.8 * first, case
        noted = " ".join(case["notes"])
        told = "mixed down to stereo" in noted or "the first two of" in noted
        assert told == ("re-encoded" in noted and channels(case["layout"]) > 2), case


def channels(layout: str) -> int:
    return av.AudioLayout(layout).nb_channels


def test_a_gap_in_wide_sound_is_as_long_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.webm"
    sound_layouts.write_source(source, "aac", "7.1", gap=True)
    notes, damaged = carry(source, target, "webm")
    assert notes == [
        "audio stream 0 re-encoded from aac to libopus, 7.1 mixed down to stereo: webm needs it"
    ]
    assert damaged == 0
    first, gap, last = levels(target)
    assert gap < 0.01 < first
    assert last == pytest.approx(first, rel=0.1)


def test_a_layout_that_changes_midway_is_mixed_on() -> None:
    """Broadcasts go from 5.1 to stereo and back (a ValueError of PyAV once ended the run)."""
    mix, samples = MixDown("fltp", "stereo", 48000), 0
    parts: list[Any] = []
    for layout, rate in (("5.1", 48000), ("stereo", 48000), ("mono", 44100), ("5.1", 48000)):
        wave = np.full((1, channels(layout) * rate // 10), 0.25, np.float32)
        frame: Any = av.AudioFrame.from_ndarray(wave, format="flt", layout=layout)
        frame.sample_rate = rate
        parts += mix(frame)
        samples += 4800
    parts += mix.flush()
    assert sum(part.samples for part in parts) == pytest.approx(samples, abs=64)
    assert {(part.layout.name, part.sample_rate) for part in parts} == {("stereo", 48000)}


@pytest.mark.parametrize("sample_format", ["u8", "u8p", "s16", "s16p", "s32p", "flt", "fltp"])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_silence_is_silent(sample_format: str, layout: str) -> None:
    frame = MixDown(sample_format, layout, 8000).silence(100)
    frame.pts, frame.time_base = 0, Fraction(1, 8000)
    heard = av.AudioResampler("flt", layout, 8000).resample(frame)[0].to_ndarray()
    assert frame.samples == 100
    assert not heard.any()


def test_the_first_two_of_many_unknown_channels_are_heard() -> None:
    wave = np.zeros((4800, 9), np.float32)
    wave[:, 0], wave[:, 1], wave[:, 2:] = 0.25, -0.5, 0.9
    frame: Any = av.AudioFrame.from_ndarray(wave.reshape(1, -1), "flt", "9 channels")
    frame.sample_rate = 48000
    mix = MixDown("flt", "stereo", 48000)
    heard = np.concatenate([p.to_ndarray().reshape(-1, 2) for p in mix(frame) + mix.flush()])
    np.testing.assert_allclose(heard[1000:4000], np.tile([0.25, -0.5], (3000, 1)), atol=1e-3)


def broadcast(path: Path, layout: str, rate: int, begins: int) -> bytes:
    """A second of tone and picture in MPEG-TS, from the second `begins` on."""
    with av.open(str(path), "w", format="mpegts") as out:
        video: Any = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        stream: Any = out.add_stream("aac", rate=rate)
        stream.codec_context.layout = layout
        found: list[Any] = []
        for index in range(25):
            picture: Any = av.VideoFrame(32, 32, "yuv420p")
            picture.pts, picture.time_base = 25 * begins + index, Fraction(1, 25)
            found += video.encode(picture)
        found += video.encode(None)
        resampler = av.AudioResampler("fltp", layout, rate, 1024)
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
        packed = np.repeat(wave.astype(np.float32), channels(layout))[None]
        frame: Any = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, begins * rate, Fraction(1, rate)
        for piece in resampler.resample(frame):
            if piece.samples == 1024:
                found += stream.encode(piece)
        found += stream.encode(None)
        for packet in sorted(found, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["mp4", "mov", "matroska", "webm"])
@pytest.mark.parametrize("second", [("stereo", 48000), ("5.1", 44100)])
def test_a_broadcast_that_changes_its_sound_is_heard_to_the_end(
    kind: str, second: tuple[str, int], tmp_path: Path
) -> None:
    source, target = tmp_path / "in.ts", tmp_path / f"out.{kind}"
    first = broadcast(tmp_path / "a.ts", "5.1", 48000, 0)
    source.write_bytes(first + broadcast(tmp_path / "b.ts", *second, 1))
    copier = StreamCopier(source)
    with av.open(str(target), "w", format=kind) as out:
        copier.open(out, kind)
        copier.finish(complete=True)
    assert "mixed down to stereo" in copier.notes[0]
    with av.open(str(target)) as found:
        heard = [(f.pts * f.time_base, f.to_ndarray()) for f in found.decode(audio=0)]
    assert heard[-1][0] > Fraction(9, 5)
    late = np.concatenate([samples[0] for at, samples in heard if 1.3 < at < 1.8])
    assert np.sqrt((late**2).mean()) > 0.1
