from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.media import number_of, picture

from rtstyle.errors import MissingExtraError, SinkError
from rtstyle.frame import Frame
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.sinks import virtual_camera
from rtstyle.sinks.virtual_camera import VirtualCameraSink, fit, no_device, sizes_to_try
from rtstyle.testing import FakeSource, negative

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="needs the extra virtual-camera")
STEP = Fraction(1, 25)


class Device:
    """A back end that keeps the contract of `pyvirtualcam.Backend`, and checks that we keep ours.

    `takes` says which sizes it supports; `fails_at` raises in place of that frame.
    """

    takes: Any = staticmethod(lambda width, height: width % 2 == 0 and height % 2 == 0)
    fails_at: int | None = None
    made: list[Device] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None
    ) -> None:
        if not self.takes(width, height):
            raise RuntimeError(f"{width}x{height} is not supported")
        if device not in (None, "fake 0"):
            raise RuntimeError(f"Device {device} does not exist.")
        self.size, self.fps, self.fourcc = (width, height), fps, fourcc
        self.frames: list[Any] = []
        self.closed = 0
        self.made.append(self)

    def close(self) -> None:
        self.closed += 1

    def send(self, frame: Any) -> None:
        assert not self.closed
        assert frame.ndim == 1
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        if len(self.frames) == self.fails_at:
            raise RuntimeError("error writing frame: No such device")
        self.frames.append(frame.reshape(self.size[1], self.size[0], 3).copy())

    def device(self) -> str:
        return "fake 0"

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture(autouse=True)
def _fake_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Device, "made", [])
    before = dict(pyvirtualcam.camera.BACKENDS)
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.register_backend("fake", Device)
    yield
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.camera.BACKENDS.update(before)
    assert all(device.closed == 1 for device in Device.made)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def frame(index: int, width: int = 96, height: int = 64) -> Frame:
    return Frame(picture(width, height, index), index, index, STEP, time.monotonic())


def test_frames_arrive_as_rgb_in_order() -> None:
    clock = Clock()
    with VirtualCameraSink(96, 64, 25, clock=clock) as sink:
        for index in range(5):
            sink.write(frame(index))
            clock.now += 0.04
        assert sink.describe() == "virtual camera fake 0: 96x64 at 25 FPS"
    (device,) = Device.made
    assert device.fps == 25
    assert device.fourcc == pyvirtualcam.util.encode_fourcc(pyvirtualcam.PixelFormat.RGB.value)
    assert [number_of(image, 4) for image in device.frames] == list(range(5))
    assert np.array_equal(device.frames[2], picture(96, 64, 2))
    assert not sink.counts


@pytest.mark.parametrize(("width", "height"), [(97, 63), (97, 64), (1, 1), (33, 2)])
def test_odd_sizes_are_filled_up(width: int, height: int) -> None:
    with VirtualCameraSink(width, height, 25) as sink:
        sink.write(Frame(np.full((height, width, 3), 77, np.uint8), 0, 0, STEP, 0.0))
    (image,) = Device.made[0].frames
    assert image.shape == (height + height % 2, width + width % 2, 3)
    assert (image == 77).all()


def test_a_back_end_that_knows_few_sizes_gets_one_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Device, "takes", lambda self, width, height: (width, height) == (640, 480))
    with VirtualCameraSink(320, 180, 25) as sink:
        assert sink.sent_size == (640, 480)
        sink.write(Frame(np.full((180, 320, 3), 77, np.uint8), 0, 0, STEP, 0.0))
    (image,) = Device.made[0].frames
    assert (image[60:420] == 77).all()
    assert (image[:60] == 0).all()
    assert (image[420:] == 0).all()


def test_frames_of_another_size_are_fitted_in() -> None:
    with VirtualCameraSink(96, 64, 25) as sink:
        sink.write(frame(0, 48, 64))
        assert Device.made[0].frames[0].shape == (64, 96, 3)


