"""Every control of the table has a face on the page, and does there what it does in the window."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.any_models import write_latent
from helpers.browsers import REQUIRED, chromium, missing, opened
from helpers.peers import PATIENCE

from rtstyle.errors import UsageError
from rtstyle.frame_queue import Pace
from rtstyle.live.bank import StyleBank
from rtstyle.live.controls.table import BY_NAME, CONTROLS, Kind
from rtstyle.live.keys import KEYS, page_keys
from rtstyle.media.color import Colours, match_colors
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.gallery.pictures import keep_upload
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.matching import MOST, Matching
from rtstyle.serve.painter import Painter
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.settings import CONTROLS as SETTINGS
from rtstyle.serve.settings import as_query, check_settings, read_query
from rtstyle.serve.stage import Stage
from rtstyle.serve.web.app import STATIC
from rtstyle.styles.latent import random_vector
from rtstyle.styles.manifest import FOLDER_VARIABLE

browses = pytest.mark.skipif(bool(missing()) and not REQUIRED, reason=missing() or "-")


@pytest.fixture(scope="module")
def sampled(pretrained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The styles of the tests with a latent space."""
    folder = tmp_path_factory.mktemp("sampled") / "styles"
    shutil.copytree(pretrained_folder, folder)
    write_latent(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(folder))
        yield folder


# The contract: what stands on the page is the table


