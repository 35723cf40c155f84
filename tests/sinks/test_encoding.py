"""What an encoder is asked for: one table of codecs, sizes, pixel formats, ten bits, silence."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import write_clip
from helpers.pictures import coarse_noise
from numpy.typing import NDArray

from rtstyle.errors import SinkError, UsageError
from rtstyle.frame import Frame
from rtstyle.jobs.video import stylize_video
from rtstyle.media import deep, hdr
from rtstyle.sinks import open_output
from rtstyle.sinks.encoding import encoders
from rtstyle.sinks.encoding.codecs import CODECS, ENCODERS, row
from rtstyle.sinks.encoding.encoders import EncoderChoice, configure
from rtstyle.sinks.encoding.settings import Encoding, parse_bitrate
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.testing import FakeSource

SUFFIX = {"h264": "mp4", "hevc": "mp4", "av1": "mp4", "vp9": "webm", "prores": "mov"}
HERE = {
    codec: next((name for name in names if not encoders.try_out(name, 96, 64)), "")
    for codec, names in CODECS.items()
}


def noise(index: int, height: int = 64, width: int = 96) -> Frame:
    """A picture like no other, on which an encoder must spend bits."""
    image = coarse_noise(height, width, index, cell=4)
    return Frame(image, index, index, Fraction(1, 25), 0.0)


def write(path: Path, frames: int = 6, **asked: Any) -> VideoFileSink:
    sink = VideoFileSink(path, rate=Fraction(25), encoding=Encoding(**asked))
    with sink:
        for index in range(frames):
            sink.write(noise(index))
    return sink


def described(path: Path) -> tuple[str, str, int]:
    """Return codec, pixel format and number of frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(video=0))
        return stream.codec_context.codec.canonical_name, str(stream.codec_context.pix_fmt), frames


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_is_written_by_an_encoder_of_the_table(tmp_path: Path, codec: str) -> None:
    if not HERE[codec]:
        pytest.skip(f"no encoder of {codec} works here")
    out = tmp_path / f"a.{SUFFIX[codec]}"
    write(out, codec=codec)
    found, pixels, frames = described(out)
    assert (found, frames) == (codec, 6)
    assert pixels == ("yuv422p10le" if codec == "prores" else "yuv420p")


@pytest.mark.parametrize("codec", ["hevc", "av1", "prores"])
def test_ten_bits_are_written_for_deep_sources(tmp_path: Path, codec: str) -> None:
    if not HERE[codec]:
        pytest.skip(f"no encoder of {codec} works here")
    out = tmp_path / f"a.{SUFFIX[codec]}"
    write(out, codec=codec, depth=10)
    assert described(out)[1].endswith("p10le")


