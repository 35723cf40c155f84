"""Changing a live picture: the bank of models, the studio, the keys, the recorder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.pictures import noise

from rtstyle.engines.ov import KEPT_SIZES
from rtstyle.errors import SinkError, StyleError, UsageError
from rtstyle.frame import Frame, Image
from rtstyle.live.bank import StyleBank
from rtstyle.live.bank.errands import Errand, Errands
from rtstyle.live.bank.painted import LAST
from rtstyle.live.controls.board import Board
from rtstyle.live.controls.change import read_words
from rtstyle.live.keys import BINDINGS, KEYS
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.rate import RateController, Rung
from rtstyle.live.session import LiveSession
from rtstyle.painting.network import Network
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.report import Progress
from rtstyle.sinks.base import SinkClosedError
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sinks.window import WindowSink
from rtstyle.sound import Sound
from rtstyle.testing import FakeSink, FakeSource

PATIENCE = 60.0
"""Seconds after which a test gives up waiting; never reached by a sound program."""


def photo(height: int = 32, width: int = 48, seed: int = 0) -> Image:
    return noise(height, width, seed=seed)


@pytest.fixture
def bank() -> Iterator[StyleBank]:
    with StyleBank(device="openvino:cpu", threads=1) as bank:
        yield bank


def settle(studio: Studio, image: Image, bank: StyleBank) -> Image:
    """Show frames until what was asked for is shown."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        painted = studio(image)
        if studio.shown == studio.look:
            return painted
        bank.wait_idle(PATIENCE)
    raise AssertionError("the look never settled")


class TestLook:
    def test_values_out_of_range_are_refused(self) -> None:
        with pytest.raises(UsageError, match="strength"):
            Look(strength=1.5)
        with pytest.raises(UsageError, match="height"):
            Look(height=2)
        with pytest.raises(UsageError, match="--only"):
            Look(only="nobody")  # type: ignore[arg-type]

    def test_working_size_never_exceeds_the_frame(self) -> None:
        assert Look(height=240).working_size(480, 640) == (240, 320)
        assert Look(height=480).working_size(240, 320) == (240, 320)
        assert Look().working_size(481, 333) == (481, 333)

    def test_finish_scales_back_and_splits(self) -> None:
        source, painted = photo(), np.zeros((16, 24, 3), np.uint8)
        shown = Look(split=True).finish(source, painted)
        assert shown.shape == source.shape
        assert np.array_equal(shown[:, 26:], source[:, 26:])
        assert not shown[:, :22].any()

    def test_a_mask_chooses_between_source_and_painting(self) -> None:
        source, painted = photo(), np.zeros((32, 48, 3), np.uint8)
        mask = np.zeros((32, 48), np.uint8)
        mask[:, :10] = 255
        shown = Look().finish(source, painted, mask)
        assert not shown[:, :10].any()
        assert np.array_equal(shown[:, 10:], source[:, 10:])

    def test_half_strength_is_the_mean(self) -> None:
        source = np.full((16, 16, 3), 200, np.uint8)
        shown = Look(strength=0.5).finish(source, np.full((16, 16, 3), 100, np.uint8))
        assert np.all(shown == 150)


