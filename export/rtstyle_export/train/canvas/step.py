"""Training of canvas networks: sequences of synthetic motion, one step of each at a time.

Each of the N sequences of a batch shows a photograph that moves. What a step has painted, moved
along, is the canvas of the next one, so that networks see canvases of any age at the cost of one
step (back-propagation through time cut after one step). Several such scenes take turns, by chance,
with photographs on empty canvases. At places a canvas is bent out of shape, as strokes are that
turn and bend with a face for ten frames: nothing asks to keep it there, and the network learns to
paint over strokes that are worn. Frames are of the size at which they are painted later on, some
480 rows: larger ones are enlarged by another network (`rtstyle_export.train.upsampler`).

On CUDA the whole step is one graph, and losses are read from the device every so often.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtstyle_export.maths.functional import (
    colour_waves,
    content_distance,
    gram_matrix,
    lattice,
    out_of_range,
    style_distance,
    total_variation,
)
from rtstyle_export.maths.losses import CanvasLossSpec
from rtstyle_export.maths.soap_group import GroupedSoap
from rtstyle_export.maths.vgg import VGG
from rtstyle_export.networks.canvas import CanvasNet
from rtstyle_export.networks.canvas_body import CanvasSpec
from rtstyle_export.onnx_files.storage import rounded
from rtstyle_export.train.canvas.motion import (
    Director,
    Draw,
    Scenes,
    bent,
    compressed,
    dct_matrix,
    grid_of,
    sample,
    smooth_noise,
    views,
)

RENEW = 8
"""Steps between renewals of the optimiser's bases."""
LEAD = 8
"""How many steps the host may be ahead of the device."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes in pixels: what the losses see, what is painted beyond it, the squares of photos."""

    crop: int = 320
    margin: int = 24
    tile: int = 448
    style: int = 480

    @property
    def side(self) -> int:
        """Return the side of what is painted."""
        return self.crop + self.margin