def test_h264_stays_at_eight_bits_unless_asked(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", depth=10)
    write(tmp_path / "b.mp4", depth=10, encoder="libx264", pixel_format="10bit")
    assert described(tmp_path / "a.mp4")[1] == "yuv420p"
    assert described(tmp_path / "b.mp4")[1] == "yuv420p10le"


def test_two_names_of_one_encoder_give_one_file(tmp_path: Path) -> None:
    sizes = []
    for name in ("hevc", "libx265"):
        assert write(tmp_path / f"{name}.mp4", encoder=name).encoder is not None
        sizes.append((tmp_path / f"{name}.mp4").stat().st_size)
    assert sizes[0] == sizes[1]


def test_an_encoder_is_given_a_pixel_format_that_it_takes(tmp_path: Path) -> None:
    write(tmp_path / "a.mov", encoder="prores_ks")
    write(tmp_path / "b.mp4", encoder="libx264", pixel_format="yuv444p")
    assert described(tmp_path / "a.mov")[1] == "yuv422p10le"
    assert described(tmp_path / "b.mp4")[1] == "yuv444p"


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_quality_means_smaller_or_larger_with_every_encoder(tmp_path: Path, name: str) -> None:
    if encoders.try_out(name, 96, 64):
        pytest.skip(f"{name} does not work here")
    sizes = []
    for quality in (20, 60, 95):
        out = tmp_path / f"{quality}.mkv"
        write(out, encoder=name, quality=quality)
        sizes.append(out.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_picture_is_kept_to_three_times_its_source() -> None:
    small = Encoding(source_rate=400_000, source_pixels=640 * 360)
    assert small.cap(640 * 360, 25) == 1_200_000
    # Twice the pixels may take twice the bits, and what would fall apart gets more.
    assert small.cap(2 * 640 * 360, 25) == 2_400_000
    assert Encoding(source_rate=1000).cap(1000, 100) == 3000
    assert Encoding(source_rate=1000, quality=50).cap(640 * 360, 25) is None
    for name in ("libx264", "libx265", "libsvtav1"):
        assert (
            encoders.configure(name, 640, 360, Fraction(25), small).options["maxrate"] == "1104000"
        )
    assert encoders.configure("libvpx-vp9", 640, 360, Fraction(25), small).options["b"] == "1200000"


def test_a_low_source_bounds_a_noisy_painting(tmp_path: Path) -> None:
    rate, frames = 40_000, 100
    write(tmp_path / "free.mp4", frames)
    write(tmp_path / "held.mp4", frames, source_rate=rate, source_pixels=96 * 64)
    seconds = frames / 25
    held, free = (
        (tmp_path / f"{name}.mp4").stat().st_size * 8 / seconds for name in ("held", "free")
    )
    # The second that the encoder may run ahead counts once.
    assert held < 3 * rate * (seconds + encoders.BUFFER) / seconds < free


def test_bit_rates_are_read_and_held(tmp_path: Path) -> None:
    assert [parse_bitrate(t) for t in ("8M", "800k", "1.5M", "64000")] == [
        8_000_000, 800_000, 1_500_000, 64_000,
    ]  # fmt: skip
    for text in (" ", "fast", "8G", "-3M", "1e6"):
        with pytest.raises(ValueError, match=text):
            parse_bitrate(text)
    write(tmp_path / "a.mp4", 100, bitrate=200_000)
    assert (tmp_path / "a.mp4").stat().st_size * 8 / 4 == pytest.approx(200_000, rel=0.35)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"codec": "divx"}, "not a codec"),
        ({"codec": "av1", "encoder": "libx264"}, "exclude"),
        ({"quality": 50, "crf": 20}, "exclude"),
        ({"quality": 101}, "out of range"),
        ({"crf": -1}, "out of range"),
        ({"bitrate": 3}, "too low"),
    ],
)
def test_what_no_encoder_could_do_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Encoding(**asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"codec": "prores"}, "does not hold prores"),
        ({"preset": "quick"}, "not a preset of libx264.*veryfast"),
        ({"pixel_format": "gbrp"}, "does not take gbrp"),
        ({"pixel_format": "nonsense"}, "does not take nonsense"),
        ({"encoder": "mpeg4", "crf": 20}, "--crf is not for"),
        ({"encoder": "mpeg4", "preset": "fast"}, "--preset is not for"),
        ({"hlg": True}, "HDR needs 10 bits"),
        # Not what the last encoder lacks, which would be taken only where no better one works.
        ({"preset": "warp9", "encoder": "auto"}, "warp9 is not a preset of libx264"),
    ],
)
def test_settings_that_an_encoder_lacks_are_refused(
    tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    if asked.get("preset"):
        asked = {**asked, **({} if "encoder" in asked else {"encoder": "libx264"})}
    if asked.get("hlg"):
        asked = {**asked, "encoder": "mpeg4"}
    with pytest.raises((UsageError, SinkError), match=message):
        write(tmp_path / "a.mp4", **asked)
    assert list(tmp_path.iterdir()) == []


def test_why_a_codec_does_not_fit_is_told_and_not_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"h264 cannot be used for webm\. The container does not"):
        write(tmp_path / "a.webm", codec="h264")


