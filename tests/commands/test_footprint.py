"""What a run leaves behind: its outputs and its own cache, and nothing anywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.media import write_clip
from PIL import Image as Pil

MAIN = "from rtstyle.cli import main; main()"


class Home:
    """A home, a temporary folder, a cache and a working folder for processes of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        for name in ("home", "tmp", "work"):
            (root / name).mkdir()

    def run(self, *words: object, home: str | None = None) -> subprocess.CompletedProcess[str]:
        kept = ("PATH", "PYTHONPATH", "RTSTYLE_STYLES", "SYSTEMROOT", "LD_LIBRARY_PATH")
        place = home or str(self.root / "home")
        return subprocess.run(
            [sys.executable, "-c", MAIN, *map(str, words)],
            cwd=self.work,
            env={
                **{name: os.environ[name] for name in kept if name in os.environ},
                "HOME": place,
                "USERPROFILE": place,
                "LOCALAPPDATA": place,
                "TMPDIR": str(self.root / "tmp"),
                "TEMP": str(self.root / "tmp"),
                "RTSTYLE_CACHE": str(self.root / "cache"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def files(self) -> set[str]:
        """Return all files by their path, except for those in the cache of rtstyle."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*"))
        return {str(path) for path in found if path.parts[0] != "cache" and len(path.parts) > 1}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    Pil.fromarray(np.full((48, 64, 3), (200, 40, 40), np.uint8)).save(home.work / "photo.png")
    write_clip(home.work / "clip.mp4", frames=4)
    return home


RUNS = {
    "image": ("image", "photo.png", "out.png"),
    "picture": ("image", "photo.png", "out.png", "--style", "photo.png"),
    "onnxruntime": ("image", "photo.png", "out.png", "--device", "onnxruntime:cpu"),
    "video": ("video", "clip.mp4", "out.mkv", "--device", "onnxruntime:cpu"),
    "webcam": ("webcam", "--camera", "test", "--no-window", "--frames", "3", "--record", "out.mkv"),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_a_run_writes_its_output_and_nothing_else(home: Home, words: tuple[str, ...]) -> None:
    before = home.files()
    done = home.run(*words)
    assert done.returncode == 0, done.stderr
    assert home.files() - before == {str(Path("work") / next(w for w in words if "out." in w))}


@pytest.mark.slow
@pytest.mark.parametrize("words", [RUNS["onnxruntime"], RUNS["video"]])
def test_a_home_that_cannot_be_written_to_is_no_matter(home: Home, words: tuple[str, ...]) -> None:
    # Below a file nobody can make a folder, root included.
    blocked = home.root / "home" / "file"
    blocked.touch()
    done = home.run(*words, home=str(blocked))
    assert (done.returncode, done.stderr) == (0, "")


def test_telemetry_is_off_wherever_rtstyle_is_imported() -> None:
    code = (
        "import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import rtstyle_export, rtstyle.engines.onnxrt\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_children_inherit_it() -> None:
    code = (
        "import subprocess, sys, rtstyle\n"
        "child = 'import os; print(os.environ.get(\"ORT_DISABLE_TELEMETRY\"))'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)\n"
    )
    bare = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
