"""What outlives a server, and what one is given at its start: the library and scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from helpers import console
from helpers.peers import PATIENCE

from rtstyle.errors import UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.live.keys import KEYS, page_keys
from rtstyle.serve.gallery import catalogue as catalogue_module
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.gallery.library import Library
from rtstyle.serve.gallery.pictures import keep_upload
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.painter import Painter
from rtstyle.serve.scenes import read_scenes
from rtstyle.serve.server import Options, serving
from rtstyle.serve.settings import MASK, check_settings
from rtstyle.serve.web.sharing import Link


def picture(*rgb: int) -> bytes:
    return cv2.imencode(".png", np.full((48, 64, 3), rgb[::-1], np.uint8))[1].tobytes()


def send(address: str, content: bytes, name: str) -> Any:
    headers = {"content-type": "image/png"}
    where = f"{address}/api/pictures?name={name}"
    return httpx.post(where, content=content, headers=headers, timeout=PATIENCE)


@pytest.mark.slow
def test_pictures_of_a_library_hang_there_again_after_a_restart(
    pretrained_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "library"
    options = Options(port=0, style="invert", library=folder)
    with serving(options) as server:
        red = send(server.address, picture(200, 0, 0), "red.png").json()
        green = send(server.address, picture(0, 200, 0), "green.png").json()
    (folder / "picture-0123456789abcdef.jpg").write_bytes(b"damaged")
    (folder / "holiday.jpg").write_bytes(b"not ours")
    with serving(options) as server:
        styles = httpx.get(f"{server.address}/api/config").json()["styles"]
        shown = [(one["name"], one["title"]) for one in styles if one["picture"]]
        assert shown == [(red["name"], "red"), (green["name"], "green")]
        thumbnail = httpx.get(f"{server.address}/thumbs/{red['name']}.webp")
        assert thumbnail.content[8:12] == b"WEBP"
    (folder / f"{red['name']}.jpg").unlink()
    assert [kept.title for kept in Library(folder).pictures()] == ["green"]


def test_a_full_library_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "LIBRARY", 1)
    private, folder = tmp_path / "private", tmp_path / "library"
    private.mkdir()
    catalogue = Catalogue("invert", "fast", private, Library(folder))
    first = catalogue.hang(keep_upload(picture(1, 2, 3), "one.png", private)).name
    with pytest.raises(UsageError, match="full"):
        catalogue.hang(keep_upload(picture(9, 2, 3), "two.png", private))
    assert first in catalogue
    assert not list(private.iterdir())
    assert {path.name for path in folder.iterdir()} == {f"{first}.jpg", "titles.json"}


def test_a_folder_that_cannot_be_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ("serve", "--no-open", "--port", 0, "--library", tmp_path / "file")
    assert console.command(*words) == 2
    said = capfd.readouterr().err
    assert "--library" in said
    assert said.count("\n") == 1


def test_titles_that_somebody_damaged_are_no_harm(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    folder = tmp_path / "library"
    kept = Library(folder).keep(keep_upload(picture(1, 2, 3), "one.png", private), full=False)
    for text in ("{", "[]", json.dumps({kept.name: 5, "../x": "y"})):
        (folder / "titles.json").write_text(text)
        assert [one.title for one in Library(folder).pictures()] == ["A picture"]


# Scenes


SHOW = """
cycle = 5

[[scene]]
name = "Opening"
style = "mosaic:1,cat.png:3"
strength = 0.25
transition = "cut"
target_fps = 20
mix = 0

[[scene]]
name = "Second"
style = "2"

