"""What a video holds beside picture and sound: kept where the container can, told where not."""

from __future__ import annotations

from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from helpers import console
from helpers.media import add_subtitles, decode, write_clip, write_subtitles

from rtstyle.jobs.video import stylize_video
from rtstyle.media.spherical import Spherical, tag_mp4
from rtstyle.painting.network import WRAP
from rtstyle.painting.stylizer import Stylizer
from rtstyle.sinks.tracks.keepsakes import kept_tags, later, tag_notes
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sources.video_file import VideoFileSource

paint = partial(stylize_video, style="identity", device="cpu")
PLACE = "+52.5200+013.4000+034.000/"
IPHONE = {
    "com.apple.quicktime.location.ISO6709": PLACE,
    "com.apple.quicktime.creationdate": "2024-05-05T12:00:00+0200",
    "com.apple.quicktime.make": "Apple",
    "creation_time": "2024-05-05T10:00:00.000000Z",
    "title": "Trip",
}


def remux(source: Path, target: Path, extra: Any = None, **options: str) -> Path:
    """Copy the picture of `source`; `extra(output)` adds to it and returns packets."""
    with av.open(str(source)) as found, av.open(str(target), "w", options=options) as out:
        video = out.add_stream_from_template(found.streams.video[0])
        more = extra(out, video) if extra else []
        for packet in found.demux(found.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for packet in more or []:
            out.mux(packet)
    return target


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", width=128, height=64, frames=12)


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as found:
        return {key.lower(): value for key, value in found.metadata.items()}


def test_fonts_go_into_matroska_and_are_told_elsewhere(clip: Path, tmp_path: Path) -> None:
    font = b"\0\1\0\0" + bytes(range(200))

    def attach(out: Any, _video: Any) -> None:
        out.add_attachment("font.ttf", "application/x-truetype-font", font)

    source = remux(clip, tmp_path / "in.mkv", attach)
    report = paint(source, tmp_path / "out.mkv")
    assert report.notes == []
    with av.open(str(tmp_path / "out.mkv")) as found:
        kept: Any = found.streams[-1]
        assert (kept.type, kept.name, kept.data) == ("attachment", "font.ttf", font)
    for kind in ("mp4", "mov", "webm"):
        report = paint(source, tmp_path / f"out.{kind}")
        assert report.notes == ["attached files left out: font.ttf (only .mkv can hold them)"]


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("start", [None, 0.2])
def test_a_second_video_is_kept_as_it_is(
    kind: str, start: float | None, clip: Path, tmp_path: Path
) -> None:
    other = write_clip(tmp_path / "b.mp4", width=64, height=48, frames=12, options={"g": "5"})
    packets: list[Any] = []
    with av.open(str(other)) as second:

        def add(out: Any, video: Any) -> list[Any]:
            video.disposition = Disposition.default
            stream = out.add_stream_from_template(second.streams.video[0])
            for packet in second.demux(second.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    packets.append(packet)
            return packets

        source = remux(clip, tmp_path / "two.mkv", add)
    target = tmp_path / f"out.{kind}"
    report = paint(source, target, start=start)
    assert report.notes == ["video stream 1 (h264) is kept as it is, not painted"]
    with av.open(str(target)) as found:
        frames = list(found.decode(video=1))
    assert {(f.width, f.height) for f in frames} == {(64, 48)}
    assert not any(f.is_corrupt for f in frames)
    assert len(frames) == (12 if start is None else 7)
    assert paint(source, tmp_path / "o.webm").notes == [
        "video stream 1 (h264) left out: webm cannot hold it"
    ]


def gopro(clip: Path, tmp_path: Path) -> Path:
    """A clip with a track of sensor data, as a GoPro has it."""
    path = tmp_path / "gopro.mp4"
    with av.open(str(path), "w") as out, av.open(str(clip)) as found:
        video = out.add_stream_from_template(found.streams.video[0])
        text = add_subtitles(out, "mov_text")
        for packet in found.demux(found.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        write_subtitles(out, text)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"tx3g", b"gpmd", 1).replace(b"sbtl", b"meta", 1))
    return path


def data_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as found:
        streams = [s for s in found.streams if s.type == "data" and "timecode" not in s.metadata]
        return [(p.pts * p.time_base, bytes(p)) for s in streams for p in found.demux(s) if p.size]


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_data_of_sensors_is_kept_with_the_place(kind: str, clip: Path, tmp_path: Path) -> None:
    source = gopro(clip, tmp_path)
    assert data_of(source)
    report = paint(source, tmp_path / f"a.{kind}", keep_location=True)
    assert report.notes == []
    assert data_of(tmp_path / f"a.{kind}") == data_of(source)
    report = paint(source, tmp_path / f"b.{kind}")
    assert report.notes == [
        "data of sensors (stream 1) left out: it may tell the place; --keep-location keeps it "
        "where the container can"
    ]
    assert data_of(tmp_path / f"b.{kind}") == []


@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_data_of_sensors_does_not_fit_into_matroska(kind: str, clip: Path, tmp_path: Path) -> None:
    name = {"mkv": "matroska", "webm": "webm"}[kind]
    report = paint(gopro(clip, tmp_path), tmp_path / f"a.{kind}", keep_location=True)
    assert report.notes == [f"data of sensors (stream 1) left out: {name} cannot hold it"]


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
def test_the_time_code_goes_on_from_the_start(kind: str, clip: Path, tmp_path: Path) -> None:
    def code(_out: Any, video: Any) -> None:
        video.metadata["timecode"] = "10:59:59:24"

    source = remux(clip, tmp_path / "in.mov", code)
    for start, wanted in ((None, "10:59:59:24"), (0.2, "11:00:00:04")):
        target = tmp_path / f"out.{kind}"
        report = paint(source, target, start=start, overwrite=True)
        assert report.notes == []
        with av.open(str(target)) as found:
            told = {k.lower(): v for k, v in found.streams.video[0].metadata.items()}
        assert told["timecode"] == wanted


@cache
def drop_frames() -> list[str]:
    """Codes by the rule, counted from 0: 0 and 1 of a minute are left out, except for tenths."""
    minute = second = frame = 0
    codes = []
    for _ in range(60_000):
        codes.append(f"{minute // 60:02}:{minute % 60:02}:{second:02};{frame:02}")
        frame += 1
        if frame == 30:
            frame, second = 0, second + 1
        if second == 60:
            second, minute = 0, minute + 1
            frame = 0 if minute % 10 == 0 else 2
    return codes


@pytest.mark.parametrize("number", [0, 29, 1799, 1800, 3597, 3598, 17981, 17982, 19781, 40000])
@pytest.mark.parametrize("begin", ["00:00:00;00", "00:00:59;29", "00:01:00;02", "00:09:59;29"])
def test_drop_frame_codes_are_counted_by_the_rule(begin: str, number: int) -> None:
    rate, codes = Fraction(30000, 1001), drop_frames()
    assert later(begin, number / rate, rate) == codes[codes.index(begin) + number]


@pytest.mark.parametrize(
    ("code", "seconds", "rate", "wanted"),
    [
        ("23:59:59:24", Fraction(1, 25), 25, "00:00:00:00"),
        ("01:00:00:00", Fraction(90), 24, "01:01:30:00"),
        ("01:00:00;00", Fraction(1001, 1000), Fraction(60000, 1001), "01:00:01;00"),
        ("00:00:59;59", Fraction(1001, 60000), Fraction(60000, 1001), "00:01:00;04"),
        ("nonsense", Fraction(1), 25, None),
        ("01:00:00:00", Fraction(1), 0, None),
    ],
)
def test_time_codes(code: str, seconds: Fraction, rate: Fraction, wanted: str | None) -> None:
    assert later(code, seconds, Fraction(rate)) == wanted


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("keep", [False, True])
def test_dates_are_kept_and_the_place_only_if_asked(
    kind: str, keep: bool, clip: Path, tmp_path: Path
) -> None:
    def label(out: Any, _video: Any) -> None:
        out.metadata.update(IPHONE)

    source = remux(clip, tmp_path / "in.mov", label, movflags="use_metadata_tags")
    assert tags(source)["com.apple.quicktime.location.iso6709"] == PLACE
    target = tmp_path / f"out.{kind}"
    notes = paint(source, target, keep_location=keep).notes
    kept = tags(target)
    assert kept["title"] == "Trip"
    if kind != "webm":
        assert kept["creation_time"].startswith("2024-05-05T10:00:00")
    date = "date" if kind == "mp4" else "com.apple.quicktime.creationdate"
    assert kept[date] == "2024-05-05T12:00:00+0200"
    place = [value for key, value in kept.items() if "location" in key]
    assert bool(place) == keep
    assert all(value.startswith("+52.52") for value in place)
    assert b"+52.52" not in target.read_bytes() or keep
    lost = ["tags left out: make (.mov and .mkv keep them)"] if kind == "mp4" else []
    hidden = [] if keep else ["the place where it was taken is left out; --keep-location keeps it"]
    assert notes == hidden + lost


def test_tags_of_a_remuxed_iphone_clip_have_capitals() -> None:
    found = {key.upper(): value for key, value in IPHONE.items()}
    assert kept_tags(found, "mp4", True)["location"] == PLACE
    assert PLACE not in kept_tags(found, "matroska", False).values()
    assert len(tag_notes(found, "mp4", False)) == 2


def test_the_command_line_keeps_the_place(clip: Path, tmp_path: Path) -> None:
    source = remux(clip, tmp_path / "in.mp4", lambda out, _: out.metadata.update(location=PLACE))
    words = ("video", "--device", "cpu", "--style", "identity", source)
    assert console.command(*words, tmp_path / "a.mp4") == 0
    assert console.command(*words, "--keep-location", tmp_path / "b.mp4") == 0
    assert "location" not in tags(tmp_path / "a.mp4")
    assert "location" in tags(tmp_path / "b.mp4")


def spherical_of(path: Path) -> Spherical | None:
    with VideoFileSource(path) as source:
        return source.spherical


@pytest.mark.parametrize("stereo", [0, 1, 2])
@pytest.mark.parametrize("front", [False, True])
def test_the_tag_of_a_sphere_leaves_the_pictures_alone(
    stereo: int, front: bool, clip: Path, tmp_path: Path
) -> None:
    path = remux(clip, tmp_path / "a.mp4", **({"movflags": "faststart"} if front else {}))
    before = [frame.to_ndarray() for frame in decode(path)]
    tag = Spherical(yaw=90, pitch=-10, stereo=stereo)
    tag_mp4(path, tag)
    after = [frame.to_ndarray() for frame in decode(path)]
    np.testing.assert_array_equal(before, after)
    # FFmpeg reads projection and layout of this kind of tag; players read where to look at first.
    assert spherical_of(path) == tag
    assert b"<GSpherical:InitialViewHeadingDegrees>90<" in path.read_bytes()
    assert b"<GSpherical:InitialViewPitchDegrees>-10<" in path.read_bytes()
    assert tag.wraps == (stereo != 1)
    assert (path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")) == front


@pytest.mark.parametrize("kind", ["mp4", "mov", "m4v", "mkv", "webm"])
def test_a_sphere_stays_one(kind: str, clip: Path, tmp_path: Path) -> None:
    tag = Spherical(yaw=90, pitch=-10, roll=5)
    tag_mp4(clip, tag)
    report = paint(clip, tmp_path / f"out.{kind}")
    assert report.notes == []
    assert spherical_of(tmp_path / f"out.{kind}") == tag
    again = tmp_path / f"again.{kind}"
    paint(tmp_path / f"out.{kind}", again)
    assert spherical_of(again) == tag


def test_a_lost_sphere_is_told(clip: Path, tmp_path: Path) -> None:
    tag_mp4(clip, Spherical())
    beside = paint(clip, tmp_path / "a.mp4", side_by_side=True)
    assert beside.notes == [
        "the 360-degree tag is left out: beside the original the picture is not a sphere"
    ]
    assert spherical_of(tmp_path / "a.mp4") is None
    assert paint(clip, tmp_path / "a.gif").notes == [
        "the 360-degree tag is left out: only videos have it"
    ]


def test_plain_videos_have_no_sphere(clip: Path, tmp_path: Path) -> None:
    assert spherical_of(clip) is None
    with VideoFileSink(tmp_path / "a.mp4") as sink, VideoFileSource(clip) as source:
        for frame in source:
            sink.write(frame)
    assert spherical_of(tmp_path / "a.mp4") is None


def turned(stylizer: Stylizer, image: Any) -> float:
    """Return how far a picture that is turned by half differs from the painted one turned."""
    painted = stylizer(image).astype(int)
    around = stylizer(np.roll(image, image.shape[1] // 2, axis=1)).astype(int)
    return float(np.abs(np.roll(painted, painted.shape[1] // 2, axis=1) - around).max())


@pytest.mark.parametrize("height", [None, 64])
def test_a_sphere_is_painted_without_a_seam(height: int | None) -> None:
    """Without a seam, it does not matter where the sphere is cut open."""
    random = np.random.default_rng(0)
    image = np.kron(random.integers(0, 256, (16, 64, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with Stylizer("mosaic", "balanced", device="cpu", precision="fp32", height=height) as stylizer:
        open_seam = turned(stylizer, image)
        stylizer.wrap = True
        assert turned(stylizer, image) < 16
        assert open_seam > 30
        assert stylizer(image).shape == (height or 128, 4 * (height or 128), 3)


def test_a_sphere_narrower_than_what_is_added_is_painted() -> None:
    image = np.full((16, WRAP // 4, 3), 77, np.uint8)
    with Stylizer("identity", device="cpu") as stylizer:
        stylizer.wrap = True
        np.testing.assert_array_equal(stylizer(image), image)


def test_the_video_job_wraps_spheres_only(clip: Path, tmp_path: Path) -> None:
    with Stylizer("identity", device="cpu") as stylizer:
        tagged = tmp_path / "tagged.mp4"
        tagged.write_bytes(clip.read_bytes())
        tag_mp4(tagged, Spherical())
        stylize_video(tagged, tmp_path / "a.mp4", stylizer=stylizer)
        assert stylizer.wrap
        stylize_video(clip, tmp_path / "b.mp4", stylizer=stylizer)
        assert not stylizer.wrap
