"""Training of AdaIN networks, on generated pictures and a random VGG-19."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from helpers import console, wct_runs  # noqa: E402
from helpers.adain_runs import make, material  # noqa: E402
from helpers.training import write_pictures  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.data import read_picture, to_tensor  # noqa: E402
from rtstyle_export.export.wct_onnx import load_run  # noqa: E402
from rtstyle_export.maths.losses import AdainLoss, AdainLossSpec, Blends  # noqa: E402
from rtstyle_export.networks.adain import blend, by_layer, painting_statistics  # noqa: E402
from rtstyle_export.networks.encoder import STYLE_LAYERS  # noqa: E402
from rtstyle_export.runs.adain_config import AdainConfig  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.train.adain import Pairs, less  # noqa: E402
from rtstyle_export.train.wct import WctTrainer  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("adain"))


def test_pairs_are_a_function_of_their_number(place: Path) -> None:
    paths = sorted((place / "photos").iterdir())
    pairs = Pairs(paths, paths, 64, 3)
    again = Pairs(paths, paths, 64, 3)
    assert torch.equal(pairs[7][0], again[7][0])
    assert torch.equal(pairs[7][1], again[7][1])
    assert not torch.equal(pairs[7][0], pairs[7][1])


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_one_pair_is_learnt(tmp_path: Path, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = material(tmp_path)
    for seed, folder in enumerate(("photos", "paintings")):
        write_pictures(place / folder, 3 - seed, seed, blobs=(3, 2))
    run = make(place, f"falls-{size}", size=size, steps=16, warmup=1, stability_weight=0.0,
               unpainted=0.0, learning_rate=1e-3, seed=1)  # fmt: skip
    pairs = [run.dataset()[0]] * 16
    monkeypatch.setattr(run, "dataset", lambda: pairs)
    totals: list[float] = []
    run.run(lambda progress: totals.append(progress.losses["total"]))
    assert sum(totals[-3:]) < 0.5 * sum(totals[:3])


@pytest.mark.slow
def test_only_what_joins_the_decoder_is_trained_if_asked(place: Path) -> None:
    whole = make(place, "whole", size="paper", steps=1)
    whole.save()
    run = make(place, "skips", size="paper", steps=2, skips_only=True, init_from=whole.path)
    before = {key: value.clone() for key, value in run.weights().items()}
    run.run()
    changed = {key for key, value in run.weights().items() if not torch.equal(before[key], value)}
    assert changed == {f"net.skips.{k}.weight" for k in range(3)}


@pytest.mark.parametrize(("size", "why"), [("fast", "size paper"), ("paper", "--init-from")])
def test_what_cannot_be_joined_is_told(place: Path, size: str, why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        make(place, f"no-{size}", size=size, skips_only=True)


def test_blends_lie_between_their_paintings(place: Path) -> None:
    run = make(place, "shares", blended=0.5, batch=2)
    shares = torch.cat([run._shares(2, torch.Generator().manual_seed(i)) for i in range(200)])
    assert torch.allclose(shares.sum(dim=1), torch.ones(400))
    assert 0.4 < float((shares[:, 0] < 1).float().mean()) < 0.6
    known = torch.stack([run._statistics(torch.full((1, 3, 64, 64), x)) for x in (0.0, 0.8)], dim=1)
    mixed = blend(known, torch.tensor([[0.25, 0.75]]))
    assert torch.allclose(mixed[:, -6:-3], torch.full((1, 3), 0.6), atol=1e-5)
    for layer, (mean, _) in by_layer(mixed).items():
        ends = [by_layer(known[:, k])[layer][0] for k in range(2)]
        assert torch.allclose(mean, 0.25 * ends[0] + 0.75 * ends[1], atol=1e-4), layer


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_a_blend_wants_the_statistics_between(place: Path, size: str) -> None:
    """With the share of the own painting drawn as 0, the target is the batch's other painting."""
    run = make(place, f"blend-{size}", size=size, batch=2, unpainted=0.0, stability_weight=0.0)
    data, generators = run.dataset(), [torch.Generator().manual_seed(5) for _ in range(2)]
    photos, paintings = (torch.stack(x) for x in zip(data[0], data[1], strict=True))
    found = []
    for own, order in ((0.0, [0, 1]), (1.0, [1, 0])):
        shares = torch.tensor([[own, 1 - own]] * 2)
        run._shares = lambda *_, shares=shares: shares  # type: ignore[method-assign]
        found.append(run.losses([photos, paintings[order]], generators.pop())[0])
    assert torch.allclose(*found, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["fast", "paper"])
