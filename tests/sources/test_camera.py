from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers.media import number_of, picture, write_clip

from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.sources import open_camera
from rtstyle.sources.cameras import camera as camera_module
from rtstyle.sources.cameras import resilient, stream
from rtstyle.sources.cameras.camera import LINUX, CameraSource, DeviceCapture
from rtstyle.sources.cameras.info import CameraInfo
from rtstyle.sources.cameras.placard import draw_placard
from rtstyle.sources.cameras.resilient import MOST_STUCK, ResilientSource, Shot, StreamEndedError
from rtstyle.sources.realtime import RealTimeFileSource
from rtstyle.testing import FakeSink, negative

WIDTH, HEIGHT = 96, 64
SHORT_GOP = {"preset": "ultrafast", "g": "5", "sc_threshold": "0"}
LONG = 20.0  # seconds of real time; only a test that fails waits for so long


class World:
    """A camera that follows a script, and the time, which passes only while nothing happens.

    `script` has one line for each time the camera is opened: a number of pictures and what comes
    then: `fail`, `hang`, `end`, or `refuse` in place of opening. After the last line it refuses.
    """

    def __init__(self, *script: tuple[int, str]) -> None:
        self.now = 100.0
        self.script = list(script)
        self.opened_at: list[float] = []
        self.lost_at: list[float] = []
        self.open = self.shown = 0
        self.hung = False
        self.free, self.turn = threading.Event(), threading.Semaphore(0)
        self.source = ResilientSource(
            "camera 7", self.opener, clock=lambda: self.now, wait=self.wait
        )

    def wait(self, news: threading.Condition, seconds: float) -> None:
        reader: Any = self.source._reader
        if reader is not None and reader.alive and not self.hung:
            self.turn.release()
            assert news.wait(LONG), "the reader did nothing"
        else:
            self.now += seconds

    def opener(self) -> Any:
        self.opened_at.append(self.now)
        pictures, then = self.script.pop(0) if self.script else (0, "refuse")
        if then == "refuse":
            self.turn.acquire(timeout=LONG)
            self.lost_at.append(self.now)
            raise SourceError("There is no picture from camera 7.", "It cannot be opened.")
        return ScriptedCapture(self, pictures, then)

    def finish(self) -> None:
        """Let all readers go that hang."""
        self.free.set()
        self.turn.release(1000)

    def back_off(self) -> list[float]:
        pairs = zip(self.lost_at, self.opened_at[1:], strict=False)
        return [round(opened - lost, 3) for lost, opened in pairs]


class ScriptedCapture:
    rate, note = Fraction(25), "MJPG"

    def __init__(self, world: World, pictures: int, then: str) -> None:
        self.world, self.left, self.then = world, pictures, then
        world.open += 1

    def read(self) -> Shot | None:
        world = self.world
        world.turn.acquire(timeout=LONG)
        if self.left:
            self.left -= 1
            world.shown += 1
            world.now += 0.04
            return Shot(picture(WIDTH, HEIGHT, world.shown), world.now)
        if self.then == "end":
            raise StreamEndedError
        if self.then == "hang":
            world.hung = True
            with world.source._news:
                world.source._news.notify_all()
            world.free.wait(LONG)
        world.lost_at.append(world.now)
        return None

    def close(self) -> None:
        self.world.open -= 1


def bright(frame: Frame) -> bool:
    """Say whether this is a picture and no placard."""
    return bool(np.median(frame.image) > 60)


def camera_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("rtstyle-camera")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in camera_threads():
        thread.join(LONG)
    assert not camera_threads()


