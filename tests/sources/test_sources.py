from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers.media import exact_rgb, number_of, picture, write_clip
from PIL import Image as Pil
from PIL import ImageOps

from rtstyle.errors import SourceError, UsageError
from rtstyle.media import hdr
from rtstyle.media.hdr import PQ, pq_to_nits
from rtstyle.media.timestamps import TimestampMender
from rtstyle.media.yuv import RgbConverter, YuvConverter, plane_view
from rtstyle.sources import open_camera, open_video
from rtstyle.sources.base import Source
from rtstyle.sources.cameras.camera import CameraSource
from rtstyle.sources.images import ImageSequenceSource, list_images
from rtstyle.sources.pattern import TestPatternSource
from rtstyle.sources.realtime import RealTimeFileSource
from rtstyle.sources.video_file import VideoFileSource
from rtstyle.testing import FakeSource

COUNT, WIDTH, HEIGHT = 6, 96, 64
FAST = 500  # frames a second, so that real-time sources do not hold the tests up


def write_images(folder: Path, count: int = COUNT, suffix: str = "png") -> Path:
    folder.mkdir()
    for index in range(count):
        image = picture(WIDTH, HEIGHT, index)[..., ::-1]
        cv2.imwrite(str(folder / f"in_{index + 8}.{suffix}"), image)
    return folder


def make_avi(folder: Path) -> Path:
    return write_clip(
        folder / "clip.avi",
        frames=COUNT,
        rate=FAST,
        codec="mjpeg",
        pix_fmt="yuvj420p",
        options={"q": "2"},
    )


