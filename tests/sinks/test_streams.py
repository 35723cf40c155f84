"""Live streams, received by FFmpeg's own listeners on loopback; breaks, drops and bit rates."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.media import number_of, picture

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.streams import stream
from rtstyle.sinks.streams.bitrate import LEAST, MOST, Bitrate, usual_bitrate
from rtstyle.sinks.streams.program import program_has
from rtstyle.sinks.streams.sender import WAITING, Sender
from rtstyle.sinks.streams.stream import StreamSink, has_protocol
from rtstyle.sinks.tracks.shared_sound import SharedSound
from rtstyle.sound import Sound

PATIENCE = 60.0
RATE = Fraction(30)
SIZE = (128, 96)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def frame(index: int) -> Frame:
    return Frame(picture(*SIZE, index), index, index, 1 / RATE, 1000.0 + index / float(RATE))


class Server(threading.Thread):
    """Listens like a streaming service, and keeps what comes until `wanted` pictures are there."""

    def __init__(self, url: str, wanted: int, **options: str) -> None:
        super().__init__(daemon=True)
        self.url, self.wanted, self.options = url, wanted, options
        self.pictures: list[tuple[float, int]] = []
        self.sound = 0.0
        self.problem: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with av.open(self.url, options=self.options, timeout=PATIENCE) as container:
                for packet in container.demux():
                    for decoded in packet.decode():
                        if isinstance(decoded, av.AudioFrame):
                            self.sound += decoded.samples / decoded.sample_rate
                        else:
                            image = decoded.to_ndarray(format="rgb24")
                            self.pictures.append((float(decoded.time), number_of(image, 8)))
                    if len(self.pictures) >= self.wanted:
                        return
        except av.error.FFmpegError as error:
            self.problem = error


def send_until(sink: StreamSink, done: Callable[[], bool]) -> None:
    """Send pictures as a camera does, but no quicker than they are taken."""
    index, deadline = 0, time.monotonic() + PATIENCE
    while not done() and time.monotonic() < deadline:
        sink.write(frame(index))
        index += 1
        sender = sink.sender
        while sender is not None and not sender.ended and len(sender._waiting) > 2 and not done():
            time.sleep(0.001)
        time.sleep(0.005)
    assert done(), (sink.connections, sink.sender and sink.sender.problem)


# What FFmpeg's own listener of each is told.
LISTEN = {"rtmp": {"listen": "1"}, "udp": {}, "srt": {"mode": "listener"}}


@pytest.mark.parametrize("scheme", LISTEN)
@pytest.mark.slow
def test_a_server_gets_pictures_in_order_and_sound(scheme: str) -> None:
    if not has_protocol(f"{scheme}://x"):
        pytest.skip(f"this FFmpeg has no {scheme}")
    kind = socket.SOCK_STREAM if scheme == "rtmp" else socket.SOCK_DGRAM
    url = f"{scheme}://127.0.0.1:{free_port(kind)}/live/key"
    options = LISTEN[scheme]
    if scheme != "rtmp":
        url = url.removesuffix("/live/key")
    server = Server(url, 40, **options)
    news: list[str] = []
    sink = StreamSink(url, rate=RATE, news=news.append)
    sink._again = float("-inf")
    with sink:
        send_until(sink, lambda: not server.is_alive())
    assert server.problem is None, server.problem
    times, numbers = zip(*server.pictures, strict=True)
    assert all(b > a for a, b in pairwise(times))
    steps = np.diff(np.unwrap(np.array(numbers, float), period=256))
    assert (steps > 0).all(), "in order"
    assert times[-1] - times[0] == pytest.approx(steps.sum() / float(RATE), abs=0.05)
    # The reader stops at a picture; sound comes in frames of 1024 samples, beside it.
    assert server.sound == pytest.approx(times[-1] - times[0], abs=0.6)
    assert any("streaming to" in line for line in news)
    assert all("key" not in line for line in news)


class RtspServer(threading.Thread):
    """Takes one recording by RTSP (RFC 2326) over TCP, and notes what each RTP packet says.

    FFmpeg's own listener fails here with "numerical result out of range".
    """

    def __init__(self, wanted: int) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port, self.wanted = self.listener.getsockname()[1], wanted
        self.sdp, self.methods = "", list[str]()
        self.stamps: dict[int, list[int]] = {0: [], 2: []}
        self.start()

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with self.listener, connection, connection.makefile("rwb") as file:
            while min(map(len, self.stamps.values())) < self.wanted:
                start = file.read(1)
                if start == b"$":
                    channel = file.read(1)[0]
                    packet = file.read(int.from_bytes(file.read(2), "big"))
                    if channel in self.stamps:
                        self.stamps[channel].append(int.from_bytes(packet[4:8], "big"))
                elif start:
                    self.answer(file, start)
                else:
                    return

    def answer(self, file: Any, start: bytes) -> None:
        method = (start + file.readline()).decode().split()[0]
        self.methods.append(method)
        headers = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0))).decode()
        self.sdp = self.sdp or (body if method == "ANNOUNCE" else "")
        reply = ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}", "Session: 1"]
        if "transport" in headers:
            reply.append(f"Transport: {headers['transport']}")
        file.write("\r\n".join([*reply, "", ""]).encode())
        file.flush()


@pytest.mark.slow
def test_an_rtsp_server_gets_pictures_and_sound() -> None:
    server = RtspServer(40)
    sink = StreamSink(f"rtsp://127.0.0.1:{server.port}/live", rate=RATE)
    sink._again = float("-inf")
    with sink:
        send_until(sink, lambda: not server.is_alive())
    assert server.methods[:2] == ["OPTIONS", "ANNOUNCE"]
    assert "RECORD" in server.methods
    assert "H264/90000" in server.sdp
    assert "MPEG4-GENERIC/48000/2" in server.sdp
    for stamps in server.stamps.values():
        assert all(b >= a for a, b in pairwise(stamps))
        assert stamps[-1] > stamps[0]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class FileLine:
    """Stands in for the relay: a file in place of a connection."""

    connected = False

    def __init__(self, path: Path) -> None:
        self.container: Any = av.open(str(path), "w", format="flv")
        self.connected = True

    def why(self) -> str:
        return ""

    def finish(self) -> None:
        return

    def kill(self) -> None:
        return


class Network:
    """Opens files in place of connections; fails, or hangs, as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.refuses, self.tries = folder, True, 0
        self.hang = threading.Event()
        self.hang.set()

    def open(self, _url: str, _kind: str, _options: dict[str, str]) -> FileLine:
        self.tries += 1
        if self.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        assert self.hang.wait(PATIENCE)
        return FileLine(self.folder / f"{self.tries}.flv")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    yield network
    network.hang.set()


