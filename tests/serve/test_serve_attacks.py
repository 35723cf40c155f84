"""`rtstyle serve` under attack, over the loopback: slow, broken, foreign and guessing clients."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from helpers.peers import PATIENCE, Peer, damaged, run, until
from hypothesis import given
from hypothesis import strategies as st

from rtstyle.serve.clients import lobby
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.web import guard, patience
from rtstyle.serve.web.guard import Guard, host_name, same

TOKEN = "a-token-that-nobody-guesses"
HOST = "Host: localhost"


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", camera="test", min_fps=0)) as it:
        yield it


@pytest.fixture(scope="module")
def locked(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", token=TOKEN, camera="test")) as it:
        yield it


def port_of(server: Running) -> int:
    return int(server.address.rpartition(":")[2])


def connect(server: Running, sent: bytes = b"") -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port_of(server)), timeout=PATIENCE)
    line.sendall(sent)
    return line


def raw(server: Running, *lines: str) -> bytes:
    """The whole reply to a request as it is written here."""
    with connect(server, "\r\n".join([*lines, "Connection: close", "", ""]).encode()) as line:
        return read_all(line)


def read_all(line: socket.socket) -> bytes:
    reply = b""
    try:
        while part := line.recv(65536):
            reply += part
    except ConnectionResetError:
        pass
    return reply


def get(server: Running, path: str, **headers: str) -> Any:
    return httpx.get(server.address + path, headers=headers, timeout=PATIENCE)


# Slow clients


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTT", b"POST /api/offer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
def test_the_page_answers_with_300_slow_sockets_open(server: Running, begun: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(server, begun))
        assert get(server, "/").status_code == 200
        connections = server.server.server_state.connections
        run(until(lambda: len(connections) <= patience.PER_ADDRESS, "room"))
        assert get(server, "/").status_code == 200


@pytest.mark.slow
def test_the_page_answers_with_300_slow_sockets_open_by_https(pretrained_folder: Path) -> None:
    options = Options(port=0, style="invert", token=TOKEN, https=True)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with serving(options) as server, ExitStack() as stack:
        for number in range(300):
            line = stack.enter_context(connect(server))
            if number % 10 == 0:
                line = stack.enter_context(trusting.wrap_socket(line))
                line.sendall(b"GET / HTT")
        with httpx.Client(verify=trusting, timeout=PATIENCE) as client:
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert client.get(f"{server.address}/", headers=bearer).status_code == 200


@pytest.mark.slow
def test_a_handshake_has_a_limit(pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtstyle.serve.web.host.HANDSHAKE_WITHIN", 0.2)
    options = Options(port=0, style="invert", token=TOKEN, https=True)
    with serving(options) as server, connect(server) as line:
        line.settimeout(20)
        assert read_all(line) == b""


@pytest.mark.slow
def test_a_head_has_a_limit_however_it_drips(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(patience.WITHIN, "head", 0.2)
    for begun in (b"", b"GET / HTT"):
        with connect(server, begun) as line:
            assert read_all(line) == b""
    with connect(server, b"GET /") as line, pytest.raises(ConnectionError):
        drip(line)


def drip(line: socket.socket) -> None:
    """Send a byte now and then until the server hangs up."""
    line.settimeout(0.01)
    while True:
        line.sendall(b"a")
        with suppress(TimeoutError):
            if not line.recv(1):
                raise ConnectionError


def test_a_second_request_has_the_same_limit(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(patience.WITHIN, "head", 0.2)
    with connect(server, f"GET /api/camera HTTP/1.1\r\n{HOST}\r\n\r\n".encode()) as line:
        assert line.recv(65536).startswith(b"HTTP/1.1 200")
        line.sendall(b"GET / HTT")
        assert b"HTTP/1.1 4" not in read_all(line)


def body_of(line: socket.socket) -> Any:
    reply = read_all(line)
    return reply.split(None, 2)[1], json.loads(reply.partition(b"\r\n\r\n")[2])


def test_a_body_has_a_limit_and_an_answer(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_WITHIN", 0.1)
    head = f"POST /api/offer HTTP/1.1\r\n{HOST}\r\nContent-Type: application/json\r\n"
    with connect(server, f"{head}Content-Length: 9\r\n\r\n{{".encode()) as line:
        status, answer = body_of(line)
    assert status == b"408"
    assert "in time" in answer["error"]


def test_the_rest_of_a_body_that_is_refused_is_not_waited_for(
    locked: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(patience.WITHIN, "rest", 0.2)
    head = f"POST /api/offer HTTP/1.1\r\n{HOST}\r\nContent-Length: 9\r\n\r\n"
    with connect(locked, head.encode()) as line:
        assert body_of(line)[0] == b"401"
    # Where no route reads it, either.
    head = head.replace("Content-Length", f"Authorization: Bearer {TOKEN}\r\nContent-Length")
    with connect(locked, head.replace("/api/offer", "/nothing").encode()) as line:
        assert body_of(line)[0] == b"404"


def test_who_makes_room() -> None:
    def waiter(wait: str, since: float) -> Any:
        return SimpleNamespace(wait=wait, since=since)

    new, old, idle, body = (
        waiter("head", 9.0),
        waiter("head", 5.0),
        waiter("idle", 99.0),
        waiter("body", 0.0),
    )
    crowd = [new, body, old, idle]
    assert patience.surplus(crowd, 4) == patience.surplus([], 4) == []
    # An idle connection costs its client nothing; a body has been let in by the guard.
    assert patience.surplus(crowd, 0) == [idle, old, new, body]
    assert patience.surplus(crowd, 2) == [idle, old]


def test_a_neighbour_in_ipv6_is_the_same_client() -> None:
    network_of = patience.network_of
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db9::1")
    assert network_of("::ffff:10.0.0.7") == network_of("10.0.0.7") != network_of("10.0.0.8")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("") == ""


# Broken and foreign clients


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "//", "", "\u00ff"])
def test_a_broken_origin_is_403(server: Running, origin: str) -> None:
    reply = raw(server, "GET /health HTTP/1.1", HOST, f"Origin: {origin}")
    assert reply.startswith(b"HTTP/1.1 403"), reply


TRICKY = "[]:/@%?#&=\\;,\"'. \tahttp\u00ff\u00b2\x00"
odd = st.text(st.sampled_from(TRICKY) | st.characters(), max_size=30)
names = st.sampled_from(
    [
        *("origin", "host", "cookie", "authorization", "content-length", "sec-fetch-site"),
        *("sec-fetch-mode", "accept", "content-type"),
    ]
)


@given(st.lists(st.tuples(names, odd), max_size=6), odd, odd, st.sampled_from(["GET", "POST"]))
def test_the_guard_answers_whatever_a_request_says(
    headers: list[tuple[str, str]], path: str, query: str, method: str
) -> None:
    sent: list[Any] = []

    async def app(*_: Any) -> None:
        sent.append({"status": 200})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    pairs = [(n.encode(), v.encode("utf-8", "replace")) for n, v in headers]
    scope = {
        "type": "http",
        "method": method,
        "path": "/" + path,
        "query_string": f"token={query}&{query}".encode("utf-8", "replace"),
        "headers": [(b"host", b"localhost"), *pairs],
    }
    asyncio.run(Guard(app, host="127.0.0.1", token=TOKEN)(scope, receive, send))
    assert sent[0]["status"] in (400, 401, 403, 413)


def test_one_who_leaves_in_the_middle_of_a_body_is_one_line(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for path, kind in (("/api/offer", "application/json"), ("/api/pictures", "image/png")):
        caplog.clear()
        head = f"POST {path} HTTP/1.1\r\n{HOST}\r\nContent-Type: {kind}\r\nContent-Length: 900\r\n"
        with connect(server, f"{head}\r\n{{".encode()):
            pass
        run(until(lambda: caplog.records, "a line in the log"))
        run(until(lambda: not server.server.server_state.tasks, "the end of the request"))
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        assert path in record.getMessage()
        assert not record.exc_info
    assert server.server.site.uploads._on_the_way == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/obs", "/obs/stream", "/obs/stream?style=invert", "/thumbs/x"])
def test_no_other_site_leads_a_visitor_to_the_camera(server: Running, path: str, site: str) -> None:
    fetch = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    reply = get(server, path, **fetch)
    assert reply.status_code == 403
    assert "paste the address" in reply.text
    assert not server.hub.is_open
    assert get(server, "/", **fetch).status_code == 200
    # Typed, pasted, or opened by OBS.
    assert get(server, "/obs", **{**fetch, "Sec-Fetch-Site": "none"}).status_code == 200


FOREIGN = [
    *("evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "localhost@evil.example"),
    *("evil.example@localhost", "evil.example/localhost", "evil.example#localhost", "[::2]:80"),
    *("localhost\\.evil.example", "localhost,evil.example", "127.0.0.2.evil.example:8765", "[", ""),
]
ROUTES = [
    *("GET /", "GET /obs", "GET /obs/stream", "GET /health", "GET /metrics", "GET /api/config"),
    *("POST /api/offer", "POST /api/pictures", "GET /static/page.js", "OPTIONS /", "GET /nothing"),
]


def test_a_foreign_name_reads_nothing_by_any_route(server: Running) -> None:
    """DNS rebinding: a foreign site's name is pointed at this machine."""
    for route in ROUTES:
        for host in FOREIGN[:3]:
            reply = raw(server, f"{route} HTTP/1.1", f"Host: {host}", f"Origin: http://{host}")
            assert reply.startswith(b"HTTP/1.1 403"), (route, host, reply)
    for host in FOREIGN:
        reply = raw(server, "GET / HTTP/1.1", f"Host: {host}")
        assert reply.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), (host, reply)
    # The address in the request itself, and the old protocol that needs no host.
    reply = raw(server, "GET http://evil.example/ HTTP/1.1", "Host: evil.example")
    assert reply.startswith(b"HTTP/1.1 403")
    assert raw(server, "GET / HTTP/1.0").startswith(b"HTTP/1.1 403")
    assert host_name("LOCALHOST:80") == "localhost"


