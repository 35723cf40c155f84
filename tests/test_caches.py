"""The cache: whatever lies in it, and whoever uses it at once, the picture is the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_models import style_model, write_refine
from models import identity_model
from PIL import Image as Pil

from rtstyle import adain, devices, kept_files, refine
from rtstyle.devices import CACHE_VARIABLE, Candidate
from rtstyle.engines import EngineOptions, open_engine
from rtstyle.errors import EngineError
from rtstyle.kept_files import one_at_a_time, read_kept, read_vector, write_kept, write_vector

PATIENCE = 60
PROCESSES = 20 if os.environ.get("RTSTYLE_TEST_FULL") else 5
NUMBERS = np.array([0.5, -1, 2, 3.25, 1e-3, 7], np.float32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    adain._VECTORS.clear()
    yield folder
    adain._VECTORS.clear()


@pytest.fixture
def fitted(pretrained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The styles of the other tests, and what fits vectors."""
    made = tmp_path / "styles"
    shutil.copytree(pretrained_folder, made)
    write_refine(made)
    monkeypatch.setenv("RTSTYLE_STYLES", str(made))
    return made


@pytest.fixture
def mine(tmp_path: Path) -> str:
    chance = np.random.default_rng(0)
    Pil.fromarray(chance.integers(40, 200, (64, 64, 3), np.uint8)).save(tmp_path / "mine.png")
    return str(tmp_path / "mine.png")


# One file


def test_a_vector_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.vector"
    write_vector(file, "a", NUMBERS)
    found = read_vector(file, "a")
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, NUMBERS)
    assert [path.name for path in file.parent.iterdir()] == ["a.vector"]


def test_the_vector_of_another_is_not_there(tmp_path: Path) -> None:
    write_vector(tmp_path / "a.vector", "a", NUMBERS)
    assert read_vector(tmp_path / "a.vector", "b") is None


def test_what_is_not_finite_is_not_there(tmp_path: Path) -> None:
    for number in (np.nan, np.inf):
        write_vector(tmp_path / "a.vector", "a", np.append(NUMBERS, np.float32(number)))
        assert read_vector(tmp_path / "a.vector", "a") is None


def test_an_empty_vector_is_not_there(tmp_path: Path) -> None:
    write_vector(tmp_path / "a.vector", "a", NUMBERS[:0])
    assert read_vector(tmp_path / "a.vector", "a") is None


def test_what_is_no_file_of_the_cache_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "huge").write_bytes(bytes(kept_files.LARGEST + 1))
    for name in ("folder", "huge", "nothing", "nul\0"):
        assert read_kept(tmp_path / name) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and devices")