SOURCES: dict[str, Callable[[Path], Source]] = {
    "fake": lambda folder: FakeSource(COUNT, width=WIDTH, height=HEIGHT),
    "video file": lambda folder: VideoFileSource(write_clip(folder / "a.mp4", frames=COUNT)),
    "images": lambda folder: ImageSequenceSource(write_images(folder / "in")),
    "real-time file": lambda folder: RealTimeFileSource(
        write_clip(folder / "a.mp4", frames=COUNT, rate=FAST)
    ),
    "test pattern": lambda folder: TestPatternSource(WIDTH, HEIGHT, frames=COUNT),
    "live test pattern": lambda folder: TestPatternSource(
        WIDTH, HEIGHT, frames=COUNT, rate=FAST, live=True
    ),
    "stream": lambda folder: CameraSource(make_avi(folder).as_uri(), depth=COUNT),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    made = SOURCES[request.param](tmp_path)
    yield made
    made.close()


class TestContract:
    def test_gives_all_frames_in_order(self, source: Source) -> None:
        with source:
            frames = list(source)
            assert [frame.index for frame in frames] == list(range(COUNT))
            assert source.frames in (COUNT, None)
        times = [frame.time for frame in frames]
        assert times == sorted(set(times))
        captured = [frame.captured_at for frame in frames]
        assert captured == sorted(captured)

    def test_frames_are_as_announced(self, source: Source) -> None:
        with source:
            assert (source.width, source.height) == (WIDTH, HEIGHT)
            assert source.rate is None or source.rate > 0
            assert source.name in source.describe()
            for frame in source:
                assert frame.image.shape == (HEIGHT, WIDTH, 3)
                assert frame.image.dtype == np.uint8
                assert frame.image.flags.c_contiguous

    def test_frames_are_not_overwritten_by_later_ones(self, source: Source) -> None:
        with source:
            frames = iter(source)
            first = next(frames).image
            before = first.copy()
            list(frames)
            assert np.array_equal(first, before)

    def test_stop_ends_the_iteration(self, source: Source) -> None:
        with source:
            frames = iter(source)
            next(frames)
            source.stop()
            assert len(list(frames)) <= 1

    def test_open_and_close_may_be_called_twice(self, source: Source) -> None:
        source.open()
        source.open()
        source.close()
        source.close()


class TestVideoFile:
    def test_the_right_pictures_come_out(self, tmp_path: Path) -> None:
        with VideoFileSource(write_clip(tmp_path / "a.mp4", frames=20)) as source:
            assert [number_of(f.image, 5) for f in source] == list(range(20))
            assert source.rate == 25
            assert source.duration == pytest.approx(0.8)

    @pytest.mark.parametrize("sound", ["aac", None])
    def test_a_file_that_is_cut_off_is_told(self, tmp_path: Path, sound: str | None) -> None:
        path = write_clip(tmp_path / "a.mkv", frames=60, sound=sound)
        with VideoFileSource(path) as source:
            assert len(list(source)) == 60
            assert not source.counts
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        with VideoFileSource(path) as source:
            missing = 60 - len(list(source))
            assert source.counts["seconds missing at the end"] == round(missing / 25)

    def test_variable_rate_time_stamps_are_kept(self, tmp_path: Path) -> None:
        pts = [0, 1000, 1100, 5000, 5500, 9000]
        base = Fraction(1, 9000)
        path = write_clip(tmp_path / "a.mp4", frames=6, pts=pts, time_base=base)
        with VideoFileSource(path) as source:
            assert [f.pts * f.time_base for f in source] == [p * base for p in pts]
            assert not source.counts

    @pytest.mark.parametrize(
        ("start", "end", "numbers"),
        [
            (None, 0.2, range(5)),
            (0.4, None, range(10, 20)),
            (0.4, 0.52, range(10, 13)),
            (0.05, None, range(2, 20)),
            (0.0, 99, range(20)),
        ],
    )
    def test_start_and_end(
        self, tmp_path: Path, start: float | None, end: float | None, numbers: range
    ) -> None:
        path = write_clip(tmp_path / "a.mp4", frames=20)
        with VideoFileSource(path, start=start, end=end) as source:
            frames = list(source)
            assert [number_of(f.image, 5) for f in frames] == list(numbers)
            assert [f.pts * f.time_base for f in frames] == [Fraction(n, 25) for n in numbers]
            assert source.origin == Fraction(str(start or 0))
            assert source.frames == pytest.approx(len(frames), abs=1)

    @pytest.mark.parametrize(("gop", "start"), [(50, 3.0), (200, 3.0), (20, 0.2)])
    def test_start_without_a_list_of_key_frames(
        self, tmp_path: Path, gop: int, start: float
    ) -> None:
        options = {"crf": "8", "preset": "ultrafast", "g": str(gop), "sc_threshold": "0"}
        path = write_clip(tmp_path / "a.ts", width=112, frames=100, options=options)
        with VideoFileSource(path, start=start) as source:
            numbers = [number_of(frame.image, 7) for frame in source]
        assert numbers == list(range(round(start * 25), 100))
        assert source.counts == {}

    @pytest.mark.parametrize("start", [None, 0.04, 0.48, 0.5, 1.0, 1.9])
    @pytest.mark.parametrize(
        ("codec", "options"),
        [
            ("libx264", {}),
            ("libx264", {"g": "10", "bf": "3", "b-pyramid": "none"}),
            ("mpeg4", {"bf": "2"}),
            ("mpeg4", {}),
        ],
    )
    def test_avi_has_even_times_from_0(
        self, tmp_path: Path, codec: str, options: dict[str, str], start: float | None
    ) -> None:
        """Its packets have no time of presentation: with B-frames the first one came late."""
        path = write_clip(tmp_path / "clip.avi", frames=50, codec=codec, options=options)
        with VideoFileSource(path, start=start) as source:
            seen = [(number_of(f.image, 6), f.pts * f.time_base) for f in source]
        first = math.ceil(round(25 * (start or 0), 3))
        assert seen == [(n, Fraction(n, 25)) for n in range(first, 50)]
        assert not source.counts

    def test_stop_is_seen_before_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_clip(tmp_path / "a.h264", frames=20)
        decoded = 0
        with VideoFileSource(path, start=0.6) as source:
            frames = list(source._decode())

            def decode() -> Iterator[av.VideoFrame]:
                nonlocal decoded
                for frame in frames:
                    decoded += 1
                    if decoded == 3:
                        source.stop()
                    yield frame

            monkeypatch.setattr(source, "_decode", decode)
            assert list(source) == []
        assert decoded == 3

    def test_streams_announced_midway_are_no_error(self, tmp_path: Path) -> None:
        class Announcing:
            """PyAV's container, once a file has announced a stream that PyAV did not list."""

            def __init__(self, container: Any) -> None:
                self.close, self._container = container.close, container

            def demux(self, stream: Any) -> Iterator[Any]:
                yield from self._container.demux(stream)
                raise IndexError("list index out of range")

        with VideoFileSource(write_clip(tmp_path / "a.mp4", frames=COUNT)) as source:
            source._reader.container = Announcing(source._reader.container)
            assert [number_of(frame.image, 4) for frame in source] == list(range(COUNT))
        assert source.counts == {}

    def test_nothing_between_start_and_end(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mp4")
        with pytest.raises(SourceError, match=r"0\.48 s long"):
            VideoFileSource(path, start=3).open()
        late = write_clip(tmp_path / "late.mkv", pts=range(50, 62), sound="aac")
        with (
            VideoFileSource(late, start=0.5, end=1.0) as source,
            pytest.raises(SourceError, match="no frame between"),
        ):
            list(source)

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
    @pytest.mark.parametrize(
        ("start", "end", "shown"),
        [
            # Slides of two seconds: what is on the screen at the start is the first picture.
            (None, 2.5, [(0, 0, None), (1, 2, 0.5)]),
            (2.5, None, [(1, 2.5, 1.5), (2, 4, None), (3, 6, None)]),
            (2.5, 3.5, [(1, 2.5, 1)]),
            (2.0, 4.0, [(1, 2, 2)]),
            (3.95, 4.5, [(2, 4, 0.5)]),
        ],
    )
    def test_slides_between_start_and_end(
        self,
        tmp_path: Path,
        suffix: str,
        start: float | None,
        end: float | None,
        shown: list[tuple[int, float, float | None]],
    ) -> None:
        codec = "libvpx" if suffix == "webm" else "libx264"
        base = Fraction(1, 1000)
        path = write_clip(
            tmp_path / f"a.{suffix}", frames=4, pts=[0, 2000, 4000, 6000], time_base=base,
            rate=Fraction(1, 2), codec=codec,
        )  # fmt: skip
        with VideoFileSource(path, start=start, end=end) as source:
            frames = list(source)
            assert [f.index for f in frames] == list(range(len(frames)))
        assert [number_of(f.image, 3) for f in frames] == [number for number, _, _ in shown]
        assert [f.time for f in frames] == pytest.approx([at for _, at, _ in shown], abs=2e-3)
        for frame, (_, _, seconds) in zip(frames, shown, strict=True):
            if seconds is not None:
                found = float(frame.duration * frame.time_base)
                assert found == pytest.approx(seconds, abs=2e-3)

    def test_a_file_that_ends_early_is_told_also_where_a_held_picture_comes_first(
        self, tmp_path: Path
    ) -> None:
        path = write_clip(tmp_path / "a.mkv", frames=60, rate=Fraction(5, 2))
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with VideoFileSource(path, start=10.1) as source:
            frames = list(source)
            assert [f.time for f in frames[:2]] == pytest.approx([10.1, 10.4])
            assert source.counts["seconds missing at the end"] > 2

    def test_a_moment_between_two_frames_has_the_one_that_is_shown(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mp4")
        with VideoFileSource(path, start=0.13, end=0.15) as source:
            frames = list(source)
        assert [(number_of(f.image, 4), f.time) for f in frames] == [(3, pytest.approx(0.13))]
        assert float(frames[0].duration * frames[0].time_base) == pytest.approx(0.02, abs=1e-3)

    @pytest.mark.parametrize(("start", "end"), [(-1, None), (2, 1), (1, 1), (None, 0)])
    def test_impossible_times(self, start: float | None, end: float | None) -> None:
        with pytest.raises(UsageError):
            open_video("a.mp4", start, end)

    @pytest.mark.parametrize(
        ("degrees", "hflip", "vflip", "corners"),
        [
            (0, False, False, "RGBY"),
            (90, False, False, "GYRB"),
            (180, False, False, "YBGR"),
            (270, False, False, "BRYG"),
            (0, True, False, "GRYB"),
            (0, False, True, "BYRG"),
        ],
    )
    def test_rotation_is_applied(
        self, tmp_path: Path, degrees: int, hflip: bool, vflip: bool, corners: str
    ) -> None:
        def draw(width: int, height: int, index: int) -> Any:
            image = np.zeros((height, width, 3), np.uint8)
            half, middle = height // 2, width // 2
            image[:half, :middle], image[:half, middle:] = (255, 0, 0), (0, 255, 0)
            image[half:, :middle], image[half:, middle:] = (0, 0, 255), (255, 255, 0)
            return image

        path = write_clip(
            tmp_path / "a.mp4",
            image=draw,
            setup=lambda s: s.set_display_rotation(degrees, hflip=hflip, vflip=vflip),
        )
        names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 0): "Y"}
        with VideoFileSource(path) as source:
            image = next(iter(source)).image
            assert image.shape == (source.height, source.width, 3)
            assert (source.height > source.width) == (degrees % 180 == 90)
        spots = [image[5, 5], image[5, -5], image[-5, 5], image[-5, -5]]
        assert "".join(names[tuple(int(v > 127) for v in spot)] for spot in spots) == corners

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_photo_with_exif_is_a_video_of_one_upright_picture(
        self, tmp_path: Path, orientation: int
    ) -> None:
        """FFmpeg hands EXIF on beside the picture, for which PyAV had no name: a ValueError."""
        corners, path = np.zeros((48, 64, 3), np.uint8), tmp_path / "a.jpg"
        corners[:24, :32], corners[24:, 32:] = (255, 0, 0), (0, 0, 255)
        exif = Pil.Exif()
        exif[0x112] = orientation
        Pil.fromarray(corners).save(path, exif=exif, quality=95, subsampling=0)
        with VideoFileSource(path) as source:
            (frame,) = source
        with Pil.open(path) as photo:
            upright = np.asarray(ImageOps.exif_transpose(photo))
        assert frame.image.shape == upright.shape
        assert np.abs(frame.image.astype(int) - upright).max() <= 4

    @pytest.mark.parametrize("matrix", [1, 5, 9])
    @pytest.mark.parametrize("color_range", [1, 2])
    def test_matrix_and_range_are_right(
        self, tmp_path: Path, matrix: int, color_range: int
    ) -> None:
        def tag(stream: Any) -> None:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = color_range

        def raw(image: Any) -> Any:
            frame = av.VideoFrame.from_ndarray(image).reformat(format="yuv420p")
            frame.colorspace, frame.color_range = matrix, color_range
            return frame

        path = write_clip(tmp_path / "a.mp4", setup=tag, to_frame=raw)
        with av.open(str(path)) as container:
            decoded = next(container.decode(video=0))
            assert (decoded.colorspace, decoded.color_range) == (matrix, color_range)
            expected = exact_rgb(decoded)
        with VideoFileSource(path) as source:
            image = next(iter(source)).image
        assert np.abs(image.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 0.5

    @pytest.mark.parametrize(("width", "untagged"), [(96, 6), (1280, 1)])
    def test_untagged_colors_go_by_size(self, tmp_path: Path, width: int, untagged: int) -> None:
        path = write_clip(tmp_path / "a.mp4", width=width, frames=1)
        with av.open(str(path)) as container:
            expected = exact_rgb(next(container.decode(video=0)), untagged).mean(axis=(0, 1))
        with VideoFileSource(path) as source:
            image = next(iter(source)).image
        assert np.abs(image.mean(axis=(0, 1)) - expected).max() < 0.5

    @pytest.mark.parametrize(
        ("codec", "pix_fmt", "suffix", "width", "height"),
        [
            ("libx264", "yuv420p10le", "mp4", 96, 64),
            ("libx264", "yuv422p", "mp4", 96, 64),
            ("libx264", "yuv444p", "mkv", 97, 63),
            ("ffv1", "gray", "mkv", 96, 64),
            ("ffv1", "yuv420p", "mkv", 97, 63),
            ("ffv1", "bgr0", "mkv", 97, 63),
            ("gif", "rgb8", "gif", 96, 64),
            ("png", "rgb24", "mov", 96, 64),
            ("png", "rgb48be", "mov", 96, 64),
        ],
    )
    def test_formats_look_like_the_picture(
        self, tmp_path: Path, codec: str, pix_fmt: str, suffix: str, width: int, height: int
    ) -> None:
        path = write_clip(
            tmp_path / f"a.{suffix}",
            frames=3,
            codec=codec,
            pix_fmt=pix_fmt,
            width=width,
            height=height,
            options={},
        )
        with VideoFileSource(path) as source:
            frames = list(source)
        assert len(frames) == 3
        expected = picture(width, height, 2)
        if pix_fmt == "gray":
            expected = expected @ np.array([0.299, 0.587, 0.114])[:, None].repeat(3, axis=1)
        assert frames[2].image.shape == (height, width, 3)
        tolerance = 20 if pix_fmt == "rgb8" else 8
        assert np.abs(frames[2].image.astype(float) - expected).mean() < tolerance

    def test_alpha_is_laid_over_black(self, tmp_path: Path) -> None:
        def see_through(width: int, height: int, index: int) -> Any:
            alpha = np.full((height, width, 1), 128, np.uint8)
            alpha[:, : width // 2] = 0
            return np.concatenate([picture(width, height, index), alpha], axis=2)

        path = write_clip(
            tmp_path / "a.mov",
            codec="png",
            pix_fmt="rgba",
            image=see_through,
            to_frame=lambda a: av.VideoFrame.from_ndarray(a, "rgba"),
            options={},
        )
        with VideoFileSource(path) as source:
            image = next(iter(source)).image
        assert image[:, :48].max() == 0
        assert np.abs(image[:, 48:] - picture(96, 64, 0)[:, 48:] * (128 / 255)).max() <= 1

    def test_hdr_becomes_a_sane_picture(self, tmp_path: Path) -> None:
        signal = np.linspace(0, 1, 4096)
        nits = pq_to_nits(signal)

        def grey_steps(array: Any) -> Any:
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            codes = np.interp([0.01, 10, 100, 203, 1000, 4000], nits, signal) * 876 + 64
            luma = np.repeat(codes.round().astype(np.uint16), 16)
            for number, plane in enumerate(frame.planes):
                rows = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)
                rows[:, : plane.width] = luma if number == 0 else 512
            frame.colorspace, frame.color_range = 9, 1
            frame.color_trc, frame.color_primaries = PQ, 9
            return frame

        def tag(stream: Any) -> None:
            context = stream.codec_context
            context.colorspace, context.color_range = 9, 1
            context.color_trc, context.color_primaries = PQ, 9

        path = write_clip(tmp_path / "a.mkv", pix_fmt="yuv420p10le", to_frame=grey_steps, setup=tag)
        with VideoFileSource(path) as source:
            row = next(iter(source)).image[32, 8::16]
        grey = row.mean(axis=1)
        assert np.ptp(row, axis=1).max() <= 6  # x264 at crf 8 leaves a little
        assert grey[0] <= 5
        assert 60 <= grey[1] <= 85
        assert 180 <= grey[2] <= 195
        assert 230 <= grey[3] <= 248
        assert grey[3] < grey[4] <= grey[5] == 255

    @pytest.mark.parametrize(("trc", "primaries"), [(PQ, 9), (18, 9), (PQ, 1), (1, 9)])
    def test_hdr_is_its_formula_in_every_row(self, trc: int, primaries: int) -> None:
        rgb48 = np.random.default_rng(0).integers(0, 65536, (70, 50, 3), np.uint16)
        light = hdr.linear_table(trc)[rgb48]
        if primaries == 9:
            light = np.asarray(cv2.transform(light, hdr.GAMUT), np.float32)
        index = np.sqrt(np.clip(light / hdr.PEAK, 0, 1)) * 65535
        expected = hdr.display_table(trc in (PQ, 18))[index.astype(np.uint16)]
        np.testing.assert_array_equal(hdr.to_sdr(rgb48, trc, primaries), expected)

    def test_pixel_shape_is_kept(self, tmp_path: Path) -> None:
        def wide(stream: Any) -> None:
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

        with VideoFileSource(write_clip(tmp_path / "a.mp4", setup=wide)) as source:
            assert source.sample_aspect_ratio == Fraction(4, 3)

    def test_raw_stream_without_container(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.h264", frames=20)
        with VideoFileSource(path, start=0.2) as source:
            frames = list(source)
            assert [number_of(f.image, 5) for f in frames] == list(range(5, 20))
        assert frames[1].time - frames[0].time == pytest.approx(0.04)

    def test_a_size_that_changes_midway_is_scaled(self, tmp_path: Path) -> None:
        small = write_clip(tmp_path / "a.h264", frames=3).read_bytes()
        large = write_clip(tmp_path / "b.h264", frames=3, width=160, height=128).read_bytes()
        path = tmp_path / "c.h264"
        path.write_bytes(small + large)
        with VideoFileSource(path) as source:
            assert [f.image.shape for f in source] == [(64, 96, 3)] * 6
            assert source.counts["frames of another size"] == 3

    def test_damage_midway_is_skipped_and_counted(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mp4", frames=40, options={"g": "4", "preset": "ultrafast"})
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 600] = bytes(range(200)) * 3
        path.write_bytes(data)
        with VideoFileSource(path) as source:
            frames = list(source)
            assert 25 <= len(frames) <= 40
            assert sum(source.counts.values()) >= 1
        assert number_of(frames[-1].image, 6) == 39

    def test_a_truncated_file_gives_what_is_there(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mkv", frames=40)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with VideoFileSource(path) as source:
            assert 5 <= len(list(source)) < 40

    def test_a_cover_picture_is_no_video(self, tmp_path: Path) -> None:
        path = tmp_path / "song.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=48000)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate = 48000
            out.mux([*stream.encode(frame), *stream.encode(None)])
        with pytest.raises(SourceError, match="only sound"):
            VideoFileSource(path).open()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(None, "does not exist"), (b"", "empty"), (b"no video at all" * 99, "not a video")],
    )
    def test_bad_files(self, tmp_path: Path, content: bytes | None, reason: str) -> None:
        path = tmp_path / "bad.mp4"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceError, match=reason):
            VideoFileSource(path).open()

    def test_a_folder_is_no_video(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="folder"):
            VideoFileSource(tmp_path).open()

    @pytest.mark.parametrize(
        ("name", "count"),
        [("bikes.mp4", 250), ("foreman_352x288.264", 300)],
    )
    def test_real_clips(self, data: Path, name: str, count: int) -> None:
        with VideoFileSource(data / "video" / name) as source:
            assert sum(1 for _ in source) == count


@pytest.mark.slow
def test_no_decoded_frame_waits_for_the_garbage_collector(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=60)
    with VideoFileSource(path) as source:
        frames = iter(source)
        next(frames)
        gc.collect()
        gc.disable()
        try:
            assert sum(1 for _ in frames) == 59
            # Each frame with its side data would be several objects.
            assert gc.collect() < 59
        finally:
            gc.enable()


class TestTimestamps:
    def mend(self, stamps: list[int | None]) -> tuple[list[int], int]:
        mender = TimestampMender(Fraction(1, 1000), 40)
        return [mender(stamp) for stamp in stamps], mender.mended

    def test_sound_ones_are_kept(self) -> None:
        assert self.mend([5, 45, 46, 900]) == ([5, 45, 46, 900], 0)

    def test_missing_ones_are_made_up(self) -> None:
        assert self.mend([None, None, 80, None]) == ([0, 40, 80, 120], 0)

    def test_small_steps_back_cost_no_sync(self) -> None:
        assert self.mend([0, 40, 40, 30, 120]) == ([0, 40, 41, 42, 120], 2)

    def test_a_short_recording_that_begins_anew_is_told_from_a_late_frame(self) -> None:
        mender = TimestampMender(Fraction(1, 1000), 40)
        times = [0, 40, 80, 120, 0, 40, 80]
        mended = [mender(now, after) for now, after in zip(times, [*times[1:], None], strict=True)]
        assert mended == [0, 40, 80, 120, 160, 200, 240]

    def test_a_new_time_line_goes_on_behind_the_old(self) -> None:
        assert self.mend([10000, 10040, 0, 40, 80]) == ([10000, 10040, 10080, 10120, 10160], 1)
        assert self.mend([0, 40, 10**9, 10**9 + 40])[0] == [0, 40, 80, 120]

    @pytest.mark.parametrize("stray", [46_000, 90_000_000, -30_000])
    def test_a_lone_stray_time_stamp_moves_nothing_else(self, stray: int) -> None:
        mender = TimestampMender(Fraction(1, 1000), 40)
        times = [0, 40, stray, 120, 160]
        mended = [mender(now, after) for now, after in zip(times, [*times[1:], None], strict=True)]
        assert mended == [0, 40, 80, 120, 160]
        assert mender.mended == 1

    def test_a_real_leap_is_kept(self) -> None:
        mender = TimestampMender(Fraction(1, 1000), 40)
        times = [0, 40, 46_000, 46_040]
        mended = [mender(now, after) for now, after in zip(times, [*times[1:], None], strict=True)]
        assert mended == times
        assert mender.mended == 0


class TestImages:
    def test_numbers_sort_as_numbers(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "in")
        names = [f"in_{n}.png" for n in range(8, 14)]
        for path in (folder, folder / "in_%d.png", folder / "in_*.png"):
            assert [p.name for p in list_images(path)] == names
            with open_video(path) as source:
                assert [number_of(f.image, 4) for f in source] == list(range(6))

    def test_hidden_files_are_no_pictures(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "in")
        (folder / "._in_8.png").write_bytes(b"no picture")
        assert len(list_images(folder)) == 6

    def test_start_and_end(self, tmp_path: Path) -> None:
        with open_video(write_images(tmp_path / "in"), 0.08, 0.16) as source:
            assert [number_of(f.image, 4) for f in source] == [2, 3]
            assert source.origin == Fraction("0.08")

    def test_unreadable_and_odd_ones_are_counted(self, tmp_path: Path) -> None:
        folder = write_images(tmp_path / "in")
        (folder / "in_9.png").write_bytes(b"broken")
        cv2.imwrite(str(folder / "in_10.png"), np.zeros((20, 20, 3), np.uint8))
        with ImageSequenceSource(folder) as source:
            frames = list(source)
        assert [f.image.shape for f in frames] == [(HEIGHT, WIDTH, 3)] * 5
        assert [f.pts for f in frames] == [0, 2, 3, 4, 5]
        assert source.counts == {"unreadable pictures": 1, "frames of another size": 1}

    def test_none_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "in_1.png").write_bytes(b"broken")
        with pytest.raises(SourceError, match="can be read"):
            ImageSequenceSource(tmp_path).open()
        with pytest.raises(SourceError, match="matches no picture"):
            ImageSequenceSource(tmp_path / "x_%d.png").open()


