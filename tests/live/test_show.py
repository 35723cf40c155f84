"""The scenes file: read, refused, edited while it runs, written; and the scenes that it has."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.live.controls.bindings import DEVICES
from rtstyle.live.controls.table import CONTROLS
from rtstyle.live.keys import BINDINGS
from rtstyle.live.look import Look
from rtstyle.live.naming import style_among
from rtstyle.live.painter import Studio
from rtstyle.live.session import LiveSession
from rtstyle.live.show.file import parse_show, read_show
from rtstyle.report import Progress
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sinks.window import WindowSink

SHOW = """
# The show of the tests.
transition = "cut"
strength = 0.9

[[scene]]
name = "Opening"
style = "invert"
mirror = true

[[scene]]
name = "Last song"     # A comment that stays.
style = "mosaic"
strength = 0.5
transition = "wipe"
fade = 2
seconds = 10

[keys]
F1 = "scene Opening"
x = "strength -0.2"

[midi]
"cc 7" = "strength"

[osc]
"/1/push1" = "scene 2"
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Runner:
    """A session with a scenes file, and a clock that the test turns."""

    def __init__(self, bank: StyleBank, folder: Path, text: str | None = SHOW) -> None:
        self.path, self.clock, self.told = folder / "show.toml", Clock(), list[str]()
        if text is not None:
            self.path.write_text(text)
        self.studio = Studio(bank, Look("identity"), fade=0.6)
        self.session = LiveSession(
            self.studio, bank, ["identity", "invert", "mosaic"], RecorderSink(), folder=folder,
            scenes=None if text is None else self.path, clock=self.clock, warn=self.told.append,
        )  # fmt: skip
        self.session.progress(Progress(1, 1, None, 1.0, 25.0, 0, 0))

    def after(self, seconds: float) -> Runner:
        self.clock.now += seconds
        self.session.progress(Progress(1, 1, None, 1.0, 25.0, 0, 0))
        return self

    def write(self, text: str) -> None:
        self.path.write_text(text)
        later = self.path.stat().st_mtime_ns + 1_000_000_000
        os.utime(self.path, ns=(later, later))

    @property
    def state(self) -> dict[str, object]:
        return dict(self.session.desk.board.state)

    def do(self, words: str) -> None:
        self.session.desk.do(words)
        self.after(0.0)


@pytest.fixture
def bank() -> Iterator[StyleBank]:
    with StyleBank(device="openvino:cpu", threads=1) as bank:
        yield bank


@pytest.fixture
def run(bank: StyleBank, tmp_path: Path) -> Runner:
    return Runner(bank, tmp_path)


