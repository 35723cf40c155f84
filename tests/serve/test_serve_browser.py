"""The page of `rtstyle serve` in a real browser: headless Chromium with a clip as its camera."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers.browsers import CHROMIUM, PATIENCE, REQUIRED, missing
from helpers.media import write_clip

from rtstyle.live.keys import page_keys
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.web.app import STATIC

pytestmark = [
    pytest.mark.skipif(bool(missing()) and not REQUIRED, reason=missing() or "-"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sees, in MJPEG as Chromium wants it: a ball that crosses a slope of grey."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    slope = np.tile(np.linspace(150, 250, 320, dtype=np.uint8)[None, :, None], (240, 1, 3))
    with path.open("wb") as file:
        for index in range(60):
            image = cv2.circle(slope.copy(), (20 + 280 * index // 60, 120), 30, (60, 20, 20), -1)
            file.write(cv2.imencode(".jpg", image)[1].tobytes())
    return path


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", camera="test", max_clients=2, min_fps=0)) as it:
        yield it


@pytest.fixture
def gallery(pretrained_folder: Path) -> Iterator[Running]:
    """A server of a test's own, for pictures that it hangs there."""
    with serving(Options(port=0, style="invert", camera="test", min_fps=0)) as it:
        yield it


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts browsers: `launch(*arguments)`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = []

        def start(*arguments: str) -> Any:
            # As root, as in most containers, Chromium refuses to start with its sandbox.
            sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
            opened.append(
                playwright.chromium.launch(
                    executable_path=CHROMIUM, args=[*arguments, *sandbox], timeout=1000 * PATIENCE
                )
            )
            return opened[-1]

        yield start
        for browser in opened:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any], clip: Path) -> Any:
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={clip}",
    )


@pytest.fixture
def wall(browser: Any, gallery: Running) -> Iterator[Any]:
    """The page of `gallery`."""
    with open_page(browser, gallery.url) as page:
        page.locator(".work").nth(1).wait_for()
        yield page


@pytest.fixture
def page(browser: Any, server: Running) -> Iterator[Any]:
    until(lambda: not server.lobby.clients, "an empty house")
    with open_page(browser, server.url) as page:
        yield page


class open_page:  # noqa: N801
    """A tab in a profile of its own, which fails the test for what the page does wrong."""

    def __init__(self, browser: Any, url: str, allow: str = "\0", **options: Any) -> None:
        self._context = browser.new_context(accept_downloads=True, **options)
        self._context.set_default_timeout(1000 * PATIENCE)
        self._url, self._allow, self._errors = url, allow, list[str]()

    def __enter__(self) -> Any:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", lambda m: self._errors.append(m.text) if m.type == "error" else None)
        page.goto(self._url)
        return page

    def __exit__(self, *_: object) -> None:
        self._context.close()
        # A breach of the content security policy shows up here as well.
        assert not [text for text in self._errors if self._allow not in text]


def until(holds: Callable[[], Any], what: str, page: Any = None) -> Any:
    """Wait until `holds` returns something true, and return that."""
    for _ in range(int(PATIENCE / 0.05)):
        if found := holds():
            return found
        # A page that is only slept on would handle no events.
        page.wait_for_timeout(50) if page else time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


def start(page: Any) -> None:
    page.get_by_role("button", name="Start the camera").click()
    live(page)


def live(page: Any) -> None:
    page.locator("#frame[data-state=live]").wait_for()


def pixels(page: Any) -> Any:
    """What the page shows, (48, 64, 3) RGB."""
    values = page.evaluate(
        """() => {
            const canvas = new OffscreenCanvas(64, 48), context = canvas.getContext("2d");
            context.drawImage(document.getElementById("painted"), 0, 0, 64, 48);
            return Array.from(context.getImageData(0, 0, 64, 48).data);
        }"""
    )
    return np.array(values, np.uint8).reshape(48, 64, 4)[..., :3].astype(int)


