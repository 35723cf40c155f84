"""Whitening and colouring against Li et al. 2017, and the stylizer on small random networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import pictures
from helpers.wct_files import write_wct
from numpy.typing import NDArray

from rtstyle.errors import EngineError, StyleError, UsageError
from rtstyle.painting.wct import stylizer, transform
from rtstyle.painting.wct.models import WctModels, available, cut
from rtstyle.painting.wct.stylizer import WctStylizer, extend, fit, shrink
from rtstyle.painting.wct.transform import Moments, moments


def features(channels: int, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Correlated, positive, as activations are."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels)) / np.sqrt(channels)
    x = mixing @ rng.normal(size=(channels, height * width))
    return np.maximum(x + 0.3, 0.05 * x).reshape(channels, height, width).astype(np.float32)


def photo(height: int = 64, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    return pictures.photo(height, width, seed)


class TestFormulas:
    def test_the_result_has_covariance_and_mean_of_the_style(self) -> None:
        content, style = features(24, 40, 50), features(24, 30, 30, 1) * 2 + 1
        wanted, found = moments(style), moments(transform.wct(content, style))
        assert np.abs(found.covariance - wanted.covariance).max() < 1e-3
        assert np.abs(found.mean - wanted.mean).max() < 1e-4

    def test_alpha_0_changes_nothing(self) -> None:
        content = features(8, 12, 12)
        assert np.array_equal(transform.wct(content, features(8, 9, 9, 1), 0.0), content)
        untouched = transform.transform(moments(content), moments(features(8, 9, 9, 1)), 0.0)
        assert np.array_equal(untouched(content), content)

    def test_alpha_mixes_as_equation_4(self) -> None:
        content, style = features(8, 12, 12), features(8, 9, 9, 1)
        half = transform.wct(content, style, 0.25)
        assert np.allclose(half, 0.25 * transform.wct(content, style) + 0.75 * content, atol=1e-4)

    def test_whitened_features_are_uncorrelated(self) -> None:
        content = features(16, 40, 40)
        found = moments(content)
        flat = (content.reshape(16, -1) - found.mean[:, None]).astype(np.float64)
        white = transform.whitening(found.covariance) @ flat
        assert np.allclose(white @ white.T / white.shape[1], np.eye(16), atol=1e-3)

    def test_its_own_style_changes_nothing(self) -> None:
        content = features(12, 30, 30)
        assert np.allclose(transform.wct(content, content), content, atol=1e-3)

    def test_few_pixels_leave_only_directions_that_they_tell(self) -> None:
        content, style = features(64, 3, 4), features(64, 20, 20, 1)
        values, vectors = transform.spectrum(moments(content).covariance)
        assert len(values) == 11
        assert vectors.shape == (64, 11)
        made = transform.wct(content, style)
        assert np.isfinite(made).all()
        assert np.linalg.matrix_rank(moments(made).covariance, tol=1e-4) == 11
        assert np.allclose(moments(made).mean, moments(style).mean, atol=1e-3)

    def test_a_rank_deficient_style_keeps_its_rank(self) -> None:
        style = features(16, 20, 20, 1)
        style[8:] = style[:8]
        made = transform.wct(features(16, 30, 30), style)
        assert np.allclose(made[8:], made[:8], atol=1e-3)
        wanted = moments(style).covariance
        assert np.abs(moments(made).covariance - wanted).max() < 1e-3

    @pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
    def test_flat_pictures_take_the_mean(self, value: float) -> None:
        flat, other = np.full((6, 8, 8), value, np.float32), features(6, 8, 8)
        painted = transform.wct(flat, other)
        assert np.allclose(painted, moments(other).mean[:, None, None], atol=1e-3)
        assert np.allclose(transform.wct(other, flat), value, rtol=1e-4, atol=1e-3)

    def test_one_position_is_enough(self) -> None:
        one = features(6, 1, 1)
        assert np.allclose(transform.wct(features(6, 8, 8), one), one, atol=1e-3)
        assert np.isfinite(transform.wct(one, features(6, 8, 8))).all()

    def test_a_mixture_is_the_sum_of_the_transformed(self) -> None:
        content = features(8, 20, 20)
        styles = [features(8, 15, 15, seed) * seed for seed in (1, 2)]
        maps = [transform.transform(moments(content), moments(style)) for style in styles]
        mixed = transform.blend(maps, [0.3, 0.7], 0.5)(content)
        first, second = (transform.wct(content, style) for style in styles)
        assert np.allclose(mixed, 0.5 * content + 0.15 * first + 0.35 * second, atol=1e-3)

    def test_moments_of_parts_add_up(self) -> None:
        whole = features(8, 20, 30) + 100
        added = moments(whole[:, :7]) + moments(whole[:, 7:])
        wanted = moments(whole)
        assert added.count == wanted.count
        assert np.allclose(added.mean, wanted.mean, rtol=1e-5)
        assert np.allclose(added.covariance, wanted.covariance, atol=1e-3)

    def test_masks_count_positions(self) -> None:
        x = features(8, 20, 30)
        mask = np.zeros((20, 30), np.float32)
        mask[:, :11] = 1
        found, wanted = moments(x, mask), moments(np.ascontiguousarray(x[:, :, :11]))
        assert found.count == wanted.count
        assert np.allclose(found.covariance, wanted.covariance, atol=1e-4)
        soft, twice = moments(x, mask * 0.5), moments(x, mask)
        assert np.allclose(soft.covariance, twice.covariance, atol=1e-5)

    def test_an_empty_region_is_no_trouble(self) -> None:
        x = features(4, 8, 8)
        empty = moments(x, np.zeros((8, 8), np.float32))
        assert empty.count == 0
        assert np.isfinite(transform.transform(empty, moments(x))(x)).all()
        assert (empty + moments(x)).count == 64
        assert isinstance(empty + empty, Moments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wct(tmp_path_factory.mktemp("wct"))


@pytest.fixture(scope="module")
def painter(folder: Path) -> Iterator[WctStylizer]:
    with WctStylizer(folder=folder, alphas=0.7, threads=1) as made:
        yield made


class TestModels:
    def test_a_level_is_encoded_as_by_the_whole_encoder(self, folder: Path) -> None:
        with WctModels(folder, threads=1) as models:
            assert models.levels == (1, 2, 3)
            image = photo(64, 80)
            every = models.encode(image, (3, 1, 2))
            assert [x.shape for x in every] == [(16, 16, 20), (8, 64, 80), (12, 32, 40)]
            assert np.array_equal(models.encode(image, (2,))[0], every[2])
            assert models.decode(every[0], 3).shape == image.shape

    def test_shallow_levels_do_not_compute_the_deep_ones(self, folder: Path) -> None:
        import onnx

        whole = onnx.load(str(folder / "wct-encoder.onnx"))
        small = onnx.load_from_string(cut(whole, ["relu1_1"]))
        assert len(small.graph.node) < len(whole.graph.node)
        assert len(small.graph.initializer) < len(whole.graph.initializer)
        onnx.checker.check_model(small, full_check=True)
        with pytest.raises(EngineError, match="does not reach relu5_1"):
            cut(whole, ["relu5_1"])

    def test_what_is_not_there(self, folder: Path, tmp_path: Path) -> None:
        assert available(tmp_path) == ()
        with pytest.raises(UsageError, match="levels with a decoder here are 1, 2, 3"):
            WctStylizer([4], folder=folder)
        with pytest.raises(UsageError, match="Train it with"):
            WctStylizer([5], folder=folder)
        with pytest.raises(UsageError, match="No level"):
            WctStylizer(folder=tmp_path)
        with pytest.raises(StyleError, match="nothing of this method"):
            WctModels().encode(photo(), (1,))

    def test_damaged_files(self, tmp_path: Path) -> None:
        (tmp_path / "wct-encoder.onnx").write_bytes(b"no model")
        with WctModels(tmp_path) as models, pytest.raises(EngineError):
            models.encode(photo(), (1,))


class TestStylizer:
    @pytest.mark.parametrize("size", [(64, 80), (33, 47), (1, 1), (5, 200)])
    def test_any_size(self, painter: WctStylizer, size: tuple[int, int]) -> None:
        style = painter.learn(photo(50, 30, 1), size)
        painted = painter(photo(*size), [[(style, 1.0)]])
        assert painted.shape == (*size, 3)
        assert painted.dtype == np.uint8
        assert painted.flags.c_contiguous

    def test_alpha_0_is_the_autoencoder(self, folder: Path) -> None:
        image = photo(64, 80)
        with WctStylizer([2], 0.0, folder=folder, threads=1) as plain:
            style = plain.learn(photo(50, 30, 1), (64, 80))
            wanted = plain.models.decode(plain.models.encode(image, (2,))[0], 2)
            assert np.array_equal(plain(image, [[(style, 1.0)]]), wanted)

    def test_levels_go_from_coarse_to_fine(self, painter: WctStylizer) -> None:
        style = painter.learn(photo(50, 30, 1), (64, 80))
        seen: list[int] = []
        shown: list[NDArray[np.uint8]] = []

        def note(level: int, image: NDArray[np.uint8]) -> None:
            seen.append(level)
            shown.append(image.copy())

        painted = painter(photo(), [[(style, 1.0)]], on_level=note)
        assert seen == [3, 2, 1]
        assert np.array_equal(shown[-1], painted)

    def test_the_result_nears_the_moments_of_the_style(self, folder: Path) -> None:
        with WctStylizer([1], 1.0, folder=folder, threads=1) as one:
            style = one.learn(photo(50, 30, 1), (64, 80))
            image = extend(photo())
            encoded = one.models.encode(image, (1,))[0]
            made = transform.transform(moments(encoded), style.moments[1])(encoded)
            assert np.abs(moments(made).covariance - style.moments[1].covariance).max() < 1e-3

    def test_tiles_show_no_seam(
        self, painter: WctStylizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = photo(230, 340)
        whole = painter.learn(photo(300, 200, 1), (230, 340))
        wanted = painter(image, [[(whole, 1.0)]])
        monkeypatch.setattr(stylizer, "TILE", 64)
        style = painter.learn(photo(300, 200, 1), (230, 340))
        found = painter(image, [[(style, 1.0)]])
        # Three levels amplify a single rounded pixel; a seam would be far larger.
        difference = np.abs(found.astype(int) - wanted)
        assert difference.max() <= 8
        assert difference.mean() < 0.2

    def test_masks_give_each_style_its_part(self, painter: WctStylizer) -> None:
        image, size = photo(64, 96), (64, 96)
        first, second = (painter.learn(photo(50, 40, seed), size) for seed in (1, 2))
        left = np.zeros((2, *size), np.float32)
        left[0, :, :48], left[1, :, 48:] = 1, 1
        painted = painter(image, [[(first, 1.0)], [(second, 1.0)]], left)
        same = painter(image, [[(first, 1.0)], [(first, 1.0)]], left)
        difference = np.abs(painted.astype(int) - same)
        # Not zero: the finer levels see what was painted across the edge.
        assert difference[:, :36].mean() < 0.2 * difference[:, 60:].mean()

    def test_one_mask_over_everything_changes_nothing(self, painter: WctStylizer) -> None:
        image, size = photo(64, 96), (64, 96)
        style = painter.learn(photo(50, 40, 1), size)
        masked = painter(image, [[(style, 1.0)]], np.ones((1, *size), np.float32))
        plain = painter(image, [[(style, 1.0)]])
        assert np.abs(masked.astype(int) - plain).mean() < 0.2

    def test_a_mixture_lies_between(self, painter: WctStylizer) -> None:
        size = (64, 80)
        first, second = (painter.learn(photo(50, 40, seed), size) for seed in (1, 2))
        ends = [painter(photo(), [[(style, 1.0)]]) for style in (first, second)]
        mixed = painter(photo(), [[(first, 0.5), (second, 0.5)]])
        assert not np.array_equal(mixed, ends[0])
        assert not np.array_equal(mixed, ends[1])
        assert np.array_equal(painter(photo(), [[(first, 1.0), (second, 0.0)]]), ends[0])

    def test_texture_from_noise(self, painter: WctStylizer) -> None:
        style = painter.learn(photo(50, 40, 1), (48, 64))
        made = painter.texture([(style, 1.0)], 48, 64, seed=3, passes=1)
        assert made.shape == (48, 64, 3)
        assert np.array_equal(made, painter.texture([(style, 1.0)], 48, 64, seed=3, passes=1))
        assert not np.array_equal(made, painter.texture([(style, 1.0)], 48, 64, 4, 1))

    def test_bad_use(self, painter: WctStylizer, folder: Path) -> None:
        style = painter.learn(photo(50, 40, 1), (64, 80))
        with pytest.raises(UsageError, match="one mask each"):
            painter(photo(), [[(style, 1.0)], [(style, 1.0)]])
        with pytest.raises(UsageError, match="not 0 to 1"):
            WctStylizer([1, 2], {2: 1.5}, folder=folder)
        with pytest.raises(UsageError, match="out of range"):
            painter.learn(photo(), (64, 80), 9.0)
        with pytest.raises(UsageError, match="empty"):
            painter(np.zeros((0, 4, 3), np.uint8), [[(style, 1.0)]])

    def test_the_style_is_scaled_to_the_photo(self) -> None:
        assert fit(photo(200, 100), 100).shape == (100, 50, 3)
        assert fit(photo(1, 1000), 64).shape == (1, 64, 3)

    def test_shrunk_masks_are_means(self) -> None:
        mask = np.arange(32, dtype=np.float32).reshape(4, 8)
        assert shrink(mask, 4).tolist() == [[13.5, 17.5]]
        assert extend(photo(20, 50)).shape == (32, 64, 3)
