"""Pictures sent and read by NDI: its real library, over loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtstyle.errors import MissingExtraError
from rtstyle.sinks.programs.ndi import NdiSink
from rtstyle.sources import open_camera

CHILD = """
import json, threading
from fractions import Fraction
import numpy as np
from rtstyle.errors import SourceError
from rtstyle.frame import Frame
from rtstyle.sinks.programs.ndi import NdiSink
from rtstyle.sources import open_camera
from rtstyle.sources.programs import latest

sink, stop, size, found = NdiSink("rtstyle"), threading.Event(), [48, 64], []

def picture(number):
    image = np.full((*size, 3), (200, 100, 50), np.uint8)
    image[:, : size[1] // 2] = (60, 110, 140)
    return Frame(image, number, number, Fraction(1, 30), 0.0)

def send():
    number = 0
    while not stop.wait(0.02):
        sink.write(picture(number))
        number += 1

sink.open()
thread = threading.Thread(target=send)
thread.start()
with open_camera("ndi:RTSTYLE", rate=100) as source:
    found.append([source.width, source.height, source.name])
    for frame in source:
        found.append(frame.image[24, [8, 56]].tolist())
        if len(found) == 4:
            size[:] = [96, 128]
        # Of another size, and scaled to the first one; the old ones may still be under way.
        if len(found) == 20:
            break
        assert frame.image.shape == (48, 64, 3)
latest.FIND = 0.2
try:
    open_camera("ndi:nobody").open()
except SourceError as error:
    found.append(str(error))
stop.set()
thread.join()
sink.close()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_what_is_sent_is_read_again(tmp_path: Path) -> None:
    pytest.importorskip("cyndilib", reason="needs the extra ndi")
    # Sources are found by mDNS otherwise, for which this machine may have no service.
    networks = {"ndi": {"networks": {"ips": "127.0.0.1,"}}}
    (tmp_path / "ndi-config.v1.json").write_text(json.dumps(networks))
    environment = {**os.environ, "NDI_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (width, height, name), *pixels, error = json.loads(done.stdout)
    assert (width, height) == (64, 48)
    assert "rtstyle" in name
    np.testing.assert_allclose(pixels, [[(60, 110, 140), (200, 100, 50)]] * len(pixels), atol=6)
    assert "no NDI source 'nobody'" in error
    assert "rtstyle" in error


@pytest.mark.parametrize("module", ["cyndilib", "cyndilib.sender"])
def test_without_the_library_the_extra_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "cyndilib.finder", None)
    for use in (NdiSink("rtstyle").open, open_camera("ndi").open):
        with pytest.raises(MissingExtraError, match=r"\[ndi\]"):
            use()


def test_a_camera_of_such_a_name_is_none_of_these() -> None:
    assert type(open_camera("ndicam")).__name__ == "CameraSource"