def test_it_connects_again_with_growing_pauses(network: Network, tmp_path: Path) -> None:
    clock, news = Clock(), list[str]()
    sink = StreamSink("rtmp://host/live/secret", rate=RATE, news=news.append,
                      opener=network.open, clock=clock)  # fmt: skip
    tried = []
    for second in range(100):
        clock.now = 100.0 + second
        before = sink.connections
        sink.write(frame(second))
        if sink.connections > before:
            tried.append(second)
        sender = sink.sender
        if sender is not None:
            until(lambda sender=sender: sender.ended)
    # Each failure is seen with the next frame, one second later.
    assert np.diff(tried).tolist() == [2, 3, 5, 9, 17, 31, 31]
    assert news[0] == "no stream to rtmp://host: Connection refused; again in 1 s"
    network.refuses = False
    for second in range(100, 160):
        clock.now = 100.0 + second
        sink.write(frame(second))
        sender = sink.sender
        if sender is not None:
            until(lambda sender=sender: not sender._waiting or sender.problem)
    assert sink.sender is not None
    until(lambda: sink.sender is None or not sink.sender._waiting)
    assert news[-1] == "streaming to rtmp://host"
    sink.close()
    sink.close()
    with av.open(str(tmp_path / f"{network.tries}.flv")) as file:
        assert len(file.streams) == 2
        assert sum(1 for _ in file.decode(video=0)) > 10


