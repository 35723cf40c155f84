"""OSC over real UDP: every control, addresses that are bound, and what is not OSC."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.desks import NotingDesk, another_value
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from rtstyle.errors import UsageError
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.table import CONTROLS, Kind
from rtstyle.remote.osc import OscFace, message_of, read_packet

PATIENCE = 60.0


class Console:
    """A lighting desk: sends, and hears what is sent back."""

    def __init__(self, desk: NotingDesk) -> None:
        self.desk, self.bindings = desk, Bindings()
        self.ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ear.bind(("127.0.0.1", 0))
        self.ear.settimeout(PATIENCE)
        out = ("127.0.0.1", self.ear.getsockname()[1])
        self.face = OscFace(desk.board, self.bindings, 0, out=out)

    def send(self, address: str, *values: Any) -> list[tuple[str, Any]]:
        """Send, wait until it was taken in, do it, and return what came back for it."""
        self.packet(message_of(address, *values))
        return self.settle()

    def packet(self, packet: bytes) -> None:
        self.ear.sendto(packet, ("127.0.0.1", self.face.port))

    def settle(self) -> list[tuple[str, Any]]:
        # Messages are taken in order, so what comes back for this one comes after the others.
        self.packet(message_of("/rtstyle/nothing"))
        heard = []
        while not heard or not str(heard[-1][1]).startswith("'nothing'"):
            ((address, arguments),) = read_packet(self.ear.recv(65535))
            heard.append((address, arguments[0]))
        self.desk.turn()
        return heard[:-1]

    def close(self) -> None:
        self.face.close()
        self.ear.close()


@pytest.fixture
def osc() -> Iterator[Console]:
    console = Console(NotingDesk())
    yield console
    console.close()
    console.face.close()


def test_every_control(osc: Console) -> None:
    for control in CONTROLS:
        value = another_value(control)
        argument = 1 if value is True else value
        assert osc.send(f"/rtstyle/{control.name}", argument) == []
        if control.kind is Kind.ACTION:
            assert osc.desk.done[control.name] == 1
            osc.send(f"/rtstyle/{control.name}")
            osc.send(f"/rtstyle/{control.name}", 0)
            assert osc.desk.done[control.name] == 2
        else:
            assert osc.desk.values[control.name] == value


def test_steps_toggles_and_numbers_of_styles(osc: Console) -> None:
    osc.send("/rtstyle/strength", 0.5)
    osc.send("/rtstyle/strength", "+0.1")
    osc.send("/rtstyle/mirror")
    osc.send("/rtstyle/style", 2)
    assert osc.desk.values["strength"] == 0.6
    assert osc.desk.values["mirror"] is True
    assert osc.desk.values["style"] == "2"


@pytest.mark.parametrize(
    ("address", "value", "said"),
    [
        ("/rtstyle/strength", 1.5, "0 to 1"),
        ("/rtstyle/strength", float("nan"), "0 to 1"),
        ("/rtstyle/style", "/etc/passwd", "no style /etc/passwd"),
        ("/rtstyle/strenght", 1.0, "is not a control"),
        ("/rtstyle/only", "nobody", "one of"),
    ],
)
def test_what_is_refused_is_told(osc: Console, address: str, value: Any, said: str) -> None:
    ((where, text),) = osc.send(address, value)
    assert where == "/rtstyle/error"
    assert said in text
    assert osc.face.refused == 2  # With the one that `settle` sends.


def test_changes_are_sent_whoever_made_them(osc: Console) -> None:
    osc.desk.do("strength 0.25")
    osc.desk.do("mirror on")
    osc.desk.publish({})
    assert osc.settle() == [("/rtstyle/strength", 0.25), ("/rtstyle/mirror", 1)]
    names = {address for address, _ in osc.send("/rtstyle/state")}
    assert names == {f"/rtstyle/{name}" for name in osc.desk.values}


def test_addresses_that_are_bound(osc: Console) -> None:
    osc.bindings.use(
        "osc",
        {"/1/fader1": "fade", "/1/push1": "style mosaic", "/1/toggle1": "mirror", "/1/xy": "only"},
    )
    osc.send("/1/fader1", 0.5)
    assert osc.desk.values["fade"] == 5.0
    osc.send("/1/push1", 0.0)
    assert osc.desk.values["style"] == "wave"
    osc.send("/1/push1", 1.0)
    assert osc.desk.values["style"] == "mosaic"
    for position, wanted in ((1.0, True), (0.0, False)):
        osc.send("/1/toggle1", position)
        assert osc.desk.values["mirror"] is wanted
    osc.send("/1/xy", 0.99)
    assert osc.desk.values["only"] == "person"
    assert osc.send("/2/unknown", 1.0) == []


def test_an_address_is_learnt(osc: Console) -> None:
    learnt: list[tuple[str, str, str]] = []
    osc.bindings.learnt = lambda *what: learnt.append(what)
    osc.bindings.learn("strength")
    osc.send("/3/rotary", 0.3)
    assert learnt == [("osc", "/3/rotary", "strength")]
    assert osc.desk.values["strength"] == 0.0
    osc.send("/3/rotary", 0.3)
    assert osc.desk.values["strength"] == pytest.approx(0.3)


def test_a_bundle_for_another_year_is_for_now(osc: Console) -> None:
    bundle = OscBundleBuilder(2e9)
    for name, value in (("strength", 0.5), ("fade", 2.0)):
        message = OscMessageBuilder(f"/rtstyle/{name}")
        message.add_arg(value)
        bundle.add_content(message.build())
    osc.packet(bundle.build().dgram)
    osc.settle()
    assert (osc.desk.values["strength"], osc.desk.values["fade"]) == (0.5, 2.0)


def test_what_is_no_osc_changes_nothing_and_ends_nothing(osc: Console) -> None:
    chance, before = random.Random(5), dict(osc.desk.values)
    good = message_of("/rtstyle/fade", 1.0)
    for _ in range(300):
        broken = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        assert isinstance(read_packet(bytes(broken)), list)
        assert isinstance(read_packet(chance.randbytes(chance.randrange(80))), list)
    for packet in (b"#bundle\0", b"/rtstyle/fade", b"\xff" * 1000, good[:-3]):
        osc.packet(packet)
    osc.settle()
    assert osc.desk.values == before


def test_a_port_that_is_taken(osc: Console) -> None:
    with pytest.raises(UsageError, match="--osc"):
        OscFace(NotingDesk().board, Bindings(), osc.face.port)