class Faces(HTMLParser):
    """Collects the elements that say which control they are."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, dict[str, str | None]]] = {}
        self.feed((STATIC / "index.html").read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if name := values.get("data-control"):
            assert name not in self.found, f"{name} stands there twice"
            self.found[name] = tag, values


def test_every_control_has_a_face_on_the_page_and_nothing_else_has() -> None:
    faces = Faces().found
    # The window's own drawing of keys and figures is a dialog and a switch here.
    assert faces.keys() == BY_NAME.keys()
    for name, (tag, values) in faces.items():
        kind = BY_NAME[name].kind
        if kind is Kind.ACTION:
            assert tag == "button", name
        elif kind is Kind.TEXT:
            assert tag == "div", name
        elif kind is Kind.CHOICE:
            assert tag == "select", name
        elif kind is Kind.NUMBER:
            assert tag in ("input", "select"), name
        else:
            assert tag == "button" or values["type"] == "checkbox", name


def test_every_control_has_an_action_for_the_keys_of_the_page() -> None:
    script = (STATIC / "page.js").read_text("utf-8")
    actions = script[script.index("const ACTIONS") : script.index("function act")]
    # Scenes have names, which no key can say.
    for name in BY_NAME.keys() - {"scene"}:
        assert re.search(rf"^  {name}:", actions, re.MULTILINE), name


def test_the_page_has_all_keys_but_those_that_browsers_use() -> None:
    assert [key for key in KEYS if key not in page_keys()] == [
        key for key in KEYS if key.keys[0] == "f1"
    ]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_page_sends_is_checked_by_the_table(name: str) -> None:
    control = BY_NAME[name]
    good = {
        Kind.NUMBER: control.high,
        Kind.SWITCH: True,
        Kind.CHOICE: control.choices[-1] if control.choices else "",
    }[control.kind]
    assert check_settings({name: good}, ()) == {name: good}
    assert read_query({name: {True: "1"}.get(good, str(good))}, ()) == {name: good}  # type: ignore[arg-type]
    for bad in (None, [], "x", 1e9, {}):
        with pytest.raises(UsageError):
            check_settings({name: bad}, ())


# Styles that nobody painted


def test_a_style_that_nobody_painted_goes_wherever_a_style_goes(
    sampled: Path, tmp_path: Path
) -> None:
    styles = Catalogue("invert", "fast", tmp_path)
    assert styles.draws
    read = check_settings({"style": "random:7"}, styles, styles.mixable)
    assert styles.model_of(read["style"]) == "random:7"
    blend = check_settings({"style": {"random:7": 1, "mosaic": 3}}, styles, styles.mixable)
    assert blend["style"] == (("mosaic", 0.75), ("random:7", 0.25))
    text = as_query(blend["style"])
    assert read_query({"style": text}, styles, styles.mixable) == blend
    assert read_query({"style": "random:7"}, styles) == read
    assert styles.take("random:3") == "random:3"
    for wrong in ("random", "random:", "random:-1", "random:1234567890", "random:1:2", "random:x"):
        with pytest.raises(UsageError):
            check_settings({"style": wrong}, styles, styles.mixable)


def test_without_a_latent_space_there_are_none(pretrained_folder: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(pretrained_folder))
        styles = Catalogue("invert", "fast", tmp_path)
        assert not styles.draws
        with pytest.raises(UsageError):
            check_settings({"style": "random:7"}, styles, styles.mixable)
        assert "random" not in {c.name for c in Stage(styles).desk.board.controls}


def test_programs_draw_one_for_what_they_control(sampled: Path, tmp_path: Path) -> None:
    stage = Stage(Catalogue("invert", "fast", tmp_path), target=20.0)
    stage.desk.board.ask({"random": True, "walk": 10, "target_fps": 12, "match_color": True})
    stage.turn()
    state = stage.desk.board.state
    assert re.fullmatch(r"random:\d+", str(state["style"]))
    assert (state["walk"], state["target_fps"], state["match_color"]) == (10, 12, True)


# The live picture

FRAME = np.full((96, 128, 3), 200, np.uint8)
FRAME[::2] = 100


class Live:
    """A live picture that paints at once what it is asked for."""

    def __init__(self, bank: StyleBank, folder: Path) -> None:
        self.bank, self.styles = bank, Catalogue("invert", "fast", folder)
        self.painter, self.matching, self.now = Painter(target=30.0), Matching(), 0.0
        self.picture = LivePicture(bank, self.painter, self.styles, self.matching)
        self.picture._studio._clock = lambda: self.now
        self.picture.change({"fade": 0.0})
        self.colour()

    def set(self, **settings: Any) -> None:
        self.picture.change(check_settings(settings, self.styles, self.styles.mixable))
        self.colour()

    def colour(self) -> tuple[int, ...]:
        """Paint until what was asked for is shown; return the mean colour."""
        self.picture(FRAME)
        assert self.bank.wait_idle(PATIENCE)
        assert self.matching.wait_idle(PATIENCE)
        image, painted = self.picture(FRAME)
        assert painted
        return tuple(round(float(x)) for x in image.mean(axis=(0, 1)))


@pytest.fixture
def live(sampled: Path, tmp_path: Path) -> Iterator[Live]:
    with StyleBank(threads=1) as bank:
        live = Live(bank, tmp_path)
        with live.matching:
            yield live


def near(found: tuple[int, ...], want: Any, by: float = 3) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, want, strict=True))


def test_a_drawn_style_is_painted(live: Live) -> None:
    live.set(style="random:7")
    want = np.clip(random_vector("random:7", "fast")[:3], 0, 255)
    assert near(live.colour(), want, by=8)
    assert live.picture.shown == "random:7"


def test_a_walk_leaves_its_style_and_comes_back(live: Live) -> None:
    live.set(style="mosaic", walk=10)
    assert live.picture.settings()["walk"] == 10
    # It begins at the painting of the style, not at its network.
    assert near(live.colour(), (20, 40, 200))
    live.now += 10.0
    away = live.colour()
    assert not near(away, (20, 40, 200), by=40)
    assert live.picture.settings()["style"] == "mosaic"
    live.set(walk=0)
    assert live.picture._studio.look.title == "mosaic"
    with pytest.raises(UsageError, match="starts from a painting"):
        live.set(style="invert", walk=5)
    assert live.picture.settings()["style"] == "mosaic"
    assert live.picture.settings()["walk"] == 0


def own(live: Live, tmp_path: Path) -> str:
    """Hang up a picture in two colours; return its name."""
    rows = np.zeros((64, 64, 3), np.uint8)
    rows[::2], rows[1::2] = (250, 20, 20), (150, 80, 120)
    content = cv2.imencode(".png", rows[..., ::-1])[1].tobytes()
    return live.styles.hang(keep_upload(content, "two.png", tmp_path)).name


def test_a_picture_takes_on_the_colours_of_one_client_alone(live: Live, tmp_path: Path) -> None:
    name = own(live, tmp_path)
    live.set(style=name)
    assert near(live.colour(), (200, 50, 70))
    live.set(match_color=True)
    assert live.picture.settings()["match_color"] is True
    # The frame is grey: so is what is painted, and as bright.
    want = match_colors(np.full((8, 8, 3), 9, np.uint8), Colours.of(FRAME)).mean(axis=(0, 1))
    assert near(live.colour(), want)
    other = LivePicture(live.bank, live.painter, live.styles, live.matching)
    other.change({"fade": 0.0, "style": name})
    other(FRAME)
    assert live.bank.wait_idle(PATIENCE)
    assert near(tuple(other(FRAME)[0].mean(axis=(0, 1))), (200, 50, 70))
    live.set(match_color=False)
    assert near(live.colour(), (200, 50, 70))
    # A trained style has colours of its own.
    live.set(style="invert", match_color=True)
    assert near(live.colour(), (105, 105, 105))


@pytest.mark.slow
def test_what_waits_for_colours_is_bounded(sampled: Path) -> None:
    gone = [f"/nowhere/{number}.png" for number in range(100)]
    with Matching() as matching:
        for name in gone:
            assert matching.vector(name, "fast", Colours.of(FRAME)) is None
            assert len(matching._waiting) <= MOST
        assert matching.wait_idle(PATIENCE)
    assert matching.vector("x", "fast", Colours.of(FRAME)) is None
    assert matching._thread is None


# The rate of a client


def test_a_client_holds_a_rate_and_the_resolution_follows_the_highest() -> None:
    painter = Painter(target=30.0)
    slow, fast = (painter.join(lambda _: True, lambda _: None) for _ in range(2))
    painter.hold(slow, 10.0)
    assert painter._controller.target == 30.0
    for number in range(30):
        for seat in (slow, fast):
            painter.offer(seat, number, now=number / 30)
            seat.waiting = None
    assert slow.received == 30
    # The first one has no frame before it.
    assert slow.dropped == 19
    assert (fast.received, fast.dropped) == (30, 0)
    painter.leave(fast)
    assert painter._controller.target == 10.0
    painter.hold(slow, 200.0)
    assert painter._controller.target == 30.0
    painter.hold(slow, None)
    for number in range(30, 60):
        painter.offer(slow, number, now=number / 30)
        slow.waiting = None
    assert slow.dropped == 19
    painter.leave(slow)
    assert painter._controller.target == 30.0


def test_a_picture_passes_its_rate_on_whenever_it_sits_down(live: Live) -> None:
    live.set(target_fps=12)
    seat = live.painter.join(lambda _: True, lambda _: None)
    live.picture.sit(seat)
    assert seat.rate == 12
    live.set(target_fps=30)
    # That of the server is to aim at, and no bound.
    assert seat.rate is None
    assert live.picture.settings()["target_fps"] == 30


def test_a_pace_holds_its_mean_whatever_the_jitter() -> None:
    pace, chance = Pace(10.0), np.random.default_rng(3)
    moments = np.arange(0, 20, 1 / 30) + chance.uniform(-0.008, 0.008, 600)
    taken = sum(not pace.too_soon(float(moment)) for moment in moments)
    assert abs(taken - 200) <= 2


# In a browser


@pytest.fixture(scope="module")
def server(sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    show = tmp_path_factory.mktemp("show") / "show.toml"
    show.write_text('[[scene]]\nname = "Bare"\nstyle = "identity"\n[[scene]]\nname = "Two"\n')
    options = Options(port=0, style="invert", min_fps=0, scenes=show)
    with serving(options) as it:
        yield it


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as it:
        yield it.new_context()


@pytest.fixture
def page(context: Any, server: Running) -> Iterator[Any]:
    with opened(context, server.url) as page:
        page.locator(".work").nth(1).wait_for()
        yield page


def until(page: Any, holds: Callable[[], Any], what: str) -> None:
    for _ in range(int(PATIENCE / 0.05)):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came: {what}")


@browses
@pytest.mark.slow
def test_every_face_is_seen_and_has_a_name(page: Any) -> None:
    for control in CONTROLS:
        face = page.locator(f'[data-control="{control.name}"]')
        assert face.count() == 1, control.name
        one = face.locator("xpath=ancestor-or-self::label | self::*").first
        one.scroll_into_view_if_needed()
        assert one.is_visible(), control.name


@browses
@pytest.mark.slow
def test_the_new_faces_change_the_picture(page: Any, server: Running) -> None:
    page.get_by_role("button", name="Start the camera").click()
    page.locator("#frame[data-state=live]").wait_for()

    def now(name: str) -> Any:
        session = next(iter(server.lobby.sessions.values()), None)
        return session.picture.settings()[name] if session else None

    page.get_by_role("button", name="One that nobody painted").click()
    until(page, lambda: re.fullmatch(r"random:\d+", str(now("style"))), "a drawn style")
    drawn = now("style")
    assert page.locator("#title").inner_text() == drawn.replace(":", " ")
    assert page.locator(".work input:checked").count() == 0
    page.keyboard.press("1")
    until(page, lambda: now("style") == "mosaic", "the first style")
    page.locator("#mix").fill("0.25")
    until(page, lambda: now("style") == {"mosaic": 0.75, drawn: 0.25}, "a mix with the one before")
    assert page.locator("#artist").inner_text() == "A blend, 75 : 25"
    # A slider that has the focus moves by keys of its own.
    page.locator("#mix").blur()
    page.keyboard.press("]")
    until(page, lambda: now("style") == {"mosaic": 0.65, drawn: 0.35}, "more of it")
    page.get_by_role("button", name="Next", exact=True).click()
    until(page, lambda: now("style") == "identity", "the next style alone")
    assert page.locator("#mix").input_value() == "0"
    # A network for one style cannot be mixed: it has no painting.
    assert page.locator("#mix").is_disabled()
    page.get_by_role("button", name="Previous").click()
    until(page, lambda: now("style") == "mosaic", "the style before")
    page.get_by_label("Walk through styles").select_option("20")
    until(page, lambda: now("walk") == 20, "a walk")
    page.keyboard.press("y")
    until(page, lambda: now("walk") == 10, "a shorter one")
    page.locator("#match_color").check(force=True)
    until(page, lambda: now("match_color"), "the camera's colours")
    page.keyboard.press("y")
    page.keyboard.press("y")
    until(page, lambda: now("walk") == 0, "no walk")
    page.get_by_label("Frames a second").select_option("15")
    until(page, lambda: now("target_fps") == 15, "a rate")
    page.keyboard.press(")")
    until(page, lambda: now("target_fps") == 20, "a higher one")
    page.get_by_role("button", name="Next scene").click()
    until(page, lambda: now("style") == "identity", "the first scene")
    page.keyboard.press("q")
    until(page, lambda: not server.lobby.sessions, "the end")


@browses
@pytest.mark.slow
def test_a_tapped_beat_goes_on_by_itself(context: Any, server: Running) -> None:
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.clock.install(time=0)
    page.goto(server.url)
    page.locator(".work").nth(1).wait_for()
    page.clock.pause_at(60_000)
    chosen = page.locator(".work input:checked")
    assert chosen.get_attribute("value") == "invert"
    for _ in range(3):
        page.get_by_role("button", name="Tap", exact=True).click()
        page.clock.run_for(500)
    assert page.locator("#tempo").input_value() == "120"
    # The beat falls on the last tap: half a second after it the next one came.
    order = ["mosaic", "identity", "invert"]
    assert chosen.get_attribute("value") in order
    before = order.index(str(chosen.get_attribute("value")))
    page.clock.run_for(500)
    assert chosen.get_attribute("value") == order[(before + 1) % 3]
    page.locator("#tempo").fill("0")
    page.locator("#tempo").blur()
    page.clock.run_for(5000)
    assert chosen.get_attribute("value") == order[(before + 1) % 3]
    page.keyboard.press("z")
    assert page.locator("#spoken").inner_text() == "Tap on"
    page.close()