def test_a_network_that_hangs_holds_nothing_up(network: Network) -> None:
    clock, news = Clock(), list[str]()
    network.refuses = False
    network.hang.clear()
    sink = StreamSink("rtmp://host/x", rate=RATE, news=news.append, opener=network.open,
                      clock=clock)  # fmt: skip
    for index in range(100):
        clock.now += 1 / 30
        sink.write(frame(index))
        until(lambda: network.tries)
    assert sink.dropped >= 100 - WAITING - 2
    hung = sink.sender
    assert hung is not None
    until(lambda: hung._busy_since is not None)
    clock.now += 10.1
    sink.write(frame(200))
    assert sink.sender is None
    assert "takes nothing" in news[-1]
    clock.now += 1.1
    network.hang.set()
    sink.write(frame(201))
    assert sink.sender is not hung
    until(lambda: sink.sender is not None and sink.sender.sent)
    sink.close()
    hung.end(PATIENCE)


class TestBitrate:
    def test_it_goes_down_at_once_and_up_slowly(self) -> None:
        rate = Bitrate(1_000_000, 0.0)
        assert rate.note(False, 1.0) == 1_000_000
        assert rate.note(True, 2.0) == 700_000
        assert rate.note(True, 3.0) == 700_000
        assert rate.note(True, 4.0) == 490_000
        assert rate.note(False, 8.9) == 490_000
        assert rate.note(False, 9.0) == 529_200

    def test_it_keeps_between_its_ends(self) -> None:
        rate = Bitrate(1_000_000, 0.0)
        low = [rate.note(True, 3.0 * n) for n in range(1, 20)][-1]
        assert low == 150_000
        high = [rate.note(False, 60 + 6.0 * n) for n in range(60)][-1]
        assert high == 1_000_000

    def test_the_usual_one(self) -> None:
        assert usual_bitrate(640, 480, 30) == 921_600
        assert usual_bitrate(160, 120, 15) == LEAST
        assert usual_bitrate(3840, 2160, 60) == MOST

    def test_the_encoder_follows(self, tmp_path: Path) -> None:
        chance, path = np.random.default_rng(1), tmp_path / "a.flv"
        noise = [chance.integers(0, 256, (96, 128, 3), np.uint8) for _ in range(20)]
        clock = Clock()
        sender = Sender(lambda: FileLine(path), RATE, 2_000_000, None, clock)
        sender.start()
        for index in range(180):
            if index == 90:
                sender._was_dropped = True
                clock.now += 3
            image = noise[index % len(noise)]
            sender.offer(Frame(image, index, index, 1 / RATE, 1000 + index / 30))
            until(lambda index=index: sender.sent > index or sender.ended)
        sender.end(PATIENCE)
        assert sender.problem == ""
        with av.open(str(path)) as file:
            sizes = [p.size for p in file.demux(video=0) if p.size]
        assert sum(sizes[130:]) / 50 < 0.85 * sum(sizes[30:90]) / 60


@pytest.mark.parametrize("url", ["http://a/b", "rtmp://", "rtmp", "rtmp://[", "file:///x.mp4", ""])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(SinkError, match="address to stream to"):
        StreamSink(url, rate=RATE)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Have `ffmpeg` on the path be a stand-in in Python, with these lines."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def write(lines: str) -> None:
        stand_in = folder / "ffmpeg"
        stand_in.write_text(f"#!{sys.executable}\nimport sys\n{lines}\n")
        stand_in.chmod(0o755)

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(stream, "has_protocol", lambda _: False)
    program_has.cache_clear()
    yield write
    program_has.cache_clear()


