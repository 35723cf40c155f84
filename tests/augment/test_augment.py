"""Data sets painted in random styles: the draws, the files, and `rtstyle augment`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import console
from helpers.pictures import photo, saved
from PIL import Image as Pil

from rtstyle.errors import RtstyleError, SourceError, StyleError, UsageError
from rtstyle.jobs.augment.run import AugmentOptions, AugmentRun
from rtstyle.painting import augment
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles.manifest import FOLDER_VARIABLE

CPU = "onnxruntime:cpu"


@pytest.fixture(autouse=True)
def _own_styles(sampled_styles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(sampled_styles))


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Two classes, boxes of YOLO, captions of COCO, masks, and what is neither."""
    root = tmp_path / "set"
    for name in ("images/cat/a.png", "images/cat/b.jpg", "images/dog/a.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        saved(root / name, photo(40, 56, seed=len(name)))
    for name, text in (
        ("labels/cat/a.txt", "0 0.5 0.5 0.25 0.25\n"),
        ("annotations/instances.json", '{"images": [{"file_name": "cat/a.png"}]}'),
        ("data.yaml", "train: images\r\n"),
        ("readme.pdf", "none"),
        (".cache/x.png", "hidden"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    (root / "masks").mkdir()
    Pil.fromarray(np.eye(40, dtype=np.uint8)).save(root / "masks/a.png")
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pixels(path: Path) -> Any:
    with Pil.open(path) as file:
        return np.asarray(file.convert("RGB"))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


# The draws


def test_a_draw_depends_on_its_key_alone() -> None:
    assert augment.draw("0/1/a.png", (0.3, 1.0)) == augment.draw("0/1/a.png", (0.3, 1.0))
    drawn = [augment.draw(f"0/1/{n}.png", (0.3, 0.8)) for n in range(400)]
    strengths = np.array([d.strength for d in drawn if d])
    assert len({d.seed for d in drawn if d}) == 400
    assert strengths.min() >= 0.3
    assert strengths.max() <= 0.8
    # An even spread has the mean in the middle; five standard errors.
    assert abs(strengths.mean() - 0.55) < 5 * 0.5 / np.sqrt(12 * 400)


def test_the_share_that_is_painted_is_p() -> None:
    painted = sum(augment.draw(f"{n}", (1, 1), p=0.3) is not None for n in range(2000))
    assert abs(painted - 600) < 5 * np.sqrt(2000 * 0.3 * 0.7)
    assert augment.draw("x", (1, 1), p=0) is None
    # What is drawn does not depend on the share.
    assert augment.draw("9", (0, 1), p=0.999) == augment.draw("9", (0, 1))


def test_strengths_are_numbers_or_ranges() -> None:
    assert augment.read_strength("0.7") == (0.7, 0.7)
    assert augment.read_strength("0.3..1") == (0.3, 1.0)
    assert augment.read_strength(".3...9") == (0.3, 0.9)
    for text in ("", "a", "0.5..", "1..0.3", "0..2", "-1", "nan"):
        with pytest.raises(UsageError):
            augment.read_strength(text)


# Pictures


@pytest.mark.parametrize("shape", [(1, 1), (31, 64), (64, 33), (96, 96)])
def test_pictures_keep_their_shape_and_get_the_numbers_of_the_style(shape: tuple[int, int]) -> None:
    image = photo(*shape, seed=3)
    with augment.AugmentPainter(device=CPU) as painter:
        style = painter.style(7)
        assert painter.paint(image, style).shape == image.shape
        assert np.array_equal(painter.paint(image, style, 0.0), image)
        if shape == (96, 96):
            # Nothing is added there: the stand-in gives the mean of the style to the pixels.
            means = painter.paint(image, style).mean((0, 1))
            assert np.allclose(means, np.clip(style[:3], 0, 255), atol=12)


def test_it_paints_as_a_random_style_does() -> None:
    image = photo(64, 96, seed=3)
    with (
        augment.AugmentPainter(device=CPU) as painter,
        Stylizer("random:7", "fast", device=CPU, strength=0.6) as stylizer,
    ):
        assert np.array_equal(painter.paint(image, painter.style(7), 0.6), stylizer(image))


def test_large_pictures_go_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(64, 96, seed=3)
    with augment.AugmentPainter(device=CPU) as painter:
        whole = painter.paint(image, painter.style(7), 0.6)
        monkeypatch.setattr(augment, "WHOLE_PIXELS", 100)
        assert np.array_equal(painter.paint(image, painter.style(7), 0.6), whole)


def test_a_size_without_sampled_styles_is_refused() -> None:
    with pytest.raises(StyleError, match="cannot be sampled at the size paper"):
        augment.AugmentPainter("paper", device=CPU)


# Data sets


def test_a_data_set_keeps_folders_names_and_labels(data_set: Path, tmp_path: Path) -> None:
    before = files(data_set)
    done = console.rtstyle("augment", data_set, tmp_path / "out", "--per", 2, "--device", CPU)
    assert done.code == 0, done.output
    assert "6 pictures" in done.out
    assert "4 label files copied" in done.out
    assert "1 .pdf" in done.err
    assert files(data_set) == before
    labels = [name for name in before if "images" not in name and name[0] not in ".r"]
    assert len(labels) == 4
    for number in ("1", "2"):
        made = files(tmp_path / "out" / number)
        assert set(made) == {name for name in before if name[0] not in ".r"}
        assert all(made[name] == before[name] for name in labels)
        for name in set(made) - set(labels):
            assert made[name] != before[name]
            assert pixels(tmp_path / "out" / number / name).shape == (40, 56, 3)
    assert files(tmp_path / "out/1") != files(tmp_path / "out/2")


def test_the_manifest_says_how_to_paint_each_again(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--strength", "0.3..0.9", "--seed", 5, "--device", CPU)
    assert console.rtstyle("augment", data_set, out, *words).code == 0
    head, *entries = lines(out)
    assert head["options"]["seed"] == 5
    assert [e["file"] for e in entries] == [
        f"1/images/{n}" for n in ("cat/a.png", "cat/b.jpg", "dog/a.png")
    ]
    assert len({e["style"] for e in entries}) == 3
    assert all(0.3 <= e["strength"] <= 0.9 for e in entries)
    one = entries[0]
    with augment.AugmentPainter(device=CPU) as painter:
        style = painter.style(int(one["style"].partition(":")[2]))
        wanted = painter.paint(pixels(data_set / one["source"]), style, one["strength"])
    assert np.array_equal(pixels(out / one["file"]), wanted)


def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(
    data_set: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert (
            console.rtstyle(
                "augment", data_set, tmp_path / name, "--seed", seed, "--device", CPU
            ).code
            == 0
        )
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_what_was_cut_short_goes_on(data_set: Path, tmp_path: Path) -> None:
    options = AugmentOptions()
    run = AugmentRun(data_set, tmp_path / "whole", options, per=2, device=CPU)
    assert sum(picture.made for picture in run) == 6
    cut = iter(AugmentRun(data_set, tmp_path / "out", options, per=2, device=CPU))
    assert next(cut).made == 2
    cut.close()  # type: ignore[attr-defined]
    # As after a crash: a line that is not whole, and a picture that the list does not have.
    with (tmp_path / "out/manifest.jsonl").open("a") as file:
        file.write('{"file": "1/images/do')
    again = AugmentRun(data_set, tmp_path / "out", options, per=2, device=CPU)
    kept = {str(picture.source): (picture.made, picture.kept) for picture in again}
    assert kept["images/cat/a.png"] == (0, 2)
    assert sum(made + old for made, old in kept.values()) == 6
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    # More of each, a new picture, and one that has changed.
    saved(data_set / "images/new.png", photo(24, 24))
    saved(data_set / "images/dog/a.png", photo(24, 24))
    more = AugmentRun(data_set, tmp_path / "out", options, per=3, device=CPU)
    assert {str(p.source): (p.made, p.kept) for p in more} == {
        "images/cat/a.png": (1, 2),
        "images/cat/b.jpg": (1, 2),
        "images/dog/a.png": (3, 0),
        "images/new.png": (3, 0),
    }


def test_pictures_of_other_runs_are_kept(data_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert console.rtstyle("augment", data_set, out, "--device", CPU).code == 0
    before = files(out)
    done = console.rtstyle("augment", data_set, out, "--seed", 1, "--device", CPU)
    assert done.code == 2
    assert "painted with other options" in done.err
    assert "seed 0" in done.err
    (out / "manifest.jsonl").unlink()
    done = console.rtstyle("augment", data_set, out, "--seed", 1, "--device", CPU)
    assert done.code == 2
    assert "exists already" in done.err
    assert files(out) == {name: data for name, data in before.items() if name != "manifest.jsonl"}
    done = console.rtstyle("augment", data_set, out, "--seed", 1, "--device", CPU, "--overwrite")
    assert done.code == 0
    assert files(out)["1/images/cat/a.png"] != before["1/images/cat/a.png"]


def test_pictures_that_are_not_drawn_are_copied(data_set: Path, tmp_path: Path) -> None:
    assert (
        console.rtstyle("augment", data_set, tmp_path / "out", "--p", 0, "--device", CPU).code == 0
    )
    made, before = files(tmp_path / "out/1"), files(data_set)
    assert all(before[name] == data for name, data in made.items())
    assert all(entry["style"] is None for entry in lines(tmp_path / "out")[1:])


def test_a_turned_photo_stays_as_it_lies(tmp_path: Path) -> None:
    """Boxes are in the pixels of the file, so these and the orientation stay."""
    exif = Pil.Exif()
    exif[274] = 6
    (tmp_path / "set").mkdir()
    Pil.fromarray(photo(32, 64)).save(tmp_path / "set/a.jpg", exif=exif, quality=95)
    assert console.rtstyle("augment", tmp_path / "set", tmp_path / "out", "--device", CPU).code == 0
    with Pil.open(tmp_path / "out/1/a.jpg") as made:
        assert made.size == (64, 32)
        assert made.getexif()[274] == 6


def test_transparency_is_kept(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    rgba = np.dstack([photo(32, 64), np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))])
    Pil.fromarray(rgba).save(tmp_path / "set/a.png")
    assert console.rtstyle("augment", tmp_path / "set", tmp_path / "out", "--device", CPU).code == 0
    with Pil.open(tmp_path / "out/1/a.png") as made:
        assert np.array_equal(np.asarray(made)[..., 3], rgba[..., 3])


def test_what_keep_names_is_copied(data_set: Path, tmp_path: Path) -> None:
    words = ("--keep", "images/dog/*", "--device", CPU)
    assert console.rtstyle("augment", data_set, tmp_path / "out", *words).code == 0
    made, before = files(tmp_path / "out/1"), files(data_set)
    assert made["images/dog/a.png"] == before["images/dog/a.png"]
    assert made["images/cat/a.png"] != before["images/cat/a.png"]


def test_a_broken_picture_is_skipped_and_told(data_set: Path, tmp_path: Path) -> None:
    (data_set / "images/cat/a.png").write_bytes(b"not a picture")
    done = console.rtstyle("augment", data_set, tmp_path / "out", "--device", CPU)
    assert done.code == 2
    assert "1 of 3 pictures were skipped" in done.err
    assert len(lines(tmp_path / "out")) == 3


def test_kinds_that_cannot_be_written_become_png(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    saved(tmp_path / "set/a.bmp", photo(32, 32))
    done = console.rtstyle("augment", tmp_path / "set", tmp_path / "out", "--device", CPU)
    assert done.code == 0
    assert "written as PNG (a.bmp" in done.err
    assert (tmp_path / "out/1/a.png").is_file()
    saved(tmp_path / "set/a.png", photo(32, 32))
    with pytest.raises(UsageError, match=r"would become a\.png"):
        AugmentRun(tmp_path / "set", tmp_path / "other", AugmentOptions(), device=CPU)


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (("missing", "out"), SourceError, "is not a folder"),
        (("empty", "out"), SourceError, "has no pictures"),
        (("set", "set/out"), UsageError, "lie in each other"),
        (("set", "set"), UsageError, "lie in each other"),
        (("set", "out", "--per", "0"), UsageError, "out of range"),
        (("set", "out", "--p", "2"), UsageError, "out of range"),
        (("set", "out", "--strength", "2"), UsageError, "out of range"),
        (("set", "out", "--seed", "-1"), UsageError, "out of range"),
        (("set", "out", "--quality", "0"), UsageError, "quality"),
        (("set", "out", "--size", "paper"), RtstyleError, "cannot be sampled"),
    ],
)
def test_wrong_input_is_one_clear_message(
    data_set: Path, words: tuple[str, ...], kind: type[RtstyleError], text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(data_set.parent)
    Path("empty").mkdir()
    done = console.rtstyle("augment", *words, "--device", CPU)
    assert done.code == 2
    assert isinstance(done.error, kind)
    assert text in done.err
    assert not Path("out").exists()
