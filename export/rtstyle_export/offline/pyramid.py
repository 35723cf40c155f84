"""Coarse to fine: large forms are laid out on a small picture, and finer ones refine them.

The network sees some 200 pixels around a point, so that a large picture painted at once is
patchwork. Gatys et al. 2017 (Controlling Perceptual Factors), section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from rtstyle.errors import UsageError
from rtstyle.frame import Image
from rtstyle_export.offline import memory
from rtstyle_export.offline.gatys import Descent, Method, State, to_image
from rtstyle_export.offline.network import Network
from rtstyle_export.offline.objective import GatysLoss, GatysSpec
from rtstyle_export.offline.subject import Subject

COARSEST = 256
"""Long side in pixels of the first level, which may be up to twice as long."""

MARGIN = 8
"""Pixels that are painted around the picture and cut off at the end.

The network pads with zeros, and total variation ends at the border, so that strong contrasts are
cheap there: without a margin a dotted frame of three pixels is painted.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to paint: objective, optimiser, what to start from, and where to begin.

    `method.closures` are those of the first level.
    """

    spec: GatysSpec
    method: Method
    init: str = "photo"
    seed: int = 0
    coarsest: int = COARSEST


@dataclass(frozen=True, slots=True)
class Progress:
    """What a callback is told after each iteration.

    `closure` counts over all levels, out of `closures`; `value` is the lowest of this level and
    `terms` are its parts. `picture` makes (H, W, 3) uint8 of it, at the final size, `pause` what
    going on from here takes.
    """

    closure: int
    closures: int
    level: int
    levels: int
    value: float
    terms: dict[str, float]
    picture: Callable[[], Image]
    pause: Callable[[], Pause]


@dataclass(frozen=True, slots=True)
class Pause:
    """A run that was stopped at `level`: going on from it gives what an unbroken run gives.

    Its pictures have the margin.
    """

    level: int
    state: State


@dataclass(frozen=True, slots=True)
class Outcome:
    """The picture (H, W, 3) uint8 at the final size, and its objective after each closure.

    `values` are those of the last level; `pause` is None once all levels are done.
    """

    image: Image
    values: list[float]
    pause: Pause | None = None


def levels(height: int, width: int, coarsest: int = COARSEST) -> list[tuple[int, int]]:
    """Sizes (height, width) from coarse to fine, each twice the last; the last is the argument."""
    count = max(0, int(math.log2(max(height, width) / coarsest)))
    factors = [2**k for k in range(count, -1, -1)]
    return [(max(1, height // k), max(1, width // k)) for k in factors]


def budget(closures: int, level: int) -> int:
    """Closures at a level: half of those of the level before, as less is left to be done."""
    return max(1, closures >> level)


def with_margin(picture: Tensor) -> Tensor:
    """Mirror (1, C, H, W) at its borders: (1, C, H + 2 `MARGIN`, W + 2 `MARGIN`)."""
    # A picture may be smaller than the margin, which a mirror cannot be.
    mode = "reflect" if min(picture.shape[-2:]) > MARGIN else "replicate"
    return F.pad(picture, (MARGIN,) * 4, mode=mode)


def without_margin(picture: Tensor) -> Tensor:
    """Cut off what `with_margin` adds."""
    return picture[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def enlarge(picture: Tensor, height: int, width: int) -> Tensor:
    """Bring (1, 3, h, w) to another size by bicubic interpolation."""
    if picture.shape[-2:] == (height, width):
        return picture
    size = (height, width)
    return F.interpolate(picture, size, mode="bicubic", align_corners=False, antialias=True)


def check_size(network: Network, size: tuple[int, int]) -> None:
    """Raise `UsageError` if a picture of `size` shrinks to nothing before the deepest layer."""
    if min(size) < network.smallest():
        raise UsageError(
            f"{size[1]}x{size[0]} pixels are too few for the layers chosen.",
            f"Each side must have at least {network.smallest()}.",
            "Choose a larger picture, or shallower layers.",
        )


def paint(
    network: Network,
    subject: Subject,
    size: tuple[int, int],
    plan: Plan,
    *,
    start: Tensor | Pause | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Paint `subject` at `size` (height, width), coarse to fine.

    `start` is a picture (1, 3, h, w) in -1 to 1 of any size to begin with, or a pause to go on
    from. `stop` is asked before each iteration. Raises `UsageError` for a size that is too small
    for the network or too large for the memory.
    """
    device = network.mean.device
    sizes = levels(*size, plan.coarsest)
    check_size(network, sizes[0])
    free = memory.available(device)
    works = [memory.Work(*each, plan.method.history, network.dtype) for each in sizes]
    memory.plan(works[-1], free)
    if start is None:
        start = subject.start(plan.init, *sizes[0], plan.seed, device)
    if isinstance(start, Tensor):
        start = Pause(0, State.at(with_margin(enlarge(start, *sizes[0]))))
    pause = start
    state, values = pause.state, pause.state.values
    for level in range(pause.level, len(sizes)):
        with memory.explain_shortage(works[level], free):
            descent = _begin(network, subject, sizes, level, plan, state, free)
            stopped = _descend(descent, sizes, level, plan, report, stop)
        state, values = State.at(descent.best), descent.values
        if stopped:
            picture = to_image(enlarge(without_margin(descent.best), *size))
            return Outcome(picture, values, Pause(level, descent.state()))
    return Outcome(to_image(without_margin(state.best)), values)


def _begin(
    network: Network,
    subject: Subject,
    sizes: list[tuple[int, int]],
    level: int,
    plan: Plan,
    state: State,
    free: int,
) -> Descent:
    """Prepare the optimisation of one level."""
    size, device = sizes[level], network.mean.device
    frugal = memory.plan(memory.Work(*size, plan.method.history, network.dtype), free)
    photo = subject.content(*size, device) if plan.spec.content_layers else None
    if photo is not None:
        photo = with_margin(photo)
    regions = subject.regions(*size, device) if plan.spec.style_layers else []
    regions = [
        r if r.guide is None else replace(r, guide=with_margin(r.guide[None, None])[0, 0])
        for r in regions
    ]
    loss = GatysLoss(network, plan.spec, photo, regions, frugal=frugal)
    method = replace(plan.method, closures=budget(plan.method.closures, level))
    if state.optimizer is None:
        state = State.at(with_margin(enlarge(without_margin(state.best), *size)))
    return Descent(loss, state, method)


def _descend(
    descent: Descent,
    sizes: list[tuple[int, int]],
    level: int,
    plan: Plan,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> bool:
    """Optimise one level; return whether it was stopped before its end."""
    counts = [budget(plan.method.closures, number) for number in range(len(sizes))]
    while not descent.done:
        if stop():
            return True
        descent.step()
        best = descent.best
        report(
            Progress(
                sum(counts[:level]) + len(descent.values), sum(counts), level, len(sizes),
                descent.values[-1], descent.terms,
                lambda best=best: to_image(  # type: ignore[misc]
                    enlarge(without_margin(best), *sizes[-1])
                ),
                lambda: Pause(level, descent.state()),
            )
        )  # fmt: skip
    return False
