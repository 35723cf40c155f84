from __future__ import annotations

import errno
import json
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import pytest
from helpers.console import command

from rtstyle.errors import SourceError
from rtstyle.sources.cameras import camera, camera_list, v4l2
from rtstyle.sources.cameras.camera_list import find_camera, list_cameras, say_cameras
from rtstyle.sources.cameras.info import CameraInfo, Mode
from rtstyle.sources.cameras.v4l2 import list_v4l2_cameras

MJPG, YUYV = (int.from_bytes(code, "little") for code in (b"MJPG", b"YUYV"))
FORMATS = {
    MJPG: {(1280, 720): [30, 15], (640, 480): [60]},
    YUYV: {(640, 480): [30]},
}


class FakeKernel:
    """The four calls of Video4Linux2 on the files of a folder, laid out as in videodev2.h.

    Node 0 is a camera, 1 its metadata, 2 takes any size up to 1920x1080, 3 does not answer.
    """

    def __init__(self, folder: Path) -> None:
        self.dev, self.sys = folder / "dev", folder / "sys"
        self.dev.mkdir()
        for number, name in enumerate(["HD Webcam: HD Webcam", "HD Webcam", None, "Broken"]):
            (self.dev / f"video{number}").touch()
            if name:
                (self.sys / f"video{number}").mkdir(parents=True)
                (self.sys / f"video{number}" / "name").write_text(name + "\n")
        (self.dev / "video-notes.txt").touch()

    def ioctl(self, handle: int, request: int, data: bytearray) -> int:
        number = int(Path(f"/proc/self/fd/{handle}").readlink().name[-1])
        if number == 3:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if request == v4l2.QUERYCAP:
            assert len(data) == 104
            own = 0x00A00000 if number == 1 else 0x04200001
            struct.pack_into("=16s32s32sIII", data, 0, b"uvc", b"Card", b"usb", 1, 0x84A00001, own)
            return 0
        index = struct.unpack_from("=I", data)[0]
        formats: dict[int, Any] = FORMATS if number == 0 else {YUYV: None}
        if request == v4l2.ENUM_FMT:
            assert len(data) == 64
            assert struct.unpack_from("=I", data, 4)[0] == 1
            struct.pack_into("=I", data, 44, self._at(list(formats), index))
        elif request == v4l2.ENUM_FRAMESIZES:
            assert len(data) == 44
            sizes = formats[struct.unpack_from("=I", data, 4)[0]]
            if sizes is None:
                self._at([0], index)
                struct.pack_into("=7I", data, 8, 3, 16, 1920, 2, 16, 1080, 2)
            else:
                struct.pack_into("=3I", data, 8, 1, *self._at(list(sizes), index))
        elif request == v4l2.ENUM_FRAMEINTERVALS:
            assert len(data) == 52
            code, width, height = struct.unpack_from("=3I", data, 4)
            rates = formats[code][width, height] if formats[code] else [30]
            struct.pack_into("=3I", data, 16, 1, 1, self._at(rates, index))
        return 0

    @staticmethod
    def _at(entries: list[Any], index: int) -> Any:
        if index >= len(entries):
            raise OSError(errno.EINVAL, "Invalid argument")
        return entries[index]


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    if not sys.platform.startswith("linux"):
        pytest.skip("Video4Linux2 is Linux")
    return FakeKernel(tmp_path)


class TestV4l2:
    def test_cameras_with_their_modes(self, kernel: FakeKernel) -> None:
        webcam, scaler, broken = list_v4l2_cameras(kernel.sys, kernel.dev, kernel.ioctl)
        assert (webcam.index, webcam.name) == (0, "HD Webcam: HD Webcam")
        assert webcam.path == str(kernel.dev / "video0")
        assert webcam.modes == (
            Mode("MJPG", 1280, 720, (30, 15)),
            Mode("MJPG", 640, 480, (60,)),
            Mode("YUYV", 640, 480, (30,)),
        )
        assert (scaler.index, scaler.name) == (2, "Card")
        assert scaler.modes == (Mode("YUYV", 1920, 1080, (30,)),)
        assert broken.index == 3
        assert "does not answer" in broken.problem

    def test_no_right_to_open_it(self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: object, flags: int) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        found = list_v4l2_cameras(kernel.sys, kernel.dev, kernel.ioctl)
        assert "usermod -aG video" in found[0].problem

    def test_no_handle_is_left_open(self, kernel: FakeKernel) -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        list_v4l2_cameras(kernel.sys, kernel.dev, kernel.ioctl)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

    def test_files_that_are_no_devices_do_no_harm(self, kernel: FakeKernel) -> None:
        found = list_v4l2_cameras(kernel.sys, kernel.dev)
        assert all("does not answer" in camera.problem for camera in found)

    def test_a_machine_without_any(self, tmp_path: Path) -> None:
        assert list_v4l2_cameras(tmp_path / "no", tmp_path / "none") == []


