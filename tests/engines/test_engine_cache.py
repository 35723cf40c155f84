"""The engines that are kept: how they are told apart, and what becomes of damaged ones."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_card import FakeCard, FakeLibrary, FakePlan
from helpers.models import invert_model, network_model

from rtstyle.engines import EngineOptions
from rtstyle.engines.gpu import engine_cache
from rtstyle.engines.gpu.engine_cache import EngineCache, EngineKey, read_sealed, write_sealed
from rtstyle.engines.gpu.trt import TensorRtEngine
from rtstyle.errors import EngineError

KEY = EngineKey(b"model", {"image": (1, 1080, 1920, 3)}, "fp16", "TensorRT 1", (8, 9), 13000)


def test_whatever_an_engine_depends_on_is_in_its_key() -> None:
    others = [
        replace(KEY, model=b"other"),
        replace(KEY, shapes={"image": (1, 1920, 1080, 3)}),
        replace(KEY, shapes={"image": (2, 1080, 1920, 3)}),
        replace(KEY, shapes={**KEY.shapes, "canvas": (1, 1080, 1920, 3)}),
        replace(KEY, precision="fp32"),
        replace(KEY, library="TensorRT 2"),
        replace(KEY, capability=(8, 6)),
        replace(KEY, driver=13010),
        replace(KEY, rewrite=KEY.rewrite + 1),
    ]
    names = {key.file_name() for key in (KEY, *others)}
    assert len(names) == len(others) + 1
    assert replace(KEY, shapes={"image": [1, 1080, 1920, 3]}).file_name() in names
    assert KEY.file_name().startswith("1920x1080-fp16-")


def kept_in(folder: Path) -> list[str]:
    """Return the kinds of files that are kept, in order; the lock is none of them."""
    return sorted(path.suffix for path in folder.iterdir() if path.suffix != ".lock")


def engine_for(folder: Path, library: FakeLibrary, precision: str = "fp32") -> TensorRtEngine:
    options = EngineOptions(device="cuda", streams=2, precision=precision)
    return TensorRtEngine(
        invert_model(), options, card=library.card, library=library, cache=EngineCache(folder)
    )


def paint(folder: Path, library: FakeLibrary) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 12, 10, 3), np.uint8)
    with engine_for(folder, library) as engine:
        np.testing.assert_array_equal(engine.run(image), 255 - image)


def test_a_kept_engine_is_loaded_with_its_kernels(tmp_path: Path) -> None:
    library = FakeLibrary(FakeCard())
    paint(tmp_path, library)
    assert kept_in(tmp_path) == [".engine", ".kernels"]
    given: list[bytes] = []
    load = library.load

    def watched(plan: bytes, kernels: bytes) -> FakePlan:
        given.append(kernels)
        return load(plan, kernels)

    library.load = watched  # type: ignore[method-assign]
    paint(tmp_path, library)
    assert library.built == [(8, 9)]
    assert given == [b"FAKE kernels"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_engine_is_built_again_with_a_word(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = FakeLibrary(FakeCard())
    paint(tmp_path, library)
    [path] = tmp_path.glob("*.engine")
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-5] ^= 4
    path.write_bytes(
        {"cut": content[:-9], "flipped": content, "empty": b"", "foreign": b"plan" * 99}[damage]
    )
    with caplog.at_level(logging.WARNING):
        paint(tmp_path, library)
    assert len(library.built) == 2
    assert library.loaded == 2  # TensorRT never sees the damaged one
    [record] = caplog.records
    assert "damaged" in record.getMessage()
    assert "built again" in record.getMessage()
    caplog.clear()
    paint(tmp_path, library)
    assert len(library.built) == 2
    assert not caplog.records


def test_damaged_kernels_are_compiled_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = FakeLibrary(FakeCard())
    paint(tmp_path, library)
    [path] = tmp_path.glob("*.kernels")
    path.write_bytes(path.read_bytes()[:-1])
    paint(tmp_path, library)
    assert len(library.built) == 1
    assert "damaged" in caplog.text
    assert read_sealed(path) == b"FAKE kernels"


def test_an_engine_that_does_not_load_is_built_again_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = FakeCard()
    paint(tmp_path, FakeLibrary(card))
    [path] = tmp_path.glob("*.engine")
    write_sealed(path, b"FAKE TensorRT 0.9\n" + network_model(4))
    library = FakeLibrary(card)
    paint(tmp_path, library)
    assert library.built == [(8, 9)]
    assert "another version built it" in caplog.text


def test_another_version_or_driver_builds_its_own(tmp_path: Path) -> None:
    libraries = [
        FakeLibrary(FakeCard()),
        FakeLibrary(FakeCard(), "FAKE TensorRT 2.0"),
        FakeLibrary(FakeCard(driver=13010)),
        FakeLibrary(FakeCard(capability=(12, 0))),
    ]
    for _ in range(2):
        for library in libraries:
            paint(tmp_path, library)
    assert [len(library.built) for library in libraries] == [1, 1, 1, 1]
    assert len(list(tmp_path.glob("*.engine"))) == 4


def test_threads_that_want_the_same_engine_build_it_once(tmp_path: Path) -> None:
    cache, built, loads = EngineCache(tmp_path), [], []
    start = threading.Barrier(4)

    def build() -> bytes:
        built.append(1)
        return b"engine"

    def work() -> None:
        start.wait(20)
        loads.append(cache.opened(KEY, build, lambda plan, _: plan))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert loads == [b"engine"] * 4


def test_writers_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "one.engine"
    contents = [bytes([i]) * 200_000 for i in range(4)]
    seen: list[bytes | None] = []

    def write(content: bytes) -> None:
        for _ in range(10):
            write_sealed(path, content)
            seen.append(read_sealed(path))

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= set(contents)
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.engine"]


def test_a_build_that_fails_keeps_nothing(tmp_path: Path) -> None:
    def fails() -> bytes:
        raise EngineError("It cannot be built.")

    with pytest.raises(EngineError, match="cannot be built"):
        EngineCache(tmp_path).opened(KEY, fails, lambda plan, _: plan)
    assert not kept_in(tmp_path)


def test_an_engine_that_never_loads_is_not_kept(tmp_path: Path) -> None:
    def refuses(plan: bytes, kernels: bytes) -> None:
        raise EngineError("It does not load.")

    with pytest.raises(EngineError, match="does not load"):
        EngineCache(tmp_path).opened(KEY, lambda: b"engine", refuses)
    assert not kept_in(tmp_path)


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    library = FakeLibrary(FakeCard())
    paint(blocked / "cache", library)
    paint(blocked / "cache", library)
    assert len(library.built) == 2


def test_those_used_longest_ago_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "KEPT_ENGINES", 2)
    cache = EngineCache(tmp_path)
    keys = [replace(KEY, driver=i) for i in range(3)]
    for age, key in enumerate(keys[:2]):
        cache.opened(key, lambda: b"engine", lambda plan, _: plan)
        cache.keep_kernels(key, b"kernels")
        os.utime(tmp_path / key.file_name(), (1000 + age, 1000 + age))
    cache.opened(keys[0], lambda: b"engine", lambda plan, _: plan)  # which is now the latest
    cache.opened(keys[2], lambda: b"engine", lambda plan, _: plan)
    assert [cache.has(key) for key in keys] == [True, False, True]
    assert len(list(tmp_path.glob("*.kernels"))) == 1
