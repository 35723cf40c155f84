"""Shots, optical flow, and painted keyframes with their index."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import console
from helpers.media import write_clip
from helpers.wct_files import ship_wct
from numpy.typing import NDArray
from PIL import Image

from rtstyle.errors import SinkError, UsageError
from rtstyle.jobs.slow import keyframes
from rtstyle.jobs.slow.keyframes import Index, Job, Known, clock
from rtstyle.jobs.slow.shots import Shot, choose, divide, find_shots
from rtstyle.painting.flow import FlowChain, carry, still_map, warp
from rtstyle.sources.video_file import VideoFileSource

pytest.importorskip("scenedetect")

CUT = 30
FRAMES = 60


def texture(seed: int, height: int = 64, width: int = 400) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    low, high = ((0, 120), (130, 255))[seed % 2]
    small = rng.integers(low, high, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def moving(width: int, height: int, index: int) -> NDArray[np.uint8]:
    """A view of one texture, then of another, that moves by two pixels a frame."""
    shift = 2 * (index % CUT)
    return np.ascontiguousarray(texture(index // CUT)[:height, shift : shift + width])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "two.mp4"
    return write_clip(path, frames=FRAMES, image=moving)


class Marking:
    """Paints by adding 40 to red, and remembers what it was given."""

    share = 1.0

    def __init__(self) -> None:
        self.starts: list[NDArray[np.uint8] | None] = []

    def __call__(self, photo: NDArray[np.uint8], known: Known | None) -> NDArray[np.uint8]:
        self.starts.append(None if known is None else known(photo))
        painted = photo.copy()
        painted[..., 0] = np.minimum(photo[..., 0].astype(int) + 40, 255)
        return painted


def open_index(video: Path, folder: Path, job: Job, *, overwrite: bool = False) -> Index:
    keyframes.prepare(folder, overwrite=overwrite)
    index = Index(folder, keyframes.identify(video), job)
    opened = partial(VideoFileSource, video)
    keyframes.plan(index, opened, job, lambda _: None, overwrite=overwrite)
    return index


class TestShots:
    def test_a_cut_is_found(self, video: Path) -> None:
        seen: list[float] = []
        shots, times = find_shots(VideoFileSource(video), progress=seen.append)
        assert [(shot.first, shot.last) for shot in shots] == [(0, CUT - 1), (CUT, FRAMES - 1)]
        assert shots[1].start == pytest.approx(CUT / 25)
        assert times == seen

    def test_a_clip_without_cuts_is_one_shot(self, video: Path) -> None:
        shots, _ = find_shots(VideoFileSource(video), threshold=255)
        assert shots == [Shot(0, FRAMES - 1, 0.0, (FRAMES - 1) / 25)]

    def test_moments(self) -> None:
        times = [n / 10 for n in range(50)]
        shots = divide([20], times)
        assert [m.frame for m in choose(shots, times)] == [9, 34]
        assert [m.frame for m in choose(shots, times, 1.0)] == [0, 10, 20, 30, 40]
        assert [m.shot for m in choose(shots, times, 1.0)] == [0, 0, 1, 1, 1]
        assert [m.frame for m in choose(shots, times, 60)] == [0, 20]

    @pytest.mark.parametrize("every", [0, -1])
    def test_bad_distance(self, every: float) -> None:
        with pytest.raises(UsageError):
            choose(divide([], [0.0]), [0.0], every)

    def test_odd_cuts_are_ignored(self) -> None:
        assert len(divide([0, 3, 3, 99], [0.0, 0.1, 0.2, 0.3])) == 2


class TestFlow:
    def test_it_follows_motion_over_many_frames(self) -> None:
        frames = [moving(160, 64, index) for index in range(10)]
        chain = FlowChain(frames[0])
        for frame in frames[1:]:
            chain.add(frame)
        inside = (slice(16, -16), slice(16, 100))
        moved = (chain.where - still_map(64, 160))[inside]
        assert abs(float(np.median(moved[..., 0])) - 18) < 1
        assert abs(float(np.median(moved[..., 1]))) < 1
        assert chain.trust(frames[-1])[inside].mean() > 0.8
        difference = np.abs(warp(frames[0], chain.where).astype(int) - frames[-1])[inside]
        assert difference.mean() < 6

    def test_what_looks_different_is_not_trusted(self) -> None:
        chain = FlowChain(texture(0)[:, :160])
        chain.add(texture(1)[:, :160])
        assert chain.trust(np.ascontiguousarray(texture(1)[:, :160])).mean() < 0.1

    def test_carried_pictures(self) -> None:
        image = np.ascontiguousarray(texture(0)[:, :160])
        painted = np.full_like(image, 200)
        chain = FlowChain(image)
        chain.add(image)
        trust = chain.trust(image)
        assert np.array_equal(carry(image, painted, chain.where, trust, 0.0), image)
        whole = carry(image, painted, chain.where, trust)
        assert np.abs(whole[8:-8, 8:-8].astype(int) - 200).max() <= 8
        half = carry(image, painted, chain.where, trust, 0.5)[8:-8, 8:-8]
        assert np.abs(half - (image[8:-8, 8:-8] / 2 + 100)).max() <= 5


class TestJob:
    def test_one_a_shot(self, video: Path, tmp_path: Path) -> None:
        index = open_index(video, tmp_path, Job())
        painter = Marking()
        keyframes.paint(index, lambda: VideoFileSource(video), lambda *_: painter, Job())
        assert painter.starts == [None, None]
        content = json.loads((tmp_path / "index.json").read_text())
        assert [k["file"] for k in content["keyframes"]] == ["key_00001.png", "key_00002.png"]
        assert content["keyframes"][1]["time"] == pytest.approx(44 / 25)
        assert [shot["first"] for shot in content["shots"]] == [0, CUT]
        with Image.open(tmp_path / "key_00002.png") as picture:
            wanted = moving(96, 64, 44).astype(int)
            wanted[..., 0] = np.minimum(wanted[..., 0] + 40, 255)
            assert np.abs(np.asarray(picture) - wanted).mean() < 6
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.width > 96

    def test_later_ones_start_from_the_last(self, video: Path, tmp_path: Path) -> None:
        job = Job(every=0.4, size=96)
        index = open_index(video, tmp_path, job)
        assert [m.frame for m in index.moments] == [0, 10, 20, 30, 40, 50]
        painter = Marking()
        keyframes.paint(index, lambda: VideoFileSource(video), lambda *_: painter, job)
        assert [start is None for start in painter.starts] == [True, False, False] * 2
        start = painter.starts[1]
        assert start is not None
        photo = moving(96, 64, 10).astype(int)
        inside = (slice(16, -16), slice(16, 60))
        added = (start.astype(int) - photo)[inside].mean(axis=(0, 1))
        assert added[0] > 25
        assert abs(added[1]) < 6

    def test_it_goes_on_after_a_stop(self, video: Path, tmp_path: Path) -> None:
        job = Job(every=0.4)
        whole = open_index(video, tmp_path / "whole", job)
        painter = Marking()
        keyframes.paint(whole, lambda: VideoFileSource(video), lambda *_: painter, job)

        def stop(number: int, path: Path) -> None:
            if number == 1:
                raise KeyboardInterrupt

        broken = open_index(video, tmp_path / "broken", job)
        with pytest.raises(KeyboardInterrupt):
            keyframes.paint(broken, lambda: VideoFileSource(video), lambda *_: Marking(), job, stop)
        again = open_index(video, tmp_path / "broken", job)
        assert again.done == {0, 1}
        rest = Marking()
        keyframes.paint(again, lambda: VideoFileSource(video), lambda *_: rest, job)
        assert len(rest.starts) == 4
        assert rest.starts[0] is not None
        assert painter.starts[2] is not None
        assert np.array_equal(rest.starts[0], painter.starts[2])

    def test_a_lost_picture_is_painted_again(self, video: Path, tmp_path: Path) -> None:
        index = open_index(video, tmp_path, Job())
        keyframes.paint(index, lambda: VideoFileSource(video), lambda *_: Marking(), Job())
        (tmp_path / "key_00001.png").unlink()
        assert open_index(video, tmp_path, Job()).done == {1}

    def test_other_options_are_refused(self, video: Path, tmp_path: Path) -> None:
        open_index(video, tmp_path, Job(options={"style": "a.jpg"}))
        with pytest.raises(UsageError, match="with other options"):
            open_index(video, tmp_path, Job(options={"style": "b.jpg"}))
        open_index(video, tmp_path, Job(options={"style": "b.jpg"}), overwrite=True)
        open_index(video, tmp_path, Job(options={"style": "b.jpg"}))

    @pytest.mark.parametrize("name", ["key_00001.png", "key_00099.png", "sheet.png"])
    def test_pictures_of_no_run_are_kept(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match=f"{name} exists already.*--overwrite"):
            keyframes.prepare(tmp_path, overwrite=False)
        assert (tmp_path / name).read_text() == "mine"
        keyframes.prepare(tmp_path, overwrite=True)

    def test_a_new_run_leaves_no_picture_of_the_old(self, video: Path, tmp_path: Path) -> None:
        open_source = partial(VideoFileSource, video)
        old = open_index(video, tmp_path, Job(every=0.4))
        keyframes.paint(old, open_source, lambda *_: Marking(), Job(every=0.4))
        (tmp_path / "key_00042.png").write_text("of another program")
        new = open_index(video, tmp_path, Job(every=1.0), overwrite=True)
        keyframes.paint(new, open_source, lambda *_: Marking(), Job(every=1.0))
        left = sorted(path.name for path in tmp_path.glob("key_*"))
        assert left == [*(f"key_0000{n}.png" for n in (1, 2, 3, 4)), "key_00042.png"]

    def test_what_fails_before_the_plan_keeps_the_old_run(
        self, video: Path, tmp_path: Path
    ) -> None:
        open_index(video, tmp_path, Job(every=0.4))
        before = (tmp_path / "index.json").read_bytes()
        with pytest.raises(UsageError, match="above 0"):
            open_index(video, tmp_path, Job(every=0), overwrite=True)
        assert (tmp_path / "index.json").read_bytes() == before

    def test_an_index_names_only_keyframes(self, tmp_path: Path) -> None:
        path = tmp_path / "index.json"
        path.write_text('{"keyframes": [{"file": "../key_00001.png"}, {"file": "key_00002.png"}]}')
        assert keyframes.named_pictures(path) == {"key_00002.png"}
        path.write_text('{"keyframes": [1]}')
        assert keyframes.named_pictures(path) == set()

    def test_a_video_is_known_by_its_content(self, tmp_path: Path) -> None:
        video = tmp_path / "a.mp4"
        video.write_bytes(b"one")
        first = keyframes.identify(video)
        os.utime(video, (0, 0))
        assert keyframes.identify(video) == first
        video.write_bytes(b"two")
        assert keyframes.identify(video) != first

    def test_a_folder_that_is_not_writable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
        with pytest.raises(SinkError, match="cannot be written to"):
            keyframes.prepare(tmp_path, overwrite=False)

    def test_another_file_in_the_place_of_the_index(self, video: Path, tmp_path: Path) -> None:
        (tmp_path / "index.json").write_text("[1, 2]")
        with pytest.raises(UsageError, match="not an index of keyframes"):
            open_index(video, tmp_path, Job())

    def test_times_are_readable(self) -> None:
        assert [clock(t) for t in (0, 5.2, 59.999, 3723.5)] == [
            "0:00.00", "0:05.20", "1:00.00", "1:02:03.50",
        ]  # fmt: skip


command = partial(console.command, "keyframes")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of styles that holds small WCT files."""
    folder = ship_wct(tmp_path / "styles")
    monkeypatch.setenv("RTSTYLE_STYLES", str(folder))
    return folder