def is_negative(page: Any) -> bool:
    """The clip is bright, so its negative is dark."""
    return bool(0 < np.median(pixels(page)) < 120)


def is_bright(page: Any) -> bool:
    return bool(np.median(pixels(page)) > 135)


def settings(server: Running) -> dict[str, Any]:
    session = next(iter(server.lobby.sessions.values()), None)
    return session.picture.settings() if session else {}


def test_the_painted_video_plays(page: Any, server: Running) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    first = pixels(page)
    until(lambda: np.abs(pixels(page) - first).max() > 40, "movement", page)
    until(lambda: page.locator("#fps").inner_text() not in ("–", "0"), "frames a second", page)
    until(lambda: page.locator("#latency").inner_text().isdigit(), "a latency", page)
    assert server.lobby.painter.painted > 5
    # Mirrored where it is shown alone: what is saved reads as it is.
    assert settings(server)["mirror"] is False
    flipped = "one => getComputedStyle(one).transform"
    assert page.locator("#painted").evaluate(flipped) == "matrix(-1, 0, 0, 1, 0, 0)"
    left, right = first[:, :8].mean(), first[:, -8:].mean()
    assert left > right


def test_styles_switch_by_click(page: Any, server: Running) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    page.locator(".work", has_text="identity").click()
    until(lambda: is_bright(page), "the picture itself", page)
    assert page.get_by_role("radio", name="Painting of identity").is_checked()
    assert page.locator("#title").inner_text() == "Painting of identity"
    page.locator(".work", has_text="invert").click()
    until(lambda: is_negative(page), "the negative again", page)


