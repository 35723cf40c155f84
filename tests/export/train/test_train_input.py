"""What people train with: photos of every kind, broken ones too, and options that cannot be."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import small_config, train_words, write_place  # noqa: E402
from PIL import Image  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export import data  # noqa: E402
from rtstyle_export.data import Crops, first_readable, list_pictures, read_picture  # noqa: E402
from rtstyle_export.export.johnson import export_styles  # noqa: E402
from rtstyle_export.runs.adain_config import AdainConfig  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import WctConfig  # noqa: E402
from rtstyle_export.runs.loop import Machine  # noqa: E402
from rtstyle_export.train.johnson import Trainer  # noqa: E402


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with photos/, painting.png and vgg16.safetensors."""
    return write_place(tmp_path)


def trainer(place: Path, run: str = "run", **options: object) -> Trainer:
    config = small_config(place / "painting.png", **{"steps": 2, **options})
    return Trainer(
        config, place / "photos", place / run, Machine(device="cpu", precision="fp32"),
        vgg_weights=place / "vgg16.safetensors",
    )  # fmt: skip


class TestPictures:
    def test_grey_of_16_bits_is_grey(self, tmp_path: Path) -> None:
        deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
        Image.fromarray(deep).save(tmp_path / "deep.png")
        found = read_picture(tmp_path / "deep.png")
        np.testing.assert_allclose(found[..., 0], deep / 257.0, atol=0.51)

    def test_photos_stand_as_viewers_show_them(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (96, 64)).save(tmp_path / "turned.jpg", exif=exif)
        assert read_picture(tmp_path / "turned.jpg").shape == (96, 64, 3)

    def test_what_is_transparent_is_not_learned(self, tmp_path: Path) -> None:
        pixels = np.full((64, 64, 4), 255, np.uint8)
        pixels[:32] = (0, 200, 0, 0)
        Image.fromarray(pixels).save(tmp_path / "cut.png")
        assert (read_picture(tmp_path / "cut.png") == 255).all()

    def test_hidden_files_and_folders_are_no_pictures(self, place: Path) -> None:
        before = list_pictures(place / "photos")
        (place / "photos" / "._0.png").write_bytes(b"of macOS")
        (place / "photos" / "folder.png").mkdir()
        assert list_pictures(place / "photos") == before

    def test_a_painting_that_is_not_there(self, place: Path) -> None:
        with pytest.raises(TrainingError, match=r"no picture .*Check the name") as caught:
            read_picture(place / "none.png")
        assert "Remove" not in str(caught.value)

    def test_a_broken_photo_is_told_once_and_others_take_its_place(
        self, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = list_pictures(place / "photos")
        broken = place / "photos" / "00.png"
        broken.write_bytes(good[0].read_bytes()[:200])
        crops = Crops(list_pictures(place / "photos"), 64, 3)
        first = [crops[i] for i in range(12)]
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(broken) in said
        # The same again, whatever came before.
        again = Crops(list_pictures(place / "photos"), 64, 3)
        assert all(torch.equal(first[i], again[i]) for i in reversed(range(12)))

    @pytest.mark.slow
    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_run_goes_on_past_a_broken_photo(self, place: Path, workers: int) -> None:
        (place / "photos" / "00.png").write_bytes(b"broken")
        result = rtstyle(*train_words(place, "--steps", "4", "--workers", str(workers)))
        assert result.code == 0, result.output
        assert Checkpoint.load(place / "out" / "checkpoint.pt").step == 4

    def test_nothing_but_broken_photos(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for photo in list_pictures(place / "photos"):
            photo.write_bytes(b"broken")
        paths = list_pictures(place / "photos")
        with pytest.raises(TrainingError, match=r"0\.png"):
            first_readable(paths)
        monkeypatch.setattr(data, "MOST_BROKEN", 9)
        with pytest.raises(TrainingError, match="9 pictures in a row"):
            Crops(paths, 64, 0)[0]
        assert capsys.readouterr().err.count("\n") <= len(paths)


class TestOptions:
    @pytest.mark.parametrize("name", ["", " ", "a/b", "..\\q", ".a", "-a", "a\n"])
    def test_names_that_are_no_names_of_files(self, name: str) -> None:
        with pytest.raises(TrainingError, match="named like a file"):
            replace(small_config(Path("a.png")), styles=(name,)).check()

    @pytest.mark.parametrize("name", ["a", "Großer Blauer, 1911", "a.b-c"])
    def test_names_of_files(self, name: str) -> None:
        replace(small_config(Path("a.png")), styles=(name,)).check()

    @pytest.mark.parametrize("seed", [-1, 2**32])
    def test_seeds_out_of_range(self, seed: int) -> None:
        with pytest.raises(TrainingError, match="seed"):
            small_config(Path("a.png"), seed=seed).check()

    @pytest.mark.parametrize("seed", [20261123, 2**32 - 1])
    def test_a_date_is_a_seed(self, place: Path, seed: int) -> None:
        assert trainer(place, seed=seed, steps=1).run()

    @pytest.mark.parametrize("value", [-5.0, float("nan"), float("inf")])
    def test_weights_that_make_no_sense(self, value: float) -> None:
        from rtstyle_export.maths.losses import AdainLossSpec, LossSpec

        spec = LossSpec(style_weight=value)
        for config, name in (
            (small_config(Path("a.png"), loss=spec), "style-weight"),
            (small_config(Path("a.png"), stability_weight=value), "stability-weight"),
            (
                small_config(Path("a.png"), loss=LossSpec(style_layers={"relu1_2": value})),
                "the weight of relu1_2",
            ),
            (AdainConfig(loss=AdainLossSpec(order_weight=value), batch=2), "order-weight"),
            (WctConfig(feature_weight=value), "feature-weight"),
        ):
            with pytest.raises(TrainingError, match=f"{name} must be a number"):
                config.check()

    @pytest.mark.parametrize("device", ["foo", "mps", "cuda:x"])
    def test_devices_that_are_none(self, device: str) -> None:
        with pytest.raises(TrainingError, match="There is no device"):
            Machine(device).resolve()

    @pytest.mark.parametrize("option", ["--threads", "--workers"])
    def test_fewer_than_none(self, place: Path, option: str) -> None:
        result = rtstyle(*train_words(place, option, "-1"))
        assert result.code == 2
        assert option in result.output


class TestRuns:
    def test_what_differs_is_named(self, place: Path) -> None:
        trainer(place).run()
        with pytest.raises(TrainingError, match=r"They differ in batch, learning-rate\."):
            trainer(place, batch=3, learning_rate=0.1)

    def test_a_painting_may_be_spelled_by_another_path(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer(place).run()
        monkeypatch.chdir(place)
        config = small_config(Path("painting.png"), steps=2)
        again = Trainer(
            config, place / "photos", place / "run", Machine(device="cpu", precision="fp32"),
            vgg_weights=place / "vgg16.safetensors",
        )  # fmt: skip
        assert again.step == 2

    def test_a_full_disk_is_one_line_and_leaves_nothing(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = trainer(place)
        run.run()
        before = run.path.read_bytes()

        def full(path: Path, content: bytes) -> int:
            with path.open("wb") as file:
                file.write(content[:99])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainingError, match="No space left"):
            run.save()
        monkeypatch.undo()
        assert run.path.read_bytes() == before
        assert not list(run.folder.glob("*.tmp"))

    def test_a_stop_in_the_last_step_is_the_end(self, place: Path) -> None:
        assert trainer(place).run(should_stop=lambda: True) is False
        assert trainer(place).run(should_stop=lambda: True) is True

    @pytest.mark.slow
    def test_the_log_of_a_resumed_run_is_whole(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        files = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
        # Files of one second are read in the order of their numbers as text: 10 comes before 9.
        monkeypatch.setattr(files, "_global_uid", files.AtomicCounter(0))
        for steps in ("2", "4", "4"):
            result = rtstyle(*train_words(place, "--steps", steps))
            assert result.code == 0, result.output
        log = accumulator.EventAccumulator(str(place / "out" / "tensorboard"))
        log.Reload()
        assert [event.step for event in log.Scalars("loss/total")] == [1, 2, 3, 4]
        assert [event.step for event in log.Images(log.Tags()["images"][0])] == [2, 4]


@pytest.mark.slow
class TestExport:
    @pytest.mark.parametrize("content", ["{bad", "[]", '{"styles": []}'])
    def test_a_broken_manifest_is_known_before(self, place: Path, content: str) -> None:
        run = trainer(place)
        run.run()
        out = place / "styles"
        out.mkdir()
        (out / "manifest.json").write_text(content)
        with pytest.raises(TrainingError, match=r"manifest\.json"):
            export_styles(Checkpoint.load(run.path), out, manifest=True)
        assert [path.name for path in out.iterdir()] == ["manifest.json"]
        assert (out / "manifest.json").read_text() == content

    def test_the_folder_of_a_run_is_its_checkpoint(self, place: Path) -> None:
        run = trainer(place)
        run.run()
        result = rtstyle("export", str(run.folder))
        assert result.code == 0, result.output
        assert (run.folder / "painting-fast.onnx").is_file()
        wrong = rtstyle("export", place / "photos")
        assert isinstance(wrong.error, TrainingError)
        assert "no checkpoint.pt" in wrong.err

    def test_a_picture_is_no_checkpoint(self, place: Path) -> None:
        with pytest.raises(TrainingError) as caught:
            Checkpoint.load(place / "painting.png")
        assert "weights_only" not in str(caught.value)

    def test_facts_do_not_name_the_folder(self, place: Path) -> None:
        run = trainer(place)
        run.run()
        export_styles(Checkpoint.load(run.path), place / "o", manifest=True)
        assert str(place) not in json.dumps(json.loads((place / "o/manifest.json").read_text()))
