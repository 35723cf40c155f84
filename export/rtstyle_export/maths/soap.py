"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas et al. 2024 ("SOAP: Improving and Stabilizing Shampoo using Adam"), algorithm 3, with one
preconditioner a dimension. The networks here are small and a step through the loss network is
dear, so that the bases cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


def modes(gradient: Tensor) -> Tensor:
    """See the kernel positions of a convolution as one dimension: (O, I, kh * kw)."""
    return gradient.flatten(2) if gradient.dim() == 4 else gradient


def rotate(x: Tensor, bases: Iterable[Tensor | None], *, back: bool = False) -> Tensor:
    """Express each dimension of `x` in its basis, of which columns are the vectors; or undo it.

    None leaves a dimension as it is.
    """
    for dim, basis in enumerate(bases):
        if basis is not None:
            turned = torch.tensordot(x, basis, dims=([dim], [1 if back else 0]))
            x = turned.movedim(-1, dim)
    return x


class Soap(torch.optim.Optimizer):
    """SOAP for the parameters of convolutions and norms.

    `betas` are those of Adam, `memory` that of the preconditioners; the bases are renewed every
    `every` steps by one power iteration. Dimensions of more than `largest` entries keep their own
    basis, which for a vector is Adam. The first step only measures and changes nothing.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.95, 0.98),
        memory: float = 0.97,
        eps: float = 1e-8,
        every: int = 8,
        largest: int = 600,
    ) -> None:
        defaults = dict(  # noqa: C408
            lr=lr, betas=betas, memory=memory, eps=eps, every=every, largest=largest
        )
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the parameters by their gradients; returns what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, modes(parameter.grad), group)
        return loss

    def _update(self, parameter: Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            state["covariances"] = [
                gradient.new_zeros(size, size) if 1 < size <= group["largest"] else None
                for size in gradient.shape
            ]
            _observe(gradient, state["covariances"], 0.0)
            state["bases"] = [
                None if found is None else _eigenvectors(found) for found in state["covariances"]
            ]
            return
        state["step"] += 1
        (first, second), bases = group["betas"], state["bases"]
        _observe(gradient, state["covariances"], group["memory"])
        state["mean"].lerp_(gradient, 1 - first)
        turned = rotate(gradient, bases)
        state["square"].mul_(second).addcmul_(turned, turned, value=1 - second)
        mean = rotate(state["mean"], bases) / (1 - first ** state["step"])
        root = (state["square"] / (1 - second ** state["step"])).sqrt()
        change = rotate(mean / (root + group["eps"]), bases, back=True)
        parameter.add_(change.reshape(parameter.shape), alpha=-group["lr"])
        if state["step"] % group["every"] == 0:
            _renew(state)


def _eigenvectors(covariance: Tensor) -> Tensor:
    # In float32 LAPACK gives up on the many zero eigenvalues of a first gradient.
    vectors: Tensor = torch.linalg.eigh(covariance.double())[1]
    return vectors.flip(1).to(covariance)


def _observe(gradient: Tensor, covariances: list[Tensor | None], memory: float) -> None:
    for dim, covariance in enumerate(covariances):
        if covariance is not None:
            others = [other for other in range(gradient.dim()) if other != dim]
            covariance.lerp_(torch.tensordot(gradient, gradient, (others, others)), 1 - memory)


def _renew(state: dict[str, Any]) -> None:
    """Take a power iteration towards the eigenvectors, the largest first."""
    for dim, (basis, covariance) in enumerate(
        zip(state["bases"], state["covariances"], strict=True)
    ):
        if basis is None:
            continue
        image = covariance @ basis
        order = (basis * image).sum(0).argsort(descending=True)
        state["square"] = state["square"].index_select(dim, order)
        state["bases"][dim] = torch.linalg.qr(image[:, order])[0]
