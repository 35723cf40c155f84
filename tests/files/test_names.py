"""Names of files that are odd: separators, signs, lengths, and characters that a terminal lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.console import command
from helpers.media import decode, write_clip
from PIL import Image as Pil

from rtstyle.errors import UsageError
from rtstyle.files import temporary
from rtstyle.files.pending import PendingFile, free_name, partial_name
from rtstyle.live.naming import shown_name, style_among
from rtstyle.media.picture import Picture, write_picture
from rtstyle.styles.spec import Mixture, parse_style


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def painting(path: Path, color: tuple[int, int, int]) -> Path:
    Pil.fromarray(np.full((40, 50, 3), color, np.uint8)).save(path, format="JPEG")
    return path


def dead_process() -> int:
    """Return the number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


class TestBlends:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        for name in ("Monet, Water Lilies.jpg", "a.jpg", "b.jpg", "take:2.jpg", "a.jpg,b.jpg"):
            painting(tmp_path / name, (200, 30, 30))
        return tmp_path

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            (
                "Monet, Water Lilies.jpg:0.5,mosaic:0.5",
                (("Monet, Water Lilies.jpg", 0.5), ("mosaic", 0.5)),
            ),
            (
                "mosaic:3, Monet, Water Lilies.jpg:1",
                (("mosaic", 0.75), ("Monet, Water Lilies.jpg", 0.25)),
            ),
            (
                "Monet, Water Lilies.jpg,b.jpg",
                (("Monet, Water Lilies.jpg", 0.5), ("b.jpg", 0.5)),
            ),
            ("take:2.jpg,b.jpg", (("take:2.jpg", 0.5), ("b.jpg", 0.5))),
            ("take:2.jpg:1,b.jpg:3", (("take:2.jpg", 0.25), ("b.jpg", 0.75))),
            ("a.jpg,b.jpg", (("a.jpg,b.jpg", 1.0),)),
            ("a.jpg:1,b.jpg:1", (("a.jpg", 0.5), ("b.jpg", 0.5))),
        ],
    )
    def test_the_name_of_a_file_wins_over_separators(
        self, folder: Path, text: str, parts: tuple[tuple[str, float], ...]
    ) -> None:
        found = parse_style(text)
        assert isinstance(found, Mixture)
        assert found.parts == parts
        assert parse_style(str(found)) == found

    def test_the_window_shows_them(self, folder: Path) -> None:
        assert shown_name("Monet, Water Lilies.jpg:0.5,mosaic:0.5") == (
            "Monet, Water Lilies 50% + mosaic 50%"
        )
        assert shown_name("take:2.jpg,b.jpg") == "take:2 + b"

    def test_neighbours_of_a_style_are_told_apart(self, folder: Path) -> None:
        """`wave~0.5~0` and `wave~0.7~0` were both shown as `wave~0`."""
        assert shown_name("wave~0.5~0") == "wave~0.5~0"
        assert shown_name("b.jpg~0.5~7") == "b~0.5~7"
        assert shown_name("b.jpg~0.5:0.3,wave~1.5:0.7") == "b~0.5 30% + wave~1.5 70%"
        names = ["wave~0.5~0", "wave~0.7~0"]
        assert [style_among(names, name) for name in names] == names
        with pytest.raises(UsageError, match=r"There are wave~0\.5~0, wave~0\.7~0"):
            style_among(names, "wave")

    def test_a_blend_longer_than_any_name(self, folder: Path) -> None:
        text = ",".join(["b.jpg:1"] * 60)
        assert parse_style(text) == Mixture((("b.jpg", 1.0),))


