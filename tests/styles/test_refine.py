"""Fitting of a painting's vector, on generated models with a known best vector."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.any_models import AWAY, NUMBERS, SIDE, refine_model, write_refine
from PIL import Image as Pil
from rich.console import Console

from rtstyle.commands.progress import Bar
from rtstyle.errors import EngineError
from rtstyle.frame import Image
from rtstyle.live.bank import StyleBank, apart
from rtstyle.media.color import Colours
from rtstyle.painting.stylizer import Stylizer
from rtstyle.samples import sample_frames
from rtstyle.styles import fit as refine
from rtstyle.styles import manifest, paintings
from rtstyle.styles.watching import watched

PATIENCE = 60


@pytest.fixture
def folder(
    pretrained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The styles of the other tests and what fits vectors, with a cache of their own."""
    made = tmp_path / "styles"
    shutil.copytree(pretrained_folder, made)
    write_refine(made)
    monkeypatch.setenv("RTSTYLE_STYLES", str(made))
    monkeypatch.setenv("RTSTYLE_CACHE", str(tmp_path / "cache"))
    paintings._VECTORS.clear()
    yield made
    paintings._VECTORS.clear()


@pytest.fixture
def mine(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    Pil.fromarray(random.integers(40, 200, (64, 64, 3), np.uint8)).save(tmp_path / "mine.png")
    return str(tmp_path / "mine.png")


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine, "refine", lambda *_, **__: pytest.fail("fitted"))


class TestDescent:
    def test_it_finds_the_least_of_a_parabola(self) -> None:
        best = np.array([0.12, -0.1, 0.05], np.float32)
        found = refine.descend(np.zeros(3, np.float32), lambda x, _: 2 * (x - best))
        assert found is not None
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, best, atol=0.04)

    def test_a_step_is_that_of_adam(self) -> None:
        slopes = [np.array([3.0, -0.01]), np.array([1.0, 0.0])]
        found = refine.descend(np.zeros(2, np.float32), lambda _, step: slopes[step], steps=2)
        # Kingma and Ba 2015, algorithm 1, with the rates 0.05 and 0.025.
        mean, square = np.zeros(2), np.zeros(2)
        wanted = np.zeros(2)
        for step, slope in enumerate(slopes, 1):
            mean, square = 0.9 * mean + 0.1 * slope, 0.9 * square + 0.1 * slope**2
            unbiased = mean / (1 - 0.9**step), square / (1 - 0.9**step)
            wanted -= (0.05 if step == 1 else 0.025) * unbiased[0] / (unbiased[1] ** 0.5 + 1e-8)
        assert found is not None
        np.testing.assert_allclose(found, wanted, rtol=1e-4)

    def test_it_stops(self) -> None:
        seen: list[int] = []

        def slope(x: Any, step: int) -> Any:
            seen.append(step)
            return x

        assert refine.descend(np.ones(3, np.float32), slope, lambda: len(seen) == 3) is None
        assert seen == [0, 1, 2]


