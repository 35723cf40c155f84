"""Starts children, each with some inputs for one target, and judges how they end."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
MODULE = ["-m", "fuzz.child"]
PATIENCE = 150.0
"""Seconds that a child may take beyond the time it was given: an input, and its start."""


@dataclass
class Outcome:
    """What a child did. `kind` is '' if all was well, else crash, hang, exception or memory."""

    kind: str
    inputs: int
    refused: int
    slowest: float
    peak: int
    message: str = ""
    data: bytes = b""


def prepare(place: Path) -> None:
    """Write the styles that the children use into `place`."""
    import numpy as np
    from any_models import write_any
    from models import identity_model, network_model, write_pretrained

    folder = place / "styles"
    folder.mkdir(parents=True, exist_ok=True)
    styles = {"mosaic": network_model(4), "identity": identity_model()}
    write_pretrained(folder, {name: {"fast": m, "balanced": m} for name, m in styles.items()})
    write_any(folder, {"mosaic": np.zeros(6, np.float32)})


def run_child(
    target: str,
    place: Path,
    *,
    most: int = 100,
    seconds: float = 60,
    seed: int = 0,
    files: tuple[Path, ...] = (),
) -> Outcome:
    """Run one child in the folder `place`, which `prepare` has filled."""
    work = place / target
    work.mkdir(exist_ok=True)
    facts = work / "facts.json"
    facts.unlink(missing_ok=True)
    (work / "current").unlink(missing_ok=True)
    command = [sys.executable, *MODULE, target, str(work)]
    command += ["--most", str(most), "--seconds", str(seconds), "--seed", str(seed)]
    for file in files:
        command += ["--file", str(file)]
    paths = [str(ROOT / part) for part in ("tests", "realtime", "export")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
    env |= {"OMP_NUM_THREADS": "1"}
    with (work / "errors").open("w+b") as errors:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                timeout=seconds + PATIENCE, env=env, cwd=work, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = None
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
    current = work / "current"
    data = current.read_bytes() if current.exists() else b""
    if not facts.exists():
        kind = "hang" if code is None or "Timeout (" in text else "crash"
        return Outcome(kind, 0, 0, 0.0, 0, f"exit {code}\n{text[-4000:]}", data)
    found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    failure = found.pop("failure")
    kind = "" if not failure else "memory" if "MemoryError" in failure else "exception"
    return Outcome(kind, message=failure[-6000:], data=data, **found)


def keep(target: str, outcome: Outcome, folder: Path = CORPUS) -> Path:
    """Write the input that did harm where the tests look for such."""
    name = f"{outcome.kind}-{hashlib.sha256(outcome.data).hexdigest()[:12]}"
    path = folder / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(outcome.data)
    return path