class TestResilience:
    def test_a_camera_that_fails_comes_back(self) -> None:
        world = World((3, "fail"), (3, "end"))
        with world.source as source:
            frames = list(source)
        assert [number_of(f.image, 5) for f in frames if bright(f)] == [1, 2, 3, 4, 5, 6]
        assert source.counts == {"reconnects": 1, "placards": len(frames) - 6}
        assert world.back_off() == [0.5]
        assert world.open == 0

    def test_placards_come_at_a_few_a_second_and_time_stamps_rise(self) -> None:
        world = World((2, "fail"), (0, "refuse"), (0, "refuse"), (1, "end"))
        with world.source as source:
            frames = list(source)
        assert [f.index for f in frames] == list(range(len(frames)))
        assert [f.pts for f in frames] == sorted({f.pts for f in frames})
        # 0.5 + 1 + 2 s without a picture, four a second.
        assert len(frames) - 3 == pytest.approx(14, abs=1)
        assert frames[-1].time == pytest.approx(3.6, abs=0.1)
        for before, after in pairwise(frames):
            assert 0 <= after.captured_at - before.captured_at <= 0.26

    def test_the_wait_doubles_up_to_eight_seconds(self) -> None:
        world = World((1, "fail"), *[(0, "refuse")] * 7, (1, "fail"), (1, "end"))
        with world.source as source:
            list(source)
        assert world.back_off() == [0.5, 1, 2, 4, 8, 8, 8, 8, 0.5]
        assert source.counts["reconnects"] == 2

    def test_a_camera_that_hangs_is_left_behind(self) -> None:
        world = World((2, "hang"), (2, "end"))
        with world.source as source:
            frames = iter(source)
            first = [next(frames), next(frames)]
            placard = next(frames)
            assert source.lost
            assert placard.captured_at - first[-1].captured_at == pytest.approx(2.0)
            assert placard.image.mean() < 0.6 * first[-1].image.mean()
            world.hung = False  # the next camera does not
            rest = list(frames)
        assert source.counts == {"stalled": 1, "reconnects": 1, "placards": 1 + len(rest) - 2}
        assert not source.lost
        assert number_of(rest[-1].image, 5) == 4
        assert world.open == 1
        world.finish()
        for thread in camera_threads():
            thread.join(LONG)
        assert world.open == 0

    def test_twenty_times_away_and_back_leaks_nothing(self) -> None:
        world = World(*[(2, "fail")] * 20, (1, "end"))
        with world.source as source:
            shown = sum(map(bright, source))
            assert len(camera_threads()) <= 1
        assert shown == 41
        assert source.counts["reconnects"] == 20
        assert world.open == 0

    @pytest.mark.slow
    def test_readers_left_behind_are_bounded(self) -> None:
        world = World((1, "hang"), *[(0, "hang")] * 50)
        with world.source as source:
            source._open_patience = 1.0
            frames = iter(source)
            for _ in range(320):  # eighty seconds of placards
                next(frames)
            assert len(camera_threads()) >= MOST_STUCK
            assert len(camera_threads()) <= MOST_STUCK + 1
        world.finish()

    def test_stop_wakes_a_hanging_read_at_once(self) -> None:
        free = threading.Event()

        class Hangs(ScriptedCapture):
            def read(self) -> Shot | None:
                if self.left:
                    self.left = 0
                    return Shot(picture(WIDTH, HEIGHT, 1), 1.0)
                free.wait(LONG)
                return None

        source = ResilientSource("x", lambda: Hangs(World(), 1, ""), patience=LONG)
        got: list[Any] = []
        with source:
            thread = threading.Thread(target=lambda: got.extend(source))
            thread.start()
            source.stop()
            thread.join(LONG / 2)
            assert not thread.is_alive()
            free.set()
        assert len(got) <= 1

    def test_the_true_rate_is_measured(self) -> None:
        world = World((60, "end"))
        with world.source as source:
            assert source.rate == 25
            assert "measured" not in source.describe()
            assert len(list(source)) == 60
        assert source.measured_rate == pytest.approx(25, rel=0.01)
        assert source.describe() == "camera 7: 96x64 MJPG at 25 FPS, measured 25.0 FPS"

    def test_the_newest_picture_wins_and_the_skipped_are_counted(self) -> None:
        done = threading.Event()

        class Hurries(ScriptedCapture):
            def read(self) -> Shot | None:
                self.left -= 1
                if self.left == 0:
                    done.set()
                    raise StreamEndedError
                return Shot(picture(WIDTH, HEIGHT, 10 - self.left), 10.0 - self.left)

        with ResilientSource("x", lambda: Hurries(World(), 10, "")) as source:
            assert done.wait(LONG)
            frames = list(source)
        assert [(f.index, number_of(f.image, 5)) for f in frames] == [(8, 9)]
        assert source.counts == {"overtaken": 8}

    def test_another_size_after_the_return_is_scaled(self) -> None:
        class Grows(ScriptedCapture):
            def read(self) -> Shot | None:
                shot = super().read()
                large = shot and cv2.resize(shot.image, (128, 128))
                return shot and Shot(np.asarray(large, np.uint8), shot.at)

        world = World((1, "fail"), (1, "end"))
        kinds = [ScriptedCapture, Grows]
        world.opener = lambda: kinds.pop(0)(world, *world.script.pop(0))  # type: ignore[method-assign]
        world.source._opener = world.opener
        with world.source as source:
            assert {f.image.shape for f in source} == {(HEIGHT, WIDTH, 3)}
        assert source.counts["frames of another size"] == 1

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ((0, "refuse"), "cannot be opened"),
            ((0, "fail"), "another program"),
            ((0, "hang"), "none within 10 s"),
        ],
    )
    def test_a_camera_that_never_was_is_an_error(self, line: tuple[int, str], why: str) -> None:
        world = World(line)
        with pytest.raises(SourceError, match=why):
            world.source.open()
        world.finish()
        assert world.source.counts == {}

    def test_an_unforeseen_error_of_the_driver_is_only_a_loss(self) -> None:
        class Raises(ScriptedCapture):
            def read(self) -> Shot | None:
                if not self.left:
                    self.world.turn.acquire(timeout=LONG)
                    raise RuntimeError("driver")
                return super().read()

        world = World((1, ""), (1, "end"))
        kinds = [Raises, ScriptedCapture]
        world.source._opener = lambda: kinds.pop(0)(world, *world.script.pop(0))
        with world.source as source:
            placards = len(list(source)) - 2
        assert source.counts == {"reconnects": 1, "placards": placards}


