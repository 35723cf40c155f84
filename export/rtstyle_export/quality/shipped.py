"""Quality and stability of shipped files, measured as training measures them.

Quality: the training objective of painted photos, beside that of Gatys' optimisation (L-BFGS from
noise, Gatys et al. 2016) of the same objective after a number of closures. Stability: the mean
squared difference between the painting of a changed photo and the changed painting of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtstyle.engines import open_engine
from rtstyle_export.data import read_picture, to_tensor
from rtstyle_export.maths.losses import LossSpec, PerceptualLoss
from rtstyle_export.maths.stability import Perturbation, draw_change, stability_loss
from rtstyle_export.runs.loss_network import find_vgg

T = TypeVar("T")

Painter = Callable[[Tensor], Tensor]
"""Maps (1, 3, H, W) in -1 to 1 to the same."""


def square(path: Path, side: int) -> NDArray[np.uint8]:
    """The picture with its short side at `side`, cut to a square from its middle."""
    image = read_picture(path, side)
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, spread evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return [items[int(place)] for place in places]


def spec_of(training: Mapping[str, Any]) -> LossSpec:
    """The objective of a file, by what its manifest says of the training.

    Files exported earlier say no more than three weights; the rest was the default then.
    """
    if "loss" in training:
        # Networks that see a canvas are trained with more; what counts here is the same for all.
        known = {field.name for field in fields(LossSpec)}
        return LossSpec(**{k: v for k, v in training["loss"].items() if k in known})
    names = ("content_weight", "style_weight", "tv_weight")
    return LossSpec(**{name: training[name] for name in names})


def objective(
    painting: NDArray[np.uint8],
    spec: LossSpec,
    vgg_weights: Path | None = None,
    loss_network: str = "vgg16",
) -> PerceptualLoss:
    """The training objective for one painting (H, W, 3) uint8, on the CPU in float32."""
    vgg = find_vgg(loss_network, spec.layers, vgg_weights, plain=True)
    vgg.accelerate()
    return PerceptualLoss(vgg, spec, [to_tensor(painting)])


def file_painter(model: Path, precision: str = "fp32") -> tuple[Painter, Callable[[], None]]:
    """A painter that runs an ONNX file, and the function that frees it."""
    engine = open_engine(model, "cpu", precision=precision)

    def paint(image: Tensor) -> Tensor:
        pixels = ((image[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
        return to_tensor(engine.run(np.ascontiguousarray(pixels.numpy())[None])[0])

    return paint, engine.close


@dataclass(frozen=True, slots=True)
class Score:
    """Of a photo, or means over several: the objective, its terms, and the stability loss."""

    total: float
    content: float
    style_loss: float
    tv: float
    stability: float

    @classmethod
    def mean(cls, scores: Sequence[Score]) -> Score:
        """Return the means over photos."""
        rows = [[getattr(one, name) for name in cls.__slots__] for one in scores]
        return cls(*np.mean(rows, axis=0).tolist())


def score(
    paint: Painter, loss: PerceptualLoss, photos: Sequence[NDArray[np.uint8]], changes: int = 4
) -> list[Score]:
    """Score a painter on photos (H, W, 3) uint8, one by one.

    Each photo is changed `changes` times, the same way for every painter.
    """
    limits = Perturbation()
    found = []
    for index, photo in enumerate(photos):
        image = to_tensor(photo)
        with torch.no_grad():
            painted = paint(image)
            style = torch.zeros(1, dtype=torch.int64)
            terms = loss.terms(painted, loss.content_targets(image), style)
            total = loss.weigh(terms)
            generator = torch.Generator().manual_seed(index)
            unstable = []
            for _ in range(changes):
                change = draw_change(image.shape, limits, generator)
                again = paint(change.light(change.move(image), generator))
                margin = limits.margin(max(image.shape[-2:]))
                unstable.append(float(stability_loss(painted, again, change, margin)))
        content, style_loss, tv = (float(terms[name]) for name in ("content", "style", "tv"))
        found.append(Score(float(total), content, style_loss, tv, float(np.mean(unstable))))
    return found


def ratio_of(above: Sequence[float], below: Sequence[float]) -> tuple[float, float | None]:
    """The ratio of two sums over the same photos, and its standard error over photos.

    The error is that of the jackknife (Efron 1982): each photo is left out once. A single photo
    has none.
    """
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    ratio, count = float(a.sum() / b.sum()), len(a)
    if count < 2:
        return ratio, None
    without = (a.sum() - a) / (b.sum() - b)
    return ratio, float(np.sqrt((count - 1) * np.mean(np.square(without - without.mean()))))


def gatys_curve(
    loss: PerceptualLoss, photo: NDArray[np.uint8], closures: int, seed: int = 0
) -> list[float]:
    """The objective after each of `closures` evaluations of L-BFGS from noise, best so far.

    With a line search under the strong Wolfe conditions, whose trial points count as closures too.
    Fixed steps hang on the scale of the loss: on mosaic times 1e3 they come 1 to 4 % lower, times
    1, 1e2, 1e4 or 1e6 they hardly move in 40 closures. `photo` is (H, W, 3) uint8. The picture is
    clamped to -1 to 1 before it is judged, as the networks' output is.
    """
    torch.manual_seed(seed)
    target = to_tensor(photo)
    content = loss.content_targets(target)
    style = torch.zeros(1, dtype=torch.int64)
    pixels = (torch.randn_like(target) * 0.25).requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [pixels], lr=1.0, max_iter=closures, max_eval=closures, history_size=50,
        tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
    )  # fmt: skip
    values: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        # The loss clamps the picture; its range penalty draws what lies outside back in.
        total: Tensor
        total, terms = loss(pixels, content, style)
        total.backward()  # type: ignore[no-untyped-call]
        assert pixels.grad is not None
        # L-BFGS flattens gradients with view, which needs them contiguous.
        pixels.grad = pixels.grad.contiguous()
        shown = float(loss.weigh(terms))
        values.append(min(shown, values[-1]) if values else shown)
        return total.detach()

    while len(values) < closures:
        before = len(values)
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        if len(values) == before:
            break
    return (values + [values[-1]] * closures)[:closures]
