"""The page of `rtstyle survey` in a real browser: by keys, by touch, and after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import browsers
from helpers.pictures import photo, saved

from rtstyle.serve.survey.design import Design, Question, read_design
from rtstyle.serve.survey.votes import read_votes
from rtstyle.serve.survey.web import SurveyOptions, surveying

pytestmark = [
    pytest.mark.skipif(
        bool(browsers.missing()) and not browsers.REQUIRED, reason=browsers.missing() or "-"
    ),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.chromium() as it:
        yield it


@pytest.fixture
def asked(tmp_path: Path) -> Design:
    for folder, names in (("a", "stu"), ("b", "stu"), ("real", "xy")):
        (tmp_path / folder).mkdir()
        for name in names:
            saved(tmp_path / folder / f"{name}.jpg", photo(90, 120, seed=ord(name)))
    return read_design([tmp_path / "a", tmp_path / "b"], tmp_path / "real")


def ready(page: Any, number: int) -> None:
    """Wait for a question whose pictures are all there."""
    page.wait_for_function(
        """number => document.getElementById("number").textContent.startsWith(`${number} `)
           && document.querySelector("#choices button:enabled")""",
        arg=number,
    )


def frame_of_hovered(context: Any, page: Any) -> str:
    """Return the colour around the last picture where a pointer is, or was, above it."""
    tools = context.new_cdp_session(page)
    for domain in ("DOM", "CSS"):
        tools.send(f"{domain}.enable")
    root = tools.send("DOM.getDocument")["root"]["nodeId"]
    place = {"nodeId": root, "selector": "#choices button:last-child"}
    node = tools.send("DOM.querySelector", place)
    tools.send("CSS.forcePseudoState", {**node, "forcedPseudoClasses": ["hover"]})
    colour: str = page.locator("#choices button").last.evaluate(
        "async b => { await Promise.all(b.getAnimations().map(a => a.finished));"
        " return getComputedStyle(b).borderTopColor }"
    )
    tools.detach()
    return colour


def answered(page: Any) -> None:
    page.locator("#end").wait_for()
    assert page.locator("#ask").inner_text() == "Thank you"


def test_by_keys_with_a_reload_in_between(browser: Any, asked: Design, tmp_path: Path) -> None:
    with surveying(asked, tmp_path / "v.sqlite", SurveyOptions(port=0)) as running:
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        with browsers.opened(context, running.url) as page:
            page.wait_for_function("document.activeElement.id === 'start'")
            page.keyboard.press("Enter")
            ready(page, 1)
            # Where there is a mouse, the picture below it has a frame.
            assert frame_of_hovered(context, page) != "rgba(0, 0, 0, 0)"
            pictures = page.locator("#choices img").evaluate_all(
                "all => all.map(i =>"
                " [i.naturalWidth, i.naturalHeight, i.getBoundingClientRect().top])"
            )
            assert pictures[0] == pictures[1]
            assert pictures[0][:2] == [120, 90]
            page.keyboard.press("ArrowRight")
            ready(page, 2)
            page.keyboard.press("x")
            page.reload()
            page.get_by_role("button", name="Go on").click()
            ready(page, 2)
            for number, key in enumerate(("ArrowLeft", "2", "4", "1"), 2):
                ready(page, number)
                page.keyboard.press(key)
            answered(page)
            page.reload()
            page.get_by_role("button", name="Go on").click()
            answered(page)
        context.close()
    votes = read_votes(tmp_path / "v.sqlite")
    assert [Question(v.kind, v.shown) for v in votes] == asked.questions(0)
    assert [v.choice for v in votes] == [1, 0, 1, 3, 0]
    assert all(v.seconds < browsers.PATIENCE for v in votes)


def test_by_touch_on_a_phone_with_a_token(browser: Any, asked: Design, tmp_path: Path) -> None:
    options = SurveyOptions(port=0, token="a-token-that-nobody-guesses")
    with surveying(asked, tmp_path / "v.sqlite", options) as running:
        context = browser.new_context(
            viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True
        )
        with browsers.opened(context, running.url) as page:
            assert "token" not in page.url
            page.get_by_role("button", name="Start").tap()
            for number in range(1, 6):
                ready(page, number)
                # A phone leaves the place that was tapped last hovered: no frame shows it.
                assert frame_of_hovered(context, page) == "rgba(0, 0, 0, 0)"
                boxes = page.locator("#choices button").evaluate_all(
                    "all => all.map(b => { const r = b.getBoundingClientRect();"
                    " return [r.left, r.top, r.right, r.bottom, r.width] })"
                )
                # All of them on the screen at once, and none on top of another.
                assert all(b[0] >= 0 and b[1] >= 0 and b[2] <= 390 and b[3] <= 780 for b in boxes)
                columns = 1 if len(boxes) == 2 else 2
                assert all(box[4] > 390 / columns - 40 for box in boxes)
                page.locator("#choices button").last.tap()
            answered(page)
        context.close()
    assert [v.choice for v in read_votes(tmp_path / "v.sqlite")] == [1, 1, 1, 3, 3]


def test_a_server_that_is_gone_is_told_and_asked_again(
    browser: Any, asked: Design, tmp_path: Path
) -> None:
    context = browser.new_context()
    with surveying(asked, tmp_path / "v.sqlite", SurveyOptions(port=0)) as running:
        page = context.new_page()
        page.set_default_timeout(1000 * browsers.PATIENCE)
        page.goto(running.url)
        page.get_by_role("button", name="Start").click()
        ready(page, 1)
        page.route("**/api/survey/vote", lambda route: route.abort())
        page.keyboard.press("1")
        page.get_by_text("The survey does not answer.").wait_for()
        assert page.locator("#choices").is_hidden()
        page.unroute("**/api/survey/vote")
        page.get_by_role("button", name="Try again").click()
        ready(page, 2)
    context.close()
    assert [v.choice for v in read_votes(tmp_path / "v.sqlite")] == [0]