class TestPlacard:
    def test_it_is_dim_but_readable(self) -> None:
        bright = np.full((480, 640, 3), 255, np.uint8)
        image = draw_placard(640, 480, "No picture", "trying again", bright)
        assert image.shape == (480, 640, 3)
        assert image.dtype == np.uint8
        assert 60 < np.median(image) < 110
        assert image.max() > 230
        assert image.flags.c_contiguous

    @pytest.mark.parametrize("size", [(1, 1), (16, 9), (97, 63), (1920, 1080)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        image = draw_placard(*size, "No picture from camera 0 " * 3, "trying again in 8 s")
        assert image.shape == (size[1], size[0], 3)
        if size[0] > 97:
            columns = np.flatnonzero(image.max(axis=(0, 2)) > 200)
            assert 0 < columns.min() < columns.max() < size[0] - 1


class FakeVideoCapture:
    """What `cv2.VideoCapture` promises, for `devices`: where -> how many pictures."""

    devices: dict[int | str, int] = {}  # noqa: RUF012 - replaced by the fixture
    opened: list[int | str] = []  # noqa: RUF012
    released = 0

    def __init__(self, where: int | str, api: int = cv2.CAP_ANY) -> None:
        self.where, self.index = where, 0
        self.properties = {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_POS_MSEC: 0.0}
        self.opened.append(where)

    def isOpened(self) -> bool:  # noqa: N802
        return self.where in self.devices

    def set(self, name: int, value: float) -> bool:
        if name == cv2.CAP_PROP_FRAME_WIDTH:
            return False
        self.properties[name] = value
        return True

    def get(self, name: int) -> float:
        return self.properties.get(name, 0.0)

    def grab(self) -> bool:
        self.index += 1
        return self.index <= self.devices.get(self.where, 0)

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.ascontiguousarray(picture(WIDTH, HEIGHT, self.index)[..., ::-1])

    def release(self) -> None:
        FakeVideoCapture.released += 1


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> dict[int | str, int]:
    monkeypatch.setattr(cv2, "VideoCapture", FakeVideoCapture)
    monkeypatch.setattr(FakeVideoCapture, "devices", {})
    monkeypatch.setattr(FakeVideoCapture, "opened", [])
    monkeypatch.setattr(FakeVideoCapture, "released", 0)
    return FakeVideoCapture.devices


def cameras(*names: str) -> list[CameraInfo]:
    return [CameraInfo(i, name, f"/dev/video{i}") for i, name in enumerate(names)]


class TestDevices:
    def test_what_was_asked_and_given_is_told(self, devices: dict[int | str, int]) -> None:
        devices[0] = 10**6
        with CameraSource(0, width=640, height=480, rate=30, cameras=list) as source:
            frame = next(iter(source))
            said = source.describe()
        assert said == "camera 0: 96x64 MJPG at 30 FPS (asked for 640x480 at 30)"
        assert np.array_equal(frame.image[16:], picture(WIDTH, HEIGHT, 0)[16:])

    def test_the_drivers_time_stamp_is_taken_if_it_can_be_true(
        self, devices: dict[int | str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        devices[0] = 9
        monkeypatch.setattr(camera_module, "LINUX", True)
        monkeypatch.setattr("time.monotonic", lambda: 500.0)
        fake: Any = FakeVideoCapture(0)
        capture = DeviceCapture(fake, (640, 480, 30))
        for stamp, at in [(499.93, 499.93), (0.0, 500.0), (3.2, 500.0), (501.0, 500.0)]:
            fake.properties[cv2.CAP_PROP_POS_MSEC] = stamp * 1000
            shot = capture.read()
            assert shot is not None
            assert shot.at == pytest.approx(at)

    def test_by_name(self, devices: dict[int | str, int]) -> None:
        devices["/dev/video1"] = 10**6
        here = cameras("Integrated Camera", "HD Pro Webcam C920")
        with CameraSource("c920", cameras=lambda: here) as source:
            assert source.width == WIDTH
        assert FakeVideoCapture.opened == ["/dev/video1"]

    @pytest.mark.parametrize(
        ("name", "why"),
        [("nikon", "No camera is called 'nikon'.*0 .HD Webcam."), ("webcam", "Several cameras")],
    )
    def test_names_that_do_not_tell(self, name: str, why: str) -> None:
        here = cameras("HD Webcam", "Other Webcam")
        with pytest.raises(SourceError, match=why):
            CameraSource(name, cameras=lambda: here).open()

    def test_a_missing_camera_lists_those_there(self, devices: dict[int | str, int]) -> None:
        here = cameras("HD Webcam")
        with pytest.raises(SourceError, match=r"camera 3.*Cameras here: 0 \(HD Webcam\).*test"):
            CameraSource(3, cameras=lambda: here).open()

    def test_a_camera_that_returns_under_another_number_is_found(
        self, devices: dict[int | str, int]
    ) -> None:
        devices[0] = 10**6
        here = [CameraInfo(0, "HD Webcam", "/dev/video0")]
        source = CameraSource(0, cameras=lambda: here)
        assert source._locate() == 0
        here[:] = [CameraInfo(0, "Scanner", "/dev/video0"), CameraInfo(2, "HD Webcam", "/dev/v2")]
        assert source._locate() == "/dev/v2"
        here[:] = []
        assert source._locate() == 0

    @pytest.mark.slow
    def test_a_live_run_outlives_twenty_unpluggings(
        self, devices: dict[int | str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resilient, "FIRST_DELAY", 0.001)
        devices[0] = 3  # pictures each time it is plugged in
        source = CameraSource(0, cameras=list)
        sink = FakeSink(on_frame=lambda _: pipeline.stop() if done() else None)
        pipeline = Pipeline(source, negative, [sink], policy=LATEST)

        def done() -> bool:
            return source.counts["reconnects"] >= 20

        handles = len(list(Path("/proc/self/fd").iterdir())) if LINUX else 0
        report = pipeline.run()
        assert report.counts["reconnects"] >= 20
        assert sink.calls[-1] == "close"
        assert FakeVideoCapture.released == len(FakeVideoCapture.opened)
        if LINUX:
            assert len(list(Path("/proc/self/fd").iterdir())) <= handles

    def test_opencv_may_speak_again_afterwards(self, devices: dict[int | str, int]) -> None:
        logging: Any = cv2.utils.logging
        before = logging.getLogLevel()
        with pytest.raises(SourceError):
            CameraSource(0, cameras=list).open()
        assert logging.getLogLevel() == before
        devices[0] = 10**6
        with CameraSource(0, cameras=list):
            assert logging.getLogLevel() == logging.LOG_LEVEL_SILENT
        assert logging.getLogLevel() == before


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server with `/clip.mp4`, `/live` (MJPEG, 8 pictures), `/page` and `/hang`."""
    clip = write_clip(tmp_path / "clip.mp4", frames=6, rate=100).read_bytes()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/hang":
                over.wait(LONG)
                return
            kinds = {"/clip.mp4": ("video/mp4", clip), "/page": ("text/html", b"<p>hello" * 99)}
            if self.path == "/live":
                self.send_response(200)
                boundary = "multipart/x-mixed-replace;boundary=frame"
                self.send_header("Content-Type", boundary)
                self.end_headers()
                for index in range(8):
                    data = cv2.imencode(".jpg", picture(WIDTH, HEIGHT, index))[1].tobytes()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                return
            if self.path not in kinds:
                self.send_error(404)
                return
            kind, data = kinds[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:  # type: ignore[override]
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    over.set()
    http.shutdown()
    thread.join()
    http.server_close()


class TestStreams:
    def test_a_film_on_a_web_server_plays_once(self, server: str) -> None:
        with CameraSource(f"{server}/clip.mp4", depth=10) as source:
            frames = list(source)
        assert [number_of(f.image, 4) for f in frames] == list(range(6))
        assert source.counts == {}
        assert source.rate == 100
        assert "h264" in source.describe()

    def test_a_live_stream_that_breaks_off_becomes_a_placard(self, server: str) -> None:
        with CameraSource(f"{server}/live", depth=10) as source:
            frames = iter(source)
            got = [next(frames) for _ in range(9)]
            assert source.lost
        assert [number_of(f.image, 4) for f in got[1:8]] == list(range(1, 8))
        assert got[8].image.mean() < 0.6 * got[7].image.mean()

    @pytest.mark.parametrize(
        ("path", "why"), [("/none", "404|Not Found"), ("/page", "Invalid data"), ("/hang", "0.3 s")]
    )
    def test_bad_addresses(
        self,
        server: str,
        path: str,
        why: str,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        if path == "/hang":
            monkeypatch.setattr(stream, "OPEN_TIMEOUT", 0.3)
        with pytest.raises(SourceError, match=why) as caught:
            open_camera(server + path).open()
        assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        "url", ["rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/x", "foo://x", "http://no.invalid/x"]
    )
    def test_nobody_there(self, url: str) -> None:
        with pytest.raises(SourceError, match="no picture from"):
            open_camera(url).open()

    @pytest.mark.slow
    def test_a_live_stream_in_segments_is_paced(self, tmp_path: Path) -> None:
        hls = {"hls_time": "0.2", "hls_list_size": "0", "hls_flags": "omit_endlist"}
        path, now = tmp_path / "live.m3u8", 0.0
        source: Any = av.open(str(write_clip(tmp_path / "a.ts", frames=20, options=SHORT_GOP)))
        with source, av.open(str(path), "w", format="hls", options=hls) as out:
            video = out.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                packet.stream = video
                if packet.dts is not None:
                    out.mux(packet)

        def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        capture = stream.StreamCapture(path.as_uri(), clock=lambda: now, sleep=sleep)
        try:
            shots = [capture.read() for _ in range(8)]
        finally:
            capture.close()
        times = [shot.at for shot in shots if shot is not None]
        assert times == pytest.approx([0.04 * number for number in range(8)])

    def test_bursts_are_spread_and_breaks_count_anew(self) -> None:
        due = stream.Pacer().due
        assert [due(time, 100.0) for time in (5.0, 5.5, 6.0)] == [100.0, 100.5, 101.0]
        # After a gap in the arrival there is no hurry, and no jump in the times is waited for.
        assert [due(time, 103.0) for time in (6.5, 7.0)] == [103.0, 103.5]
        assert [due(time, 103.5) for time in (90.0, 90.5)] == [103.5, 104.0]
        assert [due(time, 104.0) for time in (1.0, 1.5)] == [104.0, 104.5]

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://a/live.m3u8", True),
            ("https://a/x/INDEX.M3U8?token=1", True),
            ("https://a/get?file=live.m3u8", True),
            ("http://a/live.mpd", True),
            ("http://a.m3u8.org/live.ts", False),
            ("rtsp://a/live", False),
            ("file:///tmp/live.m3u8", True),
        ],
    )
    def test_segments_are_waited_for(
        self, url: str, expected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: dict[str, Any] = {}
        monkeypatch.setattr(stream.av, "open", lambda *_, **options: given.update(options))
        stream.open_stream(url)
        patience = CameraSource(url)._patience
        # A segment lasts 6 or 10 s, and comes at once.
        assert (given["timeout"][1] >= 15, patience >= 15) == (expected, expected)

    def test_passwords_are_not_shown(self) -> None:
        source = CameraSource("rtsp://me:secret@127.0.0.1:9/x")
        with pytest.raises(SourceError) as caught:
            source.open()
        assert "secret" not in f"{caught.value}{source.name}{source.describe()}"

    def test_a_file_url_is_a_file(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "a clip.mp4", frames=3, rate=500)
        source = open_camera(path.as_uri(), loop=True)
        assert isinstance(source, RealTimeFileSource)
        assert source.path == path
        assert source.loop
        assert isinstance(open_camera("Camera v2.0"), CameraSource)
