"""`rtstyle augment --cluster`: files and manifest of one machine, whatever happens on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from helpers import console
from helpers.pictures import photo, saved

pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra cluster")

from rtstyle.cluster.data_set import paint_data_set
from rtstyle.cluster.machines.connection import connected
from rtstyle.cluster.plans import StoppedError
from rtstyle.jobs.augment.run import AugmentOptions, AugmentRun
from rtstyle.styles.manifest import FOLDER_VARIABLE

CPU = "onnxruntime:cpu"
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _styles(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(nodes.styles))


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Six pictures of two classes, of equal names, with labels; one of them is broken."""
    root = tmp_path / "set"
    for name in ("a", "b"):
        for kind in ("cat", "dog", "new"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            saved(root / kind / f"{name}.png", photo(24, 40, seed=len(kind) + ord(name)))
    (root / "new" / "b.png").write_bytes(b"no picture")
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_bytes(b"0 0.5 0.5 0.25 0.25\r\n")
    return root


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def augment(*words: Any) -> Any:
    return console.rtstyle(
        "augment", *words, "--per", 2, "--strength", "0.3..1", "--p", 0.8, "--device", CPU
    )


@pytest.mark.parametrize("sent", [False, True])
def test_a_data_set_is_painted_as_on_one_machine(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    assert augment(data_set, tmp_path / "alone").code == 2
    if sent:
        # What the caller sees is another file than what is there for the workers.
        monkeypatch.setattr("rtstyle.cluster.inputs.stamp", lambda name: [1, 2])
    done = augment(data_set, tmp_path / "out", "--cluster", "auto")
    assert done.code == 2, done.err
    assert "1 of 6 pictures were skipped" in done.err
    assert "new/b.png" in done.err or "b.png" in done.err
    assert files(tmp_path / "out") == files(tmp_path / "alone")
    assert len(files(tmp_path / "out")) == 2 * (5 + 1) + 1
    again = augment(data_set, tmp_path / "out", "--cluster", "auto")
    assert "0 pictures" in again.out
    assert "10 were there before" in again.out


def test_from_a_store_into_a_store(data_set: Path, tmp_path: Path, store: str) -> None:
    import s3fs

    there = s3fs.S3FileSystem(use_listings_cache=False)
    there.put(str(data_set), "clips/set", recursive=True)
    assert augment(data_set, tmp_path / "alone").code == 2
    wanted = files(tmp_path / "alone")
    done = augment(f"{store}/set", f"{store}/painted/", "--cluster", "auto")
    assert done.code == 2, done.err
    assert "b.png" in done.err

    def found() -> dict[str, bytes]:
        names = sorted(there.find("clips/painted"))
        return {name.removeprefix("clips/painted/"): there.cat_file(name) for name in names}

    assert found() == wanted
    again = augment(f"{store}/set", f"{store}/painted", "--cluster", "auto")
    assert "10 were there before" in again.out
    assert found() == wanted
    # What was cut short: its list lies in pieces, and not all pictures are there.
    first, *lines = wanted["manifest.jsonl"].decode().splitlines(keepends=True)
    there.pipe_file("clips/painted/manifest.jsonl", first.encode())
    there.pipe_file("clips/painted/manifest.jsonl.parts/000001", "".join(lines[:3]).encode())
    there.pipe_file("clips/painted/manifest.jsonl.parts/000002", "".join(lines[3:]).encode())
    gone = next(name for name in wanted if name.endswith("a.png"))
    there.rm_file(f"clips/painted/{gone}")
    after = augment(f"{store}/set", f"{store}/painted", "--cluster", "auto")
    assert "9 were there before" in after.out
    assert found() == wanted


def test_stores_are_refused_in_plain_words(data_set: Path, store: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(data_set), "clips/other", recursive=True)
    assert "Add --cluster auto" in augment(f"{store}/other", f"{store}/free").err
    inside = augment(f"{store}/other", f"{store}/other/1", "--cluster", "auto")
    assert "lie in each other" in inside.err
    s3fs.S3FileSystem().pipe_file("clips/taken/1/cat/a.png", b"mine")
    taken = augment(f"{store}/other", f"{store}/taken", "--cluster", "auto")
    assert "1/cat/a.png exists already" in taken.err
    assert "is not a folder" in augment(f"{store}/none", f"{store}/free", "--cluster", "auto").err


def test_after_ctrl_c_the_same_run_goes_on(data_set: Path, tmp_path: Path) -> None:
    def run(name: str) -> AugmentRun:
        return AugmentRun(data_set, tmp_path / name, AugmentOptions(), per=4, device=CPU)

    list(run("alone"))
    with connected("auto") as machines:
        cut = paint_data_set(machines, run("out"))
        assert next(cut).made == 4
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(StoppedError):
            list(cut)
        rest = list(paint_data_set(machines, run("out")))
    assert 4 <= sum(painted.kept for painted in rest) < 20
    assert files(tmp_path / "out") == files(tmp_path / "alone")
