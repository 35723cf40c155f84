"""The parts of `rtstyle serve` that need no network: turns, settings, sizes, the outgoing track."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiortc.exceptions import InvalidStateError

from rtstyle.errors import UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.serve.clients.lobby import Lobby
from rtstyle.serve.clients.peer import (
    PaintedTrack,
    addresses_and_loopback,
    answer,
    check_offer,
    close_peer,
    open_peer,
    tell,
)
from rtstyle.serve.clients.prompt_buffer import PromptJitterBuffer
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.live_picture import LivePicture, steady_shape
from rtstyle.serve.painter import Painter, Seat
from rtstyle.serve.settings import MAX_MESSAGE, check_settings, read_message, read_query
from rtstyle.serve.web.addresses import is_loopback
from rtstyle.serve.web.guard import allowed_names, host_name, same
from rtstyle.serve.web.listener import bind

PATIENCE = 60.0
STYLES = ("mosaic", "wave")


def test_turns_are_fair_whatever_somebody_sends() -> None:
    served: list[str] = []
    done = threading.Event()
    seats: dict[str, Seat[int]] = {}

    def worker(name: str) -> Any:
        def work(item: int) -> bool:
            served.append(name)
            if len(served) == 300:
                done.set()
            # All ask again at once, and the greedy one ten times.
            for _ in range(10 if name == "greedy" else 1):
                painter.offer(seats[name], item + 1)
            return True

        return work

    with Painter() as painter:
        for name in ("greedy", "a", "b"):
            seats[name] = painter.join(worker(name), lambda error: None)
        for seat in seats.values():
            painter.offer(seat, 0)
        assert done.wait(PATIENCE)
    share = Counter(served[:300])
    assert max(share.values()) - min(share.values()) <= 3
    assert seats["greedy"].dropped > 500
    assert painter.capacity is not None


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    seen: list[int] = []
    entered, go, done = threading.Event(), threading.Event(), threading.Event()

    def work(item: int) -> bool:
        seen.append(item)
        entered.set()
        assert go.wait(PATIENCE)
        if item == 9:
            done.set()
        return True

    with Painter() as painter:
        seat = painter.join(work, lambda error: None)
        painter.offer(seat, 0)
        assert entered.wait(PATIENCE)
        for item in range(1, 10):
            painter.offer(seat, item)
        go.set()
        assert done.wait(PATIENCE)
    assert seen == [0, 9]
    assert (seat.received, seat.dropped) == (10, 8)


def test_one_who_raises_or_leaves_disturbs_nobody() -> None:
    failures: list[str] = []
    served = threading.Semaphore(0)

    def broken(_: int) -> bool:
        raise ValueError("no")

    def fine(_: int) -> bool:
        served.release()
        return True

    with Painter() as painter:
        bad = painter.join(broken, lambda error: failures.append(str(error)))
        good = painter.join(fine, lambda error: None)
        for _ in range(3):
            painter.offer(bad, 1)
            painter.offer(good, 1)
            assert served.acquire(timeout=PATIENCE)
        painter.leave(good)
        painter.leave(good)
        painter.offer(good, 1)
        assert good.waiting is None
    assert set(failures) == {"no"}
    assert painter.failures == len(failures)


@pytest.mark.parametrize(("seconds", "scale"), [(0.001, 1.0), (0.03, 0.8), (10.0, 0.5)])
def test_the_first_resolution_follows_the_measured_time(seconds: float, scale: float) -> None:
    painter = Painter(target=32)
    painter.measure(seconds)
    painter.settle()
    assert painter.rung.scale == scale


def test_close_wakes_a_waiting_painter_and_may_come_twice() -> None:
    with Painter() as painter:
        painter.close()
    assert "rtstyle-paint" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("rows", "columns", "before", "after"),
    [
        (480, 640, (0, 0), (480, 640)),
        (240, 320, (0, 0), (240, 320)),
        (240, 320, (480, 640), (480, 640)),  # Sent smaller for a while: scaled up.
        (480, 640, (240, 320), (480, 640)),
        (640, 480, (480, 640), (640, 480)),  # The phone was turned.
        (1080, 1920, (0, 0), (416, 740)),
        (481, 641, (0, 0), (480, 640)),
    ],
)
def test_sizes_are_bounded_even_and_steady(
    rows: int, columns: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    assert steady_shape(rows, columns, before) == after


@pytest.mark.parametrize(("rows", "columns"), [(8, 640), (640, 8), (9000, 640)])
def test_sizes_that_no_camera_gives_are_refused(rows: int, columns: int) -> None:
    with pytest.raises(UsageError):
        steady_shape(rows, columns, (0, 0))


def test_a_style_that_is_not_ready_holds_nobody_up(tmp_path: Path) -> None:
    frame = np.full((96, 128, 3), 200, np.uint8)
    with StyleBank() as bank:
        picture = LivePicture(bank, Painter(), Catalogue("invert", "fast", tmp_path))
        picture.change({"fade": 0.0})
        image, painted = picture(frame)
        assert not painted
        assert picture.warming
        assert np.array_equal(image, frame)
        assert bank.wait_idle(PATIENCE)
        image, painted = picture(frame)
        assert painted
        assert int(image.max()) == 55
        # The next style comes in with the first frame for which it is ready.
        picture.change({"style": "identity"})
        picture(frame)
        assert bank.wait_idle(PATIENCE)
        image, _ = picture(frame)
        assert np.array_equal(image, frame)
        assert picture.shown == picture.settings()["style"] == "identity"


@pytest.mark.slow
def test_who_is_let_go() -> None:
    gone: list[str] = []

    def session(name: str, **state: Any) -> Any:
        async def close() -> None:
            gone.append(name)

        return SimpleNamespace(id=name, close=close, **state)

    async def work() -> None:
        bank: Any = SimpleNamespace(scale=1.0)
        lobby: Any = Lobby(bank, *[None] * 2, silence=10.0)  # type: ignore[arg-type]
        for name, answered, connected, heard_at in (
            ("is heard", True, True, 91.0),
            ("is silent", True, True, 89.0),
            ("may still connect", True, False, 93.0),
            ("never connected", True, False, 91.5),
            ("waits for its answer", False, False, 0.0),
        ):
            state = {"answered": answered, "connected": connected, "heard_at": heard_at}
            lobby.sessions[name] = session(name, **state)
        lobby.let_go(100.0)
        await asyncio.gather(*lobby._leaving)
        assert set(lobby.sessions) == {"is heard", "may still connect", "waits for its answer"}

    run_loop(work())
    assert set(gone) == {"is silent", "never connected"}


def run_loop(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE))


def test_settings_are_taken() -> None:
    given = {"style": "wave", "strength": 1, "keep_color": True, "mirror": False, "split": True}
    assert check_settings(given, STYLES) == given
    assert read_message("{}", STYLES) == {}
    query = {"style": "wave", "strength": "0.5", "mirror": "1", "n": "12"}
    assert read_query(query, STYLES) == {"style": "wave", "strength": 0.5, "mirror": True}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nul",
        "null",
        "3",
        b"{}",
        "[" * 4000,
        '{"strength": 1e999}',
        '{"strength": "1"}',
        '{"strength": -0.1}',
        '{"mirror": "yes"}',
        '{"only": "cat"}',
        '{"mask": "abc"}',
        '{"mask": 5}',
        '{"fade": 11}',
        '{"transition": "spin"}',
        '{"__class__": 1}',
        '{"style": "x.onnx"}',
        '{"style": null}',
        " " * (MAX_MESSAGE + 1),
    ],
)
def test_other_messages_are_refused(message: object) -> None:
    with pytest.raises(UsageError) as caught:
        read_message(message, STYLES)
    assert len(str(caught.value)) < 200


def test_an_offer_is_text_with_a_video() -> None:
    for sdp in (None, 7, "", "v=0\r\n", "m=\r\n", "\x00"):
        with pytest.raises(UsageError):
            check_offer(sdp)


@pytest.mark.parametrize("lost", ["m=application", "a=mid:0", "a=rtpmap"])
def test_a_connection_that_a_broken_offer_left_half_made_is_closed(lost: str) -> None:
    """Its sockets go, too: anybody may send such offers, as many as they like."""
    import psutil
    from aiortc import VideoStreamTrack
    from helpers.peers import Peer

    def sockets() -> int:
        return len(psutil.Process().net_connections("udp"))

    async def work() -> None:
        async with Peer("") as client:
            offer = await client.offer()
            before = sockets()
            peer, track = open_peer(), VideoStreamTrack()
            with suppress(UsageError):
                await answer(peer, offer.replace(lost, "x="), track)
            track.stop()
            await close_peer(peer)
            for _ in range(100):
                if sockets() == before:
                    break
                await asyncio.sleep(0.02)
            assert sockets() == before

    asyncio.run(asyncio.wait_for(work(), PATIENCE))


def test_what_aiortc_does_not_close_is_closed_part_by_part() -> None:
    """Its own `close` stops at the first part that lacks a transport."""
    from types import SimpleNamespace

    stopped: list[str] = []

    def transport(name: str, inner: object = None, *, fails: bool = False) -> SimpleNamespace:
        async def stop() -> None:
            stopped.append(name)
            if fails:
                raise ConnectionError(name)

        return SimpleNamespace(stop=stop, transport=inner)

    async def close() -> None:
        raise AttributeError("'NoneType' object has no attribute 'stop'")

    ends = [None, transport("dtls", transport("ice"), fails=True)]
    peer: Any = SimpleNamespace(
        close=close,
        getTransceivers=lambda: [
            SimpleNamespace(receiver=SimpleNamespace(transport=e)) for e in ends
        ],
        sctp=SimpleNamespace(transport=transport("dtls of data", transport("ice of data"))),
        remove_all_listeners=lambda: stopped.append("listeners"),
    )
    asyncio.run(close_peer(peer))
    assert stopped == ["dtls", "ice", "dtls of data", "ice of data", "listeners"]


@pytest.mark.slow
@pytest.mark.parametrize("error", [InvalidStateError("RTCIceTransport is closed"), OSError("no")])
def test_a_connection_that_is_closed_while_it_is_made_is_no_fault(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise error

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(tell)
        task = loop.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()

    with caplog.at_level("INFO", "rtstyle.serve.clients.peer"):
        asyncio.run(work())
    closed = isinstance(error, InvalidStateError)
    (record,) = caplog.records
    assert record.name == ("rtstyle.serve.clients.peer" if closed else "asyncio")
    assert "closed while" in record.message if closed else "never retrieved" in record.message


def test_an_offer_that_is_sound_but_for_its_length() -> None:
    from helpers.peers import Peer

    from rtstyle.serve.clients.peer import MAX_SDP

    async def make() -> str:
        async with Peer("") as client:
            return await client.offer()

    offer = asyncio.run(asyncio.wait_for(make(), PATIENCE))
    longest = offer + "x=" + "a" * (MAX_SDP - len(offer) - 2)
    assert check_offer(longest) == longest
    with pytest.raises(UsageError, match="at most"):
        check_offer(longest + "a")


def test_secrets_are_the_same_only_as_a_whole() -> None:
    token = "a-token-that-nobody-guesses"
    assert same(token, token)
    near = [token[:-1], token + "a", token[:-1] + "S", token.upper(), "b" + token[1:], "a", ""]
    assert not any(same(other, token) for other in near)


def test_a_message_that_is_sound_but_for_its_length() -> None:
    longest = '{"strength": 0.5}'.ljust(MAX_MESSAGE)
    assert read_message(longest, STYLES) == {"strength": 0.5}
    with pytest.raises(UsageError, match="at most"):
        read_message(longest + " ", STYLES)


def test_the_track_sends_the_newest_and_ends() -> None:
    import av
    from aiortc.mediastreams import MediaStreamError

    async def work() -> None:
        delays: list[float] = []
        track = PaintedTrack(delays.append)
        first, second = av.VideoFrame(16, 16, "yuv420p"), av.VideoFrame(16, 16, "yuv420p")
        track.show(first, 0.0)
        track.show(second, 0.0)
        assert await track.recv() is second
        assert track.dropped == 1
        assert len(delays) == 1
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        track.stop()
        with pytest.raises(MediaStreamError):
            await waiting

    run_loop(work())


def packet(number: int, moment: int, last: bool) -> Any:
    from aiortc.rtp import RtpPacket

    made: Any = RtpPacket(sequence_number=number, timestamp=moment, marker=int(last))
    made._data = bytes([number])
    return made


def test_a_frame_comes_out_with_its_last_packet() -> None:
    buffer = PromptJitterBuffer(capacity=16, is_video=True)
    out = [
        buffer.add(packet(*given))[1]
        for given in [
            (0, 0, False),
            (1, 0, True),
            (3, 10, True),  # Overtook the one before.
            (2, 10, False),
            (4, 20, False),  # Its marker is missing: it waits for the next frame.
            (5, 30, True),
            (6, 40, True),
        ]
    ]
    got = [(frame.timestamp, frame.data) for frame in out if frame]
    assert got == [(0, b"\0\1"), (10, b"\2\3"), (20, b"\4"), (30, b"\5")]
    assert [frame is not None for frame in out] == [False, True, False, True, False, True, True]


def test_why_a_server_cannot_listen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the documentation (RFC 5737): no machine has it.
    with pytest.raises(UsageError, match=r"no address 192\.0\.2\.1\. Check --host"):
        bind("192.0.2.1", 0, "--host", "--port")
    with bind("127.0.0.1", 0, "--host", "--port") as one:
        port = one.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} of 127\.0\.0\.1 is not free"):
            bind("127.0.0.1", port, "--host", "--port")

    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(UsageError, match=r"Port 80 .* may not be used\. Permission denied\."):
        bind("127.0.0.1", 80, "--host", "--port")


def test_an_offline_machine_still_has_an_address() -> None:
    assert addresses_and_loopback(True, False).count("127.0.0.1") == 1


def test_names_of_hosts() -> None:
    assert [host_name(h) for h in ("A.b:8", "[::1]:8", "[::1", "a:b:c", "")] == [
        "a.b", "::1", "", "a", "",
    ]  # fmt: skip
    assert is_loopback("127.0.0.2")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert "printer.local" in allowed_names("printer.local")
    assert "evil.example" not in allowed_names("0.0.0.0")
