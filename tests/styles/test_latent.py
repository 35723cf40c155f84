"""Sampled styles: neighbours, random ones, walks; through every command that takes them."""

from __future__ import annotations

import shutil
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers import console
from helpers.any_models import DIMENSIONS, NUMBERS
from helpers.pictures import noise
from PIL import Image as Pil

from rtstyle.commands.options import sampled
from rtstyle.errors import RtstyleError, StyleError, UsageError
from rtstyle.frame import Image
from rtstyle.jobs.grid import sample_sheet
from rtstyle.jobs.video import stylize_video
from rtstyle.live.bank import StyleBank
from rtstyle.live.keys import BINDINGS, KEYS
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.live.session import LiveSession
from rtstyle.painting.stylizer import Stylizer
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.styles import latent, model, paintings
from rtstyle.styles.manifest import FOLDER_VARIABLE
from rtstyle.styles.model import blend_models, resolve_sweep
from rtstyle.styles.recipe import Recipe
from rtstyle.styles.spec import (
    MOST_SEED,
    Mixture,
    as_mixture,
    is_random,
    own_seed,
    parse_style,
    pictures_of,
)

CPU = "onnxruntime:cpu"


@pytest.fixture(autouse=True)
def _own_styles(sampled_styles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(sampled_styles))


@pytest.fixture
def red(tmp_path: Path) -> str:
    image = np.full((64, 64, 3), (200, 60, 60), np.int16)
    image[::2] += 20
    image[1::2] -= 20
    Pil.fromarray(image.astype(np.uint8)).save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


def photo() -> Image:
    return noise(48, 64, low=60, high=180)


def drawn(seed: int, number: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64((seed, number))).standard_normal(DIMENSIONS)


def of_code(code: np.ndarray) -> np.ndarray:
    """What `any_models.sample_model` makes of a code."""
    found = np.ones(NUMBERS)
    found[:DIMENSIONS] += 10 * code
    return found


class TestFormulas:
    def test_a_neighbour_is_drawn_from_the_gaussian_around_the_style(self) -> None:
        vector = np.array([50, 60, 70, 5, 6, 7], np.float32)
        found = latent.neighbour(vector, 0.5, 7, "fast")
        wanted = vector.copy()
        wanted[:DIMENSIONS] += 10 * 2 * 0.5 * np.array([0.5, 1, 1, 1]) * drawn(7)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)

    def test_no_variation_is_the_style_itself(self) -> None:
        vector = np.arange(NUMBERS, dtype=np.float32)
        assert latent.neighbour(vector, 0.0, 7, "nowhere") is vector

    def test_a_random_style_is_a_sample_of_the_prior(self) -> None:
        found = latent.random_vector("random:7", "balanced")
        np.testing.assert_allclose(found, of_code(drawn(7)), rtol=1e-5)
        assert not np.allclose(found, latent.random_vector("random:8", "fast"))
        own = latent.random_vector("random", "fast")
        np.testing.assert_array_equal(own, latent.random_vector(f"random:{own_seed()}", "fast"))

    def test_samples_are_of_the_standard_normal(self) -> None:
        found = np.stack([latent.noise(64, seed) for seed in range(300)])
        assert abs(found.mean()) < 0.03
        assert abs(found.std() - 1) < 0.03

    def test_a_mixture_is_at_the_mean_of_codes_with_the_rest_of_each(self) -> None:
        vectors = np.array([[50, 60, 70, 5, 6, 7], [11, 21, 1, 31, 3, 9]], np.float32)
        space = latent.open_space("fast")
        codes = space.code(vectors)[0]
        rest = vectors - space.vectors(codes)
        found = latent.mixed(vectors, [0.25, 0.75], "fast")
        weights = np.array([0.25, 0.75])
        np.testing.assert_allclose(found, of_code(weights @ codes) + weights @ rest, rtol=1e-4)
        for k in range(2):
            shares = np.eye(2)[k].tolist()
            np.testing.assert_allclose(latent.mixed(vectors, shares, "fast"), vectors[k], rtol=1e-4)

    def test_a_sweep_goes_through_the_space(self, red: str) -> None:
        first, last = resolve_sweep(f"{red}..random:7", "fast")
        ends = np.concatenate([first.statistics, last.statistics])
        middle = blend_models(first, last, 0.3, "fast").statistics
        np.testing.assert_array_equal(middle[0], latent.mixed(ends, [0.7, 0.3], "fast"))
        plain = blend_models(first, last, 0.3, "paper").statistics
        assert not np.allclose(middle, plain)

    def test_a_walk_goes_from_the_style_to_samples(self) -> None:
        start = np.array([50, 60, 70, 5, 6, 7], np.float32)
        walk = latent.Walk(start, 3, "fast")
        np.testing.assert_allclose(walk.at(0), start, atol=1e-4)
        for number in (1, 2, 3):
            np.testing.assert_allclose(walk.at(number), of_code(drawn(3, number)), atol=1e-3)

    def test_halfway_the_code_has_turned_by_an_eighth(self) -> None:
        walk = latent.Walk(np.zeros(NUMBERS, np.float32), 3, "fast")
        wanted = np.sqrt(0.5) * (drawn(3, 4) + drawn(3, 5))
        np.testing.assert_allclose(walk.at(4.5), of_code(wanted), atol=1e-3)

    def test_a_walk_has_no_jump_and_rests_at_its_samples(self) -> None:
        walk = latent.Walk(np.array([50, 60, 70, 5, 6, 7], np.float32), 3, "fast")
        path = [walk.at(place) for place in np.arange(0, 3.001, 0.01)]
        steps = np.array([np.abs(b - a).max() for a, b in pairwise(path)])
        assert steps.max() < 2.5
        for place in (100, 200):
            assert steps[place - 1 : place + 1].max() < 0.1 * steps.max()

    def test_a_walk_stays_as_probable_as_its_samples(self) -> None:
        """Its codes have the variance of the prior at each moment, over many seeds."""
        walks = [latent.Walk(np.zeros(NUMBERS, np.float32), seed, "fast") for seed in range(200)]
        codes = np.stack([(walk.at(1.3)[:DIMENSIONS] - 1) / 10 for walk in walks])
        assert abs(codes.std() - 1) < 0.08