def test_a_resumed_run_ends_as_an_unbroken_one(place: Path, size: str) -> None:
    whole = make(place, f"whole-{size}", size=size)
    whole.run()
    broken = make(place, f"broken-{size}", size=size)
    broken.run(should_stop=lambda: broken.step == 2)
    resumed = make(place, f"broken-{size}", size=size)
    assert resumed.step == 2
    resumed.run()
    for key, value in whole.weights().items():
        assert torch.allclose(value, resumed.weights()[key], atol=1e-6), key


@pytest.mark.slow
def test_a_checkpoint_holds_no_vgg(place: Path) -> None:
    run = make(place, "slim", size="paper", steps=1)
    run.run()
    found = Checkpoint.load(run.path)
    assert isinstance(found.config, AdainConfig)
    assert not any("encoder" in key for key in found.model)
    assert sum(key.startswith("scales.") for key in found.model) == 9


@pytest.mark.slow
def test_the_small_one_learns_from_the_papers(place: Path) -> None:
    teacher = make(place, "teacher", size="paper", steps=1)
    teacher.run()
    run = make(place, "pupil", teacher=teacher.path, steps=1)
    losses: list[dict[str, float]] = []
    run.run(lambda progress: losses.append(progress.losses))
    assert losses[0]["distil"] > 0
    assert {"content", "style", "tv", "stability", "total"} <= losses[0].keys()
    with pytest.raises(TrainingError, match="not a checkpoint of the size paper"):
        make(place, "wrong", teacher=run.path)


@pytest.mark.slow
def test_it_starts_from_the_decoder_of_wct(place: Path) -> None:
    """In 8 bits as that is stored, so that files can share its weights."""
    level = wct_runs.make(WctTrainer, place, "wct/4", level=4, steps=1, weight_bits=8)
    level.run()
    run = make(place, "from-wct", size="paper", steps=1, skips_only=True, init_from=level.path)
    for scale, other in zip(run.scales, level.scales, strict=True):
        assert torch.equal(scale, other)
    run.run()
    assert all(float(skip.weight.detach().abs().sum()) > 0 for skip in run.net.net.skips)
    _, stored = load_run(level.path)
    for key, value in run.net.net.decoder.state_dict().items():
        assert torch.equal(value, stored.state_dict()[key]), key
    with pytest.raises(TrainingError, match="from a wct network"):
        make(place, "fast-from-wct", size="fast", init_from=level.path)


@pytest.mark.slow
def test_starting_from_another_size_is_refused(place: Path) -> None:
    first = make(place, "first", steps=1)
    first.run()
    second = make(place, "second", init_from=first.path)
    assert torch.equal(second.net.net.stem.weight, first.net.net.stem.weight)
    with pytest.raises(TrainingError, match="Choose the same --size"):
        make(place, "third", size="paper", init_from=first.path)


@pytest.mark.slow
def test_the_loss_is_zero_where_it_should_be(place: Path) -> None:
    run = make(place, "zero", size="paper")
    assert isinstance(run.loss, AdainLoss)
    photo = to_tensor(read_picture(place / "photos" / "0.png", 64))
    style = by_layer(run._statistics(photo))
    assert list(style) == list(STYLE_LAYERS)
    target = run.loss.target(photo, style, torch.ones(1))
    terms = run.loss.terms(photo, target, style, torch.ones(1))
    assert float(terms["content"]) == pytest.approx(0, abs=1e-5)
    assert float(terms["style"]) == pytest.approx(0, abs=1e-5)
    painting = to_tensor(read_picture(place / "paintings" / "1.png", 64))
    other = by_layer(run._statistics(painting))
    assert float(run.loss.terms(photo, target, other, torch.ones(1))["style"]) > 0.01
    assert float(run.loss.terms(photo, target, other, torch.zeros(1))["style"]) == 0