class TestEncoding:
    def test_vectors_are_fitted(self, folder: Path, mine: str) -> None:
        rough = paintings.encode(mine, "fast", rough=True)
        assert paintings.is_rough(mine, "fast")
        fitted = paintings.encode(mine, "fast")
        assert not paintings.is_rough(mine, "fast")
        # All steps go the same way, to `AWAY`: their widths add up to half of all at the first's.
        way = refine.STEPS * refine.LEARNING_RATE / 2
        assert way < AWAY
        np.testing.assert_allclose(fitted - rough, way, rtol=0.1)

    def test_they_are_kept(self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
        fitted = paintings.encode(mine, "fast")
        paintings._VECTORS.clear()
        forbid(monkeypatch)
        monkeypatch.setattr(paintings, "encode_image", lambda *_: pytest.fail("encoded"))
        for rough in (False, True):
            np.testing.assert_array_equal(paintings.encode(mine, "fast", rough=rough), fitted)
        assert not paintings.is_rough(mine, "fast")

    def test_other_files_fit_anew(self, folder: Path, mine: str) -> None:
        fitted = paintings.encode(mine, "fast")
        write_refine(folder, refine_model(worse=True))
        manifest._read_manifest.cache_clear()
        # What makes it worse is not taken.
        assert paintings.is_rough(mine, "fast")
        rough = paintings.encode(mine, "fast", rough=True)
        np.testing.assert_array_equal(paintings.encode(mine, "fast"), rough)
        assert np.abs(fitted - rough).min() > 0.1
        assert not paintings.is_rough(mine, "fast")

    def test_what_was_stopped_is_not_kept(self, folder: Path, mine: str) -> None:
        rough = paintings.encode(mine, "fast", rough=True)
        np.testing.assert_array_equal(paintings.encode(mine, "fast", stopped=lambda: True), rough)
        assert paintings.is_rough(mine, "fast")

    def test_without_the_files_nothing_is_fitted(self, mine: str) -> None:
        assert not refine.available("fast")
        assert not paintings.is_rough(mine, "fast")
        np.testing.assert_array_equal(
            paintings.encode(mine, "fast"), paintings.encode(mine, "fast", rough=True)
        )

    def test_built_in_paintings_are_fitted_already(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forbid(monkeypatch)
        assert not paintings.is_rough("mosaic", "fast")
        assert len(paintings.encode("mosaic", "fast")) == NUMBERS

    def test_a_painting_is_tried_on_the_bundled_clip(self) -> None:
        frames = refine._frames(SIDE)
        assert len(frames) == refine.FRAMES
        assert {frame.shape for frame in frames} == {(SIDE, SIDE, 3)}
        first = next(iter(sample_frames(1))).mean(axis=(0, 1))
        assert np.abs(frames[0].mean(axis=(0, 1)) - first).max() < 60

    def test_a_damaged_file_is_told(self, folder: Path, mine: str) -> None:
        write_refine(folder, b"nonsense")
        manifest._read_manifest.cache_clear()
        with pytest.raises(EngineError, match="cannot be loaded"):
            paintings.encode(mine, "fast")

    def test_pictures_are_painted_with_them(self, folder: Path, mine: str) -> None:
        image = np.full((32, 32, 3), 90, np.uint8)
        with Stylizer(mine, "fast", device="cpu") as stylize:
            assert stylize.network.model.statistics is not None
            np.testing.assert_array_equal(
                stylize.network.model.statistics[0], paintings.encode(mine, "fast")
            )
            assert stylize(image).shape == image.shape


class TestApart:
    def test_it_is_fitted_in_another_process_from_where_this_one_is(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(Path(mine).parent)
        colours = Colours.of(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        expected = [paintings.encode("mine.png", "fast", 1.0, own) for own in (None, colours)]
        monkeypatch.setenv("RTSTYLE_CACHE", "other-cache")
        paintings._VECTORS.clear()

        def never(*_: Any, **__: Any) -> None:
            raise AssertionError("it was fitted in this process")

        monkeypatch.setattr(refine, "refine", never)
        for own, vector in zip((None, colours), expected, strict=True):
            assert paintings.is_rough("mine.png", "fast", 1.0, own)
            apart.fit_apart("mine.png", "fast", 1.0, own)
            found = paintings.encode("mine.png", "fast", 1.0, own)
            np.testing.assert_allclose(found, vector, atol=1e-5)
        assert list(Path("other-cache").rglob("*.vector"))

    def test_one_that_is_not_wanted_any_more_is_ended(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun: list[Any] = []

        class Noted(subprocess.Popen):  # type: ignore[type-arg]
            def __init__(self, *words: Any, **options: Any) -> None:
                super().__init__(*words, **options)
                begun.append(self)

        monkeypatch.setattr("subprocess.Popen", Noted)
        monkeypatch.setattr(
            apart, "COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"]
        )
        apart.fit_apart(mine, "fast", 1.0, None, lambda: True)
        assert begun[0].poll() is not None
        assert paintings.is_rough(mine, "fast")

    @pytest.mark.parametrize(
        ("command", "why"),
        [([sys.executable, "-c", ""], "Its process ended"), (["/nowhere/python"], "be studied")],
    )
    def test_a_process_that_fails_is_told(
        self, folder: Path, mine: str, command: list[str], why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(apart, "COMMAND", command)
        with pytest.raises(EngineError, match=why):
            apart.fit_apart(mine, "fast", 1.0, None)

    def test_a_picture_that_has_gone_is_told(self, folder: Path) -> None:
        with pytest.raises(EngineError, match=r"gone\.png"):
            apart.fit_apart("gone.png", "fast", 1.0, None)


class TestLive:
    @pytest.fixture(autouse=True)
    def _in_this_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is fitted can be watched then."""

        def fit(*painting: Any) -> None:
            *known, stopped = painting
            paintings.encode(*known, threads=1, stopped=stopped)

        monkeypatch.setattr("rtstyle.live.bank.fitting.fit_apart", fit)

    def test_it_is_rough_at_once_and_fitted_soon(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, go, fit = threading.Event(), threading.Event(), refine.refine

        def slowly(*given: Any, **options: Any) -> Any:
            begun.set()
            assert go.wait(PATIENCE)
            return fit(*given, **options)

        monkeypatch.setattr(refine, "refine", slowly)
        with StyleBank(device="cpu") as bank:
            bank.prepare([(mine, "fast")], (32, 32))
            assert begun.wait(PATIENCE)
            assert bank.wait_idle(PATIENCE)
            assert bank.ready(mine, "fast", (32, 32))
            rough = paintings.encode(mine, "fast", rough=True)
            assert vector(bank, mine) == pytest.approx(rough)
            # A blend with it comes from what there is, too.
            blend = f"{mine}:1,mosaic:1"
            mixed = vector(bank, blend)
            go.set()
            assert bank.wait_fitted(PATIENCE)
            assert vector(bank, mine) == pytest.approx(paintings.encode(mine, "fast"))
            assert np.abs(vector(bank, blend) - mixed).min() > 0.1
            assert bank.ready(mine, "fast", (32, 32))

    def test_closing_does_not_wait_for_it(self, folder: Path, mine: str) -> None:
        bank = StyleBank(device="cpu")
        with pytest.MonkeyPatch.context() as patch:
            begun, stopped = stop_watch(patch)
            bank.resolve(mine, "fast")
            assert begun.wait(PATIENCE)
            bank.close()
        assert stopped == [True]
        assert paintings.is_rough(mine, "fast")

    def test_other_colours_let_go_of_it(self, folder: Path, mine: str) -> None:
        with StyleBank(device="cpu") as bank, pytest.MonkeyPatch.context() as patch:
            begun, stopped = stop_watch(patch)
            bank.resolve(mine, "fast")
            assert begun.wait(PATIENCE)
            bank.match(np.full((8, 8, 3), 50, np.uint8))
            assert bank.wait_fitted(PATIENCE)
        assert stopped == [True]

    @pytest.mark.slow
    def test_a_picture_that_is_taken_down_meanwhile_stops_no_other(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = Path(mine).with_name("gone.png")
        Pil.new("RGB", (64, 64), (9, 8, 7)).save(gone)
        fit = refine.refine
        fitted: list[str] = []

        def note(*given: Any, name: str, **options: Any) -> Any:
            gone.unlink(missing_ok=True)
            fitted.append(name)
            return fit(*given, name=name, **options)

        monkeypatch.setattr(refine, "refine", note)
        with StyleBank(device="cpu") as bank:
            # Begins only once nothing is left to prepare: both are known by then.
            bank.prepare([(str(gone), "fast"), (mine, "fast")], (32, 32))
            assert bank.wait_idle(PATIENCE)
            assert bank.wait_fitted(PATIENCE)
        assert fitted[-1] == "mine.png"
        assert not paintings.is_rough(mine, "fast")

    def test_what_cannot_be_fitted_is_tried_once(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[int] = []

        def fail(*_: Any, **__: Any) -> Any:
            tried.append(1)
            raise EngineError("No.")

        monkeypatch.setattr(refine, "refine", fail)
        with StyleBank(device="cpu") as bank:
            for _ in range(3):
                bank.resolve(mine, "fast")
                assert bank.wait_fitted(PATIENCE)
        assert tried == [1]


def vector(bank: StyleBank, style: str) -> Any:
    found = bank.resolve(style, "fast").statistics
    assert found is not None
    return found[0]


def stop_watch(patch: pytest.MonkeyPatch) -> tuple[threading.Event, list[bool]]:
    """Let fitting take until it is stopped: an event as it begins, and True once it is."""
    begun = threading.Event()
    seen: list[bool] = []

    def wait(
        _numbers: Any, _painting: Image, _size: str, *, stopped: Callable[[], bool], **_: Any
    ) -> None:
        begun.set()
        for _ in range(100 * PATIENCE):
            if stopped():
                seen.append(True)
                return
            threading.Event().wait(0.01)

    patch.setattr(refine, "refine", wait)
    return begun, seen


class TestWatching:
    def test_each_step_is_told(self, folder: Path, mine: str) -> None:
        told: list[tuple[str, int, int]] = []
        with watched(lambda *what: told.append(what)):
            paintings.encode(mine, "fast")
            assert {(name, of) for name, _, of in told} == {("mine.png", refine.STEPS)}
            steps = [done for _, done, _ in told]
            assert steps == [*range(refine.STEPS), refine.STEPS, refine.STEPS]
            paintings.encode(mine, "fast")
        assert len(told) == len(steps)
        paintings.encode(mine, "fast", 2.0)
        assert len(told) == len(steps)

    def test_the_bar_shows_it(
        self, folder: Path, mine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, width=80)
        monkeypatch.setattr("rich.console.Console", lambda **_: console)
        with Bar() as bar:
            assert "studying" not in screen.getvalue()
            bar.study("wave.jpg", 4, 16)
            bar._rich.refresh()
            assert "studying wave.jpg" in screen.getvalue()
            assert "25%" in screen.getvalue()
            paintings.encode(mine, "fast")
            screen.truncate(0)
            bar._rich.refresh()
            assert "studying" not in screen.getvalue()