# The token

NEAR = [
    TOKEN[0],
    TOKEN[:1] + "x" * (len(TOKEN) - 1),
    TOKEN[:-1],
    TOKEN[1:],
    TOKEN + "x",
    TOKEN + TOKEN,
    TOKEN.upper(),
    TOKEN[::-1],
    TOKEN.replace("-", "_"),
    TOKEN + "\u00a0",
    *(TOKEN[:at] + "~" + TOKEN[at + 1 :] for at in range(len(TOKEN))),
]


def test_nearly_the_token_is_not_the_token(locked: Running) -> None:
    right = guard.pass_for(TOKEN)
    nearly = [right[0], right[:-1], right + "0", right.upper(), right[:1] + "0" * 63]
    with httpx.Client(base_url=locked.address, timeout=PATIENCE) as client:
        for token in NEAR:
            assert client.get("/", params={"token": token}).status_code == 401, token
            bearer = f"Bearer {token}".encode()
            if not token.endswith("\u00a0"):  # white space around a bearer does not count
                reply = client.get("/health", headers={"Authorization": bearer})
                assert reply.status_code == 401, token
        for value in nearly:
            reply = client.get("/health", headers={"Cookie": f"rtstyle={value}"})
            assert reply.status_code == 401, value
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/health", headers=good).status_code == 200
        assert client.get("/health", headers={"Cookie": f"rtstyle={right}"}).status_code == 200


