"""What `scripts/gpu` packs and brings back: slices, thinned libraries, few and small results."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import lzma
import struct
import sys
import tarfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "gpu"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def loaded(name: str) -> ModuleType:
        loader = SourceFileLoader(f"gpu_{name}", str(FOLDER / name))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        return module

    return loaded


def kernels(*codes: tuple[int, bytes]) -> bytes:
    """Return machine code for cards as nvcc packs it: a head, then an entry for each card."""
    body = b""
    for capability, code in codes:
        head = struct.pack("<HHIQ", 2, 0x101, 64, len(code)).ljust(28, b"\0")
        body += (head + struct.pack("<I", capability)).ljust(64, b"h") + code
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_a_library_is_thinned_to_one_card(load: object) -> None:
    thinned = load("pack").thinned  # type: ignore[operator]
    start = b"\x7fELF and a word that is no head: " + struct.pack(
        "<IHHQ", 0xBA55ED50, 1, 9, 1 << 40
    )
    whole = start + kernels((75, b"a" * 40), (90, b"b" * 24)) + b"between" + kernels((90, b"c" * 8))
    found = thinned(whole, 90)
    assert len(found) == len(whole)
    assert found == whole.replace(b"a" * 40, bytes(40))
    with pytest.raises(SystemExit, match="capability 89"):
        thinned(whole, 89)


def write_parts(folder: Path, kind: str, content: bytes, count: int) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as out:
        entry = tarfile.TarInfo("library/file.bin")
        entry.size = len(content)
        out.addfile(entry, io.BytesIO(content))
    packed = lzma.compress(archive.getvalue())
    size = -(-len(packed) // count)
    for number in range(count):
        part = packed[number * size : (number + 1) * size]
        place = folder / f"{kind}-{number + 1}"
        place.mkdir(parents=True)
        (place / f"{kind}.tar.xz.{number + 1:02}").write_bytes(part)
        facts = {"of": count, "sha256": hashlib.sha256(part).hexdigest()}
        (place / "part.json").write_text(json.dumps(facts))


def test_a_library_is_unpacked_once_all_its_slices_are_here(load: object, tmp_path: Path) -> None:
    common = load("common.py")  # type: ignore[operator]
    write_parts(tmp_path, "cuda", b"some bytes" * 100, 3)
    (tmp_path / "cuda-2").rename(tmp_path / "away")
    assert not common.is_whole(tmp_path, "cuda")
    assert common.unpacked(tmp_path, "cuda") is None
    (tmp_path / "away").rename(tmp_path / "cuda-2")
    site = common.unpacked(tmp_path, "cuda")
    assert (site / "library/file.bin").read_bytes() == b"some bytes" * 100
    (tmp_path / "cuda-2/cuda.tar.xz.02").unlink()
    assert common.unpacked(tmp_path, "cuda") == site


def test_a_slice_that_was_damaged_is_named(load: object, tmp_path: Path) -> None:
    common = load("common.py")  # type: ignore[operator]
    write_parts(tmp_path, "rtx", b"some bytes" * 100, 2)
    part = tmp_path / "rtx-2/rtx.tar.xz.02"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(SystemExit, match=r"rtx-2.*damaged"):
        common.unpacked(tmp_path, "rtx")


def test_what_comes_back_is_eight_files_and_the_weights_first(load: object, tmp_path: Path) -> None:
    steps = load("all")  # type: ignore[operator]
    work = tmp_path / "work"
    (work / "out").mkdir(parents=True)
    (work / "logs").mkdir()
    (work / "logs/train.log").write_text("a line")
    for name in ("fast-0.pt", "fast-1.pt", "balanced-0.pt", "balanced-1.pt", "fast-joint.pt",
                 "fast.jpg", "balanced.jpg", "fast-joint.jpg", "video.json"):  # fmt: skip
        (work / "out" / name).write_bytes(b"x")
    (work / "out/large.pt").write_bytes(bytes((16 << 20) + 1))
    steps.collect(work, tmp_path / "back")
    back = sorted(path.name for path in (tmp_path / "back").iterdir())
    assert back == ["balanced-0.pt", "balanced-1.pt", "balanced.jpg", "fast-0.pt", "fast-1.pt",
                    "fast-joint.pt", "fast.jpg", "logs.tar.gz"]  # fmt: skip
    with tarfile.open(tmp_path / "back/logs.tar.gz") as logs:
        assert logs.getnames() == ["logs/train.log", "video.json"]


def test_training_comes_first_and_all_fits_the_time(load: object, tmp_path: Path) -> None:
    steps = load("all")  # type: ignore[operator]
    args = SimpleNamespace(
        cpu=False, minutes=11.5, plan="balanced:0:18,fast:0:10", slices=tmp_path, work=tmp_path
    )
    found = steps.steps_of(args)
    assert [step.name for step in found[:4]] == ["train", "any", "contract", "cuda"]
    # TensorRT has slices of its own, which may never be carried.
    assert sum(step.seconds for step in found if step.name != "tensorrt") <= 60 * args.minutes
    assert not any(step.ready() for step in found if step.name != "torch")


def test_a_step_that_fails_does_not_end_the_others(load: object, tmp_path: Path) -> None:
    steps = load("all")  # type: ignore[operator]
    args = SimpleNamespace(cpu=True, slices=tmp_path, work=tmp_path / "work")
    python = sys.executable
    steps.steps_of = lambda _: [
        steps.Step("bad", [python, "-c", "import sys; sys.exit(3)"], lambda: True, 60),
        steps.Step("late", [python, "-c", "import time; time.sleep(60)"], lambda: True, 0.5),
        steps.Step("absent", [python, "-c", ""], lambda: False, 60),
        steps.Step("good", [python, "-c", "print('all is well')"], lambda: True, 60),
    ]
    steps.run_steps(args)
    ended = json.loads((args.work / "out/steps.json").read_text())
    assert ended["bad"].startswith("failed with code 3")
    assert ended["late"].startswith("out of time")
    assert ended["absent"] == "left out: its slice is not here"
    assert ended["good"].startswith("done")
    assert (args.work / "logs/good.log").read_text() == "all is well\n"
    assert (args.work / "done").exists()