@pytest.mark.parametrize("name", ["a.gif", "a_%05d.png", "folder"])
@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"codec": "hevc"}, "--codec"),
        ({"pixel_format": "10bit"}, "--pixel-format"),
        ({"quality": 50.0}, "--quality"),
        ({"hlg": True}, "--hdr"),
    ],
)
def test_settings_of_an_encoder_are_refused_where_there_is_none(
    tmp_path: Path, name: str, asked: dict[str, Any], option: str
) -> None:
    source = FakeSource(1)
    with pytest.raises(UsageError, match=f"{option} is not for"):
        open_output(tmp_path / name, source, encoding=Encoding(**asked))
    open_output(tmp_path / name, source, encoding=Encoding(depth=10, source_rate=5000))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_pictures_an_hour_apart_are_kept_in_order(tmp_path: Path, suffix: str) -> None:
    """The encoder's times were not believed, and MP4 took the packets for falling ones."""
    path, hour = tmp_path / f"a{suffix}", 3_600_000
    with VideoFileSink(path, rate=Fraction(1, 3600)) as sink:
        for n in range(5):
            sink.write(replace(noise(n), pts=n * hour, time_base=Fraction(1, 1000)))
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([3600 * n for n in range(5)])


PROGRAM = """
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
import numpy as np
from rtstyle.frame import Frame
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.sinks.video_file import VideoFileSink
with VideoFileSink(Path(sys.argv[1]), encoding=Encoding(codec=sys.argv[2])) as sink:
    for index in range(2):
        sink.write(Frame(np.zeros((64, 96, 3), np.uint8), index, index, Fraction(1, 25), 0.0))
"""


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_encoders_print_nothing(tmp_path: Path, codec: str) -> None:
    if not HERE[codec]:
        pytest.skip(f"no encoder of {codec} works here")
    environment = {k: v for k, v in os.environ.items() if k != "SVT_LOG"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.mkv"), codec],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")


def test_every_row_names_a_codec_and_formats_that_can_be_made() -> None:
    for name, entry in ENCODERS.items():
        assert all(deep.is_writable(form) for form in entry.formats.values()), name
    assert all(name in ENCODERS for names in CODECS.values() for name in names)


# Ten bits from end to end.

WIDE, HIGH, LOW, LEVELS = 512, 64, 300, 64


def ramp() -> NDArray[np.uint16]:
    """Luma of 10 bits that rises by LEVELS over WIDE columns, as a sky does."""
    rise = LOW + np.floor(np.arange(WIDE) * LEVELS / WIDE)
    return np.tile(rise, (HIGH, 1)).astype(np.uint16)


def deep_frame(image: NDArray[Any]) -> av.VideoFrame:
    """Make the picture's top left value a grey ramp of 10 bits; the picture itself is not used."""
    frame = av.VideoFrame(WIDE, HIGH, "yuv420p10le")
    for plane, values in zip(
        frame.planes,
        (ramp(), *[np.full((HIGH // 2, WIDE // 2), 512, np.uint16)] * 2),
        strict=True,
    ):
        rows = np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
        rows[: values.shape[0], : values.shape[1]] = values
    frame.colorspace = frame.color_primaries = frame.color_trc = 1
    frame.color_range = 1
    return frame


def deep_source(path: Path) -> Path:
    return write_clip(
        path, width=WIDE, height=HIGH, frames=4, codec="libx265", pix_fmt="yuv420p10le",
        to_frame=deep_frame, options={"crf": "22", "x265-params": "log-level=none"},
    )  # fmt: skip


def banding(path: Path) -> float:
    """Return how far luma is from a straight slope, RMS in levels of 10 bits.

    It is the mean over columns and over 16 of them side by side, the period of a dither: that is
    what an eye sees in place of bands.
    """
    profile = np.zeros(WIDE)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    for frame in frames:
        scale = 4 if frame.format.components[0].bits == 8 else 1
        kind = np.uint8 if scale == 4 else np.uint16
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), kind).reshape(
            -1, plane.line_size // kind().itemsize
        )
        profile += rows[:, :WIDE].mean(axis=0) * scale / len(frames)
    profile = np.convolve(profile, np.full(16, 1 / 16), "valid")
    columns = np.arange(len(profile))
    slope = np.polynomial.Polynomial.fit(columns, profile, 1)
    return float(np.sqrt(np.mean((profile - slope(columns)) ** 2)))


@pytest.mark.parametrize("codec", ["hevc", "prores"])
@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0])
def test_a_slow_gradient_has_no_more_bands_than_its_source(
    tmp_path: Path, codec: str, strength: float
) -> None:
    source = deep_source(tmp_path / "in.mkv")
    out, flat = tmp_path / "out.mov", tmp_path / "flat.mov"
    stylize_video(
        source, out, "identity", strength=strength, device="cpu", precision="fp32",
        encoding=Encoding(codec=codec),
    )  # fmt: skip
    stylize_video(source, flat, "identity", device="cpu", encoding=Encoding())
    assert described(out)[1].endswith("p10le")
    # A tenth of a level of 10 bits is what encoding once more costs; 8 bits cost ten times that.
    assert banding(out) < banding(source) + 0.1
    assert banding(flat) > banding(source) + 0.9


