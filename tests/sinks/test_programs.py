"""Spout and Syphon, with stand-ins of SpoutGL and syphon-python: there is no Windows or Mac here.

The stand-ins take what the real modules take (SpoutGL 0.1.1, syphon-python 0.2) and no more; what a
sender hands to its graphics card, a receiver of the same name gets.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rtstyle.errors import MissingExtraError, SinkError, SourceError
from rtstyle.frame import Frame, Image
from rtstyle.sinks.base import Sink
from rtstyle.sinks.programs.spout import GL_RGBA, SpoutSink
from rtstyle.sinks.programs.syphon_server import SyphonSink
from rtstyle.sources import open_camera
from rtstyle.sources.base import Source
from rtstyle.sources.programs import latest

Card = dict[str, tuple[Image, int]]
"""By name: what is shared, (H, W, 4), and its number."""


def picture(number: int, height: int = 48, width: int = 64) -> Frame:
    image = np.full((height, width, 3), (200, 100, number), np.uint8)
    image[:, : width // 2] = (60, 110, number)
    image[: height // 2] //= 2
    return Frame(image, number, number, Fraction(1, 30), 0.0)


def spout(card: Card) -> types.ModuleType:
    """Return the stand-in of SpoutGL."""

    class SpoutSender:
        def __init__(self) -> None:
            self.title, self.count, self.works = "", 0, True

        def setSenderName(self, name: str) -> None:  # noqa: N802 - as in SpoutGL
            self.title = name

        def sendImage(  # noqa: N802
            self, pixels: Any, width: int, height: int, form: int, invert: bool, fbo: int, /
        ) -> bool:
            view = memoryview(pixels)
            assert (form, invert, fbo, view.contiguous) == (GL_RGBA, False, 0, True)
            assert view.nbytes >= 4 * width * height
            if "broken" in self.title:
                return False
            self.count += 1
            image = np.frombuffer(view.cast("B"), np.uint8).reshape(height, width, 4)
            card[self.title] = (image.copy(), self.count)
            return True

        def setFrameSync(self, name: str) -> None:  # noqa: N802
            assert name == self.title

        def releaseSender(self) -> None:  # noqa: N802
            card.pop(self.title, None)

    class SpoutReceiver:
        def __init__(self) -> None:
            self.title, self.size, self.updated, self.seen = "", (0, 0), False, 0
            self.new = False

        def getSenderList(self) -> list[str]:  # noqa: N802
            return list(card)

        def getActiveSender(self) -> str:  # noqa: N802
            return next(iter(card), "")

        def setReceiverName(self, name: str) -> None:  # noqa: N802
            self.title = name

        def receiveImage(self, pixels: Any, form: int, invert: bool, fbo: int, /) -> bool:  # noqa: N802
            assert (form, invert, fbo) == (GL_RGBA, False, 0)
            if self.title not in card:
                return False
            image, number = card[self.title]
            if image.shape[:2] != self.size:
                self.size, self.updated = image.shape[:2], True
                return True
            view = memoryview(pixels)
            assert view.contiguous
            assert view.nbytes >= image.nbytes
            np.frombuffer(view.cast("B"), np.uint8)[:] = image.reshape(-1)
            self.new, self.seen = number != self.seen, number
            return True

        def isUpdated(self) -> bool:  # noqa: N802
            updated, self.updated = self.updated, False
            return updated

        def isFrameNew(self) -> bool:  # noqa: N802
            return self.new

        def getSenderWidth(self) -> int:  # noqa: N802
            return self.size[1]

        def getSenderHeight(self) -> int:  # noqa: N802
            return self.size[0]

        def releaseReceiver(self) -> None:  # noqa: N802
            self.title = ""

    module = types.ModuleType("SpoutGL")
    module.__dict__.update(SpoutSender=SpoutSender, SpoutReceiver=SpoutReceiver)
    return module


class Texture:
    """A texture of Metal: RGBA where a program makes one, BGRA where Syphon hands one out."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels = np.zeros((height, width, 4), np.uint8)

    def width(self) -> int:
        return self.pixels.shape[1]

    def height(self) -> int:
        return self.pixels.shape[0]