class TestNames:
    here = (CameraInfo(0, "HD Webcam"), CameraInfo(2, "HD Webcam Pro"), CameraInfo(4, "OBS"))

    @pytest.mark.parametrize(("text", "index"), [("pro", 2), ("hd webcam", 0), (" obs ", 4)])
    def test_a_part_is_enough(self, text: str, index: int) -> None:
        assert find_camera(text, list(self.here)).index == index

    @pytest.mark.parametrize(
        ("text", "why"), [("hd", r"Several.*0 \(HD Webcam\), 2"), ("x", r"No camera.*4 \(OBS\)")]
    )
    def test_it_must_be_unique(self, text: str, why: str) -> None:
        with pytest.raises(SourceError, match=why):
            find_camera(text, list(self.here))

    def test_none_at_all(self) -> None:
        with pytest.raises(SourceError, match="shows no camera"):
            find_camera("x", [])
        assert say_cameras([CameraInfo(0, "A", problem="busy")]) == "Cameras here: 0 (A: busy)."


class TestOtherSystems:
    def test_indices_are_probed_where_nothing_lists_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Capture:
            def __init__(self, index: int, api: int) -> None:
                assert api == cv2.CAP_MSMF
                self.index = index

            def isOpened(self) -> bool:  # noqa: N802
                return self.index < 2

            def get(self, name: int) -> float:
                return {3: 640.0, 4: 480.0}[name]

            def release(self) -> None:
                pass

        def fails() -> list[CameraInfo]:
            raise ImportError

        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(camera_list, "_listed", fails)
        monkeypatch.setattr(cv2, "VideoCapture", Capture)
        assert [(c.index, c.name) for c in list_cameras()] == [(0, "camera 0"), (1, "camera 1")]

    def test_the_systems_list_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = pytest.importorskip("cv2_enumerate_cameras", reason="not needed on Linux")
        asked: list[int] = []

        def enumerate_cameras(api: int) -> list[Any]:
            asked.append(api)
            info = library.CameraInfo
            # Neither kind of path can be opened.
            return [info(1, "B", None, 1, 2, api), info(0, "A", "0x1420000", None, None, api)]

        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(library, "enumerate_cameras", enumerate_cameras)
        assert list_cameras() == [CameraInfo(0, "A"), CameraInfo(1, "B")]
        assert asked == [cv2.CAP_AVFOUNDATION]

    @pytest.mark.parametrize(
        ("system", "api"),
        [("darwin", cv2.CAP_AVFOUNDATION), ("win32", cv2.CAP_MSMF), ("linux", cv2.CAP_ANY)],
    )
    def test_an_index_is_opened_by_the_api_that_listed_it(
        self, monkeypatch: pytest.MonkeyPatch, system: str, api: int
    ) -> None:
        opened: list[tuple[object, int]] = []

        class Capture:
            def __init__(self, where: object, api: int) -> None:
                opened.append((where, api))

            def isOpened(self) -> bool:  # noqa: N802
                return False

            def release(self) -> None:
                pass

        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(cv2, "VideoCapture", Capture)
        camera.open_device(1, (640, 480, 30))
        camera.open_device("/dev/video0", (640, 480, 30))
        assert opened == [(1, api), ("/dev/video0", cv2.CAP_ANY)]

    def test_macos_is_asked_in_the_main_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[str] = []

        class Capture:
            def __init__(self, where: object, api: int) -> None:
                assert api == cv2.CAP_AVFOUNDATION
                opened.append(threading.current_thread().name)

            def release(self) -> None:
                opened.append("released")

        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(cv2, "VideoCapture", Capture)
        camera.ask_for_cameras()
        other = threading.Thread(target=camera.ask_for_cameras)
        other.start()
        other.join()
        assert opened == [threading.main_thread().name, "released"]

    def test_windows_does_not_look_for_hardware_that_converts(self) -> None:
        assert os.environ["OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS"] == "0"


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, found: list[CameraInfo], *words: str) -> int:
        monkeypatch.setattr(camera_list, "list_cameras", lambda: found)
        return command("cameras", *words)

    def test_table(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        modes = (Mode("MJPG", 1280, 720, (30.0, 15.0)), Mode("MJPG", 640, 480), Mode("", 8, 8))
        found = [
            CameraInfo(0, "HD Webcam", "/dev/video0", modes),
            CameraInfo(1, "Other", problem="it is busy"),
        ]
        assert self.run(monkeypatch, found) == 0
        assert capsys.readouterr().out.splitlines() == [
            "0  HD Webcam  /dev/video0",
            "   MJPG 1280x720 at 30, 640x480",
            "   any  8x8",
            "1  Other",
            "   it is busy",
        ]

    def test_json(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = [CameraInfo(0, "Kamera ä", "/dev/video0", (Mode("MJPG", 640, 480, (30.0,)),))]
        assert self.run(monkeypatch, found, "--json") == 0
        (camera,) = json.loads(capsys.readouterr().out)
        assert camera["name"] == "Kamera ä"
        assert camera["modes"][0]["rates"] == [30.0]
        assert self.run(monkeypatch, [], "--json") == 0
        assert json.loads(capsys.readouterr().out) == []

    def test_none(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, []) == 0
        said = capsys.readouterr().out
        assert "No camera" in said
        assert said.count("\n") == 1
