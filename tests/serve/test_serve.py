"""`rtstyle serve` over real sockets: HTTP by httpx, WebRTC by a peer in Python."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from helpers import console
from helpers.peers import PATIENCE, Peer, run, until

from rtstyle.errors import EngineError, UsageError
from rtstyle.serve.server import Options, Running, serving
from rtstyle.serve.web.guard import MAX_BODY

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def server(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", camera="test", max_clients=3, min_fps=0)) as it:
        yield it


@pytest.fixture(scope="module")
def locked(pretrained_folder: Path) -> Iterator[Running]:
    with serving(Options(port=0, style="invert", token=TOKEN)) as it:
        yield it


def get(server: Running, path: str, **headers: str) -> Any:
    return httpx.get(server.address + path, headers=headers, timeout=PATIENCE)


def post_offer(server: Running, body: Any, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", **headers}
    return httpx.post(
        f"{server.address}/api/offer", content=content, headers=headers, timeout=PATIENCE
    )


def is_clear_error(response: Any, status: int) -> bool:
    """One JSON error of that status, in one line, without a trace of the inside."""
    error = response.json()["error"]
    assert response.status_code == status, response.text
    assert error
    assert "\n" not in error
    return "Traceback" not in error and 'File "' not in error


# The controls


@pytest.mark.slow
def test_controls_are_those_of_a_plain_obs_page(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.serve import camera

    monkeypatch.setattr(camera, "LINGER", 0.0)
    before = get(server, "/api/state").json()["state"]
    assert before["style"] == "invert"
    url = f"{server.address}/api/state"
    changes = {"style": "identity", "mirror": True, "fade": 0}
    assert httpx.patch(url, json=changes, timeout=PATIENCE).status_code == 204
    assert get(server, "/api/state").json()["state"] == before | changes
    stage = server.hub.stage
    with stream(server, "") as response:
        # Kept: an iterator that is thrown away hangs up, and the channel goes with its viewer.
        chunks = response.iter_raw()
        next(chunks)
        channel = server.hub._channels[()]
        assert channel.picture.settings()["style"] == "identity"
        assert channel.picture.settings()["mirror"] is True
        httpx.post(f"{server.address}/api/do/next", timeout=PATIENCE)
        assert channel.picture.settings()["style"] == "invert"
        chunks.close()
    assert stage.settings["style"] == "invert"
    run(until(lambda: not server.hub.is_open, "a closed camera"))
    httpx.patch(url, json=before, timeout=PATIENCE)


def test_controls_take_no_style_that_is_not_listed(server: Running) -> None:
    for style in ("/etc/passwd", "wave.onnx", "invert:0.5,/etc/passwd:0.5", "99"):
        reply = httpx.put(f"{server.address}/api/controls/style", json=style, timeout=PATIENCE)
        assert is_clear_error(reply, 400)
    reply = httpx.post(f"{server.address}/api/do/quit", timeout=PATIENCE)
    assert is_clear_error(reply, 400)


# The page


@pytest.mark.parametrize("path", ["/", "/obs", "/static/page.css", "/api/config", "/nothing"])
def test_every_response_is_locked_down(server: Running, path: str) -> None:
    headers = get(server, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_the_page_loads_nothing_from_elsewhere_and_has_nothing_inline(server: Running) -> None:
    for path in ("/", "/obs"):
        text = get(server, path).text
        assert "://" not in text
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text
        assert "onclick" not in text


def test_config_lists_the_styles(server: Running) -> None:
    config = get(server, "/api/config").json()
    assert [s["name"] for s in config["styles"]] == ["mosaic", "identity", "invert"]
    assert config["style"] == "invert"


def test_thumbnails_are_shipped_small_or_painted(server: Running) -> None:
    from rtstyle.serve.gallery.thumbnail import SHIPPED

    shipped = list(SHIPPED.glob("*.webp"))
    assert sum(path.stat().st_size for path in shipped) < 400_000
    assert get(server, "/thumbs/mosaic.webp").content == (SHIPPED / "mosaic.webp").read_bytes()
    painted = get(server, "/thumbs/invert.webp")
    assert painted.headers["content-type"] == "image/webp"
    assert painted.content[8:12] == b"WEBP"


def test_every_built_in_style_has_a_thumbnail() -> None:
    from rtstyle.serve.gallery.thumbnail import SHIPPED

    manifest = Path(__file__).parents[2] / "pretrained" / "manifest.json"
    names = json.loads(manifest.read_text())["styles"]
    assert {path.stem for path in SHIPPED.glob("*.webp")} == set(names)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fcli.py",
        "/thumbs/..%2f..%2fapp.webp",
        "/thumbs/unknown.webp",
    ],
)
def test_what_is_not_there_is_404(server: Running, path: str) -> None:
    assert raw(server, path, "Host: localhost").startswith(b"HTTP/1.1 404")


def raw(server: Running, path: str, *headers: str) -> bytes:
    """The reply to a request as it is written here, which a client library might put right."""
    lines = [f"GET {path} HTTP/1.1", *headers, "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=PATIENCE) as line:
        line.sendall("\r\n".join(lines).encode())
        reply = b""
        while part := line.recv(65536):
            reply += part
    return reply


def port_of(server: Running) -> int:
    return int(server.address.rpartition(":")[2])


# Host, origin, token, sizes


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
def test_a_foreign_host_name_is_refused(server: Running, host: str) -> None:
    assert is_clear_error(get(server, "/", Host=host), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST"])
def test_names_of_the_loopback_are_fine(server: Running, host: str) -> None:
    assert get(server, "/", Host=host).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_a_foreign_origin_is_refused(server: Running, origin: str) -> None:
    assert is_clear_error(post_offer(server, {}, Origin=origin), 403)
    assert is_clear_error(get(server, "/health", Origin=origin), 403)


def test_the_own_origin_is_fine(server: Running) -> None:
    assert get(server, "/health", Origin=server.address).status_code == 200


def test_another_sites_page_cannot_embed_the_stream(server: Running) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert is_clear_error(get(server, "/obs/stream?style=invert", **headers), 403)
    headers["Sec-Fetch-Mode"] = "navigate"
    assert get(server, "/", **headers).status_code == 200


def test_two_hosts_are_one_too_many(server: Running) -> None:
    reply = raw(server, "/", "Host: localhost", "Host: evil.example")
    assert reply.startswith(b"HTTP/1.1 400")
    assert raw(server, "/").startswith(b"HTTP/1.1 4")


def test_without_the_token_nothing_is_given(locked: Running) -> None:
    for path in ("/", "/health", "/metrics", "/static/page.css", "/obs", "/obs/stream"):
        assert is_clear_error(get(locked, path), 401)
    assert is_clear_error(post_offer(locked, {}), 401)


def test_a_person_without_the_token_reads_what_to_do(locked: Running) -> None:
    response = get(locked, "/", Accept="text/html,*/*")
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/plain")
    assert "Open the link" in response.text


def test_a_wrong_token_is_refused(locked: Running) -> None:
    assert is_clear_error(get(locked, "/?token=wrong"), 401)
    assert is_clear_error(get(locked, "/?token="), 401)
    assert is_clear_error(get(locked, "/", Authorization="Bearer wrong"), 401)
    assert is_clear_error(get(locked, "/", Cookie="rtstyle=wrong"), 401)
    # The cookie holds no token, so the token is not a cookie.
    assert is_clear_error(get(locked, "/", Cookie=f"rtstyle={TOKEN}"), 401)


def test_the_link_sets_a_cookie_and_the_token_leaves_the_address(locked: Running) -> None:
    assert locked.url == f"{locked.address}/?token={TOKEN}"
    with httpx.Client(timeout=PATIENCE) as client:
        reply = client.get(f"{locked.address}/obs?style=mosaic&token={TOKEN}")
        assert reply.status_code == 303
        assert reply.headers["location"] == "/obs?style=mosaic"
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert client.get(f"{locked.address}/").status_code == 200
    assert get(locked, "/health", Authorization=f"Bearer {TOKEN}").status_code == 200


def test_the_link_leads_nowhere_else(locked: Running) -> None:
    reply = raw(locked, f"//evil.example/?token={TOKEN}", "Host: localhost")
    assert b"location: /evil.example/\r\n" in reply


def test_an_oversized_body_is_413(server: Running) -> None:
    assert is_clear_error(post_offer(server, b" " * (MAX_BODY + 1)), 413)

    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 8192

    response = httpx.post(
        f"{server.address}/api/offer",
        content=parts(),
        headers={"content-type": "application/json"},
        timeout=PATIENCE,
    )
    assert is_clear_error(response, 413)


# Offers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 5000,
        b"{}",
        b'{"sdp": 3}',
        b'{"sdp": ""}',
        b'{"sdp": "v=0"}',
        b'{"sdp": "v=0\\r\\nm=video x y z\\r\\n"}',
        b'{"sdp": "v=0\\r\\no=- 1 1 IN IP4 0.0.0.0\\r\\ns=-\\r\\nt=0 0\\r\\nm=video 9 A 96\\r\\n"}',
        json.dumps({"sdp": "a" * 40_000}).encode(),
    ],
)
def test_a_malformed_offer_is_400(server: Running, body: bytes) -> None:
    assert is_clear_error(post_offer(server, body), 400)
    assert not server.lobby.sessions


def test_an_offer_needs_its_content_type(server: Running) -> None:
    # A form of another site can send text, but not JSON.
    response = post_offer(server, b"{}", **{"content-type": "text/plain"})
    assert is_clear_error(response, 415)


def test_offers_of_other_kinds_and_broken_ones_are_400(server: Running) -> None:
    async def work() -> None:
        async with Peer(server.address) as peer:
            good = await peer.offer()
        edits = {
            "audio": good.replace("m=video", "m=audio"),
            "one way": good.replace("a=sendrecv", "a=sendonly"),
            "two videos": good + good[good.index("m=video") :],
            "no codec": good.replace("VP8", "XX").replace("H264", "YY"),
            "candidates": good + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n" * 99,
            "no ice": good.replace("a=ice-ufrag", "a=x").replace("a=ice-pwd", "a=y"),
            "no dtls": "\r\n".join(x for x in good.split("\r\n") if "fingerprint" not in x),
        }
        for what, sdp in edits.items():
            response = await asyncio.to_thread(post_offer, server, {"sdp": sdp})
            assert is_clear_error(response, 400), what
        settings = {"style": "../../etc/passwd.onnx"}
        response = await asyncio.to_thread(post_offer, server, {"sdp": good, "settings": settings})
        assert is_clear_error(response, 400)
        await until(lambda: not server.lobby.sessions, "no sessions")

    run(work())


@pytest.mark.slow
def test_a_peer_gets_its_picture_painted_and_may_change_it(server: Running) -> None:
    async def work() -> None:
        async with Peer(server.address, level=200) as peer:
            assert (await peer.call({"style": "invert"})).status_code == 200
            # The negative of 100 (left) and 200 (right), except for what the codec changes.
            await until(
                lambda: (
                    peer.frames and level(peer, "right") < 90 and 125 < level(peer, "left") < 185
                ),
                "the negative",
            )
            assert peer.frames[-1].shape == (96, 128, 3)
            peer.send({"mirror": True})
            await until(lambda: level(peer, "left") < 90, "the mirrored negative")
            peer.send({"style": "identity", "mirror": False})
            await until(lambda: level(peer, "right") > 170, "the picture itself")
            # The last report may be older than the picture.
            await until(
                lambda: (peer.status().get("settings") or {}).get("style") == "identity", "a report"
            )
            # None until one was measured; a quick machine needs less than half a millisecond.
            await until(lambda: peer.status().get("latency_ms") is not None, "a measured delay")
            assert not peer.errors()
        await until(lambda: not server.lobby.sessions, "a freed session")

    run(work())


def level(peer: Peer, side: str) -> float:
    half = peer.frames[-1].shape[1] // 2
    image = peer.frames[-1]
    part = image[:, 4 : half - 4] if side == "left" else image[:, half + 4 : -4]
    return float(part.mean())


def test_bad_messages_get_one_error_each_and_change_nothing(server: Running) -> None:
    async def work() -> None:
        async with Peer(server.address) as peer:
            await peer.call()
            await peer.connected()
            bad = [
                "{",
                "[]",
                '"x"',
                json.dumps({"style": "/etc/passwd.onnx"}),
                json.dumps({"strength": 1.5}),
                '{"strength": NaN}',
                json.dumps({"strength": True}),
                json.dumps({"mirror": 1}),
                json.dumps({"height": 4000}),
                json.dumps({"style": ["mosaic"]}),
                "x" * 5000,
            ]
            for count, message in enumerate(bad, 1):
                peer.send(message)
                await until(lambda n=count: len(peer.errors()) == n, f"an error for {message[:40]}")
            await peer.painted(2)
            await until(lambda: peer.status().get("settings"), "a report")
            assert peer.status()["settings"]["style"] == "invert"

    run(work())


def test_the_full_house_refuses_and_a_place_comes_free(server: Running) -> None:
    async def work() -> None:
        await until(lambda: not server.lobby.sessions, "an empty house")
        refused = server.lobby.refused
        async with Peer(server.address) as one, Peer(server.address) as two:
            async with Peer(server.address) as three:
                for peer in (one, two, three):
                    assert (await peer.call()).status_code == 200
                async with Peer(server.address) as fourth:
                    response = await fourth.call()
                assert is_clear_error(response, 503)
                assert "3 of 3 places" in response.json()["error"]
                assert response.headers["retry-after"]
                assert server.lobby.refused == refused + 1
                # All who are in go on.
                await asyncio.gather(*(peer.painted(3) for peer in (one, two, three)))
            await until(lambda: len(server.lobby.sessions) == 2, "a free place")
            async with Peer(server.address) as fifth:
                assert (await fifth.call()).status_code == 200
                await fifth.painted()
        await until(lambda: not server.lobby.sessions, "an empty house")

    run(work())


def test_too_slow_a_machine_refuses_the_second_but_never_the_first(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.lobby, "min_fps", 1e9)

    async def work() -> None:
        await until(lambda: not server.lobby.sessions, "an empty house")
        async with Peer(server.address) as one, Peer(server.address) as two:
            assert (await one.call()).status_code == 200
            response = await two.call()
            assert is_clear_error(response, 503)
            assert "frames a second" in response.json()["error"]
            await one.painted(2)
        await until(lambda: not server.lobby.sessions, "an empty house")

    run(work())


def test_leave_frees_at_once_and_needs_the_right_name(server: Running) -> None:
    async def work() -> None:
        async with Peer(server.address) as peer:
            await peer.call()
            await peer.painted()
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                where = f"{server.address}/api/session"
                assert (await client.post(f"{where}/wrong/leave")).status_code == 204
                assert peer.session in server.lobby.sessions
                assert (await client.get(f"{where}/{peer.session}/leave")).status_code == 405
                for _ in range(2):
                    response = await client.post(f"{where}/{peer.session}/leave")
                    assert response.status_code == 204
                    assert peer.session not in server.lobby.sessions

    run(work())


@pytest.mark.slow
def test_the_silent_and_those_who_never_connect_are_let_go(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.serve.clients import lobby

    monkeypatch.setattr(lobby, "CONNECT_WITHIN", 0.0)
    # On a busy machine, frames may be far between.
    monkeypatch.setattr(server.lobby, "silence", PATIENCE)

    async def work() -> None:
        async with Peer(server.address) as peer:
            sdp = await peer.offer()
            response = await asyncio.to_thread(post_offer, server, {"sdp": sdp})
            assert response.status_code == 200
            await until(lambda: not server.lobby.sessions, "nobody")
        monkeypatch.setattr(lobby, "CONNECT_WITHIN", PATIENCE)
        async with Peer(server.address) as peer:
            await peer.call()
            await peer.painted()
            monkeypatch.setattr(server.lobby, "silence", 0.0)
            await until(lambda: not server.lobby.sessions, "nobody")

    run(work())


@pytest.mark.slow
def test_a_storm_of_connects_and_aborts_leaves_nothing_behind(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.serve.clients import lobby

    # Those who hang up before they are connected say nothing more.
    monkeypatch.setattr(lobby, "CONNECT_WITHIN", 1.0)

    async def knock() -> int:
        async with Peer(server.address) as peer:
            return int((await peer.call()).status_code)

    handles: list[int] = []

    async def work() -> None:
        await knock()
        await until(lambda: not server.lobby.sessions, "nobody")
        handles.append(open_handles())
        for _ in range(5):
            answers = await asyncio.gather(*(knock() for _ in range(10)))
            assert set(answers) <= {200, 503}
            assert 200 in answers
            await until(lambda: not server.lobby.sessions, "nobody")
        async with Peer(server.address) as peer:
            assert (await peer.call()).status_code == 200
            await peer.painted()

    run(work())

    async def settle() -> None:
        await until(lambda: not server.lobby.sessions, "nobody")
        await until(lambda: "video-decoder" not in thread_names(), "no decoder threads")
        await until(lambda: not server.lobby.painter._seats, "no seats")
        # The one that was painted at the end had a few more of its own.
        await until(lambda: open_handles() <= handles[0] + 5, "no handles")

    run(settle())


def open_handles() -> int:
    """Count the file handles of this process, sockets among them."""
    process = psutil.Process()
    return int(process.num_handles() if sys.platform == "win32" else process.num_fds())


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_an_engine_that_raises_is_told_and_the_others_go_on(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = server.lobby.bank.paint

    def fails_for_mosaic(image: Any, style: str, *rest: Any) -> Any:
        if style == "mosaic":
            raise EngineError("The model broke.", "A test did it.")
        return paint(image, style, *rest)

    monkeypatch.setattr(server.lobby.bank, "paint", fails_for_mosaic)

    async def work() -> None:
        async with Peer(server.address) as good, Peer(server.address) as bad:
            await good.call({"style": "invert"})
            await bad.call({"style": "mosaic"})
            await until(lambda: "The model broke" in bad.status().get("problem", ""), "the problem")
            await good.painted(3)
            bad.send({"style": "invert"})
            await until(lambda: len(bad.frames) > 3 and level(bad, "right") < 90, "the negative")

    run(work())


# The camera of the server


def read_parts(chunks: Iterator[bytes], count: int) -> list[bytes]:
    """The first pictures of an MJPEG stream."""
    data, found = b"", []
    for chunk in chunks:
        data += chunk
        while (start := data.find(b"\xff\xd8")) >= 0 and (end := data.find(b"\xff\xd9\r\n")) >= 0:
            found.append(data[start : end + 2])
            data = data[end + 2 :]
            if len(found) == count:
                return found
    return found


def stream(server: Running, query: str) -> Any:
    return httpx.stream("GET", f"{server.address}/obs/stream?{query}", timeout=PATIENCE)


def test_the_camera_is_shared_and_closed_after_the_last(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2
    import numpy as np

    from rtstyle.serve import camera

    monkeypatch.setattr(camera, "LINGER", 0.0)
    assert not server.hub.is_open
    with ExitStack() as stack:
        queries = ("style=invert", "style=invert", "style=identity&mirror=1&strength=0.5&n=7")
        for response in (stack.enter_context(stream(server, query)) for query in queries):
            assert response.headers["content-type"].startswith("multipart/x-mixed-replace")
            # Kept until the end, as the iterator takes the stream with it.
            chunks = response.iter_raw()
            stack.callback(chunks.close)
            parts = read_parts(chunks, 2)
            image = cv2.imdecode(np.frombuffer(parts[1], np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (480, 640, 3)
        # Two looks for three viewers.
        assert server.lobby.guests == 2
        assert server.hub.viewers == 3
        assert server.hub.is_open
    run(until(lambda: not server.hub.is_open and not server.lobby.guests, "a closed camera"))
    assert "rtstyle-camera" not in thread_names()


def test_what_a_viewer_saw_is_freed_after_the_last(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.serve import camera

    monkeypatch.setattr(camera, "LINGER", 0.0)
    released: list[bool] = []
    monkeypatch.setattr(camera, "release", lambda: released.append(not server.hub.viewers))
    with stream(server, "style=invert&n=3") as response:
        chunks = response.iter_raw()
        read_parts(chunks, 2)
        (channel,) = server.hub._channels.values()
        picture = weakref.ref(channel.picture)
        del channel
        chunks.close()
    run(until(lambda: released, "memory that is given back"))
    assert released == [True]
    # Only cycles hold it, if anything: nobody knows it any more.
    run(until(lambda: gc.collect() >= 0 and picture() is None, "a picture that is freed"))


@pytest.mark.parametrize(
    "query", ["style=nothing", "style=a.onnx", "strength=x", "strength=7", "mirror=perhaps", "a=b"]
)
def test_a_wrong_query_is_400(server: Running, query: str) -> None:
    assert is_clear_error(get(server, f"/obs/stream?{query}"), 400)


def test_a_camera_that_is_not_there_is_one_clear_error(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.hub, "camera", "missing.mp4")
    response = get(server, "/obs/stream?style=invert")
    assert is_clear_error(response, 503)
    assert "missing.mp4" in response.json()["error"]
    assert "missing.mp4" in get(server, "/api/camera").json()["problem"]
    assert not server.lobby.guests
    assert not server.hub.is_open


def test_a_camera_that_ends_ends_the_stream(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtstyle.testing import FakeSource

    monkeypatch.setattr(server.hub, "_opener", lambda _: FakeSource(3, width=64, height=48))
    with stream(server, "style=invert") as response:
        response.read()
    assert "has ended" in get(server, "/api/camera").json()["problem"]
    assert not server.hub.is_open


# Health and metrics


def test_health_and_metrics(server: Running) -> None:
    async def work() -> None:
        await until(lambda: not server.lobby.sessions, "an empty house")
        async with Peer(server.address) as peer:
            await peer.call()
            await peer.painted(2)
            health = (await asyncio.to_thread(get, server, "/health")).json()
            assert health["status"] == "ok"
            assert health["clients"] == 1
            assert health["capacity_fps"] > 0
            assert health["pictures_to_fit"] == 0
            response = await asyncio.to_thread(get, server, "/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        values = read_metrics(response.text)
        assert values["rtstyle_clients"] == 1
        assert values["rtstyle_frames_painted_total"] >= 2
        assert values["rtstyle_clients_admitted_total"] >= 1
        assert values['rtstyle_latency_seconds{quantile="0.5"}'] > 0

    run(work())


def read_metrics(text: str) -> dict[str, float]:
    assert text.endswith("\n")
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# The command


command = partial(console.command, "serve", "--no-open")


def test_a_port_in_use_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert command("--port", port, "--style", "invert") == 2
    said = capfd.readouterr().err
    assert f"Port {port}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style", "mosiac"], "mosaic"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--token", "short"], "16 characters"),
        (["--target-fps", "0"], "target of 0 FPS"),
        (["--style-scale", "9"], "scale of 9"),
        (["--certificate", "a.pem"], "--key"),
        (["--certificate", "a.pem", "--key", "b.pem"], "a.pem"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("--port", 0, *words) == 2
    said = capfd.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_without_the_extra_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "aiortc" else find(name)
    )
    assert command() == 2
    assert "[serve]" in capsys.readouterr().err


def test_off_loopback_a_token_is_demanded() -> None:
    with pytest.raises(UsageError, match="token"):
        Options(host="0.0.0.0")


@pytest.mark.slow
def test_off_loopback_by_https_with_our_own_certificate(pretrained_folder: Path) -> None:
    import ssl

    options = Options(host="0.0.0.0", port=0, style="invert", token=TOKEN, https=True)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with serving(options) as server, httpx.Client(verify=trusting, timeout=PATIENCE) as client:
        local = f"https://127.0.0.1:{port_of(server)}"
        reply = client.get(f"{local}/?token={TOKEN}")
        assert reply.status_code == 303
        assert "Secure" in reply.headers["set-cookie"]
        assert client.get(f"{local}/").status_code == 200
        assert client.get(f"{local}/", headers={"Host": "evil.example"}).status_code == 403
        assert client.get(f"{local}/", headers={"Host": "192.168.1.7"}).status_code == 200


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_it_in_order(pretrained_folder: Path) -> None:
    words = ["serve", "--no-open", "--port", "0", "--style", "invert", "--camera", "test"]
    with subprocess.Popen(
        [sys.executable, "-c", "from rtstyle.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        # An open stream must not hold the end up.
        with httpx.stream("GET", f"{url}obs/stream?style=invert", timeout=PATIENCE) as response:
            read_parts(chunks := response.iter_raw(), 1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
            chunks.close()
    assert process.returncode == 0
    assert errors.splitlines()[-1] == "stopped"
    assert "Traceback" not in errors
