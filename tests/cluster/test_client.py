"""From outside the cluster, through `ray://`: Ray's client, by gRPC over loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.media import write_clip

pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra cluster")

from rtstyle.jobs.video import stylize_video
from rtstyle.sinks.encoding.settings import Encoding

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

SERVER = """
import sys
import ray
from ray.util.client.server import server

address, port = sys.argv[1], int(sys.argv[2])

def connect(job_config=None, **_):
    return ray.init(address, job_config=job_config, log_to_driver=False)

served = server.serve("127.0.0.1", port, ray_connect_handler=connect)
print("ready", flush=True)
sys.stdin.read()
served.stop(0)
"""


@pytest.fixture
def outside(nodes: Any) -> Iterator[str]:
    """Start what `ray start --head` starts for clients; yield its address.

    In a process of its own: with its last client it lets go of the cluster.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, nodes.cluster.address, str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        yield f"ray://127.0.0.1:{port}"
    finally:
        server.stdin.close()
        server.wait(60)
        server.stdout.close()


def test_a_video_is_painted_through_the_client(tmp_path: Path, outside: str) -> None:
    clip = write_clip(tmp_path / "in.mp4", frames=40, sound="aac")
    words = ("video", clip, tmp_path / "out.mp4", "--cluster", outside, "--style", "invert",
             "--size", "fast", "--device", "openvino:cpu", "--encoder", "libx264")  # fmt: skip
    program = "import sys; from rtstyle.cli import main; main()"
    # What rtstyle sets itself is left to it: the tests may run under `uv run`.
    left_out = "RAY_ADDRESS", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"
    environment = {name: text for name, text in os.environ.items() if name not in left_out}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], env=environment, capture_output=True,
        text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "40 frames" in done.stdout
    stylize_video(
        clip, tmp_path / "whole.mp4", "invert", size="fast", device="openvino:cpu",
        encoding=Encoding(encoder="libx264"),
    )  # fmt: skip
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_an_address_where_nobody_answers_is_one_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clip = write_clip(tmp_path / "in.mp4", frames=2)
    program = "from rtstyle.cli import main; main()"
    words = ("video", clip, tmp_path / "out.mp4", "--cluster", f"ray://127.0.0.1:{port}")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True,
        check=False, timeout=300,
        env={**os.environ, "RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "1",
             "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "There is no cluster at ray://" in done.stderr
    assert "Traceback" not in done.stderr