def syphon(card: Card) -> dict[str, types.ModuleType]:
    """Return the stand-ins of syphon and its modules, by name."""

    class SyphonMetalServer:
        def __init__(self, name: str) -> None:
            self.title, self.device, self.count = f"rtstyle {name}", object(), 0

        def publish_frame_texture(self, texture: Texture) -> None:
            self.count += 1
            card[self.title] = (texture.pixels[..., [2, 1, 0, 3]].copy(), self.count)

        def stop(self) -> None:
            card.pop(self.title, None)

    class SyphonServerDirectory:
        run_loop_interval = 1.0

        @property
        def servers(self) -> list[Any]:
            assert self.run_loop_interval < 0.2, "it waits so long each time"
            parts = [(title, title.partition(" ")) for title in card]
            return [SimpleNamespace(app_name=a, name=b, raw=title) for title, (a, _, b) in parts]

    class SyphonMetalClient:
        def __init__(self, description: Any) -> None:
            self.title, self.seen = description.raw, 0

        @property
        def is_valid(self) -> bool:
            return self.title in card

        @property
        def has_new_frame(self) -> bool:
            return card[self.title][1] != self.seen

        @property
        def new_frame_image(self) -> Texture:
            image, self.seen = card[self.title]
            texture = Texture(image.shape[1], image.shape[0])
            texture.pixels[:] = image
            return texture

        def stop(self) -> None:
            self.title = ""

    def create_mtl_texture(device: object, width: int, height: int) -> Texture:
        assert device is not None
        return Texture(width, height)

    def copy_image_to_mtl_texture(image: Image, texture: Texture) -> None:
        assert image.shape == texture.pixels.shape
        texture.pixels[:] = image

    named = {name: types.ModuleType(name) for name in (
        "syphon", "syphon.utils", "syphon.utils.numpy", "syphon.utils.raw",
    )}  # fmt: skip
    named["syphon"].__dict__.update(
        SyphonMetalServer=SyphonMetalServer, SyphonServerDirectory=SyphonServerDirectory,
        SyphonMetalClient=SyphonMetalClient,
    )  # fmt: skip
    named["syphon.utils.raw"].__dict__.update(create_mtl_texture=create_mtl_texture)
    named["syphon.utils.numpy"].__dict__.update(
        copy_image_to_mtl_texture=copy_image_to_mtl_texture,
        copy_mtl_texture_to_image=lambda texture: texture.pixels,
    )
    return named


SINKS: dict[str, type[Sink]] = {"spout": SpoutSink, "syphon": SyphonSink}


@pytest.fixture(params=SINKS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    card: Card = {}
    for name, module in {"SpoutGL": spout(card), **syphon(card)}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(latest, "FIND", 0.05)
    return str(request.param)


@pytest.fixture
def sink(kind: str) -> Iterator[Sink]:
    with SINKS[kind]("painted") as sink:  # type: ignore[call-arg]
        yield sink


def shown(source: Source, frames: Iterator[Frame], sent: Frame) -> None:
    received = next(frames)
    assert received.image.shape == (source.height, source.width, 3)
    assert np.array_equal(received.image, sent.image)


def test_what_is_sent_is_received(kind: str, sink: Sink) -> None:
    sink.write(picture(1))
    with open_camera(f"{kind}:painted", rate=200) as source:
        assert (source.width, source.height) == (64, 48)
        assert "painted" in source.name
        frames = iter(source)
        shown(source, frames, picture(1))
        for number in (2, 3):
            sink.write(picture(number))
            shown(source, frames, picture(number))


def test_the_first_one_is_found_without_a_name(kind: str, sink: Sink) -> None:
    sink.write(picture(1))
    with open_camera(kind.upper(), rate=200) as source:
        shown(source, iter(source), picture(1))


def test_another_size_is_scaled_to_the_first(kind: str, sink: Sink) -> None:
    sink.write(picture(1))
    with open_camera(f"{kind}:painted", rate=200) as source:
        frames = iter(source)
        shown(source, frames, picture(1))
        sink.write(picture(2, 96, 128))
        shown(source, frames, picture(2))


def test_a_program_that_ends_and_comes_again_is_followed(kind: str, sink: Sink) -> None:
    sink.write(picture(1))
    with open_camera(f"{kind}:painted", rate=200) as source:
        frames = iter(source)
        shown(source, frames, picture(1))
        sink.close()
        assert source._take() is None  # type: ignore[attr-defined]
        sink.open()
        sink.write(picture(9))
        sink.write(picture(10))
        shown(source, frames, picture(10))


def test_who_is_not_there(kind: str, sink: Sink) -> None:
    with pytest.raises(SourceError, match="None is on this machine"):
        open_camera(kind).open()
    sink.write(picture(1))
    with pytest.raises(SourceError, match=f"(?i)no {kind} source 'nobody'.*There are .*painted"):
        open_camera(f"{kind}:nobody").open()


def test_without_the_library_the_extra_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SpoutGL", None)
    monkeypatch.setitem(sys.modules, "syphon", None)
    for use in (SINKS[kind]("painted").open, open_camera(kind).open):  # type: ignore[call-arg]
        with pytest.raises(MissingExtraError, match=rf"(?i){kind} needs .*\[{kind}\]"):
            use()


@pytest.mark.parametrize("kind", ["spout"], indirect=True)
def test_a_card_that_takes_nothing_is_told(kind: str) -> None:
    with SpoutSink("broken") as sink, pytest.raises(SinkError, match="Spout sender broken"):
        sink.write(picture(1))