def test_blends_that_come_no_nearer_cost(place: Path) -> None:
    run = make(place, "order", batch=2)
    ends = [by_layer(run._statistics(torch.full((1, 3, 64, 64), x))) for x in (-0.5, 0.5)]

    def mixed(share: float) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        parts = zip(*(end.items() for end in ends), strict=True)
        return {
            layer: tuple(share * x + (1 - share) * y for x, y in zip(a, b, strict=True))
            for (layer, a), (_, b) in parts
        }

    def pairs(*shown: dict) -> dict:
        """Statistics of two pictures, the one with the larger share first."""
        return {
            k: tuple(map(torch.cat, zip(*(s[k] for s in shown), strict=True))) for k in shown[0]
        }

    def order(larger: float, smaller: float, said: tuple[float, float] = (1.0, 0.75)) -> float:
        shares = torch.tensor([[share, 1 - share] for share in said])
        blends = Blends(shares, (pairs(ends[0], ends[0]), pairs(ends[1], ends[1])))
        assert isinstance(run.loss, AdainLoss)
        return float(run.loss.order(pairs(mixed(larger), mixed(smaller)), blends))

    # As exact mixtures do, and even those that overdo it.
    assert order(1.0, 0.75) == 0
    assert order(0.5, 0.25, (0.5, 0.25)) == 0
    assert order(1.0, 0.5) == 0
    # Equal pictures lack all that is asked for, half of an exact mixture's gain, on both sides.
    apart = [float(run.loss.distance(ends[1 - k], ends[k])) for k in range(2)]
    wanted = 0.5 * (apart[0] / 16 + apart[1] * 7 / 16)
    assert order(1.0, 1.0) == pytest.approx(wanted, rel=1e-4)
    assert order(0.75, 1.0) > wanted


@pytest.mark.slow
def test_training_paints_every_photo_as_two_blends(place: Path) -> None:
    run = make(place, "twice", batch=2, loss=AdainLossSpec(order_weight=5.0), unpainted=0.0)
    seen: list[dict[str, float]] = []
    assert run.run(lambda progress: seen.append(progress.losses))
    assert {"order", "stability"} <= seen[0].keys()
    shares = torch.tensor([[1.0, 0.0], [0.1, 0.9]])
    torch.testing.assert_close(less(shares), torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    with pytest.raises(TrainingError, match="batch of at least 2"):
        make(place, "alone", batch=1, loss=AdainLossSpec(order_weight=5.0))


@pytest.mark.slow
def test_the_quick_encoder_is_the_same(place: Path) -> None:
    run = make(place, "quick", size="paper")
    picture = to_tensor(read_picture(place / "photos" / "1.png", 64))
    plain = run._encoder(run.scales)(picture)
    quick = run.net.net.encoder
    assert quick.quick
    for layer, wanted in plain.items():
        difference = (quick(picture)[layer] - wanted).abs()
        # Winograd rounds a little more; a wrong border would be as large as the values.
        assert float(difference.max()) < 0.01 * float(wanted.max()), layer
        assert float(difference[..., 0].max()) < 0.01 * float(wanted.max()), layer
    assert painting_statistics(picture, plain).shape == (1, 1926)


command = partial(console.command, "train-adain")


@pytest.mark.slow
def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "out"
    words = [place / "photos", place / "paintings", "--size", "fast", "--crop", 64, "--margin", 8]
    rest = ["--vgg-weights", place / "vgg19.safetensors", "--out", out, "--steps", 2, "--batch", 1]
    assert command(*words, *rest, "--preview-every", 1) == 0
    assert "Finished after 2 steps" in capsys.readouterr().out
    assert (out / "preview.png").is_file()
    assert list((out / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "huge"], "size is one of"),
        (["--crop", "30"], "multiple of 4"),
        (["--precision", "fp8"], "precision"),
    ],
)
def test_bad_options_are_one_line(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ["--vgg-weights", place / "vgg19.safetensors", "--out", place / "bad"]
    assert command(place / "photos", place / "paintings", *weights, *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_folders_that_are_not_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = ["--vgg-weights", place / "vgg19.safetensors", "--out", place / "none"]
    assert command(place / "photos", place / "nowhere", *weights) == 2
    assert "is not a folder" in capsys.readouterr().err
