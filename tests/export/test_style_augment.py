"""`StyleAugment` as training uses it: batches, clips, boxes, workers."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.pictures import photo
from PIL import Image as Pil

from rtstyle.errors import UsageError
from rtstyle.painting.augment import AugmentPainter, draw
from rtstyle.styles.manifest import FOLDER_VARIABLE

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torch.utils.data import DataLoader, Dataset  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from rtstyle_export.augment import StyleAugment  # noqa: E402

CPU = "onnxruntime:cpu"


@pytest.fixture(autouse=True)
def _own_styles(sampled_styles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(sampled_styles))


def batch(count: int = 3, height: int = 32, width: int = 64) -> Any:
    images = np.stack([photo(height, width, seed=n) for n in range(count)])
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def augment(p: float = 1.0, strength: Any = 1.0, seed: int | None = 0) -> StyleAugment:
    return StyleAugment(p, strength, seed, device=CPU)


def test_each_picture_of_a_batch_is_painted_by_its_own_draw() -> None:
    images = batch()
    painted = augment(strength=(0.3, 1.0), seed=4)(images)
    assert painted.shape == images.shape
    assert painted.dtype == torch.uint8
    with AugmentPainter(device=CPU) as painter:
        for number, (before, after) in enumerate(zip(images, painted, strict=True)):
            drawn = draw(f"4/0/{number}", (0.3, 1.0))
            assert drawn is not None
            image = before.permute(1, 2, 0).numpy()
            wanted = painter.paint(image, painter.style(drawn.seed), drawn.strength)
            assert np.array_equal(after.permute(1, 2, 0).numpy(), wanted)


def test_the_seed_decides_and_calls_differ() -> None:
    images = batch(2)
    first, second, other = augment(seed=1), augment(seed=1), augment(seed=2)
    one = first(images)
    assert torch.equal(one, second(images))
    assert not torch.equal(one, first(images))
    assert not torch.equal(one, other(images))


def test_without_a_seed_it_follows_the_generator_of_pytorch() -> None:
    images, transform = batch(1), augment(seed=None)
    torch.manual_seed(3)
    one, two = transform(images), transform(images)
    torch.manual_seed(3)
    assert torch.equal(transform(images), one)
    assert not torch.equal(one, two)


def test_the_input_is_left_as_it_was_and_p_is_the_share() -> None:
    images = batch(40, 16, 16)
    kept = images.clone()
    painted = augment(p=0.5)(images)
    assert torch.equal(images, kept)
    same = sum(torch.equal(a, b) for a, b in zip(images, painted, strict=True))
    assert 5 <= same <= 35
    assert torch.equal(augment(p=0)(images), images)
    assert torch.equal(augment(strength=0.0)(images), images)


def test_labels_and_types_pass_through() -> None:
    boxes = tv_tensors.BoundingBoxes([[1, 2, 9, 8]], format="XYXY", canvas_size=(32, 64))
    mask = tv_tensors.Mask(torch.ones(32, 64, dtype=torch.uint8))
    sample = {
        "image": tv_tensors.Image(batch(1)[0]),
        "boxes": boxes,
        "mask": mask,
        "label": torch.tensor(3),
    }
    done = augment()(sample)
    assert isinstance(done["image"], tv_tensors.Image)
    assert not torch.equal(done["image"], sample["image"])
    for name in ("boxes", "mask", "label"):
        assert done[name] is sample[name]


def test_a_clip_has_one_style() -> None:
    still = batch(1)[0]
    clip = tv_tensors.Video(torch.stack([still] * 3))
    painted = augment()(clip)
    assert isinstance(painted, tv_tensors.Video)
    assert all(torch.equal(frame, painted[0]) for frame in painted)
    several = augment()(torch.stack([still] * 3))
    assert not torch.equal(several[0], several[1])


def test_pictures_of_pillow_and_whole_pipelines() -> None:
    image = Pil.fromarray(photo(32, 64))
    painted = augment()(image)
    assert painted.size == image.size
    assert painted.mode == "RGB"
    pipeline = v2.Compose(
        [v2.RandomCrop(24), augment(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )
    assert pipeline(image).shape == (3, 24, 24)
    with pytest.raises(UsageError, match="not RGB"):
        augment()(image.convert("L"))


@pytest.mark.parametrize("shape", [(1, 16, 16), (16, 16), (4, 16, 16)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="shape"):
        augment()(torch.zeros(shape, dtype=torch.uint8))


def test_floats_are_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="before ToDtype"):
        augment()(torch.zeros(3, 16, 16))


def test_values_out_of_range_are_refused() -> None:
    for wrong in ({"p": 1.5}, {"strength": 2.0}, {"strength": (0.9, 0.1)}, {"seed": -1}):
        with pytest.raises(UsageError):
            StyleAugment(**wrong)


def test_a_copy_for_another_process_has_no_engine() -> None:
    transform = augment()
    images = batch(1)
    one = transform(images)
    copy = pickle.loads(pickle.dumps(transform))
    assert copy._painter is None
    assert repr(copy) == repr(transform)
    transform.close()
    fresh = augment()
    assert torch.equal(fresh(images), one)


class Photos(Dataset):  # type: ignore[type-arg]
    """Pictures with the seed of the worker that painted them."""

    def __init__(self, transform: Any) -> None:
        self.transform, self.images = transform, batch(2)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        worker = torch.utils.data.get_worker_info()
        return self.transform(self.images[index]), 0 if worker is None else worker.seed


def as_worker(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    info = SimpleNamespace(seed=seed, id=0, num_workers=2)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: info)


def test_workers_and_epochs_draw_differently_and_the_same_by_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, found = batch(1), []
    for worker in (5, 6, 5):
        as_worker(monkeypatch, worker)
        found.append(augment(seed=1)(images))
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


@pytest.mark.slow
def test_a_worker_that_was_spawned_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = augment(seed=1)
    transform(batch(1))
    loader = DataLoader(Photos(transform), 2, num_workers=1, multiprocessing_context="spawn")
    (painted, seeds), *_ = list(loader)
    as_worker(monkeypatch, int(seeds[0]))
    again = augment(seed=1)
    again._calls = transform._calls
    assert torch.equal(painted, torch.stack([image for image, _ in Photos(again)]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_that_was_forked_from_a_painter_says_so_in_place_of_hanging() -> None:
    transform = augment(seed=1)
    transform(batch(1))
    loader = DataLoader(Photos(transform), 2, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(Exception, match="was forked from one that had painted"):
        list(loader)