class TestNames:
    def test_what_may_be_sampled(self, red: str) -> None:
        assert parse_style("random:7") == Mixture((("random:7", 1.0),))
        assert parse_style("random") == Mixture(((f"random:{own_seed()}", 1.0),))
        assert parse_style(f"{red}~0.5~7") == Mixture(((red, 1.0),), 0.5, 7)
        assert parse_style("mosaic~.25") == Mixture((("mosaic", 1.0),), 0.25, 0)
        both = parse_style(f"random:3:1,{red}:3~0.5")
        assert both == Mixture((("random:3", 0.25), (red, 0.75)), 0.5, 0)
        assert parse_style(str(both)) == both

    def test_files_with_such_names_are_files(
        self, red: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("random:7", "a.png~0.5"):
            shutil.copyfile(red, tmp_path / name)
            assert parse_style(name) == Mixture(((name, 1.0),))
        assert not is_random("random:7")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("mosaic~3", "variation of 3 is out of range"),
            (f"mosaic~0.5~{MOST_SEED + 1}", "seed of 4294967296"),
            (f"random:{MOST_SEED + 1}", "seed of 4294967296"),
            ("nothere.jpg~0.5", "no picture nothere.jpg"),
            ("some.onnx~0.5", "network for one style"),
            ("randomly", "no style named"),
        ],
    )
    def test_refusals(self, text: str, says: str) -> None:
        with pytest.raises(RtstyleError, match=says):
            parse_style(text)

    def test_no_file_is_read_for_them(self) -> None:
        assert [path for path in pictures_of(["random:7", "mosaic~0.5"]) if path.exists()] == []
        assert not paintings.is_rough("random:7", "fast")

    def test_a_size_without_codes_is_told(self, red: str) -> None:
        for name in ("random:7", f"{red}~0.5"):
            with pytest.raises(StyleError, match=r"sampled at the size paper.* fast"):
                model.resolve(name, "paper")

    def test_a_folder_without_codes_is_told(
        self, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(pretrained_folder))
        assert not latent.available("fast")
        with pytest.raises(StyleError, match="has no codes"):
            model.resolve("random:7", "fast")

    def test_random_styles_have_their_own_scale(self) -> None:
        with pytest.raises(UsageError, match="scale and colours of its own"):
            model.resolve("random:7", "fast", 2.0)


