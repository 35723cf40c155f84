"""The state of a paused run in a file."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtstyle.errors import UsageError
from rtstyle.files.pending import PendingFile, writing_to
from rtstyle_export.offline.gatys import State
from rtstyle_export.offline.pyramid import Pause, Plan
from rtstyle_export.offline.subject import Subject

KIND = "rtstyle gatys 2"


def fingerprint(subject: Subject, size: tuple[int, int], plan: Plan) -> dict[str, Any]:
    """Everything that a run's result depends on, except for the network's weights; for comparison.

    `closures` and `tolerance` are left out: more of them may be asked for when going on.
    """
    spec, method = asdict(plan.spec), asdict(plan.method)
    for name in ("closures", "tolerance"):
        method.pop(name)
    arrays = [subject.photo, subject.guides, *(p for mix in subject.styles for p, _ in mix)]
    weights = [[weight for _, weight in mix] for mix in subject.styles]
    return {
        **spec,
        **method,
        "size": list(size),
        "init": plan.init,
        "seed": plan.seed,
        "style_scale": subject.style_scale,
        "mixture": weights,
        "pictures": [_digest(array) for array in arrays],
    }


def _digest(array: Any) -> str:
    if array is None:
        return ""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def save(pause: Pause, run: dict[str, Any], path: Path) -> None:
    """Write a pause of the run with the fingerprint `run`. Raises `SinkError`."""
    state = pause.state
    data = {
        "kind": KIND, "run": run, "level": pause.level, "pixels": state.pixels, "best": state.best,
        "values": state.values, "terms": state.terms, "optimizer": state.optimizer,
        "gradient": state.gradient,
    }  # fmt: skip
    pending = PendingFile(path)
    try:
        with writing_to(path):
            torch.save(data, pending.temporary)
        pending.commit()
    finally:
        pending.discard()


def load(path: Path, run: dict[str, Any]) -> Pause:
    """Read a pause of the run with the fingerprint `run`.

    Raises `UsageError` if there is none, or it belongs to a run with other pictures or options.
    """
    if not path.is_file():
        raise UsageError(
            f"There is nothing to resume: {path} does not exist.", "Ctrl-C writes it.",
            "Leave out --resume.",
        )  # fmt: skip
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        if data["kind"] != KIND:
            raise ValueError(data["kind"])
        found = data["run"]
        state = State(**{field.name: data[field.name] for field in fields(State)})
        pause = Pause(data["level"], state)
    except Exception as error:
        why = str(error).split("\n")[0]
        raise UsageError(f"{path} is not the state of a painting.", why, "Remove it.") from error
    differing = sorted(key for key in run if found.get(key) != run[key])
    if differing:
        raise UsageError(
            f"{path} belongs to another painting.",
            f"These differ: {', '.join(differing)}.",
            "Give the same pictures and options, or leave out --resume.",
        )
    return pause
