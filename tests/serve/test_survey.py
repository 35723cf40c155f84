"""The survey: its questions, its votes, what they come to, and its routes."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers import console
from helpers.pictures import photo, saved
from PIL import Image as Pil

from rtstyle.errors import RtstyleError, SourceError, UsageError
from rtstyle.serve.survey.design import (
    PAINTINGS,
    PREFER,
    REAL,
    Design,
    Question,
    Shown,
    method_names,
    read_design,
)
from rtstyle.serve.survey.pictures import Wall
from rtstyle.serve.survey.statistics import Share, bradley_terry, summarize, wilson
from rtstyle.serve.survey.votes import Vote, Votes, read_votes
from rtstyle.serve.survey.web import Surveying, SurveyOptions, surveying

PATIENCE = 30.0


def named(count: int) -> dict[str, Path]:
    return {f"photo{n}": Path(f"photo{n}.png") for n in range(count)}


def design(photos: int = 6, painters: int = 5, questions: int = 30, seed: int = 0) -> Design:
    methods = {name: named(photos) for name in ("fast", "paper", "wct")}
    return Design(methods, named(painters), seed=seed, questions=questions)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two methods with four pictures each, and two paintings, all of other sizes."""
    for number, (folder, names, size) in enumerate(
        (("fast", "abcd", (48, 64)), ("slow", "abcd", (60, 80)), ("real", "xy", (90, 70)))
    ):
        (tmp_path / folder).mkdir()
        for k, name in enumerate(names):
            saved(tmp_path / folder / f"{name}.png", photo(*size, seed=10 * number + k))
    return tmp_path


def small(folders: Path, paintings: bool = True) -> Design:
    real = folders / "real" if paintings else None
    return read_design([folders / "fast", folders / "slow"], real)


# Questions


def test_every_pair_is_asked_equally_often_and_stands_left_half_of_the_time() -> None:
    asked = design(photos=6, painters=0, questions=9)
    seen = [q.shown for visitor in range(4) for q in asked.questions(visitor)]
    # 3 pairs of methods x 6 photos = 18 questions, 9 a visitor: all of them after two.
    assert len({frozenset(shown) for shown in seen[:18]}) == 18
    assert set(Counter(seen).values()) == {1}
    assert {shown[::-1] for shown in seen} == set(seen)
    for visitor in range(4):
        left = sum(q.shown in asked.pairs for q in asked.questions(visitor))
        assert left in (4, 5)


def test_only_pictures_of_one_name_are_compared() -> None:
    methods = {"a": named(3), "b": {"photo1": Path("b.png"), "other": Path("c.png")}}
    assert Design(methods, {}).pairs == [(Shown("a", "photo1"), Shown("b", "photo1"))]
    with pytest.raises(UsageError, match="nothing to compare"):
        Design({"a": named(1), "b": {"other": Path("c.png")}}, {})


def test_the_real_painting_stands_everywhere_alike_among_three_of_one_method() -> None:
    asked = design(photos=9, painters=5, questions=4)
    assert len(asked.triples) == 9
    assert Counter(one for group in asked.triples for one in group) == Counter(
        Shown(method, name) for method in asked.methods for name in named(9)
    )
    found = [q for visitor in range(9) for q in asked.questions(visitor) if q.kind == REAL]
    places = Counter([one.method for one in q.shown].index(PAINTINGS) for q in found)
    assert places == {0: 9, 1: 9, 2: 9, 3: 9}
    assert all(len({one.method for one in q.shown}) == 2 for q in found)
    methods = Counter(max(one.method for one in q.shown) for q in found)
    assert set(methods.values()) == {12}


def test_questions_follow_from_the_seed_and_the_visitor_alone() -> None:
    assert design().questions(3) == design().questions(3)
    assert design().questions(3) != design().questions(4)
    assert design(seed=1).questions(3) != design().questions(3)
    kinds = [q.kind for q in design().questions(0)]
    assert kinds == [PREFER] * 18 + [REAL] * 6
    # Not in the order of the list: what is asked says nothing of what comes next.
    numbers = [design().pairs.index(tuple(sorted(q.shown, key=lambda s: s.method)))
               for q in design().questions(0)[:18]]  # fmt: skip
    assert sum(b - a == 1 for a, b in pairwise(numbers)) < 6


