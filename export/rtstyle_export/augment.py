"""Style augmentation for training: pictures of a data set, painted in random styles.

Geirhos et al. 2019 trained on ImageNet in the styles of paintings, so that networks look at shapes
more than at textures; Jackson et al. 2019 drew styles from a distribution. Here they are samples of
the latent space that ships with the network for any style.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from rtstyle.errors import UsageError
from rtstyle.painting.augment import AugmentPainter, Draw, Range, check_strength, draw
from rtstyle.styles.recipe import check_range
from rtstyle.styles.spec import check_seed


class StyleAugment(v2.Transform):  # type: ignore[misc]
    """Paints uint8 RGB pictures in styles drawn at random, with chance `p` for each.

    Takes what transforms of `torchvision.transforms.v2` take: tensors (..., 3, H, W) and
    `tv_tensors.Image`, each picture of a batch with a draw of its own; `tv_tensors.Video`
    (..., T, 3, H, W), each clip in one style; pictures of Pillow in RGB. Size, type and device
    stay; boxes, masks and labels pass through. Put it before `ToDtype` and `Normalize`.

    `strength` is 0 (the picture) to 1 (the painting), or a range to draw it from. With a `seed`,
    call number n of a new transform always draws the same; without one it follows PyTorch's
    generator. In a worker of a `DataLoader` the worker's own seed is mixed in, which differs by
    worker and epoch. Each process opens its own engine at its first picture: workers on one
    thread, others on all cores. Where pictures are painted before workers start, these have to be
    spawned: `DataLoader(..., multiprocessing_context="spawn")`. `size`, which needs a latent space,
    and `device` are those of `rtstyle.Stylizer`.

    Raises `UsageError` for values out of range, and when called with what is not uint8 RGB.
    """

    _transformed_types: ClassVar[tuple[Any, ...]] = (
        lambda value: isinstance(value, Tensor) and not isinstance(value, tv_tensors.TVTensor),
        tv_tensors.Image,
        tv_tensors.Video,
        PIL.Image.Image,
    )

    def __init__(
        self,
        p: float = 0.5,
        strength: float | Range = (0.3, 1.0),
        seed: int | None = None,
        *,
        size: str = "fast",
        device: str = "auto",
    ) -> None:
        super().__init__()
        check_range("A chance", p, (0, 1))
        self.p, self.strength = p, check_strength(strength)
        self.seed = None if seed is None else check_seed(seed)
        self.size, self.device = size, device
        self._calls = 0
        self._painter: tuple[int, AugmentPainter] | None = None

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return the key of this call, from which all of its draws follow."""
        worker = torch.utils.data.get_worker_info()
        if self.seed is None:
            return {"key": str(int(torch.randint(1 << 62, ())))}
        key = f"{self.seed}/{self._calls}" + ("" if worker is None else f"/{worker.seed}")
        self._calls += 1
        return {"key": key}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return one input, painted."""
        key = params["key"]
        if isinstance(inpt, PIL.Image.Image):
            if inpt.mode != "RGB":
                raise UsageError(
                    f"A picture of mode {inpt.mode} is not RGB.", "", "Convert it first."
                )
            image = np.array(inpt)[None]
            self._paint(image, key)
            return PIL.Image.fromarray(image[0])
        check_pictures(inpt)
        clip = 4 if isinstance(inpt, tv_tensors.Video) else 3
        plain = inpt.detach().cpu().as_subclass(Tensor).numpy()
        pictures = plain.reshape(-1, *plain.shape[-clip:])
        # (N, 3, H, W) or (N, T, 3, H, W): N draws. A copy, with channels last for painting.
        images = np.array(np.moveaxis(pictures, -3, -1), order="C")
        self._paint(images, key)
        done = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
        done = done.reshape(inpt.shape).to(inpt.device)
        return tv_tensors.wrap(done, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else done

    # The names of these before torchvision 0.21.
    _get_params, _transform = make_params, transform

    def _paint(self, images: np.ndarray[Any, np.dtype[np.uint8]], key: str) -> None:
        """Paint (N, ..., H, W, 3) in place."""
        for number, image in enumerate(images):
            drawn = draw(f"{key}/{number}", self.strength, self.p)
            if drawn is not None and image.size:
                self._paint_one(image, drawn)

    def _paint_one(self, image: np.ndarray[Any, np.dtype[np.uint8]], drawn: Draw) -> None:
        painter = self._open()
        style = painter.style(drawn.seed)
        for frame in image.reshape(-1, *image.shape[-3:]):
            frame[...] = painter.paint(frame, style, drawn.strength)

    def _open(self) -> AugmentPainter:
        """Return the painter of this process."""
        if self._painter is None or self._painter[0] != os.getpid():
            threads = 0 if torch.utils.data.get_worker_info() is None else 1
            self._painter = (
                os.getpid(),
                AugmentPainter(self.size, device=self.device, threads=threads),
            )
        return self._painter[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the engine behind where the transform goes to another process."""
        return {**self.__dict__, "_painter": None}

    def close(self) -> None:
        """Free the engine; the next picture opens another."""
        if self._painter is not None and self._painter[0] == os.getpid():
            self._painter[1].close()
        self._painter = None


def check_pictures(pictures: Tensor) -> None:
    """Raise `UsageError` unless this is uint8, (..., 3, H, W)."""
    if pictures.dtype != torch.uint8:
        raise UsageError(
            f"Pictures of {pictures.dtype} cannot be painted.",
            "uint8 is needed.",
            "Put StyleAugment before ToDtype and Normalize.",
        )
    if pictures.ndim < 3 or pictures.shape[-3] != 3:
        raise UsageError(f"Pictures have the shape (..., 3, H, W), not {tuple(pictures.shape)}.")
