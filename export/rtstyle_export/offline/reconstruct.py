"""Pictures made from what single layers know of a photo or a painting.

Gatys et al. 2016, figure 1: content seen by one layer, style seen by a set of layers. Figure 4:
the balance of content and style. Gatys et al. 2015 (Texture Synthesis) do the same for textures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rtstyle.frame import Image
from rtstyle_export.offline.gatys import Method
from rtstyle_export.offline.network import Network
from rtstyle_export.offline.objective import GatysSpec
from rtstyle_export.offline.pyramid import Outcome, Plan, Progress, paint
from rtstyle_export.offline.subject import Subject, cover

RATIOS = (0.01, 0.05, 0.2, 1.0, 5.0)
"""Content weights over style weights of figure 4, in the relative distances used here."""

Layers = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture to be made: its label, and what it is made from."""

    name: str
    note: str
    subject: Subject
    plan: Plan


def content_cell(photo: Image, layers: Layers, method: Method, seed: int = 0) -> Cell:
    """Content of (H, W, 3) uint8 as `layers` see it, from noise."""
    spec = GatysSpec(dict.fromkeys(layers, 1.0), {}, style_weight=0.0, tv_weight=0.05)
    plan = Plan(spec, method, "noise", seed)
    return Cell(" + ".join(layers), "content", Subject(photo, []), plan)


def style_cell(painting: Image, layers: Layers, method: Method, seed: int = 0) -> Cell:
    """Style of (H, W, 3) uint8 as `layers` see it together, from noise."""
    weights = dict.fromkeys(layers, 1 / len(layers))
    spec = GatysSpec({}, weights, content_weight=0.0, tv_weight=0.05)
    plan = Plan(spec, method, "noise", seed)
    return Cell(_span(layers), "style", Subject(None, [[(painting, 1.0)]]), plan)


def balance_cell(
    photo: Image, painting: Image, ratio: float, method: Method, base: GatysSpec
) -> Cell:
    """The photo in the style of the painting, with content weight over style weight `ratio`."""
    spec = replace(base, content_weight=ratio * base.style_weight)
    subject = Subject(photo, [[(painting, 1.0)]])
    return Cell(f"content / style {ratio:g}", "both", subject, Plan(spec, method, "photo"))


def _span(layers: Layers) -> str:
    # The whole list would not fit under a small picture.
    return layers[0] if len(layers) == 1 else f"up to {layers[-1]}"


def rows(
    picture: Image,
    painting: Image | None,
    side: int,
    content: Sequence[Layers],
    style: Sequence[Layers] | None,
    method: Method,
    seed: int = 0,
    base: GatysSpec | None = None,
) -> list[list[Cell]]:
    """Plan the rows of the sheet: content, style, and with a painting the balance of both.

    Pictures are (H, W, 3) uint8, cut to squares of `side`. `content` and `style` are sets of
    layers; without `style` it is the first layer of the objective `base`, the first two, and so on.
    """
    base = base or GatysSpec()
    photo = cover(picture, side, side)
    source = photo if painting is None else cover(painting, side, side)
    if style is None:
        layers = tuple(base.style_layers)
        style = [layers[: count + 1] for count in range(len(layers))]
    planned = [
        [content_cell(photo, layers, method, seed) for layers in content],
        [style_cell(source, layers, method, seed) for layers in style],
    ]
    if painting is not None:
        planned.append([balance_cell(photo, source, ratio, method, base) for ratio in RATIOS])
    return [row for row in planned if row]


def reconstruct(
    cells: Sequence[Cell],
    size: tuple[int, int],
    network: Callable[[Layers], Network],
    *,
    report: Callable[[int, Progress], None] = lambda _index, _progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Image]:
    """Yield the picture (H, W, 3) uint8 of each cell at `size` (height, width); end at `stop`."""
    for index, cell in enumerate(cells):
        outcome: Outcome = paint(
            network(cell.plan.spec.layers), cell.subject, size,
            replace(cell.plan, coarsest=max(size)),
            report=lambda progress, index=index: report(index, progress),  # type: ignore[misc]
            stop=stop,
        )  # fmt: skip
        if outcome.pause is not None:
            return
        yield outcome.image