def test_a_method_with_few_pictures_is_refused_among_paintings() -> None:
    with pytest.raises(UsageError, match="has 2 pictures"):
        Design({"a": named(2), "b": named(2)}, named(1))


def test_folders_are_told_apart_by_as_many_parents_as_it_takes(tmp_path: Path) -> None:
    places = [tmp_path / "one/out", tmp_path / "two/out", tmp_path / "wct"]
    assert [name.rpartition("/")[2] for name in method_names(places)] == ["out", "out", "wct"]
    assert method_names(places)[0] == "one/out"
    for wrong in (places[:1], [places[0], places[0]], []):
        with pytest.raises(UsageError, match="two folders"):
            method_names(wrong)


# What votes come to


def test_wilson_is_the_published_interval() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


def test_two_methods_have_the_log_odds_between_them() -> None:
    scores = bradley_terry(["a", "b"], {("a", "b"): 30, ("b", "a"): 10})
    assert scores["a"] - scores["b"] == pytest.approx(math.log(30.5 / 10.5), abs=1e-9)
    assert sum(scores.values()) == pytest.approx(0)
    beaten = bradley_terry(["a", "b"], {("a", "b"): 12})
    assert beaten["a"] - beaten["b"] == pytest.approx(math.log(12.5 / 0.5), abs=1e-9)


def test_scores_are_the_most_likely_ones() -> None:
    """Where the likelihood has its maximum, every method won as often as is expected of it."""
    wins = {
        ("a", "b"): 7,
        ("b", "a"): 3,
        ("a", "c"): 9,
        ("c", "a"): 2,
        ("b", "c"): 6,
        ("c", "b"): 5,
    }
    scores = bradley_terry("abc", wins, prior=0)
    for one in "abc":
        others = [o for o in "abc" if o != one]
        expected = sum(
            (wins[one, o] + wins[o, one]) / (1 + math.exp(scores[o] - scores[one])) for o in others
        )
        assert expected == pytest.approx(sum(wins[one, o] for o in others), abs=1e-6)
    assert scores["a"] > scores["b"] > scores["c"]


def vote(kind: str, methods: tuple[str, ...], choice: int, visitor: int = 0) -> Vote:
    return Vote(visitor, kind, tuple(Shown(method, "p") for method in methods), choice, 1.0)


def test_votes_are_counted_by_method_whatever_stood_where() -> None:
    result = summarize(
        [
            vote(PREFER, ("a", "b"), 0),
            vote(PREFER, ("b", "a"), 1),
            vote(PREFER, ("b", "a"), 0, visitor=1),
            vote(REAL, ("a", PAINTINGS, "a", "a"), 1),
            vote(REAL, ("a", "a", "a", PAINTINGS), 1),
            vote(REAL, ("b", PAINTINGS, "b", "b"), 1),
        ]
    )
    assert result.visitors == 2
    assert result.preferred == {("a", "b"): Share(2, 3)}
    assert result.deceived == {"a": Share(1, 2), "b": Share(0, 1)}
    assert result.left == Share(2, 3)


# Votes


def test_a_row_a_vote_and_nothing_of_the_voter(tmp_path: Path) -> None:
    question = design().questions(0)[0]
    with Votes(tmp_path / "v.sqlite", "x") as votes:
        key, visitor = votes.join()
        votes.add(visitor, 0, question, 1, 2.5)
        votes.add(visitor, 0, question, 0, 2.5)
        votes.add(visitor, 1, question, 0, 1e9)
        assert votes.done(visitor) == 2
        assert votes.join(key) == (key, visitor)
        assert votes.join("another")[1] == 1
    found = read_votes(tmp_path / "v.sqlite")
    assert [(v.choice, v.seconds) for v in found] == [(1, 2.5), (0, 3600.0)]
    assert found[0].chosen == question.shown[1]
    with sqlite3.connect(tmp_path / "v.sqlite") as file:
        columns = {
            row[1]
            for table in ("vote", "visitor")
            for row in file.execute(f"PRAGMA table_info({table})")
        }
        dump = "\n".join(file.iterdump())
    file.close()
    assert columns == {"visitor", "number", "kind", "shown", "choice", "seconds", "pass"}
    assert key not in dump