def test_secrets_are_compared_whole_and_in_constant_time(
    locked: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = guard.hmac.compare_digest

    def note(given: bytes, right: bytes) -> bool:
        compared.append((given, right))
        return compare(given, right)

    monkeypatch.setattr(guard.hmac, "compare_digest", note)
    assert not same(TOKEN[:-1] + "x", TOKEN)
    assert compared.pop() == (f"{TOKEN[:-1]}x".encode(), TOKEN.encode())
    proof = guard.pass_for(TOKEN)
    for path, headers, pair in (
        ("/?token=guess", {}, ("guess", TOKEN)),
        ("/", {"Authorization": "Bearer guess"}, ("guess", TOKEN)),
        ("/", {"Cookie": "rtstyle=guess"}, ("guess", proof)),
        ("/health", {"Cookie": f"rtstyle={proof}"}, (proof, proof)),
    ):
        get(locked, path, **headers)
        given, right = pair
        assert (given.encode(), right.encode()) in compared
        compared.clear()


@pytest.mark.slow
def test_wrong_tokens_at_speed_change_nothing(locked: Running) -> None:
    async def guess(client: httpx.AsyncClient, number: int) -> int:
        return (await client.get("/", params={"token": f"{TOKEN}{number}"})).status_code

    async def work() -> None:
        limits = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(
            base_url=locked.address, timeout=PATIENCE, limits=limits
        ) as client:
            assert set(await asyncio.gather(*(guess(client, n) for n in range(400)))) == {401}
        await until(lambda: not locked.server.server_state.connections, "no connections")
        await until(lambda: not locked.server.server_state.tasks, "no requests")

    run(work())
    assert get(locked, "/health", Authorization=f"Bearer {TOKEN}").status_code == 200


# Offers

SESSION = "rtstyle.serve.clients.session"
OFFERS = 1000 if os.environ.get("RTSTYLE_TEST_FULL") else 250


@pytest.mark.slow
def test_damaged_offers_are_answered_and_leave_nothing_behind(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lobby, "CONNECT_WITHIN", 0.0)
    chance = random.Random(0)

    async def work() -> None:
        async with Peer(server.address) as peer:
            good = await peer.offer()
        async with httpx.AsyncClient(base_url=server.address, timeout=PATIENCE) as client:
            answers = []
            for _ in range(OFFERS):
                body = {"sdp": damaged(good, chance)}
                reply = await client.post("/api/offer", json=body)
                answers.append(reply.status_code)
                if reply.status_code == 200:
                    await client.post(f"/api/session/{reply.json()['session']}/leave")
        assert set(answers) == {200, 400}
        assert min(map(answers.count, (200, 400))) > OFFERS / 10
        await until(lambda: not server.lobby.sessions, "no sessions")
        await until(lambda: not server.lobby.painter._seats, "no seats")
        monkeypatch.setattr(lobby, "CONNECT_WITHIN", PATIENCE)
        async with Peer(server.address) as peer:
            assert (await peer.call()).status_code == 200
            await peer.painted()
        await until(lambda: not server.lobby.sessions, "no sessions")

    run(work())
    # Nor does anything fail where nobody looks.
    gc.collect()
    assert not [record for record in caplog.records if record.name in ("asyncio", SESSION)]


@pytest.mark.slow
def test_200_who_never_connect_leave_room_again(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby, "CONNECT_WITHIN", PATIENCE)

    async def work() -> None:
        async with Peer(server.address) as peer:
            good = await peer.offer()
        few = httpx.Limits(max_connections=20)
        async with httpx.AsyncClient(
            base_url=server.address, timeout=PATIENCE, limits=few
        ) as client:
            offers = (client.post("/api/offer", json={"sdp": good}) for _ in range(200))
            answers = [reply.status_code for reply in await asyncio.gather(*offers)]
        assert answers.count(200) == lobby.MAX_CLIENTS
        assert answers.count(503) == 200 - lobby.MAX_CLIENTS
        monkeypatch.setattr(lobby, "CONNECT_WITHIN", 0.0)
        await until(lambda: not server.lobby.sessions, "no sessions")
        monkeypatch.setattr(lobby, "CONNECT_WITHIN", PATIENCE)
        async with Peer(server.address) as peer:
            assert (await peer.call()).status_code == 200
            await peer.painted()
        await until(lambda: not server.lobby.sessions, "no sessions")

    run(work())
