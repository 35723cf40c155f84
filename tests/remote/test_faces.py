"""Every control by every face: one contract for keys, HTTP, WebSocket and the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
from helpers import console
from helpers.desks import NotingDesk, another_value, first_value
from websockets.sync.client import connect

from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.change import read_words
from rtstyle.live.controls.table import CONTROLS, Control, Kind
from rtstyle.live.keys import BINDINGS
from rtstyle.remote.api import ControlApi, Watcher
from rtstyle.remote.server import Address, ControlServer

PATIENCE = 60.0
TOKEN = "a-token-that-nobody-guesses"

Sender: TypeAlias = Callable[[Control, Any], None]


def text_of(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def by_words(desk: NotingDesk, _: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        name, read = read_words(
            control.name + ("" if control.kind is Kind.ACTION else f" {text_of(value)}")
        )
        desk.board.ask({name: read})

    return send


def by_key(desk: NotingDesk, _: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        bindings = Bindings()
        end = "" if control.kind is Kind.ACTION else f" {text_of(value)}"
        bindings.use("keys", {"x": control.name + end})
        binding = bindings.find("keys", "x")
        assert binding is not None
        desk.press(binding)

    return send


def by_patch(_: NotingDesk, server: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        body = {control.name: value}
        reply = httpx.patch(f"{server.address}/api/state", json=body, timeout=PATIENCE)
        assert reply.status_code == 204, reply.text

    return send


def by_put(_: NotingDesk, server: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        url = f"{server.address}/api/controls/{control.name}"
        assert httpx.put(url, json=value, timeout=PATIENCE).status_code == 204

    return send


def by_address(_: NotingDesk, server: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        end = "" if control.kind is Kind.ACTION else f"/{text_of(value)}"
        url = f"{server.address}/api/do/{control.name}{end}"
        assert httpx.post(url, timeout=PATIENCE).status_code == 204

    return send


def by_websocket(_: NotingDesk, server: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        with connect(live(server), proxy=None) as socket:
            json.loads(socket.recv())
            socket.send(json.dumps({control.name: value}))
            # What is refused is answered, and the next message with it.
            socket.send("[]")
            assert json.loads(socket.recv())["error"] == "Controls are a JSON object."

    return send


def by_command(_: NotingDesk, server: ControlServer) -> Sender:
    def send(control: Control, value: Any) -> None:
        words = [control.name] + ([] if control.kind is Kind.ACTION else [text_of(value)])
        assert console.command("control", "--address", server.address, *words) == 0

    return send


FACES = {
    "words": by_words,
    "key": by_key,
    "patch": by_patch,
    "put": by_put,
    "address": by_address,
    "websocket": by_websocket,
    "command": by_command,
}


def live(server: ControlServer) -> str:
    return server.address.replace("http", "ws") + "/api/live"


@pytest.mark.parametrize("face", FACES)
@pytest.mark.slow
def test_every_control_by_every_face(face: str, desk: NotingDesk, server: ControlServer) -> None:
    send = FACES[face](desk, server)
    for control in CONTROLS:
        value = another_value(control)
        send(control, value)
        desk.turn()
        if control.kind is Kind.ACTION:
            assert desk.done[control.name] == 1, control.name
        else:
            assert desk.values[control.name] == value != first_value(control), control.name
    assert desk.said == []


def test_every_control_has_a_key_but_those_with_names_of_their_own() -> None:
    by_key = {words.partition(" ")[0] for words in BINDINGS.values()}
    assert {control.name for control in CONTROLS} - by_key == {"scene"}


class TestRefusals:
    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"nothing": 1}', b"[" * 30000])
    def test_what_is_not_a_change(self, server: ControlServer, body: bytes) -> None:
        reply = httpx.patch(f"{server.address}/api/state", content=body, timeout=PATIENCE)
        assert reply.status_code == 400
        assert reply.json()["error"]

    @pytest.mark.parametrize("value", [2, -1, None, "x", True, [], 1e999])
    def test_a_value_out_of_range_changes_nothing(
        self, desk: NotingDesk, server: ControlServer, value: Any
    ) -> None:
        content = json.dumps({"mirror": True, "strength": value}).encode()
        reply = httpx.patch(f"{server.address}/api/state", content=content, timeout=PATIENCE)
        assert reply.status_code == 400
        assert "strength" in reply.json()["error"]
        assert desk.board.drain() == []

    def test_the_command_line_says_why(
        self, server: ControlServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert console.command("control", "--address", server.address, "style", "nobody") == 2
        assert "There is no style nobody." in capsys.readouterr().err

    def test_nobody_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert console.command("control", "--address", "http://127.0.0.1:9", "next") == 2
        assert "Start `rtstyle webcam --control`" in capsys.readouterr().err

    def test_words_that_are_no_controls_take_nothing_more(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert console.command("control", "list", "--json") == 2
        assert "`control list` takes nothing more. Leave out --json." in capsys.readouterr().err

    def test_too_long_a_body(self, server: ControlServer) -> None:
        reply = httpx.patch(f"{server.address}/api/state", content=b" " * 70_000, timeout=PATIENCE)
        assert reply.status_code == 413


class TestReading:
    def test_state_and_figures(self, desk: NotingDesk, server: ControlServer) -> None:
        read = httpx.get(f"{server.address}/api/state", timeout=PATIENCE).json()
        assert read["state"] == desk.values
        assert read["figures"] == {"fps": 30.0}

    def test_the_list_is_the_table(self, server: ControlServer) -> None:
        read = httpx.get(f"{server.address}/api/controls", timeout=PATIENCE).json()
        assert [one["name"] for one in read] == [control.name for control in CONTROLS]
        one = httpx.get(f"{server.address}/api/controls/strength", timeout=PATIENCE).json()
        assert (one["low"], one["high"], one["value"]) == (0, 1, 0)

    def test_openapi_has_every_control(self, server: ControlServer) -> None:
        read = httpx.get(f"{server.address}/api/openapi.json", timeout=PATIENCE).json()
        assert read["openapi"] == "3.1.0"
        for control in CONTROLS:
            put = read["paths"][f"/api/controls/{control.name}"]["put"]
            assert put["summary"] == control.does
            assert {"204", "400"} == put["responses"].keys()

    def test_subscribers_hear_what_changes(self, desk: NotingDesk, server: ControlServer) -> None:
        with connect(live(server), proxy=None) as socket:
            assert json.loads(socket.recv())["state"] == desk.values
            desk.do("strength 0.5")
            desk.publish({"fps": 29.0})
            # Both in one message, or in two, as they come.
            message = json.loads(socket.recv())
            if "figures" not in message:
                message |= json.loads(socket.recv())
            assert message == {"state": {"strength": 0.5}, "figures": {"fps": 29.0}}

    @pytest.mark.slow
    def test_what_changes_while_the_first_message_is_sent_comes_next(
        self, desk: NotingDesk
    ) -> None:
        class Slow:
            """A WebSocket that takes the first message while the figures change."""

            def __init__(self) -> None:
                self.sent: list[Any] = []

            async def send_text(self, text: str) -> None:
                self.sent.append(json.loads(text))
                desk.publish({"fps": 29.0})
                if len(self.sent) == 2:
                    watcher.end()

            async def receive(self) -> Any:
                await asyncio.Event().wait()

            async def close(self) -> None:
                pass

        socket = Slow()
        watcher = Watcher(ControlApi(desk.board), socket)  # type: ignore[arg-type]
        asyncio.run(asyncio.wait_for(watcher.run(), 20))
        assert [message["figures"] for message in socket.sent] == [{"fps": 30.0}, {"fps": 29.0}]

    def test_state_that_was_saved_is_loaded_again(
        self,
        desk: NotingDesk,
        server: ControlServer,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import io

        desk.do("strength 0.25")
        desk.do("style mosaic")
        desk.publish({})
        assert console.command("control", "--address", server.address, "state") == 0
        saved = capsys.readouterr().out
        before = dict(desk.values)
        for words in ("strength 1", "style wave", "mirror on"):
            desk.do(words)
        desk.publish({})
        monkeypatch.setattr("sys.stdin", io.StringIO(saved))
        assert console.command("control", "--address", server.address, "load") == 0
        desk.turn()
        assert desk.values == before


class TestLearning:
    def test_the_command_waits_for_what_is_touched(
        self,
        desk: NotingDesk,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        bindings, pauses = Bindings(), []

        def touch(seconds: float) -> None:
            pauses.append(seconds)
            assert bindings.heard("midi", f"cc {len(pauses)} ch 1") is None

        monkeypatch.setattr("rtstyle.commands.live.control.time.sleep", touch)
        with ControlServer(desk.board, Address(port=0), bindings) as server:
            words = ("control", "--address", server.address, "learn")
            assert console.command(*words, "strength", "+0.1") == 0
            assert console.command(*words, "strenght") == 2
        said = capsys.readouterr()
        assert said.out == '[midi] "cc 1 ch 1" = "strength +0.1"\n'
        assert "is not a control" in said.err
        assert bindings.of("midi") == {"cc 1 ch 1": "strength +0.1"}


class TestSafety:
    @pytest.fixture
    def locked(self, desk: NotingDesk) -> Iterator[ControlServer]:
        with ControlServer(desk.board, Address("0.0.0.0", 0, TOKEN)) as server:
            server.address = f"http://127.0.0.1:{server.address.rpartition(':')[2]}"
            yield server

    def test_off_loopback_a_token_is_needed(self) -> None:
        from rtstyle.errors import UsageError

        with pytest.raises(UsageError, match="token"):
            Address("0.0.0.0")

    def test_nothing_without_the_token(self, locked: ControlServer) -> None:
        assert httpx.get(f"{locked.address}/api/state", timeout=PATIENCE).status_code == 401
        headers = {"authorization": f"Bearer {TOKEN}"}
        reply = httpx.get(f"{locked.address}/api/state", headers=headers, timeout=PATIENCE)
        assert reply.status_code == 200

    def test_a_websocket_needs_it_too(self, locked: ControlServer) -> None:
        from websockets.exceptions import InvalidStatus

        with pytest.raises(InvalidStatus, match="403"), connect(live(locked), proxy=None):
            pass
        with connect(f"{live(locked)}?token={TOKEN}", proxy=None) as socket:
            assert "state" in json.loads(socket.recv())

    def test_other_sites_may_not(self, desk: NotingDesk, server: ControlServer) -> None:
        from websockets.exceptions import InvalidStatus

        url, evil = f"{server.address}/api/do/next", "https://evil.example"
        assert httpx.post(url, headers={"origin": evil}, timeout=PATIENCE).status_code == 403
        cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
        assert httpx.post(url, headers=cross, timeout=PATIENCE).status_code == 403
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(live(server), origin=evil, proxy=None),
        ):  # type: ignore[arg-type]
            pass
        assert httpx.get(url, timeout=PATIENCE).status_code == 405
        assert desk.board.drain() == []

    def test_another_name_for_this_host_is_refused(self, server: ControlServer) -> None:
        headers = {"host": "evil.example"}
        reply = httpx.get(f"{server.address}/api/state", headers=headers, timeout=PATIENCE)
        assert reply.status_code == 403

    def test_watchers_are_bounded_and_a_place_comes_free(
        self, server: ControlServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from websockets.exceptions import InvalidStatus

        monkeypatch.setattr("rtstyle.remote.api.MOST_WATCHERS", 1)
        with connect(live(server), proxy=None) as socket:
            socket.recv()
            with pytest.raises(InvalidStatus), connect(live(server), proxy=None):
                pass

    def test_closing_ends_the_websockets(self, desk: NotingDesk) -> None:
        server = ControlServer(desk.board, Address(port=0))
        with connect(live(server), proxy=None) as socket:
            socket.recv()
            server.close()
            assert list(socket) == []
        server.close()

    def test_a_port_that_is_taken(self, server: ControlServer) -> None:
        from rtstyle.errors import UsageError

        port = int(server.address.rpartition(":")[2])
        with pytest.raises(UsageError, match="--control-port"):
            ControlServer(NotingDesk().board, Address(port=port))
