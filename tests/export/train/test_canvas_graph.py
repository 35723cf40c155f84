"""A step of canvas training as a CUDA graph: what can be known of it without a card.

The step runs on PyTorch's device `meta`, which has shapes and no values, so that whatever asks a
device for a value fails there, as it would while a graph is captured.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from rtstyle_export.maths.losses import CanvasLossSpec  # noqa: E402
from rtstyle_export.maths.soap_group import GroupedSoap  # noqa: E402
from rtstyle_export.maths.vgg import VGG, layer_names  # noqa: E402
from rtstyle_export.networks.adain_fast import CanvasAdain  # noqa: E402
from rtstyle_export.networks.canvas import BODIES, SPECS, CanvasNet  # noqa: E402
from rtstyle_export.train.canvas.any_style import AnyStep, Target  # noqa: E402
from rtstyle_export.train.canvas.step import CanvasStep, Shape  # noqa: E402

LOSS = CanvasLossSpec(content_layers={"relu2_2": 1.0}, style_layers={"relu1_2": 0.5})
WIDTHS = {"conv1_1": (64, 3), "conv1_2": (64, 64), "conv2_1": (128, 64), "conv2_2": (128, 128)}


class NothingOfTheHost(TorchDispatchMode):
    """Fails at operators that take a tensor of this machine: a graph would copy it only once."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        assert all(x.device.type == "meta" for x in tensors), func
        return found


def vgg() -> VGG:
    names = layer_names("vgg16")
    state = {}
    for name, shape in WIDTHS.items():
        state[f"features.{names.index(name)}.weight"] = torch.zeros(*shape, 3, 3)
        state[f"features.{names.index(name)}.bias"] = torch.zeros(shape[0])
    return VGG("vgg16", LOSS.layers, state).to("meta")


@pytest.mark.parametrize("styles", [1, 2])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.slow
def test_a_step_neither_waits_for_the_device_nor_reads_the_host(
    body: str, styles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The device has no types that it prefers.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    shape = Shape(crop=32, margin=16, tile=64, style=48)
    net = CanvasNet(SPECS["fast", body], styles).to("meta").train()
    pool = torch.zeros(3, 3, 64, 64, dtype=torch.uint8, device="meta")
    targets = {"relu1_2": torch.zeros(styles, 64, 64, device="meta")}
    step = CanvasStep(
        net, GroupedSoap(net.parameters()), pool, vgg(), targets, shape, LOSS, 2 * styles,
        rounded=True, limits=torch.zeros(styles, device="meta"),
    )  # fmt: skip
    step.forward_backward()
    with NothingOfTheHost():
        step.whole_step()
    assert all(p.grad is not None for p in net.parameters())


class OnePainting:
    """A painting of which nothing is known but its sizes."""

    def __init__(self, numbers: int) -> None:
        self.paths = [Path("a.png")]
        grams = {"relu1_2": torch.zeros(1, 64, 64, device="meta")}
        self.known = Target(torch.zeros(1, numbers, device="meta"), grams)

    def target(self, _number: int) -> Target:
        return self.known


@pytest.mark.slow
def test_neither_does_a_step_of_the_network_for_any_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    shape = Shape(crop=32, margin=16, tile=64, style=48)
    net = CanvasAdain().to("meta").train()
    pool = torch.zeros(3, 3, 64, 64, dtype=torch.uint8, device="meta")
    step = AnyStep(
        net, OnePainting(net.numbers), 0.1, GroupedSoap(net.parameters()), pool, vgg(), {}, shape,
        LOSS, 2,
    )  # fmt: skip
    step.forward_backward()
    with NothingOfTheHost():
        step.whole_step()
    assert all(p.grad is not None for p in net.parameters())


def test_the_step_that_reads_a_value_is_caught() -> None:
    x = torch.zeros(3, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(x.sum())
    with NothingOfTheHost(), pytest.raises(AssertionError):
        torch.zeros(3).to("meta")
