"""`--cluster auto` on a machine that does one task at a time: the same tasks, without Ray."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.cluster_runs import INVERT, OPTIONS, alone, interrupt_at, scenes
from helpers.media import write_clip
from helpers.models import canvas_model
from PIL import Image

from rtstyle.cluster import data_set, tasks
from rtstyle.cluster.data_set import AugmentJob
from rtstyle.cluster.inputs import Input
from rtstyle.cluster.machines import connection
from rtstyle.cluster.machines.here import Here, suffices
from rtstyle.cluster.plans import StoppedError
from rtstyle.cluster.run import paint_photos, paint_videos
from rtstyle.errors import UsageError
from rtstyle.jobs.augment.run import AugmentOptions, Item, Painted
from rtstyle.report import Progress
from rtstyle.sinks.tracks import picture_track
from rtstyle.styles.recipe import Recipe

LENGTH = 12


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_track, "SEGMENT", Fraction(LENGTH, 25))


def run(
    pairs: list[tuple[Path, Path]], recipe: Recipe = INVERT, watch: Any = None
) -> dict[Path, Any]:
    with Here(2) as here:
        found = paint_videos(here, pairs, recipe, OPTIONS, watch)
        return {pairs[number][1]: result for number, result in found}


def test_videos_are_those_of_a_plain_run(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=40, sound="aac")
    broken = tmp_path / "b.mp4"
    broken.write_bytes(clip.read_bytes()[:600])
    seen: list[Progress] = []
    found = run([(clip, tmp_path / "out.mp4"), (broken, tmp_path / "no.mp4"),
                 (clip, tmp_path / "out.gif")], watch=seen.append)  # fmt: skip
    assert (tmp_path / "out.mp4").read_bytes() == alone(clip, tmp_path / "whole.mp4")
    assert found[tmp_path / "out.mp4"].parts == 4
    assert "b.mp4" in str(found[tmp_path / "no.mp4"])
    assert found[tmp_path / "out.gif"].whole == "the output is not a video file"
    assert seen[-1].frames_out == 80
    assert tasks._opened == {}


def test_a_canvas_is_that_of_a_plain_run(tmp_path: Path) -> None:
    (tmp_path / "reverse.onnx").write_bytes(canvas_model())
    recipe = Recipe(str(tmp_path / "reverse.onnx"), "fast")
    clip = write_clip(tmp_path / "in.mp4", frames=99, image=scenes)
    done = run([(clip, tmp_path / "out.mp4")], recipe)[tmp_path / "out.mp4"]
    assert 1 < done.parts < 9
    assert (tmp_path / "out.mp4").read_bytes() == alone(clip, tmp_path / "whole.mp4", recipe)


def test_ctrl_c_within_a_part_costs_that_part(tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "in.mp4", frames=60), tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        run([(clip, out)], watch=interrupt_at(2 * LENGTH))
    assert not out.exists()
    kept = len(list((tmp_path / "out.mp4.parts").glob("0*")))
    assert 1 <= kept <= 3
    assert run([(clip, out)])[out].kept == kept
    assert out.read_bytes() == alone(clip, tmp_path / "whole.mp4")
    assert not (tmp_path / "out.mp4.parts").exists()


def test_ctrl_c_reaches_the_part_that_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtstyle.cluster.tally.REPORT_EVERY", 0.0)
    pressed = interrupt_at(LENGTH + 1)
    clip, out = write_clip(tmp_path / "in.mp4", frames=60), tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        run([(clip, out)], watch=pressed)
    # The second part was under way, or had just ended.
    assert len(list((tmp_path / "out.mp4.parts").glob("0*"))) in (1, 2)


def test_photos_are_painted_here(tmp_path: Path) -> None:
    photo = tmp_path / "in.png"
    Image.new("RGB", (24, 16), (10, 20, 30)).save(photo)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pairs = [(photo, tmp_path / "out.png"), (tmp_path / "broken.png", tmp_path / "no.png")]
    with Here(2) as here:
        found = dict(paint_photos(here, pairs, INVERT, device="cpu", precision="auto", quality=90))
    assert (np.asarray(Image.open(tmp_path / "out.png")) == (245, 235, 225)).all()
    assert isinstance(found[tmp_path / "no.png"], tasks.Failure)


def vanishing(monkeypatch: pytest.MonkeyPatch, gone: Path, changed: Path) -> None:
    """Have one photo removed and another painted over once the tasks know them."""
    before, left = Input.of, {gone, changed}

    def of(name: Path) -> Input:
        found = before(name)
        if name in left:
            left.remove(name)
            name.unlink()
            if name == changed:
                Image.new("RGB", (25, 17), (9, 9, 9)).save(changed)
        return found

    monkeypatch.setattr(Input, "of", of)


def test_a_photo_that_vanishes_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.png" for number in range(8)]
    for name in names:
        Image.new("RGB", (24, 16), (10, 20, 30)).save(tmp_path / name)
    vanishing(monkeypatch, gone=tmp_path / "3.png", changed=tmp_path / "5.png")
    pairs = [(tmp_path / name, tmp_path / f"out-{name}") for name in names]
    with Here(2) as here:
        found = dict(paint_photos(here, pairs, INVERT, device="cpu", precision="auto", quality=90))
    failed = {target.name: str(result.text) for target, result in found.items()
              if isinstance(result, tasks.Failure)}  # fmt: skip
    assert list(failed) == ["out-3.png"]
    assert "3.png cannot be read" in failed["out-3.png"]
    assert "No such file" in failed["out-3.png"]
    # What changed meanwhile is painted as it is now.
    assert (np.asarray(Image.open(tmp_path / "out-5.png")) == 246).all()
    assert sorted(path.name for path in tmp_path.glob("out-*")) == [
        f"out-{name}" for name in names if name != "3.png"
    ]


def test_a_picture_of_a_data_set_that_vanishes_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.new("RGB", (24, 16), (10, 20, 30)).save(tmp_path / "in" / f"{number}.png")
    vanishing(monkeypatch, gone=tmp_path / "in" / "1.png", changed=tmp_path / "none.png")
    job = AugmentJob("1", AugmentOptions((1.0, 1.0)), 1, "cpu", "auto", 1, False)
    monkeypatch.setattr(data_set, "painter_of", lambda _: None)
    monkeypatch.setattr(
        data_set, "paint_items",
        lambda _painter, items, *_: ((Painted(item.source), []) for item in items),
    )  # fmt: skip
    items = [
        Item(PurePosixPath(path.name), PurePosixPath(path.stem), path, {})
        for path in sorted((tmp_path / "in").iterdir())
    ]
    with Here(2) as here:
        ((_, results),) = here.run([data_set.plan_of(here, job, items, tmp_path / "out")])
    wrong = {painted.source.name: str(painted.error) for painted, _, _ in results if painted.error}
    assert list(wrong) == ["1.png"]
    assert "cannot be read" in wrong["1.png"]
    assert len(results) == 3


class FakeRay(SimpleNamespace):
    """Ray on a machine where no cluster runs."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended = 0
        super().__init__()

    def is_initialized(self) -> bool:
        return bool(self.started)

    def init(self, address: str, **_: Any) -> None:
        if address != "local":
            raise ConnectionError("Could not find any running Ray instance.")
        self.started.append(address)

    def shutdown(self) -> None:
        self.ended += 1

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 8.0}}]


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(__import__("sys").modules, "ray", fake)
    for name in connection.ENVIRONMENT:
        monkeypatch.setenv(name, "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return fake


@pytest.mark.parametrize(("cores", "started"), [(1, []), (7, []), (8, ["local"])])
def test_ray_is_started_for_several_tasks_at_once(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch, cores: int, started: list[str]
) -> None:
    assert suffices(cores) == (not started)
    monkeypatch.setattr(connection, "cpu_count", lambda: cores)
    with connection.connected("auto") as machines:
        assert isinstance(machines, Here) == (not started)
        assert machines.shown == "this machine"
        assert machines.slots == (1 if not started else 2)
    assert fake_ray.started == started
    assert fake_ray.ended == len(started)


def test_a_cluster_that_was_named_must_answer(
    fake_ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UsageError, match="no cluster"), connection.connected("auto"):
        pass
    assert fake_ray.started == []
