"""Ways to rtstyle besides a clone: the image, the matrix of GitHub, the notebook."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())
GITHUB = ROOT / ".github"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the instructions of the Dockerfile, lines that go on made one."""
    text = (GITHUB / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def test_the_image_has_all_that_the_wheel_is_made_of() -> None:
    copied = [
        name
        for word, rest in instructions() if word == "COPY" and "--from" not in rest
        for name in shlex.split(rest)[:-1]
    ]  # fmt: skip
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project, hatch = PROJECT["project"], PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        "pyproject.toml", project["readme"], *project["license-files"], *hatch["packages"],
        *hatch["force-include"],
    ]  # fmt: skip
    assert [n for n in needed if not any(n == c or n.startswith(f"{c}/") for c in copied)] == []


def test_the_image_installs_what_there_is() -> None:
    found = list(instructions())
    extras = [rest.partition("=")[2] for word, rest in found if rest.startswith("EXTRAS=")]
    assert extras
    for extra in extras[0].split(","):
        assert extra in PROJECT["project"]["optional-dependencies"]
    for word, rest in found:
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        if word == "FROM":
            version = re.match(r"python:3\.(\d+)-slim", rest)
            assert version
            assert 10 <= int(version[1]) <= 13
    (entry,) = (json.loads(rest) for word, rest in found if word == "ENTRYPOINT")
    assert entry[0] in PROJECT["project"]["scripts"]


def test_the_matrix_tries_the_first_and_the_last_python() -> None:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["suite"]["strategy"]["matrix"]
    low, high = re.findall(r"3\.(\d+)", PROJECT["project"]["requires-python"])
    assert matrix["python"][0] == f"3.{low}"
    assert matrix["python"][-1] == f"3.{int(high) - 1}"
    assert {name.partition("-")[0] for name in matrix["os"]} == {"windows", "macos"}
    assert jobs["linux"]["runs-on"].startswith("ubuntu")
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in runs
    assert any(fnmatch(run, "uv run pytest*") for run in runs)


PROGRAM = """
import sys
import nbclient, nbformat
book = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(book)
cell = next(c for c in book.cells if "parameters" in c.metadata.get("tags", []))
cell.source += "\\n" + sys.argv[2]
nbclient.NotebookClient(book, timeout=280, kernel_name="python3").execute()
"""
FEW = """
TRAINING = "--steps 2 --crop 64 --batch 1 --device cpu"
HEIGHT = 96
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nbclient") is None, reason="nbclient is not installed")
def test_the_notebook_trains_a_style_and_paints_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    # The kernel of this environment, and the styles that ship.
    monkeypatch.delenv("RTSTYLE_STYLES")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = ROOT / "export" / "own_style.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(book), FEW],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "own-style" / "mine-fast.onnx").is_file()
    with av.open(str(tmp_path / "own-style" / "painted.mp4")) as clip:
        assert sum(1 for _ in clip.decode(video=0)) == 132
        assert clip.streams.video[0].height == 96
