"""Videos through pipes, FIFOs and devices: nothing is lost, and nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.console import command
from helpers.media import decode, number_of, packets, write_clip
from helpers.pictures import noise
from numpy.typing import NDArray
from PIL import Image as Pil

from rtstyle.errors import SourceError, UsageError
from rtstyle.files.numbered import is_pattern
from rtstyle.media import feed as feeds
from rtstyle.media.container import PIPE_BUFFER
from rtstyle.media.feed import Feed, Tap
from rtstyle.media.picture import read_picture
from rtstyle.sinks import pipe as pipes
from rtstyle.sinks.pipe import check_format, is_pipe_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO")
FRAMES = 30


def run(*words: object, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run `rtstyle video WORDS` in a process of its own, with `given` in a pipe."""
    code = "from rtstyle.cli import main; main()"
    options = ("--style", "identity", "--device", "onnxruntime:cpu")
    command = [sys.executable, "-c", code, "video", *map(str, words), *options]
    source = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
    return subprocess.run(command, capture_output=True, timeout=100, check=False, **source)  # type: ignore[call-overload,no-any-return]


def numbers(path: Path) -> list[int]:
    return [number_of(frame.to_ndarray(format="rgb24"), 5) for frame in decode(path)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with sound in Matroska."""
    folder = tmp_path_factory.mktemp("clips")
    return write_clip(folder / "clip.mkv", frames=FRAMES, sound="aac", subtitles="ass")


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


class Writer:
    """Writes into one end of a pipe; the feed reads the other one."""

    def __init__(self) -> None:
        self.read_end, self._end = os.pipe()

    def __call__(self, data: bytes) -> None:
        os.write(self._end, data)

    def close(self) -> None:
        if self._end >= 0:
            os.close(self._end)
            self._end = -1


class TestFeed:
    @pytest.fixture
    def writer(self) -> Iterator[Writer]:
        writer = Writer()
        yield writer
        writer.close()
        os.close(writer.read_end)

    def read_all(self, tap: Tap) -> bytes:
        return b"".join(iter(lambda: tap.read(7), b""))

    def test_every_reader_gets_every_byte(self, writer: Writer) -> None:
        feed = Feed(writer.read_end, "pipe")
        first, second = feed.tap(), feed.tap()
        writer(b"0123456789" * 10)
        writer.close()
        assert first.read(4) == b"0123"
        again = feed.tap()
        feed.settle()
        whole = b"0123456789" * 10
        assert self.read_all(second) == self.read_all(again) == whole
        assert b"0123" + self.read_all(first) == whole
        assert not feed.silent
        feed.close()

    def test_what_nobody_needs_is_dropped(
        self, writer: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feeds, "SEGMENT", 8)
        feed = Feed(writer.read_end, "pipe")
        fast, slow = feed.tap(), feed.tap()
        for _ in range(4):
            writer(bytes(8))
            assert len(fast.read(100)) == 8
        assert len(feed._segments) == 4
        feed.settle()
        with pytest.raises(SourceError, match="once only"):
            feed.tap()
        assert len(slow.read(100)) == 8
        assert len(feed._segments) == 3
        slow.close()
        assert not feed._segments
        feed.close()

    def test_what_is_far_behind_lies_on_disk(
        self, writer: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feeds, "SEGMENT", 1000)
        monkeypatch.setattr(feeds, "IN_MEMORY", 3000)
        feed = Feed(writer.read_end, "pipe")
        fast, slow = feed.tap(), feed.tap()
        feed.settle()
        data = np.random.default_rng(0).bytes(20_000)
        for first in range(0, len(data), 1000):
            writer(data[first : first + 1000])
            assert fast.read(1000) == data[first : first + 1000]
        assert sum(segment.in_memory for segment in feed._segments) <= 3000
        writer.close()
        assert slow.read() == data
        feed.close()

    def test_a_silent_pipe_is_given_up(self, writer: Writer) -> None:
        feed = Feed(writer.read_end, "pipe", patience=0.01)
        assert feed.tap().read(1) == b""
        assert feed.silent
        feed.close()

    def test_a_stop_wakes_the_reader(self, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feeds, "GRACE", 0.0)
        feed = Feed(writer.read_end, "pipe")
        tap, found = feed.tap(), list[bytes]()
        thread = threading.Thread(target=lambda: found.append(tap.read(1)))
        thread.start()
        feed.stop()
        thread.join(30)
        assert found == [b""]
        assert not feed.silent
        feed.close()


@pytest.mark.slow
class TestInputs:
    @pytest.mark.parametrize("name", ["-", "/dev/stdin"])
    def test_standard_input(self, clip: Path, tmp_path: Path, name: str) -> None:
        out = tmp_path / "out.mkv"
        done = run(name, out, given=clip.read_bytes())
        assert done.returncode == 0, done.stderr
        assert numbers(out) == list(range(FRAMES))
        as_file = tmp_path / "file.mkv"
        assert command("video", clip, as_file, "--style", "identity") == 0
        assert packets(out, "audio") == packets(as_file, "audio")
        assert packets(out, "subtitles") == packets(as_file, "subtitles")

    def test_a_file_as_standard_input(self, clip: Path, tmp_path: Path) -> None:
        # An MP4 of which the index is at its end needs a file.
        film = write_clip(tmp_path / "film.mp4", frames=4)
        with film.open("rb") as file:
            code = "from rtstyle.cli import main; main()"
            words = ("video", "-", tmp_path / "out.mp4", "--style", "identity")
            done = subprocess.run(
                [sys.executable, "-c", code, *words], stdin=file, capture_output=True, check=False
            )
        assert done.returncode == 0, done.stderr
        assert len(decode(tmp_path / "out.mp4")) == 4

    def test_parts_are_cut_out(self, clip: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.mkv"
        done = run("-", out, "--start", "0.4", "--end", "0.8", given=clip.read_bytes())
        assert done.returncode == 0, done.stderr
        assert numbers(out) == list(range(10, 20))

    def test_a_fifo(self, clip: Path, tmp_path: Path) -> None:
        path = fifo(tmp_path / "in.mkv")
        writer = threading.Thread(target=lambda: path.write_bytes(clip.read_bytes()))
        writer.start()
        assert command("video", path, tmp_path / "out.mkv", "--style", "identity") == 0
        writer.join(30)
        assert numbers(tmp_path / "out.mkv") == list(range(FRAMES))

    def test_nobody_writes_into_a_fifo(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(Feed.__init__, "__kwdefaults__", {"patience": 0.01})
        path = fifo(tmp_path / "in.mkv")
        assert command("video", path, tmp_path / "out.mkv", "--style", "identity") == 2
        assert "nothing to read" in capsys.readouterr().err
        with pytest.raises(SourceError, match="nothing to read"):
            read_picture(path)
        assert not (tmp_path / "out.mkv").exists()

    @pytest.mark.parametrize(
        ("name", "given", "said"),
        [
            ("/dev/null", None, b"nothing to read in /dev/null"),
            ("-", None, b"nothing to read in standard input"),
            ("-", b"no video" * 1000, b"no video that can be read from a pipe"),
        ],
    )
    def test_what_is_no_video(
        self, tmp_path: Path, name: str, given: bytes | None, said: bytes
    ) -> None:
        done = run(name, tmp_path / "out.mkv", given=given)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count(b"\n") == 1
        assert not list(tmp_path.iterdir())

    def test_ctrl_c_while_nothing_comes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> bool:
            os.kill(os.getpid(), signal.SIGINT)
            return False

        monkeypatch.setattr(feeds, "can_be_read", interrupt)
        path = fifo(tmp_path / "in.mkv")
        assert command("video", path, tmp_path / "out.mkv", "--style", "identity") == 130
        assert [file.name for file in tmp_path.iterdir()] == ["in.mkv"]

    def test_a_terminal_is_no_input(self) -> None:
        _, end = os.openpty()
        with pytest.raises(SourceError, match="is a terminal"):
            Feed(end, "standard input")

    def test_an_index_at_the_end_needs_a_file(self, tmp_path: Path) -> None:
        def image(width: int, height: int, index: int) -> NDArray[np.uint8]:
            return noise(height, width, seed=index)

        film = write_clip(tmp_path / "film.mp4", frames=30, width=160, height=128, image=image)
        assert film.stat().st_size > 2 * PIPE_BUFFER
        done = run("-", tmp_path / "out.mp4", given=film.read_bytes())
        assert done.returncode == 2
        assert b"MP4 with its index at the end" in done.stderr
        assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]

    def test_a_photo_comes_through_a_fifo(self, tmp_path: Path) -> None:
        photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
        Pil.fromarray(photo).save(tmp_path / "photo.png")
        path = fifo(tmp_path / "in.png")
        data = (tmp_path / "photo.png").read_bytes()
        writer = threading.Thread(target=lambda: path.write_bytes(data))
        writer.start()
        assert np.array_equal(read_picture(path).rgb, photo)
        writer.join(30)


@pytest.mark.slow
class TestOutputs:
    @pytest.mark.parametrize(
        ("form", "name", "streams"),
        [
            (None, "matroska", ["video", "audio", "subtitle"]),
            ("nut", "nut", ["video", "audio", "subtitle"]),
            ("webm", "matroska", ["video", "audio", "subtitle"]),
            ("y4m", "yuv4mpegpipe", ["video"]),
        ],
    )
    def test_standard_output(
        self, clip: Path, tmp_path: Path, form: str | None, name: str, streams: list[str]
    ) -> None:
        done = run(clip, "-", *(("--format", form) if form else ()))
        assert done.returncode == 0, done.stderr
        assert f"standard output: {FRAMES} frames".encode() in done.stderr
        out = tmp_path / "out"
        out.write_bytes(done.stdout)
        with av.open(str(out)) as container:
            assert name in container.format.name
            assert [stream.type for stream in container.streams] == streams
        assert numbers(out) == list(range(FRAMES))

    @pytest.mark.parametrize("form", ["matroska", "nut", "y4m"])
    def test_from_pipe_to_pipe(self, clip: Path, tmp_path: Path, form: str) -> None:
        first = run("-", "-", "--format", form, given=clip.read_bytes())
        done = run("-", "-", "--format", form, given=first.stdout)
        assert done.returncode == 0, done.stderr
        out = tmp_path / "out"
        out.write_bytes(done.stdout)
        assert numbers(out) == list(range(FRAMES))

    def test_a_fifo(self, clip: Path, tmp_path: Path) -> None:
        path, found = fifo(tmp_path / "out"), list[bytes]()
        reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
        reader.start()
        assert command("video", clip, path, "--style", "identity") == 0
        reader.join(30)
        (tmp_path / "copy.mkv").write_bytes(found[0])
        assert numbers(tmp_path / "copy.mkv") == list(range(FRAMES))

    def test_nobody_reads_a_fifo(
        self,
        clip: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(pipes, "PATIENCE", 0.0)
        assert command("video", clip, fifo(tmp_path / "out"), "--style", "identity") == 2
        assert "Nobody read it" in capsys.readouterr().err

    def test_a_reader_that_goes(self, clip: Path, tmp_path: Path) -> None:
        code = "from rtstyle.cli import main; main()"
        words = ("video", str(clip), "-", "--style", "identity", "--encoder", "mpeg4")
        with subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
        assert process.returncode == 2
        assert b"Nobody reads standard output any more" in said

    def test_the_null_device(self, clip: Path) -> None:
        for name in ("/dev/null", "/dev/stdout"):
            done = run(clip, name, "--overwrite")
            assert done.returncode == 0, done.stderr
        assert Path("/dev/null").is_char_device()

    def test_a_descriptor_is_never_replaced(self, clip: Path, tmp_path: Path) -> None:
        with (tmp_path / "out.mkv").open("wb") as file:
            code = "from rtstyle.cli import main; main()"
            words = ("video", clip, "/dev/stdout", "--style", "identity", "--overwrite")
            done = subprocess.run([sys.executable, "-c", code, *words], stdout=file, check=False)
        assert done.returncode == 0
        assert numbers(tmp_path / "out.mkv") == list(range(FRAMES))

    @pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/null", "/dev/fd/63"])
    def test_pipes_are_known_by_name(self, name: str) -> None:
        assert is_pipe_output(Path(name))
        assert check_format(None, Path(name)) == "matroska"
        with pytest.raises(UsageError, match="cannot be written to a pipe"):
            check_format("mp4", Path(name))

    def test_the_format_of_a_file_is_its_suffix(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="The suffix decides"):
            check_format("nut", tmp_path / "out.mkv")
        assert check_format(None, tmp_path / "out.mkv") is None


class TestColons:
    NAMES = ("take:2.mp4", "rtmp:x.mp4", "100%done.mp4", "50%d.mp4", "-clip.mp4", "a\nb.mp4", "x?y")

    @pytest.mark.parametrize("name", NAMES)
    def test_names_are_files_in_and_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        folder = Path("in:1")
        folder.mkdir()
        source = write_clip(tmp_path / "clip.mp4", frames=3, sound="aac").rename(folder / name)
        out = Path("out:1")
        out.mkdir()
        target = out / (name if "." in name else "y.mp4")
        assert command("video", source, target, "--style", "identity") == 0
        # FFmpeg itself takes them for files only from the root on.
        assert len(decode(tmp_path / target)) == 3
        assert packets(tmp_path / target, "audio") == packets(tmp_path / source, "audio")

    def test_in_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for name in ("take:2.mp4", "100%done.mp4"):
            write_clip(tmp_path / "a.mp4", frames=2).rename(tmp_path / "in" / name)
        assert command("video", tmp_path / "in", tmp_path / "out", "--style", "identity") == 0
        assert len(list((tmp_path / "out").iterdir())) == 2

    def test_gif(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        clip = write_clip(tmp_path / "a.mp4", frames=2)
        assert command("video", clip, "take:2.gif", "--style", "identity") == 0
        assert (tmp_path / "take:2.gif").is_file()

    @pytest.mark.parametrize(
        ("name", "numbered"),
        [
            ("out_%05d.png", True),
            ("%d.jpg", True),
            ("%d_x.png", True),
            ("100%done.mp4", False),
            ("100%done.png", False),
            ("50%d.mp4", False),
            ("100%.png", False),
        ],
    )
    def test_patterns(self, name: str, numbered: bool) -> None:
        assert is_pattern(Path(name)) is numbered


def test_options_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    checks: list[Callable[[], int]] = [lambda: command("video", "-", "-", "--format", "avi")]
    assert [check() for check in checks] == [2]
    assert "Use one of matroska" in capsys.readouterr().err
