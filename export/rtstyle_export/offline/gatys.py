"""Optimisation of a picture, Gatys, Ecker and Bethge 2016: L-BFGS or Adam on its pixels.

Work is counted in closures: evaluations of the objective with its gradient. L-BFGS searches along
its direction (strong Wolfe conditions), and the trial points of the search count too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.errors import UsageError
from rtstyle.jobs.slow.still import CLOSURES

OPTIMIZERS = ("lbfgs", "adam")

PATIENCE = 10
"""Closures over which the gain is compared with the tolerance."""

FIRST = 0.02
"""Mean change of a pixel, in -1 to 1, that the first step of L-BFGS tries."""

Objective = Callable[[Tensor], tuple[Tensor, dict[str, float]]]
"""Maps a picture (1, 3, H, W) to the value to be lowered and its terms."""


@dataclass(frozen=True, slots=True)
class Method:
    """How to optimise: `closures` at most, or until 10 of them gain less than `tolerance`.

    `tolerance` is relative to the value; `learning_rate` is Adam's, in units of -1 to 1;
    `history` is the number of steps that L-BFGS remembers.
    """

    optimizer: str = "lbfgs"
    closures: int = CLOSURES
    tolerance: float = 0.0
    learning_rate: float = 0.05
    history: int = 30

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(
                f"There is no optimizer {self.optimizer!r}.", "", f"Use {' or '.join(OPTIMIZERS)}."
            )
        for name in ("closures", "learning_rate", "history"):
            if getattr(self, name) <= 0:
                raise UsageError(f"The {name.replace('_', ' ')} must be above 0.")
        if self.tolerance < 0:
            raise UsageError("The tolerance cannot be negative.", "", "Use 0 to run to the end.")


@dataclass(slots=True)
class State:
    """Where an optimisation stands: all that going on exactly from here takes.

    `pixels`, `best` and the `gradient` at `best` are (1, 3, H, W); `values` holds the lowest value
    after each closure.
    """

    pixels: Tensor
    best: Tensor
    values: list[float] = field(default_factory=list)
    terms: dict[str, float] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    gradient: Tensor | None = None

    @classmethod
    def at(cls, picture: Tensor) -> State:
        """Return the state before the first closure, at a picture (1, 3, H, W) in -1 to 1."""
        return cls(picture, picture)


class _Spent(Exception):  # noqa: N818 - no error
    """The closures are used up in the middle of a line search."""


class Descent:
    """One optimisation, iteration by iteration; `best` and `values` as in `State`."""

    def __init__(self, objective: Objective, state: State, method: Method) -> None:
        self.objective, self.method = objective, method
        self.pixels = state.pixels.clone().contiguous().requires_grad_(True)
        self.best = state.best.clone()
        self.values, self.terms = list(state.values), dict(state.terms)
        self._best_gradient = state.gradient
        self._optimizer = self._make_optimizer()
        if state.optimizer is not None:
            self._optimizer.load_state_dict(state.optimizer)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        method = self.method
        if method.optimizer == "adam":
            return torch.optim.Adam([self.pixels], lr=method.learning_rate)
        # One iteration a step: it goes on where it stopped, and can be watched and interrupted.
        # `max_eval` also bounds the line search.
        return torch.optim.LBFGS(
            [self.pixels], max_iter=1, max_eval=25, history_size=method.history,
            tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether the closures are used up or gain too little."""
        values, tolerance = self.values, self.method.tolerance
        if len(values) >= self.method.closures:
            return True
        if tolerance == 0 or len(values) <= PATIENCE:
            return False
        return values[-1 - PATIENCE] - values[-1] < tolerance * values[-1]

    def step(self) -> None:
        """Do one iteration: one closure with Adam, most often one or two with L-BFGS."""
        before = len(self.values)
        try:
            self._set_pace()
            self._optimizer.step(self._closure)  # type: ignore[arg-type]
        except _Spent:
            return
        if len(self.values) == before:
            # Not one trial point was new: L-BFGS has no direction left, so it starts afresh.
            self._restart()

    def _set_pace(self) -> None:
        """Let the first step of L-BFGS change pixels by `FIRST` on average.

        PyTorch makes the changes of all pixels sum up to 1, which would cost several trials more.
        """
        if self.method.optimizer != "lbfgs":
            return
        pace = 1.0
        if not self._optimizer.state:
            self._closure()
            assert self.pixels.grad is not None
            total = float(self.pixels.grad.abs().sum())
            pace = FIRST * self.pixels.numel() / min(max(total, 1e-12), 1.0)
        self._optimizer.param_groups[0]["lr"] = pace

    def _restart(self) -> None:
        if not self._optimizer.state:
            raise UsageError("The optimisation stands still.", "Its gradient is 0.")
        self._optimizer = self._make_optimizer()
        self._best_gradient = None

    def _closure(self) -> Tensor:
        if self._best_gradient is not None and torch.equal(self.pixels.detach(), self.best):
            # Each iteration of L-BFGS asks again for the point at which the last one ended.
            self.pixels.grad = self._best_gradient.clone()
            return torch.tensor(self.values[-1], device=self.pixels.device)
        if len(self.values) >= self.method.closures:
            raise _Spent
        self.pixels.grad = None
        value, terms = self.objective(self.pixels)
        value.backward()  # type: ignore[no-untyped-call]
        assert self.pixels.grad is not None
        # L-BFGS flattens gradients with view, which needs them contiguous.
        self.pixels.grad = self.pixels.grad.contiguous()
        self._keep(float(value.detach()), terms)
        return value.detach()

    def _keep(self, value: float, terms: dict[str, float]) -> None:
        if not np.isfinite(value):
            raise UsageError(
                "The optimisation left the range of numbers.", "", "Lower the weights or the rate."
            )
        if not self.values or value < self.values[-1]:
            self.best = self.pixels.detach().clone()
            self.terms = terms
            if self.method.optimizer == "lbfgs":
                assert self.pixels.grad is not None
                self._best_gradient = self.pixels.grad.clone()
        self.values.append(min([value, *self.values[-1:]]))

    def state(self) -> State:
        """Return a copy of where the optimisation stands; take it between iterations."""
        return State(
            self.pixels.detach().clone(), self.best, list(self.values), dict(self.terms),
            self._optimizer.state_dict(), self._best_gradient,
        )  # fmt: skip


def to_image(pixels: Tensor) -> NDArray[np.uint8]:
    """Turn (1, 3, H, W) in -1 to 1 into (H, W, 3) uint8; what lies beyond is cut off."""
    levels = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def noise(height: int, width: int, seed: int, device: torch.device | None = None) -> Tensor:
    """Grey noise (1, 3, height, width), the same for a seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return 0.25 * torch.randn(1, 3, height, width, generator=generator).to(device)