class TestLongNames:
    LONG = ("x" * 245 + ".mp4", "映" * 80 + ".mp4", "é" * 125 + ".webp")

    @pytest.mark.parametrize("name", LONG)
    def test_every_name_beside_is_allowed(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        beside_it = [temporary.temporary_name(path), partial_name(path), free_name(path)]
        path.touch()
        beside_it.append(free_name(path))
        for other in beside_it:
            assert len(os.fsencode(other.name)) <= 255
            assert other.suffix == path.suffix
            other.touch()
        assert len(set(beside_it)) == 4

    def test_a_long_name_can_be_painted(self, tmp_path: Path) -> None:
        clip = write_clip(tmp_path / ("i" * 250 + ".mp4"), frames=3)
        out = tmp_path / ("o" * 251 + ".mp4")
        assert command("video", clip, out, "--style", "identity") == 0
        assert len(decode(out)) == 3
        pictures = tmp_path / ("p" * 255)
        assert command("video", clip, pictures, "--style", "identity") == 0
        assert names(pictures) == ["00001.png", "00002.png", "00003.png"]

    def test_a_long_photo_can_be_written(self, tmp_path: Path) -> None:
        out = tmp_path / ("p" * 251 + ".png")
        write_picture(Picture(np.zeros((4, 4, 3), np.uint8)), out)
        assert names(tmp_path) == [out.name]

    def test_what_was_cut_short_is_kept(self, tmp_path: Path) -> None:
        pending = PendingFile(tmp_path / ("x" * 251 + ".mp4"))
        kept = pending.commit(complete=False)
        assert names(tmp_path) == [kept.name]
        assert kept.name.endswith("x.partial.mp4")


class TestLeftOvers:
    @pytest.fixture(autouse=True)
    def _again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(temporary, "_swept", set())

    def left_over(self, folder: Path, pid: int, suffix: str = ".mp4") -> Path:
        path = temporary.temporary_name(folder / f"out{suffix}")
        path = path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{pid}-"))
        path.write_bytes(b"half")
        return path

    def test_the_next_run_sweeps_what_killed_ones_left(self, tmp_path: Path) -> None:
        self.left_over(tmp_path, dead_process())
        folder = self.left_over(tmp_path, dead_process(), "")
        folder.unlink()
        folder.mkdir()
        (folder / "00001.png").touch()
        mine = temporary.temporary_name(tmp_path / "a.mp4")
        kept = [tmp_path / ".clip.abcd1234.tmp.mp4", tmp_path / "movie.mp4", mine]
        for path in kept:
            path.touch()
        write_picture(Picture(np.zeros((4, 4, 3), np.uint8)), tmp_path / "p.png")
        assert names(tmp_path) == sorted([*(path.name for path in kept), "p.png"])

    def test_a_running_process_keeps_its_file(self, tmp_path: Path) -> None:
        code = "import time; print(flush=True); time.sleep(100)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            theirs = self.left_over(tmp_path, process.pid)
            assert temporary.sweep(tmp_path) == []
            # The number of a process that ended long ago may have been given anew.
            os.utime(theirs, (1e9, 1e9))
            temporary._swept.clear()
            assert temporary.sweep(tmp_path) == [theirs]
            process.kill()

    def test_other_machines_keep_theirs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.left_over(tmp_path, dead_process())
        monkeypatch.setattr("socket.gethostname", lambda: "another")
        assert temporary.sweep(tmp_path) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
    def test_a_killed_run_leaves_nothing_for_ever(self, tmp_path: Path) -> None:
        code = (
            "import os, signal, sys\nfrom pathlib import Path\n"
            "from rtstyle.files.pending import PendingFile\n"
            "PendingFile(Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killed = subprocess.run([sys.executable, "-c", code, tmp_path / "out.mp4"], check=False)
        assert killed.returncode == -9
        assert len(names(tmp_path)) == 1
        clip = write_clip(tmp_path / "clip.mp4", frames=2)
        assert command("video", clip, tmp_path / "out.mp4", "--style", "identity") == 0
        assert names(tmp_path) == ["clip.mp4", "out.mp4"]


KILLED = """
import os, signal, sys
import rtstyle.jobs.photos
painted, paint = [], rtstyle.jobs.photos.paint_file

def paint_two(*words, **options):
    if len(painted) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    painted.append(paint(*words, **options))
    return painted[-1]

rtstyle.jobs.photos.paint_file = paint_two
from rtstyle.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
class TestFolders:
    @pytest.fixture
    def cut_short(self, tmp_path: Path) -> tuple[Path, Path]:
        """A folder of four photos, and that of the paintings, of which two were made."""
        photos, out = tmp_path / "photos", tmp_path / "out"
        photos.mkdir()
        for number in range(4):
            painting(photos / f"{number}.jpg", (number * 60, 100, 100))
        words = ("image", photos, out, "--style", "invert", "--device", "onnxruntime:cpu")
        killed = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
        assert killed.returncode == -9
        return photos, out

    def paint(self, photos: Path, out: Path, *words: object) -> int:
        return command(
            "image", photos, out, "--style", "invert", "--device", "onnxruntime:cpu", *words
        )

    def test_a_killed_run_goes_on(
        self, cut_short: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, out = cut_short
        before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.jpg")}
        assert sorted(before) == ["0.jpg", "1.jpg"]
        assert self.paint(*cut_short) == 0
        assert "continuing: 2 photos were painted before" in capsys.readouterr().err
        assert names(out) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
        assert {name: (out / name).stat().st_mtime_ns for name in before} == before
        # What is done is not continued.
        assert self.paint(*cut_short) == 2
        assert "exists already" in capsys.readouterr().err

    def test_another_run_does_not_go_on(self, cut_short: tuple[Path, Path]) -> None:
        photos, out = cut_short
        assert self.paint(*cut_short, "--strength", 0.5) == 2
        painting(photos / "0.jpg", (1, 2, 3))
        assert self.paint(*cut_short) == 2
        assert self.paint(*cut_short, "--overwrite") == 0
        assert [name for name in names(out) if not name.startswith(".")] == [
            f"{number}.jpg" for number in range(4)
        ]

    @pytest.mark.parametrize("text", ["", "[]", '{"run": 1}', "{" * 100_000, '{"outputs": 3}'])
    def test_a_damaged_note_is_no_note(
        self, cut_short: tuple[Path, Path], text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (cut_short[1] / ".rtstyle-run.json").write_text(text)
        assert self.paint(*cut_short) == 2
        assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
class TestTerminals:
    """In processes of their own: a stream takes its encoding at the start."""

    def run(
        self, *words: object, encoding: str, module: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "rtstyle", *map(os.fspath, words)],  # type: ignore[call-overload]
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
            capture_output=True,
            timeout=120,
            check=False,
        )

    @pytest.mark.parametrize("encoding", ["cp1252", "cp437", "utf-8"])
    def test_what_a_terminal_lacks_is_replaced(self, tmp_path: Path, encoding: str) -> None:
        photo = tmp_path / "\U0001f9a6 ünï.png"
        Pil.fromarray(np.zeros((32, 32, 3), np.uint8)).save(photo)
        out = tmp_path / "out \U0001f9a6 映.png"
        done = self.run("image", photo, out, "--style", "identity", encoding=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert out.name.encode(encoding, "replace") in done.stdout
        again = self.run("image", photo, out, "--style", "identity", encoding=encoding)
        assert again.returncode == 2
        assert b"exists already" in again.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo terminals")
    def test_bars_too(self, tmp_path: Path) -> None:
        clip = write_clip(tmp_path / "\U0001f9a6 ü.mp4", frames=20)
        terminal, end = os.openpty()
        words = ("video", clip, tmp_path / "out \U0001f9a6.mp4", "--style", "identity")
        with subprocess.Popen(
            [sys.executable, "-m", "rtstyle", *words],
            env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "TERM": "xterm"},
            stdout=end,
            stderr=end,
        ) as process:
            os.close(end)
            said = b""
            while True:
                try:
                    data = os.read(terminal, 1 << 16)
                except OSError:  # Linux says so where others say that it is the end
                    break
                if not data:
                    break
                said += data
        os.close(terminal)
        assert process.returncode == 0, said
        assert "? ü.mp4".encode("cp1252") in said
        assert b"out ?.mp4: 20 frames" in said

    @pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
    def test_names_that_are_no_text(self, tmp_path: Path) -> None:
        photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
        Pil.fromarray(np.zeros((32, 32, 3), np.uint8)).save(photo)
        done = self.run("image", photo, tmp_path / "out", "--style", "no", encoding="utf-8")
        assert done.returncode == 2
        (tmp_path / "out").mkdir()
        done = self.run("image", photo, tmp_path / "out", "--style", "identity", encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"caf?.png" in done.stdout

    def test_the_module_is_the_command(self) -> None:
        done = self.run("--version", encoding="utf-8")
        assert done.returncode == 0
        assert done.stdout.startswith(b"rtstyle ")

    @pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
    def test_folders_of_killed_runs_are_swept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = (
            "import os, signal\nfrom pathlib import Path\n"
            "from rtstyle.files.temporary import temporary_folder\n"
            "folder = temporary_folder()\n(Path(folder.name) / 'frame.png').touch()\n"
            "print(folder.name, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killed = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert killed.returncode == -9
        left = Path(killed.stdout.strip())
        assert left.is_dir()
        assert left.parent == tmp_path
        # Others' names are left alone, and so are those that tell no process.
        others = [tmp_path / "rtstyle-abcd1234", tmp_path / f"{left.name}-kept"]
        for path in others:
            path.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with temporary.temporary_folder() as mine:
            assert names(tmp_path) == sorted([Path(mine).name, *(path.name for path in others)])
        assert names(tmp_path) == sorted(path.name for path in others)
