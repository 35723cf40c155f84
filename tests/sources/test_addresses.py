"""Videos at addresses: a server that answers, one that is silent, one that sends without end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.console import command
from helpers.media import decode, packets, write_clip

from rtstyle.commands.common.video_runs import plan
from rtstyle.commands.video import read_output
from rtstyle.errors import SourceError, UsageError
from rtstyle.files.names import is_address, read_name, shown_name, without_password
from rtstyle.media import container
from rtstyle.sources.video_file import VideoFileSource


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_clip(folder / "a clip.mp4", frames=10, sound="aac")
    (folder / "page.html").write_text("<html>no video</html>" * 100)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def secure_site(folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate that it signed itself, and that certificate."""
    pytest.importorskip("cryptography")
    from rtstyle.serve.web.certificate import self_signed

    certificate, key = self_signed("localhost", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=str(folder))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_port}/a%20clip.mp4", certificate
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_site() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4"


@pytest.fixture
def stalling_site(folder: Path) -> Iterator[str]:
    """A server that sends the first half of a long clip, and then nothing any more."""
    data = write_clip(folder / "long.mkv", frames=200).read_bytes()
    ended = threading.Event()

    class Stalling(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            ended.wait(60)

    with ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/long.mkv"
        ended.set()
        server.shutdown()
        thread.join()


class TestNames:
    @pytest.mark.parametrize(
        "text", ["https://h/a.mp4", "rtsp://u:p@h/live", "HTTP://h/a", "udp://@239.0.0.1:5000"]
    )
    def test_addresses(self, text: str) -> None:
        assert is_address(text)
        assert read_name(text) == text

    @pytest.mark.parametrize(
        "text", ["take:2.mp4", "rtmp:x.mp4", "https:/h/a.mp4", "C:\\a.mp4", "://x", "a/b://c"]
    )
    def test_files(self, text: str) -> None:
        assert not is_address(text)
        assert read_name(text) == Path(text)

    def test_a_file_as_an_address(self) -> None:
        assert read_name("file:///tmp/a%20b.mp4") == Path("/tmp/a b.mp4")

    def test_what_is_shown_has_no_password(self) -> None:
        assert without_password("rtsp://me:secret@h:554/live") == "rtsp://me:***@h:554/live"
        assert shown_name("https://me:secret@h/a%20b.mp4?key=1") == "a b.mp4"
        assert shown_name("rtsp://me:secret@h") == "rtsp://me:***@h"

    def test_outputs_are_no_addresses(self) -> None:
        with pytest.raises(UsageError, match="cannot be written to"):
            read_output("rtmp://h/live")

    def test_names_in_a_folder(self, tmp_path: Path) -> None:
        pairs = plan(["https://h/x/a.avi?b=/c", "-", "rtsp://h"], tmp_path)
        assert [target.name for _, target in pairs] == ["a.mp4", "stdin.mkv", "rtsp___h.mp4"]


class TestServers:
    def test_a_video_is_painted_with_its_sound(
        self, site: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out.mp4"
        assert command("video", f"{site}/a%20clip.mp4", out, "--style", "identity") == 0
        assert len(decode(out)) == 10
        assert packets(out, "audio") == packets(folder / "a clip.mp4", "audio")
        assert "out.mp4: 10 frames" in capsys.readouterr().out

    def test_parts_are_cut_out(self, site: str, tmp_path: Path) -> None:
        out = tmp_path / "out.mp4"
        words = ("--style", "identity", "--start", "0.2", "--no-audio")
        assert command("video", f"{site}/a%20clip.mp4", out, *words) == 0
        assert len(decode(out)) == 5

    @pytest.mark.parametrize(("name", "said"), [("no.mp4", "404"), ("page.html", "Invalid data")])
    def test_what_cannot_be_read(
        self, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
    ) -> None:
        assert command("video", f"{site}/{name}", tmp_path / "out.mp4") == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.mp4", "foo://h/a.mp4"])
    def test_nobody_is_there(
        self, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("video", address, tmp_path / "out.mp4") == 2
        assert f"There is no video at {address}" in capsys.readouterr().err

    def test_a_silent_server_is_given_up(
        self, silent_site: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(container, "OPEN_TIMEOUT", 0.2)
        with pytest.raises(SourceError, match=r"did not answer within 0\.2 s"):
            VideoFileSource(silent_site).open()

    def test_a_server_that_stalls_is_given_up(
        self, stalling_site: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(container, "READ_TIMEOUT", 0.3)
        with VideoFileSource(stalling_site) as source:
            found = list(source)
        assert 20 < len(found) < 180
        assert any("no answer" in name for name in source.counts)

    def test_certificates_are_checked(
        self, secure_site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address, certificate = secure_site
        if container.trusted_certificates() is None:
            pytest.skip("this system has no list of certificates")
        with pytest.raises(SourceError, match="its certificate"):
            VideoFileSource(address).open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with VideoFileSource(address) as source:
            assert len(list(source)) == 10

    def test_what_is_too_large_is_refused(self, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(container, "MOST_BYTES", 100)
        with pytest.raises(SourceError, match="too large"):
            VideoFileSource(f"{site}/a%20clip.mp4").open()

    def test_a_server_without_end_is_left(self, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rtstyle.sources.packets.MOST_BYTES", 3000)
        with VideoFileSource(f"{site}/a%20clip.mp4") as source:
            found = list(source)
        assert 0 < len(found) < 10
        assert any("given up" in name for name in source.counts)


def test_other_commands_say_that_they_read_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert command("image", "https://h/a.jpg", out, "--style", "identity") == 2
    assert "only `rtstyle video` reads addresses" in capsys.readouterr().err
    with pytest.raises(SourceError, match="only `rtstyle video` reads addresses"):
        VideoFileSource(Path("https://h/a.mp4")).open()


def test_stores_are_read_by_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, suffix in (("image", ".png"), ("video", ".mp4")):
        source = f"s3://bucket/a{suffix}"
        assert command(name, source, tmp_path / f"out{suffix}", "--style", "identity") == 2
        assert "with --cluster auto" in capsys.readouterr().err