STAND_IN = """
if "-protocols" in sys.argv:
    print("Input:\\n  rtmp\\nOutput:\\n  srt")
    sys.exit()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a stand-in that is a script")
class TestProgramInThePlaceOfPyav:
    def test_neither_has_it(self, program: Callable[[str], None]) -> None:
        with pytest.raises(SinkError, match="Nothing here can send srt"):
            StreamSink("srt://127.0.0.1:9000", rate=RATE).open()
        program_has.cache_clear()
        program(STAND_IN.replace("  srt", "  udp"))
        with pytest.raises(SinkError, match=r"Install FFmpeg with srt, or use one of rtmp"):
            StreamSink("srt://127.0.0.1:9000", rate=RATE).open()

    def test_it_is_given_the_stream(self, program: Callable[[str], None], tmp_path: Path) -> None:
        out = tmp_path / "sent.nut"
        program(
            STAND_IN
            + f"open({str(out)!r} + '.words', 'w').write(repr(sys.argv[1:]))\n"
            + "print('total_size=0\\nprogress=continue\\ntotal_size=188', flush=True)\n"
            + f"open({str(out)!r}, 'wb').write(sys.stdin.buffer.read())"
        )
        news: list[str] = []
        url = "srt://127.0.0.1:9000?passphrase=secretsecret"
        sink = StreamSink(url, rate=RATE, news=news.append)
        sink._again = float("-inf")
        with sink:
            send_until(sink, lambda: bool(news))
        assert news == ["streaming to srt://127.0.0.1:9000"]
        with av.open(str(out)) as sent:
            numbers = [number_of(one.to_ndarray(format="rgb24"), 8) for one in sent.decode(video=0)]
            assert len(sent.streams) == 2
        # It says that it is connected before it has read any.
        assert numbers
        assert numbers == list(range(len(numbers)))
        words = ast.literal_eval(out.with_name("sent.nut.words").read_text())
        assert words[-3:] == ["-f", "mpegts", url]

    def test_why_it_ended_is_told_without_the_key(self, program: Callable[[str], None]) -> None:
        program(STAND_IN + "print(sys.argv[-1] + ': Input/output error', file=sys.stderr)")
        news: list[str] = []
        sink = StreamSink("srt://host:9000?passphrase=secretsecret", rate=RATE, news=news.append)
        sink._again = float("-inf")
        with sink:
            send_until(sink, lambda: bool(news))
        assert news == ["no stream to srt://host:9000: Input/output error; again in 1 s"]


@pytest.mark.skipif(not program_has("srt"), reason="no program ffmpeg with SRT")
@pytest.mark.slow
def test_srt_reaches_a_listener_and_finds_it_again(tmp_path: Path) -> None:
    """The real FFmpeg at both ends; the listener goes away once and comes back."""
    port = free_port(socket.SOCK_DGRAM)
    url = f"srt://127.0.0.1:{port}"

    def listen(number: int) -> subprocess.Popen[bytes]:
        words = ["ffmpeg", "-loglevel", "error", "-i", f"{url}?mode=listener", "-c", "copy"]
        return subprocess.Popen([*words, "-frames:v", "60", str(tmp_path / f"{number}.ts")])

    news: list[str] = []
    sink = StreamSink(url, rate=RATE, news=news.append)
    sink._again = float("-inf")
    with sink:
        for number in range(2):
            listener = listen(number)
            send_until(sink, lambda listener=listener: listener.poll() is not None)
            assert listener.returncode == 0
    for number in range(2):
        with av.open(str(tmp_path / f"{number}.ts")) as received:
            assert {one.type for one in received.streams} == {"video", "audio"}
            times = [one.time for one in received.decode(video=0)]
        assert len(times) >= 50
        assert all(b > a for a, b in pairwise(times))
    assert [line.startswith("streaming to srt") for line in news].count(True) == 2
    assert any(line.startswith("no stream to srt") for line in news)


class Microphone:
    channels = 1

    def __init__(self) -> None:
        self.pieces: list[Sound] = []

    def take(self) -> list[Sound]:
        taken, self.pieces = self.pieces, []
        return taken


def test_every_output_gets_all_of_the_sound() -> None:
    microphone = Microphone()
    first = SharedSound(microphone)
    second = first.also()
    pieces = [Sound(np.zeros((10, 1), np.int16), 48000, float(n)) for n in range(5)]
    microphone.pieces = pieces[:2]
    assert first.take() == pieces[:2]
    microphone.pieces = pieces[2:]
    assert second.take() == pieces
    assert first.take() == pieces[2:]
    assert second.take() == []
