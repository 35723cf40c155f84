"""`rtstyle train PAINTING PHOTOS` and nothing else: from a painting to a style with a name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.media import write_clip  # noqa: E402
from helpers.training import write_painting, write_pictures, write_place  # noqa: E402

from rtstyle.errors import SourceError, TrainingError, UsageError  # noqa: E402
from rtstyle.sources.video_file import VideoFileSource  # noqa: E402
from rtstyle.styles.entries import name_for  # noqa: E402
from rtstyle.styles.manifest import forget_own, load_manifest, own_folder  # noqa: E402
from rtstyle_export.data import list_pictures  # noqa: E402
from rtstyle_export.maths.losses import CanvasLossSpec  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint  # noqa: E402
from rtstyle_export.runs.config import CanvasConfig  # noqa: E402
from rtstyle_export.train import footage  # noqa: E402
from rtstyle_export.train.footage import photos_of  # noqa: E402
from rtstyle_export.train.nearest import nearest_style, nearest_to_paintings  # noqa: E402

SHALLOW = CanvasLossSpec(
    content_layers={"relu2_2": 1.0}, style_layers={"relu1_2": 0.5, "relu2_2": 0.5}
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of own styles that no other test sees."""
    monkeypatch.setenv("RTSTYLE_OWN_STYLES", str(tmp_path / "styles"))
    forget_own()
    return tmp_path / "styles"


def config_of(place: Path, size: str = "fast") -> CanvasConfig:
    return CanvasConfig(
        styles=("squares",), paintings=(str(place / "painting.png"),), size=size, loss=SHALLOW
    )


def test_the_frames_of_a_clip_are_its_photographs(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=20)
    photos = photos_of(clip, tmp_path / "run", most=6)
    assert photos == tmp_path / "run" / "photos" / "clip"
    other = photos_of(write_clip(tmp_path / "other.mp4", frames=4), tmp_path / "run")
    assert len(list_pictures(other)) == 4
    found = list_pictures(photos)
    assert 3 <= len(found) <= 6
    pictures = [np.asarray(Image.open(path)).astype(int) for path in found]
    assert all(np.abs(a - b).mean() > 0.2 for a, b in pairwise(pictures))
    # A run that goes on takes what is there.
    clip.unlink()
    assert photos_of(clip, tmp_path / "run") == photos


def test_of_a_long_video_a_frame_of_each_part_is_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=20)
    all_of_it = list_pictures(photos_of(clip, tmp_path / "whole", most=20))
    monkeypatch.setattr(footage, "LONG", 10)
    found = list_pictures(photos_of(clip, tmp_path / "run", most=4))
    assert len(found) == 4
    frames = [np.asarray(Image.open(path)).astype(int) for path in all_of_it]
    places = []
    for path in found:
        picture = np.asarray(Image.open(path)).astype(int)
        places.append(int(np.argmin([np.abs(picture - frame).mean() for frame in frames])))
    assert places == sorted(set(places))
    assert places[0] < len(frames) / 4 <= 3 * len(frames) / 4 <= places[-1]


