"""Pictures as styles in `rtstyle serve`: what is taken, blends, and that nobody waits for them."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.peers import PATIENCE, Peer, run, until
from PIL import Image as Pil

from rtstyle.errors import StyleError, UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.serve.gallery import catalogue as catalogue_module
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.gallery.pictures import LONGEST, MAX_PIXELS, keep_upload
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.painter import Painter
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.settings import MOST, as_json, as_query, check_settings, read_query
from rtstyle.serve.web.guard import MAX_PICTURE
from rtstyle.serve.web.uploads import AT_ONCE
from rtstyle.styles import model as style_model
from rtstyle.styles import paintings

TOKEN = "a-token-that-nobody-guesses"
RED, GREEN = (200, 30, 30), (20, 180, 40)
MOSAIC = (20, 40, 200)
"""Mean of the painting of mosaic in `pretrained_folder`."""


def picture(
    colour: tuple[int, ...] = RED, size: tuple[int, int] = (64, 48), kind: str = "PNG", **how: Any
) -> bytes:
    """A picture file of one colour: everything painted like it becomes that colour."""
    data = io.BytesIO()
    modes = {1: "L", 3: "RGB", 4: "CMYK"}
    Pil.new(modes[len(colour)], size, colour if len(colour) > 1 else colour[0]).save(
        data, kind, **how
    )
    return data.getvalue()


def animated() -> bytes:
    frames = [Pil.new("RGB", (32, 32), (level, 0, 0)) for level in (0, 100, 200)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    return data.getvalue()


def deep_grey() -> bytes:
    data = io.BytesIO()
    Pil.fromarray(np.full((40, 40), 30_000, np.uint16)).save(data, "PNG")
    return data.getvalue()


# What is kept of a picture


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (picture(), (48, 64, 3)),
        (picture(kind="GIF"), (48, 64, 3)),
        (picture((90,)), (48, 64, 3)),
        (picture((10, 20, 30, 40), kind="JPEG"), (48, 64, 3)),
        (picture(size=(1, 1)), (1, 1, 3)),
        (deep_grey(), (40, 40, 3)),
        (picture(size=(12_000, 100)), (9, LONGEST, 3)),
        (picture(size=(1000, 3000), kind="JPEG"), (LONGEST, 341, 3)),
    ],
)
def test_pictures_of_all_kinds_are_kept_small(
    content: bytes, shape: tuple[int, ...], tmp_path: Path
) -> None:
    kept = keep_upload(content, "C:\\my pictures\\a.b.png", tmp_path)
    assert paintings.read_painting(kept.path).shape == shape
    assert kept.title == "a.b"
    assert kept.thumbnail[8:12] == b"WEBP"
    assert list(tmp_path.iterdir()) == [kept.path]
    # Its name comes from what is in it, and from nothing else.
    assert keep_upload(content, "../../other.png", tmp_path).path == kept.path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no picture at all", "cat.gif is not a picture that can be read."),
        (animated(), "cat.gif is animated. Use a still picture"),
        (picture()[:60], "cat.gif is cut off. Its end is missing."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cat.gif is not a picture"),
        (picture(size=(9000, MAX_PIXELS // 9000 + 1)), "cat.gif is too large. A style has at most"),
    ],
)
def test_others_are_refused_in_one_line_without_a_path(
    content: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        keep_upload(content, "/home/somebody/cat.gif", tmp_path)
    assert str(caught.value).startswith(message)
    assert str(tmp_path) not in str(caught.value)
    assert "somebody" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_files_name_is_shown_as_one_short_line(tmp_path: Path) -> None:
    kept = keep_upload(picture(), "a\n\u202e" + "b" * 300 + ".png", tmp_path)
    assert len(kept.title) == 60
    assert kept.title.startswith("abb")
    with pytest.raises(UsageError, match=r"^The file is not a picture"):
        keep_upload(b"?", "\n", tmp_path)


# Settings


MIXABLE = ("mosaic", "wave", "a", "b", "c")


def test_blends_are_taken_and_made_the_same() -> None:
    given = {"style": {"wave": 30, "mosaic": 10, "a": 0}}
    want = (("mosaic", 0.25), ("wave", 0.75))
    assert check_settings(given, MIXABLE, MIXABLE) == {"style": want}
    assert read_query({"style": "wave:3,mosaic:1"}, MIXABLE, MIXABLE) == {"style": want}
    assert read_query({"style": as_query(want)}, MIXABLE, MIXABLE) == {"style": want}
    assert as_json(want) == {"mosaic": 0.25, "wave": 0.75}
    # One alone is its painting, other than the network that was trained for it.
    assert check_settings({"style": {"wave": 1}}, MIXABLE, MIXABLE) == {"style": (("wave", 1.0),)}


@pytest.mark.parametrize(
    "blend",
    [
        {},
        {"mosaic": 0, "wave": 0},
        {"mosaic": -1, "wave": 2},
        {"mosaic": float("nan")},
        {"mosaic": float("inf")},
        {"mosaic": 10**400},
        {"mosaic": True},
        {"mosaic": "1"},
        {"mosaic": None},
        {"unknown": 1},
        {"/etc/passwd": 1},
        {"mosaic:1,wave": 1},
        dict.fromkeys(MIXABLE, 1),
        ["mosaic", "wave"],
    ],
)
def test_other_blends_are_refused(blend: object) -> None:
    assert len(MIXABLE) > MOST
    with pytest.raises(UsageError) as caught:
        check_settings({"style": blend}, MIXABLE, MIXABLE)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("query", ["mosaic:x", "mosaic:1,", "mosaic:1,wave", ":1", "a.jpg:1"])
def test_other_blends_in_a_query_are_refused(query: str) -> None:
    with pytest.raises(UsageError):
        read_query({"style": query}, MIXABLE, MIXABLE)


# The catalogue


def hang(catalogue: Catalogue, colour: tuple[int, int, int], name: str = "a.png") -> str:
    return catalogue.hang(keep_upload(picture(colour), name, catalogue.folder)).name


def test_what_was_not_chosen_for_longest_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "PICTURES", 2)
    catalogue = Catalogue("mosaic", "fast", tmp_path)
    one, two = hang(catalogue, RED), hang(catalogue, GREEN)
    assert catalogue.model_of(((one, 0.5), ("mosaic", 0.5))).endswith(".jpg:0.5,mosaic:0.5")
    before = catalogue.revision
    three = hang(catalogue, (1, 2, 3))
    assert catalogue.revision != before
    assert two not in catalogue
    assert {one, three} < set(catalogue)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(UsageError, match="make room"):
        catalogue.model_of(two)
    # The same picture again is not a second one.
    assert hang(catalogue, RED) == one
    assert len(catalogue) == 3 + 2


def test_pictures_of_the_command_line_hang_there_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "PICTURES", 1)
    mine, folder = tmp_path / "my cat.png", tmp_path / "private"
    mine.write_bytes(picture())
    folder.mkdir()
    catalogue = Catalogue(str(mine), "balanced", folder)
    assert isinstance(catalogue.first, str)
    assert catalogue[catalogue.first].title == "my cat"
    assert str(mine) not in catalogue.model_of(catalogue.first)
    for colour in (RED, GREEN, (1, 2, 3)):
        hang(catalogue, colour)
    assert catalogue.first in catalogue
    blend = Catalogue(f"{mine}:1,mosaic:3", "fast", folder).first
    assert dict(blend) == {catalogue.first: 0.25, "mosaic": 0.75}  # type: ignore[arg-type]
    assert Catalogue("mosaic:1", "fast", folder).first == (("mosaic", 1.0),)


@pytest.mark.parametrize(
    ("first", "size"), [("missing.jpg", "fast"), ("mosiac", "fast"), ("a.onnx:1,mosaic:1", "fast")]
)
def test_a_first_style_that_cannot_be_is_an_error(first: str, size: str, tmp_path: Path) -> None:
    with pytest.raises((StyleError, UsageError)):
        Catalogue(first, size, tmp_path)


def test_only_paintings_can_be_blended(tmp_path: Path) -> None:
    catalogue = Catalogue("invert", "fast", tmp_path)
    assert catalogue.mixable == {"mosaic"}
    assert catalogue.takes_pictures


# The live picture. Frames are counted: at 30 a second, the next one is there within 34 ms.


FRAME = np.full((96, 128, 3), 200, np.uint8)


class Live:
    """A live picture that begins in invert, which makes `FRAME` 55."""

    def __init__(self, bank: StyleBank, folder: Path) -> None:
        self.bank, self.catalogue = bank, Catalogue("invert", "fast", folder)
        self.picture = LivePicture(bank, Painter(), self.catalogue)
        self.picture.change({"fade": 0.0})
        self.picture(FRAME)
        assert bank.wait_idle(PATIENCE)
        assert self.colour() == (55, 55, 55)

    def colour(self) -> tuple[int, ...]:
        """Paint one frame and return its mean colour."""
        image, painted = self.picture(FRAME)
        assert painted
        return tuple(round(float(x)) for x in image.mean(axis=(0, 1)))

    def show(self, style: Any) -> None:
        """Choose a style as a page does."""
        settings = check_settings({"style": style}, self.catalogue, self.catalogue.mixable)
        self.picture.change(settings)

    def make_ready(self, *names: str) -> None:
        models = [(self.catalogue[name].model, "fast") for name in names]
        self.bank.prepare(models, FRAME.shape[:2])
        assert self.bank.wait_idle(PATIENCE)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with StyleBank() as bank:
        yield Live(bank, tmp_path)


def near(found: tuple[int, ...], want: tuple[float, ...], by: float = 3) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, want, strict=True))


def test_a_change_between_ready_pictures_shows_in_the_next_frame(live: Live) -> None:
    red, green = hang(live.catalogue, RED), hang(live.catalogue, GREEN)
    live.make_ready(red, green)
    for name, colour in ((red, RED), (green, GREEN), (red, RED)):
        live.show(name)
        assert near(live.colour(), colour)
        assert live.picture.settings()["style"] == live.picture.shown == name
        assert not live.picture.warming


def test_a_slider_that_is_dragged_shows_in_every_frame(live: Live) -> None:
    red = hang(live.catalogue, RED)
    live.make_ready(red)
    for share in range(0, 100, 5):
        live.show({red: share, "mosaic": 100 - share})
        part, rest = style_model.even_shares([share / 100, 1 - share / 100])
        want = tuple(part * a + rest * b for a, b in zip(RED, MOSAIC, strict=True))
        assert near(live.colour(), want)
    assert live.picture.settings()["style"] == {red: 0.95, "mosaic": 0.05}
    assert set(live.picture.shown.split("+")) == {red, "mosaic"}


def test_nobody_waits_while_a_picture_is_encoded(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    encode = paintings.run_encoder

    def slowly(*given: Any) -> Any:
        begun.set()
        assert go.wait(PATIENCE)
        return encode(*given)

    monkeypatch.setattr(paintings, "run_encoder", slowly)
    other = LivePicture(live.bank, Painter(), live.catalogue)
    other.change({"fade": 0.0})
    # Not a colour of another test: its statistics would be known.
    name = hang(live.catalogue, (90, 140, 10))
    live.show(name)
    live.picture(FRAME)
    assert begun.wait(PATIENCE)
    for _ in range(30):
        assert live.colour() == (55, 55, 55)
        assert live.picture.warming
        assert int(other(FRAME)[0].max()) == 55
    # A blend with it waits as well, and so does its picture.
    live.show({name: 1, "mosaic": 1})
    assert live.colour() == (55, 55, 55)
    go.set()
    assert live.bank.wait_idle(PATIENCE)
    assert near(live.colour(), (55, 90, 105))


def test_a_picture_whose_file_is_gone_is_told_without_its_path(live: Live, tmp_path: Path) -> None:
    name = hang(live.catalogue, (7, 8, 9))
    Path(live.catalogue[name].model).unlink()
    live.show(name)
    live.picture(FRAME)
    assert live.bank.wait_idle(PATIENCE)
    assert live.colour() == (55, 55, 55)
    assert name in live.picture.problem
    assert str(tmp_path) not in live.picture.problem
    assert live.picture.settings()["style"] == "invert"


# The server


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", camera="test", min_fps=0)) as it:
        yield it


def send(server: Running, content: Any, name: str = "my cat.png", **headers: str) -> Any:
    return httpx.post(
        f"{server.address}/api/pictures",
        params={"name": name},
        content=content,
        headers={"content-type": "image/png", **headers},
        timeout=PATIENCE,
    )


def get(server: Running, path: str) -> Any:
    return httpx.get(server.address + path, timeout=PATIENCE)


def is_clear_error(response: Any, status: int) -> bool:
    error = response.json()["error"]
    assert response.status_code == status, response.text
    assert "\n" not in error
    return bool(error) and "rtstyle-" not in error


@pytest.mark.slow
def test_a_picture_hangs_in_the_gallery_and_no_path_goes_out(server: Running) -> None:
    before = get(server, "/api/config").json()
    response = send(server, picture())
    entry = response.json()
    assert entry["title"] == "my cat"
    assert entry["picture"]
    assert entry["mixes"]
    config = get(server, "/api/config").json()
    assert config["gallery"] != before["gallery"]
    assert entry in config["styles"]
    assert config["pictures"]
    folder = str(server.lobby.catalogue.folder)
    assert folder not in response.text + str(config)
    thumbnail = get(server, f"/thumbs/{entry['name']}.webp")
    assert thumbnail.content[8:12] == b"WEBP"
    image = np.asarray(Pil.open(io.BytesIO(thumbnail.content)))
    assert near(tuple(image.mean(axis=(0, 1))), RED, 8)
    # Sent again it is found, without a new one.
    assert send(server, picture(), "other name.png").json() == entry


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"text", 400), (animated(), 400), (b"x" * 70_000, 400)]
)
def test_what_is_no_picture_is_400(server: Running, content: bytes, status: int) -> None:
    count = len(server.lobby.catalogue)
    assert is_clear_error(send(server, content), status)
    assert len(server.lobby.catalogue) == count


def test_too_large_a_file_is_413_whether_it_says_so_or_not(server: Running) -> None:
    response = send(server, b" " * (MAX_PICTURE + 1))
    assert is_clear_error(response, 413)
    assert "20 MB" in response.json()["error"]

    def parts() -> Iterator[bytes]:
        for _ in range(25):
            yield b" " * 1_000_000

    assert is_clear_error(send(server, parts()), 413)


def test_pictures_come_from_the_own_page_only(server: Running) -> None:
    assert is_clear_error(send(server, picture(), Origin="http://evil.example"), 403)
    assert is_clear_error(send(server, picture(), **{"content-type": "text/plain"}), 415)
    assert get(server, "/api/pictures").status_code == 405


def test_few_pictures_at_once(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = server.server.site.uploads
    monkeypatch.setattr(uploads, "_on_the_way", AT_ONCE)
    response = send(server, picture())
    assert is_clear_error(response, 503)
    assert response.headers["retry-after"]
    monkeypatch.setattr(uploads, "_on_the_way", 0)
    assert send(server, picture()).status_code == 200
    assert uploads._on_the_way == 0


@pytest.mark.slow
def test_one_that_never_arrives_gives_its_place_back(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.serve.web import guard

    monkeypatch.setattr(guard, "PICTURE_WITHIN", 0.05)
    done = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"\x89PNG"
        done.wait(1)

    assert is_clear_error(send(server, endless()), 408)
    done.set()
    assert server.server.site.uploads._on_the_way == 0


@pytest.mark.slow
def test_a_peer_is_painted_like_its_picture_and_blends_it(server: Running) -> None:
    # Within 30 levels, as the peer decodes the colours with another matrix than they had.
    def colour(peer: Peer) -> tuple[int, ...]:
        return tuple(round(float(x)) for x in peer.frames[-1].mean(axis=(0, 1)))

    async def work() -> None:
        name = send(server, picture(GREEN)).json()["name"]
        async with Peer(server.address) as peer:
            assert (await peer.call({"style": name})).status_code == 200
            await until(lambda: peer.frames and near(colour(peer), GREEN, 30), "green")
            peer.send({"style": {name: 1, "mosaic": 1}})
            await until(lambda: near(colour(peer), (20, 110, 120), 30), "green and blue")
            await until(
                lambda: peer.status()["settings"]["style"] == {name: 0.5, "mosaic": 0.5}, "a report"
            )
            assert peer.status()["gallery"] == server.lobby.catalogue.revision
            peer.send({"style": {name: 1, "invert": 1}})
            await until(lambda: len(peer.errors()) == 1, "a refusal")
        await until(lambda: not server.lobby.sessions, "a freed session")

    run(work())


@pytest.mark.slow
def test_the_page_for_obs_takes_blends(server: Running) -> None:
    name = send(server, picture()).json()["name"]
    with httpx.stream(
        "GET", f"{server.address}/obs/stream?style={name}:1,mosaic:2", timeout=PATIENCE
    ) as response:
        assert response.headers["content-type"].startswith("multipart/x-mixed-replace")
        # By its look: the viewer of a test before may still be leaving.
        style = (("mosaic", 0.667), (name, 0.333))
        channel = server.hub._channels[(("style", style),)]
        assert channel.picture.settings()["style"] == {name: 0.333, "mosaic": 0.667}
    run(until(lambda: not server.hub.is_open, "a closed camera"))


@pytest.mark.slow
def test_without_the_token_no_picture_is_taken_and_at_the_end_none_is_left(
    pretrained_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.png"
    mine.write_bytes(picture())
    with serving(Options(port=0, style=str(mine), token=TOKEN)) as server:
        folder = server.lobby.catalogue.folder
        if sys.platform != "win32":
            assert folder.stat().st_mode & 0o077 == 0
        assert is_clear_error(send(server, picture(GREEN)), 401)
        count = len(list(folder.iterdir()))
        passed = send(server, picture(GREEN), Authorization=f"Bearer {TOKEN}")
        assert passed.status_code == 200
        assert len(list(folder.iterdir())) == count + 1
        assert server.lobby.catalogue[str(server.lobby.catalogue.first)].title == "mine"
    assert not folder.exists()
    assert mine.exists()


@pytest.mark.slow
def test_the_strokes_of_pictures_are_scaled(pretrained_folder: Path, tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 200
    mine = tmp_path / "mine.png"
    Pil.fromarray(stripes).save(mine)
    with serving(Options(port=0, style=str(mine), style_scale=0.25)) as server:
        model = server.lobby.catalogue.model_of(server.lobby.catalogue.first)
        found = server.lobby.bank.resolve(model, "fast").statistics
        assert found is not None
        np.testing.assert_allclose(found[0], paintings.encode(model, "fast", 0.25))
        assert np.abs(found[0] - paintings.encode(model, "fast")).max() > 1