def test_nothing_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("fifo", "endless", "loop"):
        assert read_kept(tmp_path / name) is None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "x").mkdir(parents=True)
    write_kept(tmp_path / "file" / "a", b"x")
    write_kept(tmp_path / "folder", b"x")
    with one_at_a_time(tmp_path / "file" / "lock"), one_at_a_time(tmp_path / "folder"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


# The whole cache


def mutations(good: Path, other: Path) -> dict[str, Callable[[Path, random.Random], None]]:
    """What may happen to a file; `other` is a sound one of another painting."""
    sound, foreign = good.read_bytes(), other.read_bytes()

    def flip(path: Path, chance: random.Random) -> None:
        content = bytearray(sound)
        for _ in range(chance.choice([1, 1, 3, 20])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)

    def nan(path: Path, chance: random.Random) -> None:
        content = bytearray(sound)
        at = len(content) - 4 * chance.randint(1, 6)
        content[at : at + 4] = np.float32(chance.choice([np.nan, np.inf])).tobytes()
        path.write_bytes(content)

    def numpy(path: Path, chance: random.Random) -> None:
        with path.open("wb") as file:
            value = chance.choice(
                [NUMBERS, NUMBERS[:0], NUMBERS.astype(np.float64), np.array(None)]
            )
            np.save(file, value, allow_pickle=True)

    def folder(path: Path, _: random.Random) -> None:
        path.unlink()
        path.mkdir()

    def fifo(path: Path, chance: random.Random) -> None:
        if not hasattr(os, "mkfifo"):
            return flip(path, chance)
        path.unlink()
        return os.mkfifo(path)

    return {
        "flipped": flip,
        "not finite": nan,
        "of NumPy": numpy,
        "cut": lambda path, chance: path.write_bytes(sound[: chance.randrange(len(sound))]),
        "longer": lambda path, chance: path.write_bytes(sound + chance.randbytes(4)),
        "noise": lambda path, chance: path.write_bytes(chance.randbytes(chance.randrange(200))),
        "of another": lambda path, _: path.write_bytes(foreign),
        "gone": lambda path, _: path.unlink(),
        "a folder": folder,
        "a FIFO": fifo,
    }


def test_500_damaged_caches_give_the_same_vector(cache: Path, fitted: Path, mine: str) -> None:
    other = Path(mine).with_name("other.png")
    Pil.new("RGB", (64, 64), (200, 10, 30)).save(other)
    want = adain.encode(mine, "fast")
    mine_files = set((cache / "paintings").glob("*.vector"))
    assert len(mine_files) == 2  # at a glance, and fitted
    adain.encode(str(other), "fast")
    [foreign, _] = set((cache / "paintings").glob("*.vector")) - mine_files
    sound = {path: path.read_bytes() for path in mine_files}
    chance = random.Random(0)
    ways = {path: mutations(path, foreign) for path in mine_files}
    for number in range(500):
        for path in mine_files if number % 2 else [chance.choice(sorted(mine_files))]:
            names = sorted(ways[path])
            ways[path][names[number % len(names)]](path, chance)
        adain._VECTORS.clear()
        assert np.array_equal(adain.encode(mine, "fast"), want)
        for path, content in sound.items():
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            path.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[" * 100_000, b'{"x":' * 50_000, b"null", b"1e999", b"{}" + b" " * (1 << 21)],
    ids=["no text", "deep", "deeper", "null", "infinite", "huge"],
)
def test_a_damaged_memory_of_devices_is_measured_anew(cache: Path, content: bytes) -> None:
    cache.mkdir()
    (cache / "devices.json").write_bytes(content)
    open_engine(identity_model(), "cpu").close()
    assert len(json.loads((cache / "devices.json").read_text())) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_memory_of_devices_that_is_a_fifo_is_measured_anew(cache: Path) -> None:
    cache.mkdir()
    for name in ("devices.json", "devices.lock"):
        os.mkfifo(cache / name)
    open_engine(identity_model(), "cpu").close()
    assert (cache / "devices.json").is_file()


def test_a_network_that_gives_no_numbers_is_told(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rtstyle.engines.onnxrt.run_session", lambda *_: [np.full((1, 6), np.nan, np.float32)]
    )
    (tmp_path / "style.onnx").write_bytes(style_model())
    with pytest.raises(EngineError, match="not finite"):
        adain.run_encoder(tmp_path / "style.onnx", "fast", np.zeros((64, 64, 3), np.uint8))


# Several at once


def at_once(work: Callable[[], Any], count: int = 4) -> list[Any]:
    """What `work` returns in so many threads."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == count
    return found


def test_one_measures_for_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, model = devices.measure, identity_model()
    measured: list[Any] = []
    everybody = threading.Barrier(4)

    def slowly(*given: Any) -> Any:
        measured.append(measure(*given))
        return measured[-1]

    recall = devices._recall

    def together(key: str) -> str:
        with_all = recall(key)
        if threading.current_thread() not in seen:
            seen.append(threading.current_thread())
            everybody.wait(PATIENCE)  # Nobody has measured yet.
        return with_all

    seen: list[threading.Thread] = []
    monkeypatch.setattr(devices, "measure", slowly)
    monkeypatch.setattr(devices, "_recall", together)

    def choose() -> str:
        with devices.open_best(model, "cpu", EngineOptions(threads=1)) as engine:
            return str(Candidate(engine.name, engine.device))

    assert len(set(at_once(choose))) == 1
    assert len(measured) == 1


def test_one_fits_for_all(
    cache: Path, fitted: Path, mine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, done = refine.refine, []

    def note(*given: Any, **options: Any) -> Any:
        done.append(1)
        # As in another process, nothing but the file tells of it.
        found = fit(*given, **options)
        adain._VECTORS.clear()
        return found

    monkeypatch.setattr(refine, "refine", note)
    first, *others = at_once(lambda: adain.encode(mine, "fast"))
    assert all(np.array_equal(first, one) for one in others)
    assert done == [1]


def test_who_is_stopped_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files, "WAIT", 10 * PATIENCE)
    monkeypatch.setattr(kept_files, "LOOK_EVERY", 0.01)
    looks: list[int] = []

    def stopped() -> bool:
        looks.append(1)
        return len(looks) > 2

    def wait(*given: Any) -> bool:
        with one_at_a_time(tmp_path / "lock", *given):
            return True

    with one_at_a_time(tmp_path / "lock"):
        assert at_once(lambda: wait(stopped), 1)
        assert len(looks) == 3
        # Nor does anybody wait for ever for a process that hangs.
        monkeypatch.setattr(kept_files, "WAIT", 0.05)
        assert at_once(wait, 1)


def test_processes_on_a_fresh_cache_paint_the_same(cache: Path, fitted: Path, mine: str) -> None:
    code = """
import hashlib, sys
import numpy as np
from rtstyle import devices, refine
from rtstyle.stylizer import Stylizer

def counting(name, of):
    def call(*given, **options):
        print(name)
        return of(*given, **options)
    return call

refine.refine = counting("fitted", refine.refine)
devices.measure = counting("measured", devices.measure)
picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
print("ready", flush=True)
sys.stdin.readline()
with Stylizer(sys.argv[1], device="cpu") as paint:
    print(hashlib.sha256(paint(picture).tobytes()).hexdigest())
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", code, mine]
    children = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    try:
        assert [child.stdout.readline() for child in children] == ["ready\n"] * PROCESSES
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        said = [child.communicate(timeout=4 * PATIENCE)[0].split() for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert [child.returncode for child in children] == [0] * PROCESSES
    assert sum(words.count("fitted") for words in said) == 1
    assert sum(words.count("measured") for words in said) == 1
    assert len({words[-1] for words in said}) == 1