class TestPace:
    def test_jitter_passes_and_the_mean_rate_holds(self) -> None:
        clock = Clock()
        with VirtualCameraSink(96, 64, 25, clock=clock) as sink:
            for early in [0.0, 0.03, -0.02, 0.03, 0.0, -0.01] * 20:
                clock.now += 0.04
                now, clock.now = clock.now, clock.now - early
                sink.write(frame(0))
                clock.now = now
        assert sink.sent == 120
        assert not sink.counts

    def test_what_comes_too_fast_is_dropped(self) -> None:
        clock = Clock()
        with VirtualCameraSink(96, 64, 25, clock=clock) as sink:
            for _ in range(400):  # four seconds at 100 a second
                sink.write(frame(0))
                clock.now += 0.01
        assert sink.sent == pytest.approx(100, abs=2)
        assert sink.counts["dropped"] == 400 - sink.sent

    def test_a_silent_source_repeats_its_last_frame(self) -> None:
        clock = Clock()
        with VirtualCameraSink(96, 64, 25, clock=clock) as sink:
            sink.idle()
            sink.write(frame(3))
            sink.idle()
            assert sink.sent == 1
            for _ in range(10):
                clock.now += 0.1
                sink.idle()
        assert sink.sent == 11
        assert sink.counts == {"repeated": 10}
        assert {number_of(image, 4) for image in Device.made[0].frames} == {3}

    def test_a_pause_is_not_caught_up(self) -> None:
        clock = Clock()
        with VirtualCameraSink(96, 64, 25, clock=clock) as sink:
            sink.write(frame(0))
            clock.now += 60
            for _ in range(100):
                sink.write(frame(0))
        assert sink.sent <= 4

    def test_nothing_sleeps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def sleep(seconds: float) -> None:
            raise AssertionError("a sleeping sink holds the pipeline up")

        with VirtualCameraSink(96, 64, 5) as sink:
            monkeypatch.setattr(time, "sleep", sleep)
            for index in range(20):
                sink.write(frame(index))
                sink.idle()


@pytest.mark.slow
def test_it_works_without_a_window() -> None:
    source = FakeSource(10, width=97, height=63)
    sink = VirtualCameraSink(97, 63, 1000)
    report = Pipeline(source, negative, [sink], policy=LATEST).run()
    assert report.frames_out == sink.sent + sink.counts["dropped"]
    assert Device.made[0].frames[0].shape == (64, 98, 3)


def test_a_device_that_vanishes_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "fails_at", 1)
    sink = VirtualCameraSink(32, 24, 1000)
    with pytest.raises(SinkError, match=r"fake 0 takes no more frames.*No such device"):
        Pipeline(FakeSource(10), negative, [sink]).run()


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (
            "linux",
            [
                "apt install v4l2loopback-dkms",
                "modprobe v4l2loopback devices=1 video_nr=10 card_label=rtstyle exclusive_caps=1",
            ],
        ),
        ("win32", ["OBS Studio", "Start Virtual Camera"]),
        ("darwin", ["brew install --cask obs", "Start Virtual Camera"]),
        ("sunos5", ["no virtual camera"]),
    ],
)
def test_no_device_names_the_commands_that_make_one(
    monkeypatch: pytest.MonkeyPatch, platform: str, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Device, "takes", lambda self, width, height: False)
    with pytest.raises(SinkError) as caught:
        VirtualCameraSink(96, 64).open()
    assert all(word in caught.value.todo for word in words)
    assert "96x64 is not supported" in caught.value.why
    assert "\n" not in str(caught.value)
    assert str(no_device("a\nb")).count("a b") == 1


def test_a_device_by_name() -> None:
    with VirtualCameraSink(96, 64, device="fake 0"):
        pass
    with pytest.raises(SinkError, match="/dev/video9 does not exist"):
        VirtualCameraSink(96, 64, device="/dev/video9").open()


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtraError, match=r"\[virtual-camera\]"):
        VirtualCameraSink(96, 64).open()


def test_the_real_back_end_of_linux_says_that_it_has_no_device() -> None:
    """In a process of its own, as the fixture has taken the real back ends away."""
    code = (
        "from rtstyle.sinks.virtual_camera import VirtualCameraSink as V\n"
        "try:\n    V(96, 64).open(); print('opened')\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(("opened", "SinkError There is no virtual camera"))


def test_sizes_are_tried_once_each_and_the_nearest_first() -> None:
    assert list(sizes_to_try(640, 480)) == [(640, 480), (1280, 720), (1920, 1080)]
    assert list(sizes_to_try(97, 63))[:3] == [(98, 64), (100, 64), (112, 64)]
    assert virtual_camera.USUAL_SIZES[0] == list(sizes_to_try(3008, 2000))[1]


def test_fitting_keeps_the_shape() -> None:
    image = np.full((100, 50, 3), 9, np.uint8)
    fitted = fit(image, 200, 50)
    assert fitted.shape == (50, 200, 3)
    assert (fitted.any(axis=(0, 2)).sum(), fitted.any(axis=(1, 2)).sum()) == (25, 50)
