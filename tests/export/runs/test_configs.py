"""Configurations of all kinds of runs: what JSON keeps of them, and the ranges of their fields."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

pytest.importorskip("torch")

from rtstyle.errors import TrainingError
from rtstyle_export.maths.stability import Perturbation
from rtstyle_export.runs.config import RANGES, RunConfig, TrainConfig
from rtstyle_export.runs.kinds import CONFIGS


def made(kind: str, **more: Any) -> RunConfig:
    """A configuration of which nothing that is a tuple or a dataclass has its default."""
    config = CONFIGS[kind]
    given: dict[str, Any] = {"perturbation": Perturbation(shift=3), **more}
    if issubclass(config, TrainConfig):
        given |= {"styles": ("a",), "paintings": ("x/a.jpg",), "parts": ((1, 2, 30, 40),)}
    if kind == "frames":
        given |= {"clip": "in.mp4"}
    return config(**given)


@pytest.mark.parametrize("kind", CONFIGS)
def test_json_keeps_a_configuration(kind: str) -> None:
    config = made(kind)
    config.check()
    for data in (config.to_json(), json.loads(json.dumps(config.to_json()))):
        again = CONFIGS[kind].from_json(data)
        assert again == config
        assert [type(value) for value in dataclasses.astuple(again)] == [
            type(value) for value in dataclasses.astuple(config)
        ]
        assert type(getattr(again, "loss", None)) is type(getattr(config, "loss", None))


def test_runs_of_before_soap_used_adam() -> None:
    data = made("johnson").to_json()
    assert data.pop("optimizer") == "soap"
    assert CONFIGS["johnson"].from_json(data).optimizer == "adam"


@pytest.mark.parametrize("kind", CONFIGS)
def test_values_out_of_range_are_named(kind: str) -> None:
    config = made(kind)
    for item in dataclasses.fields(config):
        if item.name not in RANGES:
            continue
        least, most = RANGES[item.name]
        name = item.name.replace("_", "-")
        for value in (least - 1, *([most + 1] if most < math.inf else [])):
            wrong = dataclasses.replace(config, **{item.name: value})
            assert any(bad and why.startswith(f"{name} must ") for bad, why in wrong.problems())
            with pytest.raises(TrainingError):
                wrong.check()
        for value in (least, most):
            fine = dataclasses.replace(config, **{item.name: value})
            assert not any(bad and why.startswith(f"{name} must ") for bad, why in fine.problems())