[react]
beat = "strength +0.1"
"""


@pytest.fixture
def show(tmp_path: Path) -> Path:
    (tmp_path / "cat.png").write_bytes(picture(200, 0, 0))
    path = tmp_path / "show.toml"
    path.write_text(SHOW)
    return path


@pytest.mark.slow
def test_scenes_come_to_the_page_by_its_names_and_control_a_plain_obs(
    pretrained_folder: Path, show: Path
) -> None:
    with serving(Options(port=0, style="invert", scenes=show)) as server:
        config = httpx.get(f"{server.address}/api/config").json()
        opening, second = config["scenes"]
        assert config["beat"] == "strength +0.1"
        [cat] = [one.name for one in server.lobby.catalogue.entries.values() if one.picture]
        assert opening["name"] == "Opening"
        values = {"style": {cat: 0.75, "mosaic": 0.25}, "strength": 0.25, "transition": "cut"}
        values["target_fps"] = 20.0
        assert opening["values"] == values
        assert second["values"] == {"style": "identity"}
        assert str(show.parent) not in json.dumps([opening, second])
        where = f"{server.address}/api/controls/scene"
        assert httpx.put(where, json="Opening", timeout=PATIENCE).status_code == 204
        state = httpx.get(f"{server.address}/api/state").json()["state"]
        assert (state["scene"], state["strength"], state["transition"]) == ("Opening", 0.25, "cut")
        httpx.post(f"{server.address}/api/do/next_scene", timeout=PATIENCE)
        state = httpx.get(f"{server.address}/api/state").json()["state"]
        assert (state["scene"], state["style"]) == ("Second", "identity")
        assert httpx.put(where, json="Third", timeout=PATIENCE).status_code == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[scene]]\nname = "A"\nstyle = "mosiac"', "scene 1, 'A'"),
        ('[[scene]]\nname = "A"\nstyle = "9"', "no style 9"),
        ('[[scene]]\nname = "A"\nstrength = 3', "strength"),
        ("[[scene]", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_scenes_file_is_told_at_the_start(
    pretrained_folder: Path, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "show.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_scenes(path, Catalogue("invert", "fast", tmp_path))


# What a page sets


def test_a_page_has_masks_freeze_and_fades(pretrained_folder: Path, tmp_path: Path) -> None:
    frame = np.full((96, 128, 3), 200, np.uint8)
    styles = Catalogue("invert", "fast", tmp_path)
    with StyleBank(threads=1) as bank:
        picture, now = LivePicture(bank, Painter(), styles), [0.0]
        picture._studio._clock = lambda: now[0]
        picture(frame)
        assert bank.wait_idle(PATIENCE)
        assert np.median(picture(frame)[0]) == 55
        bits = np.zeros(MASK, np.uint8)
        bits[:, : MASK[1] // 2] = 1
        import base64

        text = base64.b64encode(np.packbits(bits).tobytes()).decode()
        picture.change(check_settings({"mask": text}, styles))
        painted = picture(frame)[0]
        assert (painted[:, :60] == 55).all()
        assert (painted[:, 68:] == 200).all()
        assert picture.settings()["mask"] is True
        picture.change(check_settings({"mask": "", "freeze": True}, styles))
        assert (picture(frame // 2)[0] == painted).all()
        picture.change({"freeze": False})
        assert (picture(frame)[0] == 55).all()
        # By default a new style fades in.
        assert picture.settings()["fade"] == 0.6
        picture.change({"fade": 10.0, "style": "identity"})
        picture(frame)
        assert bank.wait_idle(PATIENCE)
        picture(frame)
        # Half-way, both are there in equal parts.
        now[0] = 5.0
        assert abs(int(picture(frame)[0].max()) - 127) <= 2
        now[0] = 11.0
        assert (picture(frame)[0] == 200).all()


def test_the_keys_of_the_page_are_those_of_the_window() -> None:
    shared = [key for key in page_keys() if key in KEYS]
    assert len(shared) > 20
    taken = [name for key in page_keys() for name in key.keys]
    assert len(taken) == len(set(taken))


def test_a_link_takes_looks_only(tmp_path: Path) -> None:
    styles = Catalogue("invert", "fast", tmp_path)
    link = Link("http://127.0.0.1:1", None, near=True)
    look = "style=mosaic&strength=0.5&fade=2&only=person&n=7"
    found = link.share(look, styles)
    assert found["link"] == "http://127.0.0.1:1/?style=mosaic&strength=0.5&fade=2&only=person"
    assert found["qr"].startswith("<svg")
    for wrong in ("style=/etc/passwd", "strength=9", "x=1", "style=mosaic&" + "a" * 2000):
        with pytest.raises(UsageError):
            link.share(wrong, styles)