class TestScenes:
    def test_the_first_scene_is_there_from_the_start(self, run: Runner) -> None:
        state = run.state
        assert (state["scene"], state["style"], state["mirror"]) == ("Opening", "invert", True)
        assert (state["strength"], state["transition"], state["fade"]) == (0.9, "cut", 0.6)

    def test_a_scene_changes_what_it_names_and_no_more(self, run: Runner) -> None:
        run.do("scene Last song")
        state = run.state
        assert (state["style"], state["strength"], state["mirror"]) == ("mosaic", 0.5, True)
        assert (state["transition"], state["fade"]) == ("wipe", 2.0)
        run.do("scene 1")
        assert (run.state["transition"], run.state["fade"]) == ("cut", 0.6)

    def test_keys_of_the_file_stand_beside_those_of_the_table(self, run: Runner) -> None:
        run.do("scene 2")
        run.session.key("f1")
        assert run.after(0).state["scene"] == "Opening"
        run.session.key("x")
        assert run.after(0).state["strength"] == pytest.approx(0.3)
        run.session.key("v")
        assert run.after(0).state["scene"] == "Last song"
        assert run.session.bindings.of("keys")["m"] == BINDINGS["m"]
        assert run.session.bindings.of("midi") == {"cc 7": "strength"}
        assert run.session.bindings.of("osc") == {"/1/push1": "scene 2"}

    def test_scenes_go_on_when_their_time_has_come(self, run: Runner) -> None:
        assert run.after(1000).state["scene"] == "Opening"
        run.do("scene 2")
        assert run.after(9.9).state["scene"] == "Last song"
        assert run.after(0.2).state["scene"] == "Opening"
        run.do("cycle 5")
        assert run.after(5.1).state["scene"] == "Last song"
        assert run.after(5.1).state["scene"] == "Last song"
        assert run.after(5.1).state["scene"] == "Opening"

    def test_a_picture_beside_the_file_is_a_style_and_kept_warm(
        self, bank: StyleBank, tmp_path: Path
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Pil.fromarray(pixels).save(tmp_path / "sea, calm.png")
        text = (
            '[[scene]]\nstyle = "sea, calm.png"\n[[scene]]\nstyle = "sea, calm.png:0.5,mosaic:0.5"'
        )
        run = Runner(bank, tmp_path, text)
        assert run.state["style"] == str(tmp_path / "sea, calm.png")
        assert str(tmp_path / "sea, calm.png") in run.session.names
        with pytest.raises(UsageError):
            run.session.desk.board.ask({"style": str(tmp_path / "other.png")})

    def test_an_unknown_scene_is_refused_from_outside(self, run: Runner) -> None:
        with pytest.raises(UsageError, match="Opening, Last song"):
            run.session.desk.board.ask({"scene": "Encore"})


class TestEditing:
    def test_a_change_is_taken_in_and_the_scene_stays(self, run: Runner) -> None:
        run.do("scene 2")
        run.write(SHOW.replace('"strength -0.2"', '"next"').replace("seconds = 10", ""))
        assert run.session.bindings.of("keys")["x"] == "strength -0.2"
        assert run.after(0.6).state["scene"] == "Last song"
        assert run.session.bindings.of("keys")["x"] == "next"
        assert run.after(100).state["scene"] == "Last song"
        assert run.told == []

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[[scene", "not TOML"),
            (SHOW.replace("mirror", "miror"), "scene 1, 'Opening': 'miror' is not a control"),
            (SHOW.replace("0.5", "1.5"), "scene 2, 'Last song': strength is a number from 0 to 1"),
            (SHOW.replace('"mosaic"', '"nobody"'), "nobody"),
            (SHOW.replace("scene Opening", "scene Encore"), "[keys] f1: 'Encore' is not a scene"),
            (SHOW.replace('"strength -0.2"', '"strength"'), "does not say which strength"),
        ],
    )
    def test_what_is_wrong_is_told_and_the_old_one_goes_on(
        self, run: Runner, text: str, said: str
    ) -> None:
        run.write(text)
        run.after(0.6)
        assert said in run.told[0]
        assert run.told[0].startswith("show.toml: ")
        assert "show.toml" in run.session.note()
        assert len(run.after(0.6).told) == 1, "told once"
        run.do("scene 2")
        assert run.state["style"] == "mosaic"
        run.write(SHOW.replace("Opening", "Overture"))
        run.after(0.6)
        assert run.session.player.show.scenes[0].name == "Overture"

    def test_a_file_that_is_gone_for_a_moment_is_no_fault(self, run: Runner) -> None:
        run.path.unlink()
        run.after(0.6)
        assert run.told == []
        assert len(run.session.player.show.scenes) == 2


def test_an_unknown_style_is_told_those_there_are_in_full() -> None:
    names = ["wave", "mosaic:0.7,wave:0.3", "folder/sea.jpg"]
    with pytest.raises(UsageError, match=r"There are wave, mosaic:0\.7,wave:0\.3, sea\.$"):
        style_among(names, "nobody")
    assert style_among(names, "sea") == "folder/sea.jpg"
    assert style_among(names, "2") == "mosaic:0.7,wave:0.3"


class TestWriting:
    def test_the_present_look_becomes_a_scene_and_comments_stay(self, run: Runner) -> None:
        run.do("strength 0.3")
        run.do("only person")
        run.session.key("w")
        text = run.path.read_text()
        assert "# The show of the tests." in text
        assert "# A comment that stays." in text
        lines = text.splitlines()
        # Sections stand apart, wherever the scene was put in.
        assert all(lines[at - 1] == "" for at, line in enumerate(lines) if line.startswith("["))
        scene = read_show(run.path).scenes[2]
        assert scene.name == "Scene 3"
        assert scene.values == {
            "style": "invert", "strength": 0.3, "keep_color": False, "only": "person",
            "mirror": True, "split": False, "walk": 0.0, "transition": "cut", "fade": 0.6,
            "coherence": 1.0, "stroke_size": 1.0,
        }  # fmt: skip
        assert run.after(0).state["scene"] == "Scene 3"
        before = {k: v for k, v in run.state.items() if k != "scene"}
        run.do("scene 2")
        run.do("scene Scene 3")
        assert {k: v for k, v in run.state.items() if k != "scene"} == before

    def test_without_a_file_one_is_made(self, bank: StyleBank, tmp_path: Path) -> None:
        run = Runner(bank, tmp_path, None)
        assert not run.path.exists()
        with pytest.raises(UsageError, match="There are none"):
            run.session.desk.board.ask({"scene": "1"})
        for _ in range(2):
            run.session.key("w")
        assert [scene.name for scene in read_show(run.path).scenes] == ["Scene 1", "Scene 2"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["show.toml"]

    def test_what_is_learnt_is_written(self, run: Runner) -> None:
        run.session.bindings.learn("fade")
        run.session.bindings.heard("midi", "cc 9 ch 1")
        run.after(0)
        assert read_show(run.path).bindings["midi"] == {"cc 7": "strength", "cc 9 ch 1": "fade"}
        assert "# A comment that stays." in run.path.read_text()

    def test_a_broken_file_is_not_written_to(self, run: Runner) -> None:
        run.write("[[scene")
        run.session.key("w")
        assert run.path.read_text() == "[[scene"
        assert "not TOML" in run.session.note()


@pytest.mark.parametrize(
    "text",
    [
        "scene = 3", "[scene]\nname = 'x'", "[[scene]]\nname = 3", "[[scene]]\nseconds = -1",
        "[[scene]]\nname='a'\n[[scene]]\nname='a'", "[[scene]]\nquit = true", "record = true",
        "[keys]\nx = 3", "keys = 3", "[midi]\n'cc 1' = 'nothing'", "[[scene]]\nscene = 'x'",
        "[[scene]]\nstyle = 'missing.jpg'", "strength = nan", "x = " + "[" * 5000,
        "[[scene]]\nseconds = inf", "strength = '+0.1'", '[[scene]]\nname = "\\n"',
    ],
)  # fmt: skip
def test_what_is_no_show(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        parse_show(text, tmp_path)
    assert "\n" not in str(raised.value)


def test_any_text_is_read_or_refused(tmp_path: Path) -> None:
    chance, pieces = random.Random(3), [*SHOW]
    for _ in range(300):
        broken = list(pieces)
        for _ in range(chance.randrange(1, 8)):
            broken[chance.randrange(len(broken))] = chance.choice('"=[]\n#x1.\\\0é')
        try:
            parse_show("".join(broken), tmp_path)
        except RtstyleError:
            continue


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_show(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        read_show(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(UsageError, match="larger"):
        read_show(tmp_path / "b.toml")


def test_a_session_with_a_window_has_every_control(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    WindowSink("test", run.session)
    assert run.session.desk.board.controls == CONTROLS


def test_the_example_in_the_documents_is_a_show(tmp_path: Path) -> None:
    root = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())
    text = (root / "realtime" / "README.md").read_text(encoding="utf-8")
    example = text.partition("## Scenes\n")[2].partition("```toml\n")[2].partition("```")[0]
    Pil.new("RGB", (64, 64)).save(tmp_path / "sea.jpg")
    # The styles of the tests have no wave.
    show = parse_show(example.replace("wave", "mosaic"), tmp_path)
    assert [scene.name for scene in show.scenes] == ["Opening", "Sea"]
    assert [len(show.bindings[device]) for device in DEVICES] == [2, 2, 1, 3]