def test_another_survey_has_another_file(tmp_path: Path) -> None:
    first, second = design(seed=0).identity(), design(seed=1).identity()
    assert first == design(seed=0).identity()
    assert first != second
    Votes(tmp_path / "v.sqlite", first).close()
    Votes(tmp_path / "v.sqlite", first).close()
    with pytest.raises(UsageError, match="votes of another survey"):
        Votes(tmp_path / "v.sqlite", second)


def test_what_is_no_file_of_votes_is_told(tmp_path: Path) -> None:
    (tmp_path / "v.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(RtstyleError, match="file is not a database"):
        Votes(tmp_path / "v.sqlite", "x")
    for name in ("v.sqlite", "missing.sqlite"):
        with pytest.raises(SourceError):
            read_votes(tmp_path / name)


# Pictures


def test_pictures_differ_by_paint_only(folders: Path) -> None:
    asked = small(folders)
    wall = Wall(asked, "salt")
    sizes: dict[str, set[Any]] = {PREFER: set(), REAL: set()}
    for question in asked.questions(0):
        names = wall.names(question)
        assert len(set(names)) == len(question.shown)
        for name in names:
            content = wall.content(name)
            assert b"Exif" not in content
            with Pil.open(BytesIO(content)) as image:
                assert image.format == "JPEG"
                sizes[question.kind].add(image.size)
    # Squares as small as the smallest, so that sharpness gives nothing away.
    assert sizes == {PREFER: {(64, 48), (80, 60)}, REAL: {(48, 48)}}
    assert Wall(asked, "other").names(question) != names


# Routes


@pytest.fixture
def running(folders: Path) -> Iterator[Surveying]:
    with surveying(small(folders), folders / "v.sqlite", SurveyOptions(port=0)) as it:
        yield it


def post(running: Surveying, path: str, body: Any) -> Any:
    return httpx.post(f"{running.address}/api/survey/{path}", json=body, timeout=PATIENCE)


def test_a_visitor_answers_all_and_goes_on_where_they_were(folders: Path) -> None:
    asked = small(folders)
    with surveying(asked, folders / "v.sqlite", SurveyOptions(port=0)) as running:
        state = post(running, "join", {}).json()
        assert (state["number"], state["total"]) == (0, 6)
        body = {"visitor": state["visitor"], "number": 0, "choice": 1, "seconds": 0.5}
        ahead = state["ahead"]
        state |= post(running, "vote", body).json()
        assert state["question"]["pictures"] == ahead
        # Sent twice, as where the reply was lost: the second does not count.
        assert post(running, "vote", body).json()["number"] == 1
    # The server was ended, and begun again.
    with surveying(asked, folders / "v.sqlite", SurveyOptions(port=0)) as running:
        state |= post(running, "join", {"visitor": state["visitor"]}).json()
        for number in range(1, 6):
            assert state["number"] == number
            body |= {"number": number, "choice": 0}
            state |= post(running, "vote", body).json()
        assert state["question"] is None
        assert post(running, "vote", body | {"number": 6}).json()["number"] == 6
    found = read_votes(folders / "v.sqlite")
    assert [Question(v.kind, v.shown) for v in found] == asked.questions(0)
    assert [v.choice for v in found] == [1, 0, 0, 0, 0, 0]


def test_wrong_messages_are_refused_and_count_nothing(running: Surveying, folders: Path) -> None:
    visitor = post(running, "join", {}).json()["visitor"]
    good = {"visitor": visitor, "number": 0, "choice": 0, "seconds": 1}
    for wrong, status in (
        ({"visitor": "somebody"}, 404),
        ({"visitor": 3}, 400),
        ({"choice": 2}, 400),
        ({"choice": -1}, 400),
        ({"choice": 0.5}, 400),
        ({"choice": True}, 400),
        ({"choice": "0"}, 400),
        ({"seconds": None}, 400),
        ({"seconds": 1e300}, 400),
        ({"number": "0"}, 400),
    ):
        reply = post(running, "vote", good | wrong)
        assert reply.status_code == status, wrong
        assert "Traceback" not in reply.text
    assert post(running, "vote", []).status_code == 400
    assert httpx.post(f"{running.address}/api/survey/vote", content=b"{}").status_code == 415
    assert httpx.get(f"{running.address}/survey/{'0' * 32}.jpg").status_code == 404
    assert read_votes(folders / "v.sqlite") == []
    assert post(running, "vote", good).json()["number"] == 1


def test_the_page_is_locked_down_and_pictures_tell_no_names(running: Surveying) -> None:
    page = httpx.get(running.url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "://" not in page.text
    assert "<script>" not in page.text
    question = post(running, "join", {}).json()["question"]
    for name in question["pictures"]:
        picture = httpx.get(f"{running.address}/survey/{name}.jpg")
        assert picture.headers["content-type"] == "image/jpeg"
        assert "last-modified" not in picture.headers
    assert not {"fast", "slow"} & set(json.dumps(question).replace('"', " ").split())


def test_others_in_the_network_need_the_token(folders: Path) -> None:
    with pytest.raises(UsageError, match="a token is needed"):
        SurveyOptions("0.0.0.0")
    token = "a-token-that-nobody-guesses"
    options = SurveyOptions("0.0.0.0", 0, token)
    with surveying(small(folders, False), folders / "v.sqlite", options) as running:
        address = f"http://127.0.0.1:{running.address.rpartition(':')[2]}"
        assert httpx.get(address).status_code == 401
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(f"{address}/?token={token}").status_code == 200
            assert client.post(f"{address}/api/survey/join", json={}).status_code == 200


# The command


def cast(path: Path) -> None:
    """Votes of two visitors: `fast` is preferred in 3 of 4, `slow` taken for real in 1 of 2."""
    with Votes(path, "x") as votes:
        for visitor in range(2):
            votes.join()
            pair = (Shown("fast", "a"), Shown("slow", "a"))
            votes.add(visitor, 0, Question(PREFER, pair), 0, 1)
            votes.add(visitor, 1, Question(PREFER, pair[::-1]), 1 - visitor, 1)
            four = (*[Shown("slow", n) for n in "abc"], Shown(PAINTINGS, "x"))
            votes.add(visitor, 2, Question(REAL, four), 3 * visitor, 1)


@pytest.mark.slow
def test_the_report_tells_rates_intervals_and_scores(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cast(tmp_path / "v.sqlite")
    words = ("survey", "--report", "--votes", tmp_path / "v.sqlite")
    done = console.rtstyle(*words, "--plot", tmp_path / "r.png")
    assert done.code == 0, done.output
    low, high = wilson(3, 4)
    assert "6 votes of 2 visitors" in done.out
    assert f"fast to slow: 75.0% ({low:.1%} to {high:.1%}), 3 of 4" in done.out
    assert f"fast: {math.log(3.5 / 1.5) / 2:+.2f}" in done.out
    assert "slow: 50.0%" in done.out.partition("75% by guessing")[2]
    with Pil.open(tmp_path / "r.png") as plot:
        assert np.asarray(plot.convert("RGB")).std() > 10
    result = json.loads(console.rtstyle(*words, "--json", "-").out)
    assert result["preferred"][0] == {
        "method": "fast", "to": "slow", "hits": 3, "count": 4, "rate": 0.75,
        "interval": [low, high],
    }  # fmt: skip
    assert result["deceived"][0]["rate"] == 0.5


def test_a_report_of_no_votes_says_so(tmp_path: Path) -> None:
    Votes(tmp_path / "v.sqlite", "x").close()
    done = console.rtstyle("survey", "--report", "--votes", tmp_path / "v.sqlite")
    assert (done.code, done.out) == (0, "There are no votes yet.\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "compares two folders"),
        (("fast",), "compares two folders"),
        (("fast", "missing"), "is not a folder"),
        (("fast", "empty"), "has no pictures"),
        (("fast", "slow", "--paintings", "missing"), "is not a folder"),
        (("fast", "slow", "--report"), "needs no folders"),
        (("fast", "slow", "--plot", "a.png"), "go with --report"),
        (("--report", "--votes", "missing"), "There are no votes in"),
        (("--report", "--plot", "a.jpg"), "cannot be written as"),
        (("fast", "slow", "--token", "short"), "16 characters"),
    ],
)
@pytest.mark.slow
def test_wrong_input_is_one_clear_message(
    folders: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], text: str
) -> None:
    monkeypatch.chdir(folders)
    Path("empty").mkdir()
    done = console.rtstyle("survey", *words)
    assert done.code == 2
    assert text in done.err
