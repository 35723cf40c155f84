"""The command line as a user meets it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.console import rtstyle
from helpers.pictures import noise, saved
from PIL import Image as Pil

from rtstyle import cli
from rtstyle.errors import RtstyleError, SourceError


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rtstyle.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def call(*words: object) -> tuple[int, str, str]:
    """Run the command in this process: (exit code, stdout, stderr)."""
    done = rtstyle(*words)
    return done.code, done.out, done.err


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    return saved(path, noise(30, 40))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rtstyle import cli\nsys.argv = ['rtstyle', '--help']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "heavy = 'numpy av cv2 onnxruntime openvino onnx PIL rich torch pygame'.split()\n"
        "print('HEAVY', [name for name in heavy if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "image" in result.stdout
    assert "HEAVY []" in result.stdout


@pytest.mark.slow
def test_painting_a_video_in_openvino_imports_nothing_that_only_others_need(
    tmp_path: Path,
) -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys\nfrom rtstyle.jobs import video\n"
        "from rtstyle.commands.progress import Bar\nfrom rtstyle.samples import sample_clip\n"
        "with Bar('clip') as bar:\n"
        "    video.stylize_video(sample_clip(), sys.argv[1], 'mosaic', size='fast', end=0.2,\n"
        "                        device='openvino:cpu', progress=bar)\n"
        "late = 'onnxruntime onnx numpy.ma PIL torch pygame scipy'.split()\n"
        "print('HEAVY', [name for name in late if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out.mp4")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "HEAVY []" in result.stdout


def test_version_in_a_process_of_its_own() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("rtstyle ")


def test_usage_errors_end_with_2() -> None:
    result = run("image", "--nonesuch")
    assert result.returncode == 2
    assert "--nonesuch" in result.stderr
    assert "Traceback" not in result.stderr


def test_errors_are_one_line(photo: Path) -> None:
    code, out, err = call("image", photo, photo.with_name("out.png"), "--style", "mosiac")
    assert code != 0
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert "Did you mean mosaic?" in err


def test_unforeseen_errors_show_no_traceback(monkeypatch: pytest.MonkeyPatch, photo: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("rtstyle.jobs.photos.paint_file", broken)
    arguments = ("image", photo, photo.with_name("o.png"), "--style", "invert", "--device", "cpu")
    code, _, err = call(*arguments)
    assert code == 1
    assert "RuntimeError: odd" in err
    assert "Traceback" not in err
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    with pytest.raises(RuntimeError, match="odd"):
        call(*arguments)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 63.3 MiB for an array"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to ..."),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_too_little_memory_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, photo: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    # Not where errors of single photos are told.
    monkeypatch.setattr("rtstyle.painting.stylizer.Stylizer.__init__", broken)
    code, _, err = call("image", photo, photo.with_name("o.png"), "--style", "invert")
    assert code == 2
    assert err.startswith("error: There is not enough memory for this.")
    assert err.endswith("Paint it smaller, or a part of it, or end other programs.\n")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full disk to try")
def test_a_full_disk_under_what_is_printed_is_told() -> None:
    command = [sys.executable, "-c", "from rtstyle.cli import main; main()", "styles"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: What is printed cannot be written. No space left")
    assert "Traceback" not in done.stderr


def test_image_command(photo: Path) -> None:
    output = photo.with_name("out.png")
    code, out, _ = call("image", photo, output, "--style", "invert", "--size", "fast")
    assert code == 0
    assert "40x30" in out
    with Pil.open(output) as painted, Pil.open(photo) as source:
        np.testing.assert_array_equal(np.asarray(painted), 255 - np.asarray(source))


def test_one_bad_photo_does_not_cost_the_others(photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"no picture")
    target = photo.with_name("painted")
    code, _, err = call("image", bad, photo, target, "--style", "invert")
    assert code == 2
    assert [p.name for p in target.iterdir()] == ["photo.png"]
    assert "bad.png" in err
    assert "1 of 2" in err


def test_hidden_photos_of_a_folder_are_passed_over(photo: Path) -> None:
    for name in ("._photo.jpg", ".photo.1234.png"):
        photo.with_name(name).write_bytes(b"no picture")
    target = photo.with_name("painted")
    code, _, err = call("image", photo.parent, target, "--style", "invert")
    assert (code, err) == (0, "")
    assert [p.name for p in target.iterdir()] == ["photo.png"]


def test_what_the_system_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, photo: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/secret/a.png")

    monkeypatch.setattr("rtstyle.jobs.photos.plan", refuse)
    code, _, err = call("image", photo, photo.with_name("o.png"))
    assert code == 2
    assert err.startswith("error: /secret/a.png cannot be used. Permission denied. Check its name")
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cli.unwinding():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is cli.leave
    finally:
        signal.signal(signal.SIGHUP, before)


def test_image_needs_two_paths(photo: Path) -> None:
    code, _, err = call("image", photo)
    assert code == 2
    assert "output" in err


def test_styles_as_table_and_json() -> None:
    code, out, _ = call("styles")
    assert code == 0
    assert "Painting of mosaic" in out
    code, out, _ = call("styles", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["mosaic"]["artist"] == "Nobody"
    assert set(rows["mosaic"]["sizes"]) == {"fast", "balanced"}


def test_sheet(photo: Path) -> None:
    output = photo.with_name("sheet.png")
    code, out, _ = call("styles", "--sheet", photo, output, "--size", "fast")
    assert code == 0
    assert str(output) in out
    with Pil.open(output) as sheet:
        assert sheet.width > 300
    assert call("styles", "--sheet", photo, output)[0] == 2
    assert call("styles", "--sheet", photo)[0] == 2


def test_error_text_is_joined(capsys: pytest.CaptureFixture[str]) -> None:
    cli.print_error(SourceError("What\nhappened.", "", "Do this."))
    assert capsys.readouterr().err == "error: What happened. Do this.\n"


def test_commands_of_the_package_are_all_registered() -> None:
    folder = Path(cli.__file__).with_name("commands")
    with_commands = [p for p in folder.rglob("*.py") if "def register(" in p.read_text()]
    modules = {".".join(p.relative_to(folder).with_suffix("").parts) for p in with_commands}
    assert modules == set(cli.COMMAND_MODULES)


def test_an_error_is_one_line_of_whole_sentences() -> None:
    error = RtstyleError("It failed.", "Invalid data\n found", "Try again")
    assert str(error) == "It failed. Invalid data found. Try again"
    assert str(RtstyleError("Only this")) == "Only this"


def test_a_command_line_loads_its_own_command_only() -> None:
    assert cli.modules_for(["train-adain", "a", "b"]) == ("training.train_adain",)
    for arguments in ([], ["--help"], ["vidoe", "video"]):
        assert cli.modules_for(arguments) == cli.COMMAND_MODULES