class TestBank:
    @pytest.mark.slow
    def test_prepares_in_the_background(self, bank: StyleBank) -> None:
        assert not bank.ready("invert", "fast", (32, 48))
        bank.prepare([("invert", "fast"), ("identity", "fast")], (32, 48), urgent=False)
        assert bank.wait_idle(PATIENCE)
        assert bank.ready("invert", "fast", (32, 48))
        assert bank.ready("identity", "fast", (32, 48))
        assert not bank.ready("invert", "fast", (64, 48))

    def test_a_model_that_cannot_be_had_is_told_once(self, bank: StyleBank) -> None:
        bank.prepare([("nothing", "fast")], (32, 48))
        assert bank.wait_idle(PATIENCE)
        with pytest.raises(StyleError, match="nothing"):
            bank.ready("nothing", "fast", (32, 48))
        assert not bank.ready("nothing", "fast", (32, 48))

    def test_keeps_no_more_than_its_capacity(self) -> None:
        with StyleBank(device="openvino:cpu", threads=1, capacity=1) as bank:
            first = bank.network("invert", "fast").engine
            assert bank.network("invert", "fast").engine is first
            bank.paint(photo(), "invert", "fast")
            bank.network("identity", "fast")
            assert not bank.ready("invert", "fast", (32, 48))
            assert bank.network("invert", "fast").engine is not first

    def test_knows_what_an_engine_has_let_go_of(self, bank: StyleBank) -> None:
        """A size that was compiled once was taken for ready, and compiled again within a frame."""
        shapes = [(32, 48 + 2 * n) for n in range(KEPT_SIZES + 1)]
        bank.prepare([("invert", "fast")], *shapes)
        assert bank.wait_idle(PATIENCE)
        ready = [bank.ready("invert", "fast", shape) for shape in shapes]
        assert ready == [False, *([True] * KEPT_SIZES)]

    @pytest.mark.slow
    def test_sizes_that_are_painted_no_more_are_let_go_of(self, bank: StyleBank) -> None:
        """They were kept for every style: some 10 MB each, after a rate that went up and down."""
        names, old, now = [("invert", "fast"), ("identity", "fast")], (32, 48), (24, 36)
        bank.prepare(names, old)
        bank.paint(photo(), "invert", "fast")
        for _ in range(2):
            # What is on the screen stays, whatever was asked for last.
            bank.prepare(names, now, urgent=False, tidy=True)
            assert bank.wait_idle(PATIENCE)
            assert all(bank.ready(*name, now) for name in names)
            assert [bank.ready(*name, old) for name in names] == [True, False]
        for _ in range(LAST):
            bank.paint(photo(*now), "invert", "fast")
        bank.prepare(names, now, urgent=False, tidy=True)
        assert bank.wait_idle(PATIENCE)
        assert not any(bank.ready(*name, old) for name in names)

    def test_an_open_model_paints_while_another_one_is_opened(
        self, bank: StyleBank, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bank.paint(photo(), "invert", "fast")
        begun, go, opened = threading.Event(), threading.Event(), Network.open

        def slowly(*words: Any, **options: Any) -> Network:
            begun.set()
            assert go.wait(PATIENCE)
            return opened(*words, **options)

        monkeypatch.setattr(Network, "open", slowly)
        bank.prepare([("identity", "fast")], (32, 48))
        assert begun.wait(PATIENCE)
        assert np.array_equal(bank.paint(photo(), "invert", "fast"), 255 - photo())
        go.set()
        assert bank.wait_idle(PATIENCE)
        assert bank.ready("identity", "fast", (32, 48))

    def test_a_new_wish_takes_the_place_of_the_one_before(self) -> None:
        begun, go, done = threading.Event(), threading.Event(), []

        def do(errand: Errand) -> None:
            begun.set()
            assert go.wait(PATIENCE)
            done.append(errand[0][0])

        changed = threading.Condition()
        errands = Errands(do, changed)
        errands.ask([(("first", "fast"), None)], "me")
        assert begun.wait(PATIENCE)
        errands.ask_later([(("late", "fast"), None)])
        errands.ask([(("theirs", "fast"), None)], "you")
        for number in range(50):
            errands.ask([((f"mine {number}", "fast"), None)], "me")
        errands.ask([(("at once", "fast"), None)])
        go.set()
        with changed:
            assert changed.wait_for(lambda: errands.idle, PATIENCE)
        assert done == ["first", "at once", "mine 49", "theirs", "late"]

    def test_nothing_is_made_ready_ahead_during_a_rest(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rtstyle.live.bank.errands.GAP", 0.0)
        waiting, did, done = threading.Event(), threading.Event(), []

        def do(errand: Errand) -> None:
            done.append(errand[0][0])
            did.set()

        class Noticed(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                waiting.set()
                return super().wait(timeout)

        changed = Noticed()
        errands = Errands(do, changed)
        errands.rest(1000.0)
        errands.ask_later([(("late", "fast"), None)])
        assert waiting.wait(PATIENCE)
        errands.ask([(("urgent", "fast"), None)])
        assert did.wait(PATIENCE)
        errands.rest(0.0)
        with changed:
            assert changed.wait_for(lambda: errands.idle, PATIENCE)
        assert done == ["urgent", "late"]

    def test_closing_waits_for_the_thread(self) -> None:
        bank = StyleBank(device="openvino:cpu", threads=1)
        bank.prepare([("invert", "fast"), ("identity", "fast")], (32, 48), urgent=False)
        bank.close()
        assert "rtstyle-prepare" not in {thread.name for thread in threading.enumerate()}
        bank.close()


class TestStudio:
    def test_the_old_style_goes_on_until_the_new_one_is_ready(self, bank: StyleBank) -> None:
        image, studio = photo(), Studio(bank, Look("identity"))
        assert np.array_equal(studio(image), image)
        studio.change(style="invert")
        first = studio(image)
        assert np.array_equal(first, image) or np.array_equal(first, 255 - image)
        assert np.array_equal(settle(studio, image, bank), 255 - image)

    def test_a_prepared_style_is_shown_with_the_very_next_frame(self, bank: StyleBank) -> None:
        image, studio = photo(), Studio(bank, Look("identity"))
        studio(image)
        bank.prepare([("invert", "fast")], (32, 48), urgent=False)
        bank.wait_idle(PATIENCE)
        studio.change(style="invert")
        assert np.array_equal(studio(image), 255 - image)

    def test_an_unknown_style_leaves_the_picture_as_it_is(self, bank: StyleBank) -> None:
        image, studio = photo(), Studio(bank, Look("identity"))
        studio(image)
        studio.change(style="invret")
        assert np.array_equal(settle(studio, image, bank), image)
        assert studio.look.style == "identity"
        assert isinstance(studio.problem, StyleError)

    def test_mirror_and_strength(self, bank: StyleBank) -> None:
        image, studio = photo(), Studio(bank, Look("invert", mirror=True))
        assert np.array_equal(studio(image), 255 - image[:, ::-1])
        studio.change(strength=0.0)
        assert np.array_equal(studio(image), image[:, ::-1])

    def test_frozen(self, bank: StyleBank) -> None:
        studio = Studio(bank, Look("identity"))
        first = studio(photo(seed=1))
        studio.frozen = True
        assert np.array_equal(studio(photo(seed=2)), first)
        assert studio(photo(64, 64)).shape == (64, 64, 3)
        studio.frozen = False
        assert np.array_equal(studio(photo(seed=2)), photo(seed=2))

    def test_only_the_background_or_the_person(self, bank: StyleBank) -> None:
        def left_is_a_person(image: Image) -> Image:
            mask = np.zeros(image.shape[:2], np.uint8)
            mask[:, :20] = 255
            return mask

        image = photo()
        studio = Studio(bank, Look("invert", only="person"), segmenter=left_is_a_person)
        shown = studio(image)
        assert np.array_equal(shown[:, :20], 255 - image[:, :20])
        assert np.array_equal(shown[:, 20:], image[:, 20:])
        studio.change(only="background")
        shown = studio(image)
        assert np.array_equal(shown[:, :20], image[:, :20])
        assert np.array_equal(shown[:, 20:], 255 - image[:, 20:])

    def test_the_controller_chooses_the_height(self, bank: StyleBank) -> None:
        # A target that nothing can hold: it ends on the last rung.
        ladder = (Rung("fast", 1.0), Rung("fast", 0.5))
        studio = Studio(bank, Look("invert"), controller=RateController(1e6, ladder))
        image = photo(64, 96)
        deadline = time.monotonic() + PATIENCE
        while studio.shown.height is None and time.monotonic() < deadline:
            assert studio(image).shape == image.shape
        assert studio.shown.height == 32

    def test_changes_from_other_threads_are_never_lost(self, bank: StyleBank) -> None:
        studio, image = Studio(bank, Look("identity")), photo()
        done = threading.Event()

        def turn() -> None:
            for number in range(300):
                studio.change(strength=(number % 10) / 10, mirror=bool(number % 2))
            done.set()

        thread = threading.Thread(target=turn)
        thread.start()
        while not done.is_set():
            assert studio(image).shape == image.shape
        thread.join()
        assert (studio.look.strength, studio.look.mirror) == (0.9, True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def session(bank: StyleBank, tmp_path: Path) -> LiveSession:
    studio = Studio(bank, Look("identity"))
    studio(photo())
    names = ["identity", "invert", "mosaic"]
    return LiveSession(studio, bank, names, RecorderSink(), folder=tmp_path, clock=Clock())


class TestKeys:
    def test_every_listed_key_is_answered(self, session: LiveSession) -> None:
        for key in BINDINGS:
            if BINDINGS[key] != "quit":
                assert session.key(key), key
        assert not session.key("§")
        for key in ("q", "escape"):
            with pytest.raises(SinkClosedError):
                session.key(key)

    def test_every_key_asks_for_a_control_that_there_is(self) -> None:
        assert len(BINDINGS) == sum(len(entry.keys) for entry in KEYS)
        for words in BINDINGS.values():
            Board().ask(dict([read_words(words)]))

    def test_keys_reach_twelve_styles(self, session: LiveSession) -> None:
        session.names = [f"style {number}" for number in range(1, 13)]
        for key, name in zip([*"1234567890", "f11", "f12"], session.names, strict=True):
            session.key(key)
            assert session.studio.look.style == name

    def test_styles_go_round(self, session: LiveSession) -> None:
        seen = []
        for key in "nnnp3":
            session.key(key)
            seen.append(session.studio.look.style)
        assert seen == ["invert", "mosaic", "identity", "mosaic", "mosaic"]
        session.key("9")
        assert session.studio.look.style == "mosaic"

    def test_strength_stays_in_range(self, session: LiveSession) -> None:
        for _ in range(13):
            session.key("-")
        assert session.studio.look.strength == 0.0
        session.key("+")
        assert session.studio.look.strength == 0.1
        assert session.note() == "strength 10%"

    def test_settings(self, session: LiveSession) -> None:
        for key in "cmo":
            session.key(key)
        look = session.studio.look
        assert (look.keep_color, look.mirror, look.split) == (True, True, True)
        session.studio(photo())
        assert "mirror, split, camera colours" in session.hud()

    def test_a_cycle_goes_on_by_itself_and_waits_after_a_choice(self, session: LiveSession) -> None:
        seen = []
        session.key(">")
        for number in range(1, 23):
            session._clock.now = float(number)  # type: ignore[attr-defined]
            if number == 7:
                session.key("1")
            session.progress(Progress(number, number, None, 1.0, 25.0, 3, 0))
            seen.append(session.studio.look.style)
        changes = [n + 2 for n, (a, b) in enumerate(pairwise(seen)) if a != b]
        assert changes == [5, 7, 12, 17, 22]
        session.key("<")
        assert session.desk.board.state["cycle"] == 5.0
        session.progress(Progress(23, 23, None, 1.0, 25.0, 3, 0))
        assert session.desk.board.state["cycle"] == 0.0

    def test_a_rate_is_held_by_the_controller_and_the_pipeline(self, bank: StyleBank) -> None:
        controller = RateController(30.0)
        session = LiveSession(
            Studio(bank, Look("identity"), controller=controller), bank, [], RecorderSink()
        )
        limits: list[float] = []
        session.limit_rate = limits.append
        session.desk.do("target_fps 20")
        assert (controller.target, limits) == (20.0, [20.0])

    def test_how_styles_give_way(self, session: LiveSession) -> None:
        for key in "t}}{":
            session.key(key)
        assert (session.studio.transition, session.studio.fade) == ("cut", 0.2)

    def test_a_message_goes_away(self, session: LiveSession) -> None:
        session.key("m")
        assert session.note() == "mirrored"
        session._clock.now += 60  # type: ignore[attr-defined]
        assert session.note() == ""

    def test_a_snapshot_is_the_picture(self, session: LiveSession, tmp_path: Path) -> None:
        from PIL import Image as Pil

        first, second = session.keepsakes.snapshot(), session.keepsakes.snapshot()
        assert first is not None
        assert first != second
        with Pil.open(first) as saved:
            assert np.array_equal(np.asarray(saved), session.studio.last)
        assert {path.suffix for path in tmp_path.iterdir()} == {".png"}

    def test_a_folder_that_cannot_be_written_is_only_a_message(self, session: LiveSession) -> None:
        session.keepsakes.folder = Path("/nowhere/at/all")
        for key in "sr":
            session.key(key)
            assert "nowhere" in session.note()
        assert session.hud()[-1].startswith("0 FPS")

    def test_regions_take_turns(self, session: LiveSession) -> None:
        chosen = []
        for _ in range(3):
            session.key("b")
            chosen.append(session.studio.look.only)
        assert chosen == ["background", "person", "all"]

    def test_the_figures(self, session: LiveSession) -> None:
        for number in range(1, 60):
            session._clock.now = number / 25  # type: ignore[attr-defined]
            session.progress(Progress(number, number, None, number / 25, 25.0, 3, 0, 0.030))
        assert session.hud() == ["identity  (fast)", "25 FPS   30 ms   3 dropped"]
        session.key("n")
        assert session.hud()[0] == "identity > invert  (fast)"

    def test_the_longest_gap_of_the_last_two_seconds(self, session: LiveSession) -> None:
        told = []
        for number, gap in ((0, 0.04), (1, 0.2), (2, 0.05), (30, 0.03), (60, 0.03)):
            session._clock.now = number / 25  # type: ignore[attr-defined]
            session.progress(Progress(1, 1, None, 1.0, 25.0, 0, 0, 0.03, gap))
            told.append(session.desk.board.figures["gap_ms"])
        assert told == [40.0, 200.0, 200.0, 200.0, 30.0]

    @pytest.mark.slow
    def test_all_styles_are_made_ready(self, session: LiveSession, bank: StyleBank) -> None:
        session.progress(Progress(1, 1, None, 1.0, 25.0, 0, 0))
        assert bank.wait_idle(PATIENCE)
        assert all(bank.ready(name, "fast", (32, 48)) for name in session.names)

    def test_an_unknown_style_is_a_message(self, session: LiveSession, bank: StyleBank) -> None:
        session.choose("invret")
        settle(session.studio, photo(), bank)
        session.progress(Progress(1, 1, None, 1.0, 25.0, 0, 0))
        assert "invret" in session.note()


def press(key: str) -> None:
    import pygame

    codes = {"space": pygame.K_SPACE, "escape": pygame.K_ESCAPE}
    text = "" if key in codes else key
    code = codes.get(key) or ord(key)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code, unicode=text))


class TestWindowKeys:
    @pytest.fixture
    def window(self, session: LiveSession, monkeypatch: pytest.MonkeyPatch) -> Iterator[WindowSink]:
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        with WindowSink("test", session) as sink:
            yield sink

    def shot(self, window: WindowSink, image: Image) -> Image:
        import pygame

        window.write(Frame(image, 0, 0, Fraction(1, 25), 0.0))
        return pygame.surfarray.array3d(window.picture()).swapaxes(0, 1)

    def test_the_overlay_comes_and_goes(self, window: WindowSink) -> None:
        image = np.full((240, 320, 3), 128, np.uint8)
        with_figures = self.shot(window, image)
        assert not np.array_equal(with_figures, image)
        press("h")
        self.shot(window, image)
        assert np.array_equal(self.shot(window, image), image)
        press("?")
        self.shot(window, image)
        helped = self.shot(window, image)
        changed = np.abs(helped.astype(int) - image).sum(axis=(1, 2)) > 0
        assert changed.mean() > 0.9

    def test_keys_reach_the_session(self, window: WindowSink, session: LiveSession) -> None:
        self.shot(window, photo())
        for key in ("m", "space", "+", "-"):
            press(key)
        window.idle()
        assert session.studio.look.mirror
        assert session.studio.frozen

    def test_full_screen_and_back(self, window: WindowSink) -> None:
        image = photo(120, 160)
        before = self.shot(window, image).shape
        press("f")
        window.idle()
        assert self.shot(window, image).shape != before
        press("f")
        window.idle()
        assert self.shot(window, image).shape == before

    @pytest.mark.parametrize("key", ["q", "escape"])
    def test_quit(self, window: WindowSink, key: str) -> None:
        self.shot(window, photo())
        press(key)
        with pytest.raises(SinkClosedError):
            window.idle()


def frames(count: int, rate: int = 25, first: int = 0) -> list[Frame]:
    step = Fraction(1, rate)
    return [Frame(photo(48, 64, seed=i), i, i + first, step, 0.0) for i in range(count)]


def read(path: Path) -> list[float]:
    with av.open(str(path)) as file:
        return [float(frame.time or 0) for frame in file.decode(video=0)]


def whole(path: Path) -> list[float]:
    """Return the times of the frames before the damage that a killed process leaves at the end."""
    times = []
    with av.open(str(path)) as file, suppress(av.error.InvalidDataError):
        times.extend(float(frame.time or 0) for frame in file.decode(video=0))
    return times


class TestRecorder:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
    def test_a_stretch_is_recorded_from_time_zero(self, tmp_path: Path, suffix: str) -> None:
        path, all_frames = tmp_path / f"a{suffix}", frames(30, first=1000)
        with RecorderSink(rate=Fraction(25)) as sink:
            for frame in all_frames[:5]:
                sink.write(frame)
            sink.start(path)
            for frame in all_frames[5:25]:
                sink.write(frame)
            assert sink.recording == path
            assert sink.stop() == path
            for frame in all_frames[25:]:
                sink.write(frame)
        assert sink.paths == [path]
        assert read(path) == pytest.approx([i / 25 for i in range(20)], abs=0.002)

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"mine")
        with pytest.raises(SinkError, match="exists already"):
            RecorderSink(path).open()
        assert path.read_bytes() == b"mine"

    def test_a_recording_without_frames_leaves_no_file(self, tmp_path: Path) -> None:
        with RecorderSink(tmp_path / "a.mp4") as sink:
            assert sink.stop() is None
        assert not list(tmp_path.iterdir())

    def test_a_failed_run_keeps_what_was_recorded(self, tmp_path: Path) -> None:
        sink = RecorderSink(tmp_path / "a.mp4")
        failing = FakeSink(fails_at=8)
        with pytest.raises(RuntimeError):
            Pipeline(FakeSource(20), lambda image: image, [sink, failing]).run()
        assert len(read(tmp_path / "a.mp4")) >= 8

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_after_kill_9_it_plays_up_to_the_last_second(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        child = subprocess.Popen(
            [sys.executable, "-c", RECORD_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        recorded = 0.0
        for line in child.stdout:
            recorded = float(line)
            if recorded >= 4:
                break
        os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE)
        child.stdout.close()
        assert max(whole(path)) >= recorded - 1


RECORD_FOR_EVER = """
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
import numpy as np
from rtstyle.frame import Frame
from rtstyle.sinks.recorder import RecorderSink

sink = RecorderSink(Path(sys.argv[1]), rate=Fraction(25), encoder="auto")
sink.open()
random = np.random.default_rng(0)
for number in range(10_000):
    image = random.integers(0, 256, (48, 64, 3), np.uint8)
    sink.write(Frame(image, number, number, Fraction(1, 25), 0.0))
    print(number / 25, flush=True)
"""


def test_a_target_below_the_cameras_rate_is_held() -> None:
    sink = FakeSink()
    source = FakeSource(120, rate=60)
    report = Pipeline(source, lambda image: image, [sink], max_rate=25).run()
    assert report.drops["excess"] == 120 - len(sink.frames)
    assert abs(len(sink.frames) - 50) <= 1
    gaps = np.diff([frame.index for frame in sink.frames])
    assert set(gaps) == {2, 3}


def test_jitter_costs_no_frame_at_the_cameras_own_rate() -> None:
    times = np.arange(200) / 30 + np.random.default_rng(0).uniform(-0.008, 0.008, 200)
    pipeline = Pipeline(
        FakeSource(1), lambda image: image, [FakeSink()], policy=LATEST, max_rate=30
    )
    assert not any(pipeline._pace.too_soon(moment) for moment in np.sort(times))


class FakeMicrophone:
    """A tone of 440 Hz in pieces of 20 ms, up to the moment that `until` tells."""

    channels = 1

    def __init__(self) -> None:
        self.until, self._at = 0.0, 0.0

    def take(self) -> list[Sound]:
        pieces = []
        while self._at < self.until:
            t = self._at + np.arange(960) / 48000
            wave = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
            pieces.append(Sound(wave[:, None], 48000, self._at))
            self._at += 0.02
        return pieces


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_recording_holds_the_microphone_from_its_first_frame_on(
    tmp_path: Path, suffix: str
) -> None:
    microphone = FakeMicrophone()
    microphone.until = 5.0
    path = tmp_path / f"a{suffix}"
    with RecorderSink(rate=Fraction(25), sound=microphone) as sink:
        sink.start(path)
        for number, frame in enumerate(frames(50)):
            microphone.until = 10.0 + number / 25
            sink.write(replace(frame, captured_at=10.0 + number / 25))
    with av.open(str(path)) as file:
        sound = [piece.to_ndarray() for piece in file.decode(audio=0)]
    samples = np.concatenate([piece.reshape(-1) for piece in sound])
    assert len(samples) / 48000 == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[9600 : 9600 + 48000]))
    assert int(spectrum.argmax()) == 440