def painting(folder: Path) -> Path:
    path = folder / "painting.png"
    Image.fromarray(texture(7)[:, :80]).save(path)
    return path


def test_the_command(
    video: Path, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [video, tmp_path / "out", "--style", painting(tmp_path), "--every", 0.6, "--threads", 1]
    assert command(*words) == 0
    assert "4 keyframes of 2 shots" in capsys.readouterr().out
    assert command(*words) == 0
    assert "4 of them before" in capsys.readouterr().out
    assert command(*words, "--alpha", 0.3) == 2
    assert "other options" in capsys.readouterr().err
    assert command(*words, "--alpha", 0.3, "--overwrite", "--levels", "2,1:0.9") == 0


def test_a_painting_is_known_by_its_content(
    video: Path, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style = painting(tmp_path)
    words = [video, tmp_path / "out", "--style", style, "--threads", 1, "--long-side", 48]
    assert command(*words) == 0
    Image.fromarray(texture(6)[:, :80]).save(style)
    assert command(*words) == 2
    assert "other options" in capsys.readouterr().err
    assert command(*words, "--overwrite") == 0
    assert command(*words) == 0
    assert "2 of them before" in capsys.readouterr().out


def test_what_is_read_is_never_replaced(
    video: Path, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style = painting(tmp_path).rename(tmp_path / "key_00007.png")
    before = style.read_bytes()
    assert command(video, tmp_path, "--style", f"{style}:0.5,{style}:0.5", "--overwrite") == 2
    assert "read here" in capsys.readouterr().err
    assert style.read_bytes() == before


def test_damage_is_told(
    video: Path,
    shipped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Damaged(VideoFileSource):
        def close(self) -> None:
            super().close()
            self.counts["damaged packets"] = 3

    monkeypatch.setattr("rtstyle.jobs.slow.keyframes.VideoFileSource", Damaged)
    words = ["--style", painting(tmp_path), "--threads", 1, "--long-side", 48]
    assert command(video, tmp_path / "out", *words) == 0
    assert capsys.readouterr().err == "  note: 3 damaged packets\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "magic"], "no method"),
        (["--levels", "9"], "no level 9"),
        (["--levels", "a"], "is not a level"),
        (["--carry", "2"], "not 0 to 1"),
        (["--every", "0"], "above 0"),
        (["--threshold", "0"], "above 0"),
        (["--threshold", "300"], "at most 255"),
        (["--threshold", "nan"], "at most 255"),
        (["--method", "gatys", "--alpha", "0.5"], "belongs to --method wct"),
        (["--iterations", "5"], "belongs to --method gatys"),
    ],
)
def test_bad_options_are_one_line(
    video: Path, shipped: Path, tmp_path: Path, words: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert command(video, tmp_path / "bad", "--style", painting(tmp_path), *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_no_video(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path / "none.mp4", tmp_path / "out", "--style", painting(tmp_path)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_wct_lays_what_is_known_over_the_coarse_levels(shipped: Path) -> None:
    from rtstyle.jobs.slow.wct import WctPainter, learn, open_stylizer

    seen: list[NDArray[np.uint8]] = []
    photo = np.ascontiguousarray(texture(0)[:, :96])

    def known(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen.append(image)
        return np.full_like(image, 128)

    stylizer = open_stylizer(None, None, None, "auto", 1)
    blend = learn(stylizer, [(texture(1), 1.0)], (64, 96), 1.0)
    with WctPainter(stylizer, blend) as painter:
        free, held = painter(photo, None), painter(photo, known)
    assert [image.shape for image in seen] == [photo.shape]
    assert not np.array_equal(seen[0], photo)
    assert held.std() < free.std()


def test_gatys_begins_with_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from helpers.training import vgg_state

    from rtstyle_export.maths.vgg import VGG
    from rtstyle_export.offline import keyframe
    from rtstyle_export.offline.gatys import Method
    from rtstyle_export.offline.job import Settings
    from rtstyle_export.offline.network import Network
    from rtstyle_export.offline.objective import GatysSpec
    from rtstyle_export.offline.pyramid import Plan

    spec = GatysSpec(content_layers={"relu2_2": 1.0}, style_layers={"relu1_1": 1.0})
    network = Network(VGG("vgg19", spec.layers, vgg_state()), "average")
    monkeypatch.setattr(keyframe, "load_network", lambda *_, **__: network)
    torch.manual_seed(0)
    plan = Plan(spec, Method(closures=2), coarsest=32)
    painter = keyframe.GatysPainter([(texture(1), 1.0)], 1.0, plan, Settings())
    photo = np.ascontiguousarray(texture(0)[:, :96])
    free = painter(photo, None)
    held = painter(photo, lambda image: np.full_like(image, 255))
    assert free.shape == held.shape == photo.shape
    assert held.mean() > free.mean() + 30