def test_everything_goes_by_keyboard(page: Any, server: Running) -> None:
    page.locator(".work").first.wait_for()
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    live(page)
    page.get_by_role("radio", name="invert").focus()
    page.keyboard.press("ArrowLeft")
    until(lambda: settings(server).get("style") == "identity", "the style before", page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "strength"
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    until(lambda: settings(server)["strength"] == 0.97, "less strength", page)
    for expected in ("stroke_size", "coherence", "keep_color"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == expected
    page.keyboard.press("Space")
    until(lambda: settings(server)["keep_color"], "kept colours", page)
    for key, name, value in (
        (".", "stroke_size", 1.25),
        ("j", "coherence", 0.75),
        ("b", "only", "background"),
        ("t", "transition", "cut"),
        ("}", "fade", 0.8),
    ):
        page.keyboard.press(key)
        until(lambda n=name, v=value: settings(server)[n] == v, name, page)
    page.locator("#only").select_option("all")
    until(lambda: settings(server)["only"] == "all", "all again", page)
    page.locator("#split").focus()
    page.keyboard.press("o")
    until(lambda: settings(server)["split"], "the split view", page)
    page.keyboard.press("n")
    until(lambda: settings(server)["style"] == "invert", "the next style", page)
    assert page.locator("#spoken").inner_text() == "Painting of invert"
    page.keyboard.press("1")
    until(lambda: settings(server)["style"] == "mosaic", "the first style", page)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.get_by_label("Use these keys").click()
    page.keyboard.press("Escape")
    page.locator("#mirror").focus()
    page.keyboard.press("m")
    page.keyboard.press("Space")
    # One change, not two.
    assert not page.locator("#mirror").is_checked()
    assert page.locator("#frame[data-mirror]").count() == 0


def test_the_list_of_keys_is_that_of_the_one_table(page: Any) -> None:
    page.locator(".work").first.wait_for()
    page.keyboard.press("?")
    shown = page.locator("#key-list dt").all_inner_texts()
    does = page.locator("#key-list dd").all_inner_texts()
    assert list(zip(shown, does, strict=True)) == [(key.shown, key.does) for key in page_keys()]
    # Every one of them does something on the page.
    script = (STATIC / "page.js").read_text()
    actions = script[script.index("const ACTIONS") : script.index("function act")]
    for key in page_keys():
        for words in key.asks:
            assert f"  {words.split()[0]}:" in actions


def test_the_page_has_names_for_all_it_offers(page: Any) -> None:
    page.locator(".work").first.wait_for()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, a, video, img, dialog")]
        .filter((one) => {
            const label = one.getAttribute("aria-label") ?? one.getAttribute("aria-labelledby");
            const named = one.labels?.length || one.hasAttribute("alt");
            return !(label || named || one.textContent.trim());
        }).map((one) => one.outerHTML)"""
    )
    assert not nameless
    assert page.get_by_role("group", name="Style").get_by_role("radio").count() == 3
    assert page.get_by_role("slider", name="Strength").is_visible()


DROP = """
([name, bytes, kinds]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
    for (const kind of kinds) document.getElementById("frame").dispatchEvent(
        new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}"""


def drop(page: Any, name: str, content: bytes, *kinds: str) -> None:
    page.evaluate(DROP, [name, list(content), kinds or ("dragover", "drop")])


def flat(*rgb: int) -> bytes:
    """A picture of one colour: what is painted like it becomes that colour."""
    return bytes(cv2.imencode(".png", np.full((48, 64, 3), rgb[::-1], np.uint8))[1])


def shows(page: Any, *rgb: int) -> bool:
    return bool(np.abs(np.median(pixels(page), axis=(0, 1)) - rgb).max() < 30)


def test_a_dropped_picture_is_painted_like_and_blended(wall: Any, gallery: Running) -> None:
    start(wall)
    until(lambda: is_negative(wall), "the negative", wall)
    dropping = wall.locator("html[data-dropping]")
    drop(wall, "my red cat.png", flat(200, 30, 30), "dragover")
    assert dropping.count() == 1
    drop(wall, "my red cat.png", flat(200, 30, 30), "drop")
    until(lambda: shows(wall, 200, 30, 30), "red", wall)
    assert dropping.count() == 0
    assert wall.get_by_role("radio", name="my red cat").is_checked()
    with wall.expect_download() as download:
        wall.get_by_role("button", name="Snapshot").click()
    assert download.value.suggested_filename.startswith("rtstyle-my-red-cat-")
    assert wall.locator("#title").inner_text() == "my red cat"
    assert "hangs in the gallery" in wall.locator("#adding").inner_text()

    wall.keyboard.press("e")
    # What has no painting cannot be blended.
    assert wall.get_by_role("checkbox", name="Painting of invert").is_disabled()
    wall.get_by_role("checkbox", name="Painting of mosaic").check(force=True)
    until(lambda: shows(wall, 110, 35, 115), "half red, half blue", wall)
    slider = wall.get_by_role("slider", name="my red cat")
    slider.focus()
    wall.keyboard.press("Home")
    until(lambda: shows(wall, 20, 40, 200), "blue", wall)
    assert wall.locator("#artist").inner_text() == "A blend, 0 : 100"
    [red] = [e.name for e in gallery.lobby.catalogue.entries.values() if e.title == "my red cat"]
    wall.keyboard.press("End")
    until(lambda: settings(gallery)["style"] == {red: 0.667, "mosaic": 0.333}, "two thirds", wall)
    # Back to one: the one that weighs most.
    wall.get_by_role("checkbox", name="Blend").uncheck(force=True)
    until(lambda: settings(gallery)["style"] == red, "red alone", wall)
    assert wall.locator("#shares").is_hidden()


def test_a_refused_picture_is_told_in_a_line(browser: Any, gallery: Running) -> None:
    with open_page(browser, gallery.url, allow="400") as page:
        page.locator(".work").nth(1).wait_for()
        drop(page, "notes.txt", b"some text")
        line = page.locator("#adding.failed")
        line.wait_for()
        assert line.inner_text().startswith("notes.txt is not a picture")
        page.locator("#picture").set_input_files(
            {"name": "green.png", "mimeType": "image/png", "buffer": flat(20, 180, 40)}
        )
        page.get_by_role("radio", name="green, added here").wait_for()
        assert page.get_by_role("radio", name="green, added here").is_checked()
        assert line.count() == 0


def test_pictures_of_others_come_and_go(wall: Any, browser: Any, gallery: Running) -> None:
    start(wall)
    with open_page(browser, gallery.url) as other:
        other.locator(".work").nth(1).wait_for()
        drop(other, "theirs.png", flat(9, 9, 90))
        other.get_by_role("radio", name="theirs").wait_for()
    wall.get_by_role("radio", name="theirs").check(force=True)
    until(lambda: shows(wall, 9, 9, 90), "their picture", wall)
    catalogue = gallery.lobby.catalogue
    [name] = [e.name for e in catalogue.entries.values() if e.title == "theirs"]
    [session] = gallery.lobby.sessions.values()
    session._loop.call_soon_threadsafe(catalogue.take_down, name)
    # The page goes on with the style that the server begins with.
    until(lambda: settings(gallery)["style"] == "invert", "the first style", wall)
    until(lambda: is_negative(wall), "the negative", wall)
    assert wall.get_by_role("radio", name="theirs").count() == 0


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_the_page_fits(wall: Any, width: int) -> None:
    wall.set_viewport_size({"width": width, "height": 800})
    assert wall.evaluate("document.documentElement.scrollWidth") <= width
    # Nor does a long name of a picture make it wider.
    drop(wall, f"{'long' * 20}.png", flat(1, 2, 3))
    wall.get_by_role("radio", name="longlong").wait_for()
    wall.keyboard.press("e")
    wall.get_by_role("checkbox", name="Painting of mosaic").check(force=True)
    wall.locator("#shares").wait_for()
    assert wall.evaluate("document.documentElement.scrollWidth") <= width
    assert wall.locator(".work").nth(1).bounding_box()["width"] < 150


def test_a_snapshot_is_a_png_of_the_picture(page: Any, tmp_path: Path) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Snapshot").click()
    assert download.value.suggested_filename.startswith("rtstyle-invert-")
    path = tmp_path / "shot.png"
    download.value.save_as(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    image = cv2.imread(str(path))
    assert image.shape == (240, 320, 3)
    assert np.median(image) < 120


def test_a_recording_downloads_and_decodes(page: Any, tmp_path: Path) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    page.get_by_label("Record sound").check(force=True)
    page.locator("#record").click()
    page.locator("#recording").wait_for()
    page.locator("#recorded", has_text="0:03").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Finish").click()
    path = tmp_path / download.value.suggested_filename
    assert path.suffix in (".webm", ".mp4")
    download.value.save_as(path)
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert [stream.type for stream in file.streams] == ["video", "audio"] or file.streams.audio
        # Its length is known, and it can be sought in: the index is before the pictures.
        assert file.duration is not None
        assert 2.5 < file.duration / av.time_base < 10
        content = path.read_bytes()
        assert 0 < content.find(b"\x1c\x53\xbb\x6b") < content.find(b"\x1f\x43\xb6\x75")
        file.seek(round(2.5 * av.time_base), backward=True)
        first = next(frame for frame in file.decode(video=0))
        assert 1.0 < first.time <= 2.6
    with av.open(str(path)) as file:
        heard = [frame.to_ndarray() for frame in file.decode(audio=0)]
    assert max(np.abs(part).max() for part in heard) > 0.01
    assert len(frames) > 5
    assert np.median(frames[-1]) < 120
    assert page.locator("#recording").is_hidden()


def test_a_second_client_works_a_third_is_told_and_a_closed_tab_frees(
    page: Any, browser: Any, server: Running
) -> None:
    start(page)
    with open_page(browser, server.url) as second:
        start(second)
        second.locator(".work", has_text="identity").click()
        until(lambda: is_bright(second), "the picture itself", second)
        assert is_negative(page)
        # The refusal is the third tab's only error.
        with open_page(browser, server.url, allow="503") as third:
            third.get_by_role("button", name="Start the camera").click()
            third.get_by_role("heading", name="The studio is full").wait_for()
            assert "2 of 2 places" in third.locator("#curtain-text").inner_text()
            assert third.get_by_role("button", name="Try again").is_visible()
        assert len(server.lobby.sessions) == 2
    until(lambda: len(server.lobby.sessions) == 1, "a freed session", page)
    until(lambda: is_negative(page), "the first goes on", page)
    page.get_by_role("button", name="Stop").click()
    until(lambda: not server.lobby.sessions, "both freed", page)
    assert page.get_by_role("heading", name="The easel is put away").is_visible()


def test_without_a_camera_the_page_says_so(launch: Callable[..., Any], server: Running) -> None:
    with open_page(launch("--use-fake-ui-for-media-stream"), server.url) as page:
        page.get_by_role("button", name="Start the camera").click()
        page.get_by_role("heading", name="There is no camera").wait_for()
        assert not server.lobby.sessions


def test_a_blocked_camera_is_told(launch: Callable[..., Any], server: Running) -> None:
    # Headless, and without an answer to the question, Chromium refuses.
    with open_page(launch("--use-fake-device-for-media-stream"), server.url) as page:
        page.get_by_role("button", name="Start the camera").click()
        page.get_by_role("heading", name="The camera is blocked").wait_for()
        assert "address bar" in page.locator("#curtain-text").inner_text()


def test_the_page_comes_back_when_its_session_was_dropped(page: Any, server: Running) -> None:
    start(page)
    [session] = server.lobby.sessions.values()
    server.server.site.lobby.painter.leave(session.seat)
    session._loop.call_soon_threadsafe(server.lobby.leave, session)
    until(lambda: session.id not in server.lobby.sessions, "a dropped session", page)
    until(lambda: server.lobby.sessions, "a new session", page)
    live(page)


def test_the_page_for_obs_shows_the_servers_camera(browser: Any, server: Running) -> None:
    with open_page(browser, f"{server.address}/obs?style=invert") as page:
        picture = page.locator("#picture")
        until(lambda: picture.evaluate("(one) => one.naturalWidth") == 640, "a picture", page)
        assert page.locator("#message").is_hidden()
        assert server.hub.viewers == 1
    until(lambda: not server.hub.is_open, "a closed camera")


def test_the_page_for_obs_says_what_is_wrong_and_tries_again(
    browser: Any, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.hub, "camera", "missing.mp4")
    with open_page(browser, f"{server.address}/obs?style=invert", allow="503") as page:
        message = page.locator("#message")
        until(lambda: "missing.mp4" in message.inner_text(), "the reason", page)
        monkeypatch.setattr(server.hub, "camera", "test")
        picture = page.locator("#picture")
        until(lambda: picture.evaluate("(one) => one.naturalWidth") == 640, "a picture", page)
        until(message.is_hidden, "no message", page)


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "show.toml"
    scene = '[[scene]]\nname = "Bare"\nstyle = "identity"\nfade = 0\nstrength = 0.5\n'
    path.write_text(scene + '[react]\nbeat = "split"\n')
    return path


@pytest.fixture
def scenic(pretrained_folder: Path, show: Path) -> Iterator[Running]:
    """A server with scenes."""
    with serving(Options(port=0, style="invert", min_fps=0, scenes=show)) as it:
        yield it


def test_scenes_are_shown_and_looks_are_kept_in_the_browser(browser: Any, scenic: Running) -> None:
    with open_page(browser, scenic.url) as page:
        start(page)
        assert page.get_by_label("With each beat").input_value() == "split"
        page.get_by_role("button", name="Bare").click()
        until(lambda: settings(scenic)["style"] == "identity", "the scene", page)
        assert settings(scenic)["strength"] == 0.5
        page.keyboard.press("1")
        until(lambda: settings(scenic)["style"] == "mosaic", "another style", page)
        page.get_by_role("button", name="Keep this look").click()
        page.reload()
        start(page)
        page.keyboard.press("v")
        until(lambda: settings(scenic)["style"] == "identity", "the first scene", page)
        page.keyboard.press("v")
        until(lambda: settings(scenic)["style"] == "mosaic", "the kept look", page)
        assert settings(scenic)["strength"] == 0.5
        page.get_by_role("button", name="Remove mosaic").click()
        assert page.get_by_role("button", name="mosaic", exact=True).count() == 0


def test_a_mask_is_drawn_with_the_pointer(page: Any, server: Running) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    page.locator("#mask-draw").click()
    page.locator("#brush").fill("30")
    box = page.locator("#drawing").bounding_box()
    # On the left as it is seen: on the right of the picture, as the view is mirrored.
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"])
    page.mouse.down()
    for down in (0.5, 1.0):
        page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + down * box["height"], steps=5)
    page.mouse.up()
    until(lambda: settings(server)["mask"], "a mask", page)
    page.locator("#mask-done").click()

    def halves() -> tuple[float, float]:
        image = pixels(page)
        return float(np.median(image[:, :20])), float(np.median(image[:, -10:]))

    until(lambda: halves()[0] > 135 and halves()[1] < 80, "a negative on the right alone", page)
    page.keyboard.press("a")
    until(lambda: not settings(server)["mask"], "no mask", page)
    until(lambda: is_negative(page), "the negative", page)


SIZES = [(390, 844), (768, 1024), (1280, 800), (1920, 1080)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_stays_in_sight_and_targets_are_large(
    page: Any, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.locator(".work").nth(1).wait_for()
    for share in (0, 0.5, 1):
        page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        page.wait_for_function("() => new Promise((done) => requestAnimationFrame(() => done(1)))")
        box = page.locator("#frame").bounding_box()
        assert box["y"] >= -1
        assert box["y"] + box["height"] <= height
        assert box["height"] * box["width"] > 0.2 * width * height
        for name in ("#only", "#camera"):
            one = page.locator(name).bounding_box()
            if 0 < one["y"] < height and one["y"] > box["y"] + box["height"]:
                assert one["x"] + one["width"] <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a")].map((one) => {
            const target = one.closest("label") ?? one, box = target.getBoundingClientRect();
            return [one.id || one.textContent || one.name, box.width, box.height];
        }).filter(([, width, height]) => width && (width < 44 || height < 44))"""
    )
    assert not small


CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_contrast(browser: Any, server: Running, scheme: str) -> None:
    with open_page(browser, server.url, color_scheme=scheme) as page:
        page.locator(".work").nth(1).wait_for()
        assert page.evaluate(CONTRAST) == []
        page.locator("#help").click()
        assert page.evaluate(CONTRAST) == []


def test_the_screen_stays_on_while_the_picture_is_live(browser: Any, server: Running) -> None:
    locks = """
        window.held = 0;
        navigator.wakeLock.request = async () => {
            window.held += 1;
            return { released: false, release: async () => { window.held -= 1; } };
        };"""
    with open_page(browser, "about:blank") as page:
        page.add_init_script(locks)
        page.goto(server.url)
        start(page)
        page.wait_for_function("() => window.held === 1")
        page.get_by_role("button", name="Stop").click()
        page.wait_for_function("() => window.held === 0")


def test_the_stage_shows_the_pages_picture_in_a_window_of_its_own(
    page: Any, server: Running
) -> None:
    start(page)
    until(lambda: is_negative(page), "the negative", page)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Stage").click()
    stage = opened.value
    stage.wait_for_function("() => document.getElementById('picture')?.videoWidth === 320")
    assert stage.locator("button, input, select").count() == 0
    assert stage.locator("body[data-mirror]").count() == 1
    page.keyboard.press("m")
    until(lambda: stage.locator("body[data-mirror]").count() == 0, "not mirrored", page)
    assert len(server.lobby.sessions) == 1


def test_the_stage_alone_paints_the_camera_in_the_look_of_its_address(
    browser: Any, server: Running
) -> None:
    until(lambda: not server.lobby.clients, "an empty house")
    with open_page(browser, f"{server.url}stage?style=identity&strength=0.7&mirror=1") as page:
        page.wait_for_function("() => document.getElementById('picture')?.videoWidth === 320")
        assert settings(server)["style"] == "identity"
        assert settings(server)["strength"] == 0.7
        assert page.locator("body[data-mirror]").count() == 1
        assert page.locator("#message").is_hidden()


def test_the_page_is_installable_and_cameras_have_names(page: Any) -> None:
    client = page.context.new_cdp_session(page)
    manifest = client.send("Page.getAppManifest")
    assert not manifest["errors"]
    errors = client.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # Playwright's profiles are private ones, in which nothing is installed.
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []
    start(page)
    label = page.evaluate("document.getElementById('painted').srcObject !== null")
    assert label
    until(lambda: page.locator("#camera option").count() == 1, "the list of cameras", page)
    [name] = page.locator("#camera option").all_inner_texts()
    assert name.endswith("camera.mjpeg")
    page.locator("#camera").select_option(label=name)
    live(page)


def read_codes(picture: Path) -> set[str]:
    """Return what OpenCV reads in a QR code at several sizes: at one it misses some codes."""
    code = cv2.imread(str(picture))
    assert code is not None
    found = set()
    for factor in (1.0, 1.5, 2.0, 3.0, 4.0):
        larger = cv2.resize(code, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        larger = cv2.copyMakeBorder(larger, *[40] * 4, cv2.BORDER_CONSTANT, value=(255,) * 3)
        for detector in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            found.add(detector.detectAndDecode(larger)[0])
    return found


def test_a_link_with_its_code_leads_others_to_the_same_look(
    browser: Any, pretrained_folder: Path, tmp_path: Path
) -> None:
    token = "a-token-that-nobody-guesses"
    options = Options(host="0.0.0.0", port=0, style="invert", token=token, min_fps=0)
    with serving(options) as server:
        port = server.address.rpartition(":")[2]
        with open_page(browser, f"http://127.0.0.1:{port}/?token={token}") as page:
            page.locator(".work").nth(1).wait_for()
            page.keyboard.press("1")
            page.keyboard.press("-")
            page.get_by_role("button", name="Share").click()
            page.locator("#link[open]").wait_for()
            link = page.locator("#address").input_value()
            assert link.startswith(server.address)
            assert f"token={token}" in link
            page.wait_for_function("() => document.getElementById('qr').naturalWidth > 0")
            page.locator("#qr").screenshot(path=tmp_path / "qr.png")
            assert link in read_codes(tmp_path / "qr.png")
        here = link.replace(server.address, f"http://127.0.0.1:{port}")
        with open_page(browser, here) as page:
            page.get_by_role("radio", name="mosaic").wait_for()
            until(lambda: page.locator("#strength").input_value() == "0.9", "the strength", page)
            assert page.get_by_role("radio", name="mosaic").is_checked()
            assert "token" not in page.url


def test_a_photo_and_a_video_are_painted_and_downloaded(
    page: Any, server: Running, clip: Path, tmp_path: Path
) -> None:
    page.locator(".work").nth(1).wait_for()
    film = write_clip(tmp_path / "film.mp4", sound="aac")
    photo = cv2.imencode(".png", np.full((48, 64, 3), 250, np.uint8))[1].tobytes()
    page.locator("#file").set_input_files(
        [
            {"name": "my photo.png", "mimeType": "image/png", "buffer": photo},
            {"name": "film.mp4", "mimeType": "video/mp4", "buffer": film.read_bytes()},
        ]
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Download my photo-painted.png").click()
    download.value.save_as(tmp_path / "photo.png")
    assert cv2.imread(str(tmp_path / "photo.png")).max() < 10
    with page.expect_download() as download:
        page.get_by_role("link", name="Download film-painted.mp4").click()
    download.value.save_as(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert len(list(file.decode(video=0))) > 10
    page.get_by_role("button", name="Remove my photo.png").click()
    until(lambda: len(server.server.site.jobs.jobs) == 1, "the photo deleted", page)