class CanvasStep:
    """The state of N sequences on a device, and one step of training `net` for them.

    `pool` (P, 3, T, T) uint8 is where `net` is, `targets` and `limits` are of the module `targets`;
    without limits stripes of two hues cost nothing. With `rounded`, the step sees the kernels
    rounded to 8 bits, as they are stored.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: GroupedSoap,
        pool: Tensor,
        vgg: VGG,
        targets: dict[str, Tensor],
        shape: Shape,
        loss: CanvasLossSpec,
        batch: int,
        seed: int = 0,
        *,
        rounded: bool = False,
        dtype: torch.dtype = torch.bfloat16,
        limits: Tensor | None = None,
    ) -> None:
        device = pool.device
        self.device, self.shape, self.loss, self.batch = device, shape, loss, batch
        self.vgg, self.pool, self.targets, self.limits = vgg, pool, targets, limits
        self.net, self.optimizer, self.rounded, self.dtype = net, optimizer, rounded, dtype
        side = shape.side
        self.scenes = self.make_scenes(seed)
        self.style = self.styles_of_batch()
        self.painting = self.style.clone()
        """Which of the paintings of `targets` each picture is compared with."""
        spec = self.layout()
        self.painted = torch.zeros(batch, 3, side, side, device=device)
        stride = spec.stride
        wide = spec.extended(self.painted[:1]).shape[-1] // stride - 2
        self.noise = torch.rand(batch, spec.noise, wide, wide, device=device) * 2 - 1
        self.basis = dct_matrix().to(device)
        size = Director(batch, 1, side, side, 0, 0).draw().flat().size
        self.flat = torch.zeros(size, device=device)
        self.drawn = views(self.flat, batch)
        # Several, since a copy may be under way when the next step is drawn.
        self.staged = [torch.zeros(size, pin_memory=device.type == "cuda") for _ in range(2 * LEAD)]
        self.names = (
            "content", "style", "tv", "lattice", "waves", "coherence", "gate", "total",
        )  # fmt: skip
        self.report = torch.zeros(len(self.names), device=device)
        places = {layer: index for index, layer in vgg.taps.items()}
        self.deepest = max(loss.content_layers, key=places.__getitem__)
        self.norm = torch.zeros((), device=device)
        self.graph: Any = None
        self.step = 0

    def layout(self) -> CanvasSpec:
        """Return how the network extends pictures, and its noise."""
        assert isinstance(self.net, CanvasNet)
        return self.net.spec

    def make_scenes(self, seed: int) -> Scenes:
        """Return what is shown."""
        shape, pool = self.shape, self.pool
        return Scenes(self.batch, len(pool), pool.shape[-1], shape.side, shape.margin, seed)

    def styles_of_batch(self) -> Tensor:
        """Return the style of each sequence, (N,) int64."""
        assert isinstance(self.net, CanvasNet)
        styles = self.net.styles
        if self.batch % styles:
            raise ValueError(f"a batch of {self.batch} for {styles} styles")
        self.net.set_in_turn(styles > 1)
        return torch.arange(styles, device=self.device).repeat_interleave(self.batch // styles)

    def paint(self, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Paint what `prepare` made: the painting, not clamped, and the gate."""
        raw, gate = self.net(
            given["frame"], given["canvas"], given["trust"], self.style, self.noise
        )
        return raw, gate

    def note(self, draw: Draw) -> None:
        """Load what else belongs to a draw; nothing here."""

    def autocast(self) -> torch.autocast:
        """Return the context of the networks; its cache of weights would not fit a graph."""
        enabled = self.dtype is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled, cache_enabled=False)

    def rounding(self) -> AbstractContextManager[None]:
        """Return the context in which kernels are rounded as they will be stored, if they are."""
        return rounded(self.net) if self.rounded else nullcontext()

    def prepare(self) -> dict[str, Tensor]:
        """Make the frames, canvases and trusts of a step, without gradients."""
        b, shape, n = self.drawn, self.shape, self.batch
        side, device = shape.side, self.device
        with torch.no_grad():
            view = grid_of(b["view"], side)
            clean = sample(self.pool[b["photo"].long()].float() / 127.5 - 1, view).clamp(-1, 1)
            frame = compressed(clean, b["damage"], self.basis)
            gain, offset, sigma = (b["light"][:, k].view(n, 1, 1, 1) for k in range(3))
            frame = (frame + 1) * gain - 1 + 2 * offset + 2 * sigma * torch.randn_like(frame)
            frame = frame.clamp(-1, 1)
            again = b["reset"].view(n, 1, 1, 1)
            self.noise.copy_(
                torch.where(again > 0, torch.rand_like(self.noise) * 2 - 1, self.noise)
            )
            # The last painting moved along, with and without the errors of an estimated flow.
            grid = grid_of(b["step"], side)
            error = (smooth_noise(n, 2, 9, side, device) - 0.5) * 2
            error = error * (b["flow_error"] * 2 / side).view(n, 1, 1, 1)
            bend, worn = bent(b["wear"], side, device)
            exact = sample(self.painted, grid).clamp(-1, 1)
            moved = sample(self.painted, grid + (error + bend).permute(0, 2, 3, 1)).clamp(-1, 1)
            known = (grid.abs() < 1).all(-1)[:, None].float() * (1 - again)
            # What was hidden comes into sight; and at some places the flow is plainly wrong.
            cells = smooth_noise(n, 2, 6, side, device)
            known = known * (cells[:, :1] < 0.8).float()
            wrong = (cells[:, 1:] > 0.86).float()
            moved = torch.where(wrong > 0, moved.roll(1, 0), moved)
            # Trust is known at half the size.
            trust = -F.max_pool2d(-known, 2)
            full = F.interpolate(trust, scale_factor=2.0, mode="nearest")
            return {
                "clean": clean, "frame": frame, "canvas": full * moved, "trust": trust,
                "exact": exact, "kept": full * (1 - wrong) * (1 - worn),
            }  # fmt: skip

    def window(self, x: Tensor) -> Tensor:
        """Cut what the losses see out of (N, C, side, side), at a place that is drawn."""
        reach = torch.arange(self.shape.crop, device=x.device)
        top, left = self.drawn["offset"].long().unbind()
        cut = x.index_select(2, top + reach).index_select(3, left + reach)
        return cut.contiguous(memory_format=torch.channels_last)

    def forward_backward(self) -> None:
        """Compute losses and gradients of a step, and note what was painted."""
        with self.rounding():
            self._forward_backward()

    def _forward_backward(self) -> None:
        loss = self.loss
        given = self.prepare()
        with self.autocast():
            raw, gate = self.paint(given)
            shown = raw.clamp(-1, 1)
            with torch.no_grad():
                wanted = self.vgg(self.window(given["clean"]), until=self.deepest)
            found = self.vgg(self.window(shown))
            content = sum(
                w * content_distance(found[k], wanted[k]) for k, w in loss.content_layers.items()
            )
            style = sum(
                w * style_distance(gram_matrix(found[k]), self.targets[k][self.painting])
                for k, w in loss.style_layers.items()
            )
        change = (shown - given["exact"]).square().mean(1, keepdim=True) * given["kept"]
        coherence = change.mean(dim=(1, 2, 3))
        smooth, grid = total_variation(shown), lattice(self.window(shown))
        waves = torch.zeros_like(smooth)
        if self.limits is not None:
            waves = (colour_waves(shown) - self.limits[self.painting]).relu()
        total = (
            loss.content_weight * content
            + loss.style_weight * style * self.drawn["strength"]
            + loss.tv_weight * smooth
            + loss.coherence_weight * coherence
            + loss.range_weight * out_of_range(raw)
            + loss.lattice_weight * grid
            + loss.waves_weight * waves
        ).mean()
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        total.backward()  # type: ignore[no-untyped-call]
        self.painted.copy_(shown.detach())
        kept = given["kept"]
        values = [
            torch.as_tensor(content).mean(),
            torch.as_tensor(style).mean(),
            smooth.mean(),
            grid.mean(),
            waves.mean(),
            change.sum() / kept.sum().clamp_min(1),
            (gate * kept).sum() / kept.sum().clamp_min(1),
            total,
        ]
        self.report += torch.stack([value.detach().float() for value in values])

    def whole_step(self) -> None:
        """Take one step on what the buffers hold."""
        self.forward_backward()
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        self.norm.copy_(norm)
        scale = (10 / norm.clamp_min(10)).where(torch.isfinite(norm), norm.new_zeros(()))
        for grad in grads:
            torch.nan_to_num_(grad, 0.0, 0.0, 0.0)
        torch._foreach_mul_(grads, scale)
        self.optimizer.step()

    def load_draw(self) -> None:
        """Draw the next step of a scene into the buffers, and load what it had painted."""
        staged = self.staged[self.step % len(self.staged)]
        draw = self.scenes.draw()
        self.note(draw)
        staged.copy_(torch.from_numpy(draw.flat()))
        self.flat.copy_(staged, non_blocking=True)
        self.scenes.load(self.painted, self.noise)

    def run_step(self, rate: float) -> None:
        """Take one step at a learning rate."""
        self.load_draw()
        self.optimizer.lr.fill_(rate)
        if not self.optimizer.begun:
            self.forward_backward()
            self.optimizer.begin()
        elif self.graph is not None:
            self.graph.replay()
        else:
            self.whole_step()
        self.scenes.keep(self.painted, self.noise)
        self.step += 1
        if self.device.type == "cuda" and self.step % LEAD == 0:
            torch.cuda.synchronize()
        if self.step % RENEW == 0:
            self.optimizer.renew()

    def capture(self) -> None:
        """Make the step one CUDA graph, after three plain ones; does nothing on a CPU."""
        if self.device.type != "cuda" or self.graph is not None:
            return
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(4):
                self.run_step(0.0)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.whole_step()
        self.graph = graph

    def gradient_norm(self) -> float:
        """Return the norm of the last step's gradients before they were clipped."""
        return float(self.norm)

    def restart(self) -> None:
        """Begin all sequences anew, with a fresh optimiser that keeps its bases."""
        self.scenes.restart()
        self.optimizer.restart()

    def read_report(self, steps: int) -> dict[str, float]:
        """Return the mean losses since the last call, which was `steps` steps ago."""
        values = (self.report / max(1, steps)).tolist()
        self.report.zero_()
        return dict(zip(self.names, values, strict=True))