class TestLive:
    def test_a_loop_goes_on_with_rising_time_stamps(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mp4", frames=5, rate=FAST)
        with RealTimeFileSource(path, loop=True) as source:
            frames = [frame for frame, _ in zip(source, range(13), strict=False)]
        assert [number_of(f.image, 4) for f in frames] == [*range(5), *range(5), *range(3)]
        assert [f.index for f in frames] == list(range(13))
        assert [f.pts * f.time_base for f in frames] == [Fraction(n, FAST) for n in range(13)]

    def test_pixels_are_square_as_those_of_a_camera(self, tmp_path: Path) -> None:
        def wide(stream: Any) -> None:
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

        path = write_clip(tmp_path / "a.mp4", frames=2, rate=FAST, setup=wide)
        with RealTimeFileSource(path) as source:
            assert (source.width, source.height, source.sample_aspect_ratio) == (128, 64, None)
            assert [frame.image.shape for frame in source] == [(64, 128, 3)] * 2

    def test_frames_wait_for_their_time(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a.mp4", frames=4, rate=50)
        with RealTimeFileSource(path) as source:
            frames = list(source)
        assert frames[-1].captured_at - frames[0].captured_at >= 0.055

    @pytest.mark.parametrize("camera", ["63", "/dev/video63"])
    def test_a_missing_camera_is_one_error(
        self, camera: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SourceError, match=r"camera .*63.*--camera test"):
            open_camera(camera).open()
        assert capfd.readouterr() == ("", "")

    def test_what_a_camera_may_be(self, tmp_path: Path) -> None:
        assert isinstance(open_camera("test"), TestPatternSource)
        assert isinstance(open_camera("clip.mp4"), RealTimeFileSource)
        assert isinstance(open_camera("0"), CameraSource)
        url = open_camera("rtsp://somewhere/clip.mp4")
        assert isinstance(url, CameraSource)
        assert url.camera == "rtsp://somewhere/clip.mp4"


def test_there_and_back_again_keeps_flat_colors() -> None:
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = colors.repeat(16, axis=0).repeat(16, axis=1)
    frame = YuvConverter()(image)
    back = RgbConverter()(frame)
    difference = back[8::16, 8::16].astype(float) - colors
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5
    assert np.abs(difference).max() <= 3


def test_odd_sizes_are_padded_only_on_demand() -> None:
    image = picture(97, 63, 0)
    even, odd = YuvConverter()(image), YuvConverter(even=False)(image)
    assert (even.width, even.height) == (98, 64)
    assert (odd.width, odd.height) == (97, 63)
    luma = plane_view(even, 0)
    assert np.array_equal(luma[-1], luma[-2])
    assert np.array_equal(luma[:, -1], luma[:, -2])
    assert np.array_equal(luma[:63, :97], plane_view(odd, 0))