def test_a_video_of_unknown_length_is_seen_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first 3,000 frames were all that training saw of it."""
    clip = write_clip(tmp_path / "clip.mp4", frames=20)
    monkeypatch.setattr(footage, "LONG", 4)
    monkeypatch.setattr(VideoFileSource, "_estimate_frames", lambda _: None)
    found = list_pictures(photos_of(clip, tmp_path / "run", most=5))
    monkeypatch.setattr(footage, "MOST_READ", 6)
    first = list_pictures(photos_of(clip, tmp_path / "bounded", most=6))
    pictures = [[np.asarray(Image.open(path)) for path in paths] for paths in (found, first)]
    # Every fourth one of all, and the first six.
    assert [len(some) for some in pictures] == [5, 6]
    assert np.array_equal(pictures[0][1], pictures[1][4])


def test_what_is_not_a_video_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(SourceError, match="notes"):
        photos_of(tmp_path / "notes.txt", tmp_path / "run")
    assert not (tmp_path / "run" / "photos").exists()
    with pytest.raises(SourceError, match="missing"):
        photos_of(tmp_path / "missing.mp4", tmp_path / "run")


@pytest.mark.slow
def test_a_run_starts_from_the_style_that_paints_most_like_the_painting(tmp_path: Path) -> None:
    """Of the styles of the tests, one gives pictures back, one inverts them, one is a network."""
    place = write_place(tmp_path)
    dark = np.random.default_rng(1).integers(0, 60, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(255 - dark).save(place / "painting.png")
    for number in range(3):
        Image.fromarray(dark).save(place / "photos" / f"{number}.png")
    weights = place / "vgg16.safetensors"
    name, path = nearest_to_paintings(config_of(place), place / "photos", weights)
    assert name == "invert"
    assert path.is_file()
    same, _ = nearest_style([dark], [dark], config_of(place), weights)
    assert same == "identity"


@pytest.mark.slow
def test_one_command_makes_a_style_that_is_known_by_its_name(tmp_path: Path, own: Path) -> None:
    place = write_place(tmp_path)
    (place / "painting.png").rename(place / "Öl auf Holz.png")
    clip = write_clip(tmp_path / "clip.mp4", frames=12)
    out = tmp_path / "run"
    words = (
        "--minutes", 0.01, "--crop", 64, "--margin", 8, "--style-size", 64, "--size", "fast",
        "--vgg-weights", place / "vgg16.safetensors", "--content-layers", "relu2_2",
        "--style-layers", "relu1_2,relu2_2", "--precision", "fp32", "--init-from", "none",
    )  # fmt: skip
    done = rtstyle("train", place / "Öl auf Holz.png", clip, *words, "--out", out)
    assert done.code == 0, done.output
    assert "l_auf_holz is one of your styles now" in done.out
    assert "--style l_auf_holz --size fast" in done.out
    assert load_manifest().styles["l_auf_holz"].own
    config = Checkpoint.load(out / "checkpoint.pt").config
    assert isinstance(config, CanvasConfig)
    painted = tmp_path / "painted.png"
    photo = write_pictures(tmp_path / "more", 1) / "0.png"
    assert rtstyle("image", photo, painted, "--style", "l_auf_holz", "--size", "fast").code == 0
    # Again: the same run, which is over, and the same style.
    again = rtstyle("train", place / "Öl auf Holz.png", clip, *words, "--out", out)
    assert again.code == 0, again.output
    assert own_folder() == own


@pytest.mark.slow
def test_a_name_that_ships_is_used_by_its_file(tmp_path: Path, own: Path) -> None:
    place = write_place(tmp_path)
    words = (
        "--steps", 1, "--crop", 64, "--margin", 8, "--style-size", 64, "--name", "identity",
        "--vgg-weights", place / "vgg16.safetensors", "--content-layers", "relu2_2",
        "--style-layers", "relu1_2,relu2_2", "--precision", "fp32", "--init-from", "none",
    )  # fmt: skip
    run = ("--size", "fast", "--out", tmp_path / "run")
    done = rtstyle("train", place / "painting.png", place / "photos", *words, *run)
    assert done.code == 0, done.output
    assert "identity ships with rtstyle" in done.out
    assert f"--style {tmp_path / 'run' / 'identity-fast.onnx'}" in done.out
    assert not own.exists()


@pytest.mark.parametrize(
    ("stem", "name"),
    [("wave2", "wave2"), ("My Painting", "my_painting"), ("ölbild", "lbild"), ("___", "___")],
)
def test_a_painting_gives_its_style_a_name(stem: str, name: str) -> None:
    assert name_for(stem) == name


@pytest.mark.parametrize("words", [["painting.png"], [], ["painting.png", "painting.png"]])
def test_photographs_are_asked_for(tmp_path: Path, words: list[str]) -> None:
    write_painting(tmp_path / "painting.png")
    done = rtstyle("train", *(tmp_path / word for word in words))
    assert isinstance(done.error, UsageError)
    assert "a video" in str(done.error)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    write_painting(tmp_path / "painting.png")
    done = rtstyle(
        "train", tmp_path / "painting.png", tmp_path / "nowhere", "--out", tmp_path / "r"
    )
    assert isinstance(done.error, TrainingError)
    assert "nowhere" in str(done.error)
