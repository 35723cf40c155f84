"""Photos and videos that are sent to be painted: over real sockets, painted in real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest
from helpers.media import write_clip
from helpers.peers import PATIENCE

from rtstyle.serve import paint_jobs
from rtstyle.serve.paint_jobs import PaintJobs, kind_of
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.web import guard


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", min_fps=0)) as it:
        yield it


def photo(level: int = 200, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def send(server: Running, content: bytes, settings: Any = None, name: str = "a.png") -> Any:
    query = {"name": name, "settings": json.dumps(settings or {})}
    headers = {"content-type": "application/octet-stream"}
    where = f"{server.address}/api/paint"
    return httpx.post(where, params=query, content=content, headers=headers, timeout=PATIENCE)


def ended(server: Running, job: str) -> dict[str, Any]:
    """What became of a job, once it has ended."""
    return reaches(server, job, "done", "failed")


def reaches(server: Running, job: str, *states: str) -> dict[str, Any]:
    """A job once it is in one of these states."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        state: dict[str, Any] = httpx.get(f"{server.address}/api/paint/{job}").json()
        if state["state"] in states:
            return state
        time.sleep(0.05)
    raise AssertionError("it never ended")


def fetch(server: Running, job: str) -> httpx.Response:
    return httpx.get(f"{server.address}/api/paint/{job}/file", timeout=PATIENCE)


@pytest.mark.slow
def test_a_photo_is_painted_as_the_page_is_set(server: Running) -> None:
    reply = send(server, photo(200), {"strength": 0.5, "mirror": True}, "../my cat.png").json()
    assert ended(server, reply["job"])["state"] == "done"
    result = fetch(server, reply["job"])
    assert "my%20cat-painted.png" in result.headers["content-disposition"]
    image = cv2.imdecode(np.frombuffer(result.content, np.uint8), cv2.IMREAD_COLOR)
    # Half of 200 and half of its negative.
    assert np.abs(image.astype(int) - 127).max() <= 2
    gone = httpx.delete(f"{server.address}/api/paint/{reply['job']}")
    assert gone.status_code == 204
    assert fetch(server, reply["job"]).status_code == 404
    assert not list(server.server.site.jobs.folder.iterdir())