class TestRecipe:
    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"walk": 0.1}, "leg of a walk of 0.1"),
            ({"walk": float("nan")}, "leg of a walk"),
            ({"walk": 20.0, "sweep": "a..b"}, "exclude each other"),
            ({"walk": 20.0, "mask": "m.png"}, "whole picture"),
            ({"walk": 20.0, "match_color": True}, "colours of the picture"),
            ({"seed": -1}, "seed of -1"),
        ],
    )
    def test_what_does_not_go_together(self, settings: dict[str, object], says: str) -> None:
        with pytest.raises(UsageError, match=says):
            Recipe("mosaic", "fast", **settings)  # type: ignore[arg-type]

    def test_a_walk_belongs_to_one_clip(self) -> None:
        assert Recipe("mosaic", walk=20.0).depends_on_clip
        assert not Recipe("mosaic").moves


class TestPainting:
    def test_a_walk_of_a_stylizer(self, red: str) -> None:
        with Stylizer(red, "fast", device=CPU) as plain:
            own = plain(photo())
        with Stylizer(red, "fast", device=CPU, walk=4.0, seed=3) as walk:
            np.testing.assert_array_equal(walk(photo(), at=0.0), own)
            later = walk(photo(), at=4.0)
        assert np.abs(later.astype(int) - own).mean() > 20

    def test_a_walk_begins_at_the_painting_of_a_trained_style(self) -> None:
        with Stylizer("mosaic:1", "fast", device=CPU) as plain:
            own = plain(photo())
        with Stylizer("mosaic", "fast", device=CPU, walk=4.0) as walk:
            np.testing.assert_array_equal(walk(photo()), own)

    def test_a_video_walks(self, red: str, tmp_path: Path) -> None:
        for number in range(5):
            Pil.fromarray(photo()).save(tmp_path / f"in_{number:03d}.png")
        source, out = tmp_path / "in_%03d.png", tmp_path / "out_%03d.png"
        # At 4 frames a second a leg of 0.5 seconds ends with the third frame.
        stylize_video(source, out, red, size="fast", device=CPU, rate=Fraction(4), walk=0.5)
        seen = [np.asarray(Pil.open(file)) for file in sorted(tmp_path.glob("out_*.png"))]
        assert len(seen) == 5
        with Stylizer(red, "fast", device=CPU, walk=0.5) as walk:
            for number, picture in enumerate(seen):
                np.testing.assert_array_equal(picture, walk(photo(), at=number / 4))

    def test_a_sheet_of_neighbours(self, red: str) -> None:
        sheet = sample_sheet(photo(), red, variation=0.5, seed=2, steps=2, device=CPU)
        again = sample_sheet(photo(), red, variation=0.5, seed=2, steps=2, device=CPU)
        other = sample_sheet(photo(), red, variation=0.5, seed=90, steps=2, device=CPU)
        np.testing.assert_array_equal(sheet, again)
        assert not np.array_equal(sheet, other)
        with pytest.raises(UsageError, match="steps"):
            sample_sheet(photo(), red, steps=1)


class TestLive:
    def session(self, bank: StyleBank, clock: list[float], style: str) -> LiveSession:
        studio = Studio(bank, Look(style, "fast"), clock=lambda: clock[0])
        return LiveSession(
            studio, bank, [style, "mosaic"], RecorderSink(None), clock=lambda: clock[0]
        )

    def test_a_walk_moves_the_picture(self, red: str) -> None:
        clock = [0.0]
        with StyleBank(device=CPU, threads=1) as bank:
            session = self.session(bank, clock, red)
            studio = session.studio
            still = studio(photo()).copy()
            session.desk.do("walk 10")
            assert studio.walk == 10
            # The files of the latent space are opened in the background.
            np.testing.assert_array_equal(studio(photo()), still)
            assert bank.wait_idle(60)
            first = studio(photo()).copy()
            np.testing.assert_array_equal(first, still)
            clock[0] = 5.0
            later = studio(photo()).copy()
            assert np.abs(later.astype(int) - first).mean() > 2
            session.desk.do("walk 0")
            np.testing.assert_array_equal(studio(photo()), still)

    def test_no_key_does_two_things(self) -> None:
        assert sum(len(key.keys) for key in KEYS) == len(BINDINGS)

    def test_a_random_style_is_drawn(self, red: str) -> None:
        with StyleBank(device=CPU, threads=1) as bank:
            session = self.session(bank, [0.0], red)
            session.desk.do("random")
            first = session.style
            session.desk.do("random")
            assert is_random(first)
            assert is_random(session.style)
            assert session.style != first

    def test_without_codes_it_is_told(
        self, red: str, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(pretrained_folder))
        with StyleBank(device=CPU, threads=1) as bank:
            session = self.session(bank, [0.0], red)
            for words in ("walk 10", "random"):
                session.desk.do(words)
                assert "cannot be sampled" in session.note()
            assert session.studio.walk == 0
            assert session.style == red


