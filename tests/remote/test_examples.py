"""The examples in realtime/README.md, run against a real server."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from helpers import console
from helpers.desks import NotingDesk

from rtstyle.remote.server import ControlServer

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())
WRITTEN = "http://127.0.0.1:8766"


def blocks(language: str) -> list[str]:
    text = (ROOT / "realtime" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Control from outside\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def lines(start: str) -> list[str]:
    every = (line for block in blocks("sh") for line in block.splitlines())
    return [line.partition("  #")[0].strip() for line in every if line.startswith(start)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(desk: NotingDesk, server: ControlServer) -> None:
    commands = lines("curl")
    assert len(commands) >= 5
    for line in commands:
        words = shlex.split(line.replace(WRITTEN, server.address))
        done = subprocess.run(
            [*words, "-sS", "--fail", "--noproxy", "*"], capture_output=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        desk.turn()
    assert (desk.values["style"], desk.values["strength"]) == ("mosaic", 0.8)
    assert (desk.values["mirror"], desk.values["fade"]) == (True, 2.0)
    assert json.loads(done.stdout)["figures"] == {"fps": 30.0}


def test_rtstyle_control(
    desk: NotingDesk, server: ControlServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [shlex.split(line) for line in lines("rtstyle control")]
    plain = [
        w[1:] for w in words if not {"watch", ">", "<", "--address", "ports", "learn"} & set(w)
    ]
    assert len(plain) >= 5
    desk.do("strength 1")
    for line in plain:
        assert console.command(line[0], "--address", server.address, *line[1:]) == 0
        desk.turn()
    assert (desk.values["style"], desk.values["strength"]) == ("wave", 0.9)
    assert (desk.values["mirror"], desk.done["next"]) == (True, 1)
    assert "Paint in a style" in capsys.readouterr().out


def test_the_script_for_obs(
    desk: NotingDesk, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OBS itself is a stand-in here: a module with the five names that the script uses."""
    obs = ModuleType("obspython")
    events: list[object] = []
    shown = ["mosaic"]
    obs.OBS_FRONTEND_EVENT_SCENE_CHANGED = 8  # type: ignore[attr-defined]
    obs.obs_frontend_get_current_scene = object  # type: ignore[attr-defined]
    obs.obs_source_get_name = lambda _: shown[0]  # type: ignore[attr-defined]
    obs.obs_source_release = lambda _: None  # type: ignore[attr-defined]
    obs.obs_frontend_add_event_callback = events.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "obspython", obs)
    monkeypatch.setenv("no_proxy", "*")
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code.replace(WRITTEN, server.address), "README", "exec"), names)
    names["script_load"](None)  # type: ignore[operator]
    for name in ("mosaic", "Intermission", "Last song"):
        shown[0] = name
        events[0](8)  # type: ignore[operator]
        desk.turn()
        assert desk.values["style"] == ("mosaic" if name == "Intermission" else name)


def test_the_request_of_home_assistant(desk: NotingDesk, server: ControlServer) -> None:
    (text,) = blocks("yaml")
    found = dict(re.findall(r"^ +(\w+): (.+)$", text, re.MULTILINE))
    url = found["url"].strip('"').replace(WRITTEN, server.address)
    # As its templates are filled in for control=strength, value=0.5.
    payload = found["payload"].strip("'").replace("{{ control }}", "strength")
    payload = payload.replace("{{ value | tojson }}", "0.5")
    headers = {"content-type": found["content_type"].strip('"')}
    reply = httpx.request(found["method"], url, content=payload, headers=headers, timeout=60)
    assert reply.status_code == 204
    desk.turn()
    assert desk.values["strength"] == 0.5
