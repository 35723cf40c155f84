"""Linear transforms of features (Li et al. 2018) by their formulas, trained, exported and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.training import vgg19_state, write_pictures  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rtstyle.engines import open_engine  # noqa: E402
from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.export.linear import export_linear  # noqa: E402
from rtstyle_export.networks.adain_fast import FastAdain, FastPair  # noqa: E402
from rtstyle_export.networks.encoder import Encoder  # noqa: E402
from rtstyle_export.networks.linear import (  # noqa: E402
    MATRIX,
    FastLinear,
    LinearTransform,
    MatrixBranch,
    PaperLinear,
    centred,
    covariance,
    principal,
    whitened_and_coloured,
)
from rtstyle_export.networks.wct import WctDecoder  # noqa: E402
from rtstyle_export.runs.adain_config import AdainConfig, LinearConfig  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import WctConfig  # noqa: E402
from rtstyle_export.train.linear import LinearTrainer  # noqa: E402


def features(channels: int, seed: int, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator)
    plain = torch.randn(1, channels, side * side, generator=generator)
    return (mixing @ plain).view(1, channels, side, side) + 3


def encoder_of() -> Encoder:
    return Encoder(vgg19_state("conv4_1"))


def test_covariances_are_those_of_numpy() -> None:
    x = features(5, 0)
    flat = centred(x)[0][0].flatten(1).numpy()
    np.testing.assert_allclose(covariance(centred(x)[0])[0], np.cov(flat, bias=True), rtol=1e-4)


def test_a_branch_has_the_layers_of_the_paper() -> None:
    """256, 128, 64, 32 at relu3_1 and 512, 256, 128, 32 at relu4_1; then one layer, 1024 wide."""
    for channels in (256, 512):
        branch = MatrixBranch(channels)
        convs = [m for m in branch.convs if isinstance(m, torch.nn.Conv2d)]
        widths = [channels, *(conv.out_channels for conv in convs)]
        assert widths == [channels, channels // 2, channels // 4, 32]
        assert all(conv.kernel_size == (3, 3) for conv in convs)
        assert branch.fc.weight.shape == (1024, 1024, 1, 1)
        assert branch(torch.rand(2, channels, 5, 6)).shape == (2, 32, 32)


def test_the_transform_is_the_product_of_both_matrices_between_compress_and_unzip() -> None:
    torch.manual_seed(0)
    net = LinearTransform(40, 24)
    x, numbers = features(40, 1), torch.randn(1, MATRIX**2)
    with torch.no_grad():
        plain = x - x.mean(dim=(2, 3), keepdim=True)
        product = numbers.view(32, 32) @ net.content(plain)[0]
        small = net.compress(plain)[0].flatten(1)
        wanted = net.unzip((product @ small).view(1, 32, 12, 12))
        torch.testing.assert_close(net(x, numbers), wanted)
        # Numbers are linear in the style: so are blends.
        other = torch.randn(1, MATRIX**2)
        both = net.moved(x, 0.3 * numbers + 0.7 * other)
        parts = 0.3 * net.moved(x, numbers) + 0.7 * net.moved(x, other)
        torch.testing.assert_close(both, parts, rtol=1e-3, atol=1e-3)


def test_whitening_and_colouring_gives_the_covariance_of_the_style() -> None:
    content, style = (centred(features(6, seed, 40))[0] for seed in (2, 3))
    found = whitened_and_coloured(content, style)
    torch.testing.assert_close(covariance(found), covariance(style), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(
        whitened_and_coloured(content, content), content, rtol=1e-3, atol=1e-3
    )


def test_a_basis_of_principal_components_keeps_what_varies_most() -> None:
    x = features(48, 4, 30) * torch.linspace(3, 0.01, 48).view(1, -1, 1, 1)
    basis = principal([x])
    torch.testing.assert_close(basis.T @ basis, torch.eye(MATRIX), rtol=0, atol=1e-5)
    net = LinearTransform(48, 48)
    net.begin_with(basis)
    plain = centred(x)[0]
    with torch.no_grad():
        back = net.unzip(net.compress(plain))
    lost = float((back - plain).square().sum() / plain.square().sum())
    values = torch.linalg.eigvalsh(covariance(plain)[0].double())
    assert lost == pytest.approx(float(values[:16].sum() / values.sum()), rel=1e-2)


def test_the_network_of_the_paper_is_encoder_transform_and_decoder() -> None:
    torch.manual_seed(1)
    net = PaperLinear(encoder_of(), "relu3_1").eval()
    assert net.numbers == 1024 + 256 + 6
    photo, numbers = torch.rand(1, 3, 32, 40) * 2 - 1, torch.rand(1, net.numbers)
    with torch.no_grad():
        own = net.encoder(photo)["relu3_1"]
        styled = net.transform(own, numbers[:, :1024]) + numbers[:, 1024:-6, None, None]
        painted = net.decoder(styled)
        found = net(photo, numbers, torch.ones(1))
    # Its end gives it the painting's colours.
    mean, std = numbers[0, -6:].chunk(2)
    torch.testing.assert_close(found.mean(dim=(2, 3))[0], mean, rtol=1e-3, atol=1e-3)
    spread = painted.var(dim=(2, 3), correction=0)[0]
    expected = std * (spread / (spread + 2.5e-3)).sqrt()
    torch.testing.assert_close(found.std(dim=(2, 3), correction=0)[0], expected, rtol=1e-2, atol=0)


def test_the_small_network_begins_as_the_one_for_adain() -> None:
    torch.manual_seed(2)
    plain, linear = FastAdain().eval(), FastLinear().eval()
    linear.load_state_dict(plain.state_dict(), strict=False)
    numbers = torch.randn(1, plain.numbers) * 0.3
    photo = torch.rand(1, 3, 48, 64) * 2 - 1
    with torch.no_grad():
        wanted = plain(photo, numbers, torch.ones(1))
        more = torch.cat([torch.randn(1, MATRIX**2), numbers], dim=1)
        torch.testing.assert_close(linear(photo, more, torch.ones(1)), wanted)
        linear.transform.unzip.weight.normal_()
        assert not torch.allclose(linear(photo, more, torch.ones(1)), wanted, atol=0.05)
        # At strength 0 it gives the photo back as the other does.
        none = torch.zeros(1)
        torch.testing.assert_close(linear(photo, more, none), plain(photo, numbers, none))


def write_place(folder: Path) -> Path:
    write_pictures(folder / "photos", 3, 0)
    write_pictures(folder / "paintings", 3, 5, (20, 24))
    save_file(vgg19_state("conv4_1"), folder / "vgg19.safetensors")
    torch.manual_seed(3)
    pair = FastPair()
    scales = {
        f"scales.{n}": torch.ones(conv.out_channels) for n, conv in enumerate(encoder_of().layers())
    }
    Checkpoint(AdainConfig(size="fast"), 1, {**pair.state_dict(), **scales}, None, 0, {}).save(
        folder / "adain.pt"
    )
    decoder = WctDecoder(3)
    Checkpoint(WctConfig(level=3), 1, {**decoder.state_dict(), **scales}, None, 0, {}).save(
        folder / "wct-3.pt"
    )
    return folder


def trainer_of(place: Path, size: str, start: str, **options: object) -> LinearTrainer:
    known: dict[str, object] = {
        "size": size, "crop": 64, "margin": 0, "steps": 30, "warmup": 2, "scaled_on": 3,
        "feature_steps": 24, "layer": "relu3_1", "learning_rate": 1e-3,
    }  # fmt: skip
    config = LinearConfig(**{**known, **options})  # type: ignore[arg-type]
    return LinearTrainer(
        config, place / "photos", place / "paintings", place / f"run-{size}",
        init_from=place / start, vgg_weights=place / "vgg19.safetensors",
    )  # fmt: skip


def test_only_the_transform_is_trained(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    for size, start in (("fast", "adain.pt"), ("paper", "wct-3.pt")):
        run = trainer_of(place, size, start)
        trained = {k for k, value in run.net.named_parameters() if value.requires_grad}
        assert trained
        assert all(".transform." in key for key in trained)


def test_a_start_of_another_form_is_refused(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    for size, start, layer in (
        ("fast", "wct-3.pt", "relu4_1"), ("paper", "adain.pt", "relu3_1"),
        ("paper", "wct-3.pt", "relu4_1"),
    ):  # fmt: skip
        with pytest.raises(TrainingError, match="cannot start from this"):
            trainer_of(place, size, start, layer=layer)


@pytest.mark.slow
def test_steps_on_features_come_near_whitening_and_colouring_and_files_paint(
    tmp_path: Path,
) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, "paper", "wct-3.pt", steps=42, feature_steps=40)
    rows: list[dict[str, float]] = []
    assert run.run(lambda progress: rows.append(progress.losses))
    near = [row["feature"] for row in rows if "feature" in row]
    assert len(near) == 40
    assert np.mean(near[-5:]) < 0.8 * near[0]
    assert {"content", "style"} <= set(rows[-1])
    pictures = [np.random.default_rng(n).integers(0, 256, (64, 80, 3), np.uint8) for n in (0, 1)]
    files = export_linear(
        Checkpoint.load(run.path), tmp_path / "files", pictures=pictures,
        vgg_weights=place / "vgg19.safetensors",
    )  # fmt: skip
    assert [file.name for file in files] == [
        "any-paper-linear-style.onnx", "any-paper-linear-content.onnx"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_file_of_the_small_network_runs_in_int8_too(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, "fast", "adain.pt", steps=2)
    assert run.run()
    pictures = [np.random.default_rng(n).integers(0, 256, (64, 80, 3), np.uint8) for n in (0, 1)]
    _, content = export_linear(
        Checkpoint.load(run.path), tmp_path / "files", pictures=pictures,
        vgg_weights=place / "vgg19.safetensors",
    )  # fmt: skip
    feed = {
        "statistics": np.zeros((1, FastLinear().numbers), np.float32),
        "strength": np.ones(1, np.float32),
    }
    with open_engine(content, "cpu", precision="fp32") as engine:
        assert engine.run(pictures[0][None], feed).shape == (1, 64, 80, 3)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layer": "relu2_1"}, "relu3_1 or relu4_1"),
        ({"skips_only": True}, "transform adain"),
        ({"stability_weight": 3.0}, "transform adain"),
        ({"feature_steps": -1}, "feature-steps"),
    ],
)
def test_options_that_do_not_work_are_named(options: dict[str, object], why: str) -> None:
    with pytest.raises(TrainingError, match=why):
        LinearConfig(**options).check()  # type: ignore[arg-type]