class TestCommands:
    def painted(self, tmp_path: Path, *words: object) -> Image:
        Pil.fromarray(photo()).save(tmp_path / "in.png")
        out = tmp_path / "out.png"
        size = ("--size", "fast", "--device", CPU, "--overwrite")
        assert console.command("image", tmp_path / "in.png", out, *words, *size) == 0
        return np.asarray(Pil.open(out))

    def test_a_photo_like_a_neighbour(self, red: str, tmp_path: Path) -> None:
        near = self.painted(tmp_path, "--style", red, "--vary", 0.5, "--seed", 7)
        again = self.painted(tmp_path, "--style", f"{red}~0.5~7")
        other = self.painted(tmp_path, "--style", red, "--vary", 0.5, "--seed", 8)
        np.testing.assert_array_equal(near, again)
        assert not np.array_equal(near, other)

    def test_very_little_of_a_neighbour_is_no_other_style(self) -> None:
        assert sampled(["a.jpg"], 1e-5, 7) == ("a.jpg~0.00001~7",)
        assert sampled(["a.jpg"], 0.0, 7) == ("a.jpg",)

    def test_a_random_style_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.painted(tmp_path, "--style", "random")
        name = f"random:{own_seed()}"
        assert f"random is {name} this time" in capsys.readouterr().err
        np.testing.assert_array_equal(found, self.painted(tmp_path, "--style", name))
        seeded = self.painted(tmp_path, "--style", "random", "--seed", 12)
        np.testing.assert_array_equal(seeded, self.painted(tmp_path, "--style", "random:12"))

    def test_a_sheet(self, red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Pil.fromarray(photo()).save(tmp_path / "in.png")
        words = (tmp_path / "in.png", red, tmp_path / "sheet.png", "--samples", "--steps", 2)
        assert console.command("grid", *words, "--device", CPU) == 0
        assert (tmp_path / "sheet.png").is_file()
        two = (tmp_path / "in.png", red, red, tmp_path / "two.png", "--samples")
        assert console.command("grid", *two) == 2
        assert "--samples takes one style or four, not 2" in capsys.readouterr().err

    def test_a_slice_between_four_styles(self, red: str, tmp_path: Path) -> None:
        Pil.fromarray(photo()).save(tmp_path / "in.png")
        others = ("random:1", "random:2", "random:3")
        for name, samples in (("codes.png", ["--samples"]), ("vectors.png", [])):
            words = (tmp_path / "in.png", red, *others, tmp_path / name, *samples, "--steps", 4)
            assert console.command("grid", *words, "--device", CPU) == 0
        codes, vectors = (
            np.asarray(Pil.open(tmp_path / name)).astype(int)
            for name in ("codes.png", "vectors.png")
        )
        assert codes.shape == vectors.shape
        # The same corners; between them the fake space is linear but for the even shares.
        assert (codes[-20:, -20:] == vectors[-20:, -20:]).all()
        assert (codes != vectors).any()

    def test_what_cannot_be_is_one_line(
        self, red: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Pil.fromarray(photo()).save(tmp_path / "in.png")
        for words in (
            ("--vary", 9),
            ("--vary", "nan"),
            ("--vary", "-1"),
            ("--seed", -1, "--vary", 0.5),
            ("--size", "paper", "--vary", 1),
        ):
            code = console.command(
                "image", tmp_path / "in.png", tmp_path / "no.png", "--style", red, *words
            )
            said = capsys.readouterr().err
            assert code == 2, words
            assert said.count("\n") == 1, said
            assert "out of range" in said or "paper" in words, said
        assert as_mixture(red).variation == 0
