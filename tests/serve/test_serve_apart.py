"""Pictures that somebody sends are decoded in a process of their own, which may come to harm."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from rtstyle.errors import UsageError
from rtstyle.serve import apart
from rtstyle.serve.gallery.pictures import keep_upload
from rtstyle.serve.server import Options, Running, serving

BOUND = "from rtstyle.serve import apart; apart.bound(apart.MEMORY, apart.LARGEST_FILE, 60)"
HARM = {
    "crash": "import os; os.kill(os.getpid(), 9)",
    "hang": "import time; time.sleep(60)",
    "silence": "pass",
    "noise": "print('no JSON')",
    "memory": f"{BOUND}; bytearray(apart.MEMORY)",
    "files": f"{BOUND}; open(sys.argv[1], 'wb').write(bytes(apart.LARGEST_FILE + 1))",
}


def picture(seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((120, 90)).save(file, "PNG")
    return file.getvalue()


def doing(harm: str, folder: Path) -> list[str]:
    """Return a command that leaves half a picture behind and then does harm."""
    name = apart.name_of(picture())
    half = [str(folder / f"{name}.incoming"), str(folder / f".{name}.jpg.7.part")]
    code = f"import sys; [open(p, 'w').write('half') for p in {half!r}]; {HARM[harm]}"
    return [sys.executable, "-c", code, half[0]]


def test_it_is_kept_as_in_this_process(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    one = keep_upload(picture(), "C:\\my\\é.png", here)
    other = apart.keep_apart(picture(), "C:\\my\\é.png", there)
    assert (one.name, one.title, one.thumbnail) == (other.name, other.title, other.thumbnail)
    assert one.path.read_bytes() == other.path.read_bytes()
    assert [path.name for path in there.iterdir()] == [one.path.name]


def test_it_refuses_in_the_same_words(tmp_path: Path) -> None:
    found = []
    for keep in (keep_upload, apart.keep_apart):
        with pytest.raises(UsageError) as caught:
            keep(b"no picture", "/home/me/a.png", tmp_path)
        found.append((caught.value.what, caught.value.why, caught.value.todo))
    assert found[0] == found[1]
    assert "a.png" in found[0][0]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.slow
def test_a_decoder_that_comes_to_harm(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "COMMAND", doing(harm, tmp_path))
    monkeypatch.setattr(apart, "SECONDS", 3.0 if harm == "hang" else 60.0)
    kept = tmp_path / "picture-of-somebody-else.jpg"
    kept.write_bytes(b"")
    why = "takes too long" if harm == "hang" else "decoder failed"
    with pytest.raises(UsageError, match=rf"^a\.png cannot be read\. .*{why}"):
        apart.keep_apart(picture(), "a.png", tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", camera="test", min_fps=0)) as it:
        yield it


@pytest.mark.slow
def test_the_server_goes_on(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def send() -> httpx.Response:
        return httpx.post(
            f"{server.address}/api/pictures?name=a.png",
            content=picture(),
            headers={"content-type": "image/png"},
            timeout=60,
        )

    folder = server.lobby.catalogue.folder
    monkeypatch.setattr(apart, "COMMAND", doing("crash", folder))
    answer = send()
    assert answer.status_code == 400
    assert "decoder failed" in answer.json()["error"]
    monkeypatch.undo()
    assert send().status_code == 200