def test_a_slow_gradient_that_moves_gets_no_bands_from_the_encoder(tmp_path: Path) -> None:
    """Skipped blocks would carry the errors of the last frame on: 0.3 levels more."""
    high, wide, frames = 180, 640, 30

    def luma(index: int) -> NDArray[np.float64]:
        return LOW + (np.arange(wide) + index) * LEVELS / wide

    def write(choice: EncoderChoice) -> float:
        path = tmp_path / "sky.mkv"
        with av.open(str(path), "w") as out:
            video = out.add_stream(choice.name, rate=60, options=dict(choice.options))
            video.width, video.height, video.pix_fmt = wide, high, choice.pixel_format
            for index in range(frames):
                frame = av.VideoFrame(wide, high, "yuv420p10le")
                for number, plane in enumerate(frame.planes):
                    value = 512 if number else np.floor(luma(index)).astype(np.uint16)
                    rows = np.frombuffer(memoryview(plane), np.uint16)
                    rows.reshape(-1, plane.line_size // 2)[:, : plane.width] = value
                frame.pts, frame.time_base = index, Fraction(1, 60)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        total = 0.0
        with av.open(str(path)) as found:
            for index, frame in enumerate(found.decode(video=0)):
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
                error = rows[:, :wide].mean(axis=0) - luma(index)
                total += float(np.var(error)) / frames
        return total**0.5

    chosen = configure("libx265", wide, high, Fraction(60), Encoding(codec="hevc", depth=10))
    assert chosen.pixel_format == "yuv420p10le"
    plain = replace(chosen, options={**chosen.options, **row("libx265").options, "crf": "24"})
    finest = write(replace(chosen, options={**chosen.options, "crf": "4"}))
    assert write(chosen) < finest + 0.1
    assert write(plain) > finest + 0.2


def test_dithering_keeps_the_mean_of_what_lies_between() -> None:
    for value in (0, 1, 255, 256, 1000, 65280):
        picture = np.full((32, 48, 3), value, np.uint16)
        assert deep.dithered(picture).mean() * 256 == pytest.approx(value)


def test_hlg_is_the_inverse_of_what_hdr_becomes() -> None:
    random = np.random.default_rng(0)
    signal = random.integers(2000, 40000, (64, 64, 3)).astype(np.uint16)
    plain = hdr.to_sdr(signal, hdr.HLG, hdr.BT2020, 65280, steps=256)
    inside = ((plain > 0) & (plain < 65280)).all(axis=-1)
    assert inside.mean() > 0.3
    off = np.abs(hdr.to_hlg(plain).astype(int) - signal)[inside]
    assert off.max() <= 64  # a quarter of a level of 8 bits


def test_hdr_is_written_as_hlg_where_asked(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", codec="hevc", hlg=True)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        found = context.colorspace, context.color_primaries, context.color_trc, context.pix_fmt
    assert found == (9, hdr.BT2020, hdr.HLG, "yuv420p10le")