@pytest.mark.slow
def test_a_video_is_painted_with_its_sound(server: Running, tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mp4", sound="aac", image=lambda w, h, _: grey(w, h))
    job = send(server, film.read_bytes(), {"style": "invert"}, "film.mp4").json()["job"]
    state = ended(server, job)
    assert state["state"] == "done", state
    assert state["progress"] == 1
    path = tmp_path / "out.mp4"
    path.write_bytes(fetch(server, job).content)
    with av.open(str(path)) as file:
        assert file.streams.audio
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(frames) == 12
    assert abs(float(np.median(frames[5])) - 55) < 8


@pytest.mark.slow
def test_a_photo_is_painted_like_a_picture_of_a_library_named_from_here(
    pretrained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that paints was begun elsewhere: "There is no picture lib/picture-..."."""
    monkeypatch.chdir(tmp_path)
    with serving(Options(port=0, style="invert", library=Path("lib"))) as server:
        headers = {"content-type": "image/png"}
        where = f"{server.address}/api/pictures?name=sea.png"
        sea = httpx.post(where, content=photo(90), headers=headers, timeout=PATIENCE).json()
        job = send(server, photo(), {"style": sea["name"]}).json()["job"]
        state = ended(server, job)
        assert state["state"] == "done", state
        Path("lib", f"{sea['name']}.jpg").unlink()
        state = ended(server, send(server, photo(), {"style": sea["name"]}).json()["job"])
        assert "There is no picture picture-" in state["error"]


def grey(width: int, height: int) -> Any:
    return np.full((height, width, 3), 200, np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"some words that are no picture", "neither a photo nor a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "neither a photo nor a video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "neither a photo nor a video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "neither a photo nor a video"),
        (b"", "empty"),
        (b"\x89PNG", "not whole"),
    ],
)
def test_what_is_not_painted_is_refused_at_once(
    server: Running, content: bytes, words: str
) -> None:
    folder = server.server.site.jobs.folder
    before = set(folder.glob("*"))
    reply = send(server, content)
    assert reply.status_code == 400
    assert words in reply.json()["error"]
    assert set(folder.glob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [photo()[:40], b"\0\0\0\x18ftypisom" + b"\0" * 64, b"\x1a\x45\xdf\xa3" + b"\1" * 64]
)
def test_a_damaged_file_is_one_line_without_our_folders(server: Running, content: bytes) -> None:
    state = ended(server, send(server, content, name="broken.png").json()["job"])
    assert state["state"] == "failed"
    assert "broken.png" in state["error"]
    assert str(server.server.site.jobs.folder) not in state["error"]
    assert "\n" not in state["error"]


def test_wrong_settings_and_types_are_refused(server: Running) -> None:
    assert send(server, photo(), {"style": "/etc/passwd.onnx"}).status_code == 400
    assert send(server, photo(), {"strength": 3}).status_code == 400
    reply = httpx.post(f"{server.address}/api/paint", content=b"a=b", timeout=PATIENCE)
    assert reply.status_code == 415


def test_sizes_are_bounded(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_VIDEO", 1000)
    reply = send(server, photo() + b"\0" * 1000)
    assert reply.status_code == 413


@pytest.mark.slow
def test_the_queue_is_bounded_and_one_that_is_stopped_makes_room(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that never ends, in place of a painter.
    monkeypatch.setattr(paint_jobs, "COMMAND", ["sleep", "600"])
    jobs = [send(server, photo()).json()["job"]]
    # The process of the job before may still be ending.
    reaches(server, jobs[0], "painting")
    while (reply := send(server, photo())).status_code == 200:
        jobs.append(reply.json()["job"])
    assert reply.status_code == 503
    assert len(jobs) == 1 + paint_jobs.WAITING
    where = f"{server.address}/api/paint"
    states = [httpx.get(f"{where}/{job}").json() for job in jobs]
    assert [state["state"] for state in states] == ["painting"] + ["waiting"] * paint_jobs.WAITING
    assert [state["before"] for state in states] == list(range(5))
    for job in reversed(jobs):
        assert httpx.delete(f"{where}/{job}").status_code == 204
    monkeypatch.undo()
    job = send(server, photo()).json()["job"]
    assert ended(server, job)["state"] == "done"


@pytest.mark.slow
def test_painting_takes_no_longer_than_it_may(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paint_jobs, "COMMAND", ["sleep", "600"])
    monkeypatch.setattr(paint_jobs, "SECONDS", 0.1)
    state = ended(server, send(server, photo()).json()["job"])
    assert "too long" in state["error"]


def test_old_results_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = PaintJobs(tmp_path)
    made = []
    for number in range(paint_jobs.KEPT + 2):
        source = tmp_path / f"{number}.png"
        job = paint_jobs.Job("a.png", source, tmp_path / f"{number}-out.png", {}, "done")
        job.output.touch()
        job.ended = time.monotonic() + number
        jobs.jobs[job.id] = job
        made.append(job)
    jobs.forget()
    assert [job.output.exists() for job in made] == [False] * 2 + [True] * paint_jobs.KEPT
    monkeypatch.setattr(paint_jobs, "KEPT_FOR", -1e9)
    jobs.forget()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", (".jpg", ".jpg")),
        (b"RIFF\0\0\0\0WEBP", (".webp", ".jpg")),
        (b"RIFF\0\0\0\0AVI ", (".avi", ".mp4")),
        (b"\0\0\0\x1cftypavif", (".avif", ".jpg")),
        (b"\0\0\0\x14ftypqt  ", (".mp4", ".mp4")),
    ],
)
def test_the_first_bytes_tell_what_a_file_is(head: bytes, expected: tuple[str, str]) -> None:
    assert kind_of(head) == expected
