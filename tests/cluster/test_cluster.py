"""Videos and photos on a real cluster of Ray's: as on one machine, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cluster_runs import INVERT, OPTIONS, alone, interrupt_at, scenes
from helpers.media import picture, write_clip
from helpers.models import canvas_model
from PIL import Image

pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra cluster")

from rtstyle.cluster import rounds
from rtstyle.cluster.clip import Done
from rtstyle.cluster.machines.connection import connected
from rtstyle.cluster.plans import StoppedError
from rtstyle.cluster.run import paint_videos
from rtstyle.cluster.tally import Told
from rtstyle.report import Progress
from rtstyle.sinks.tracks import picture_track
from rtstyle.styles.recipe import Recipe

LENGTH = 12
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, nodes: Any) -> None:
    monkeypatch.setattr(picture_track, "SEGMENT", Fraction(LENGTH, 25))
    monkeypatch.setattr(rounds, "POLL", 0.05)


def run(
    pairs: list[tuple[Path, Path]], recipe: Recipe = INVERT, watch: Any = None, **options: Any
) -> dict[Path, Any]:
    """Paint videos, and return what became of each, by output."""
    told: Callable[[dict[str, Told]], None] = options.pop("told", lambda _: None)
    with connected("auto") as machines:
        assert machines.count == 2
        found = paint_videos(machines, pairs, recipe, {**OPTIONS, **options}, watch, told)
        return {pairs[number][1]: result for number, result in found}


def test_several_videos_one_of_them_broken(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=40, sound="aac", subtitles="mov_text")
    broken = tmp_path / "b.mp4"
    broken.write_bytes(clip.read_bytes()[:600])
    out = tmp_path / "out"
    out.mkdir()
    seen: list[Progress] = []
    found = run(
        [(clip, out / "a.mp4"), (broken, out / "b.mp4"), (clip, out / "a.gif")], watch=seen.append
    )
    done = found[out / "a.mp4"]
    assert (done.frames, done.width, done.height, done.parts) == (40, 96, 64, 4)
    assert (out / "a.mp4").read_bytes() == alone(clip, tmp_path / "whole.mp4")
    assert "b.mp4" in str(found[out / "b.mp4"])
    assert found[out / "a.gif"].whole == "the output is not a video file"
    with Image.open(out / "a.gif") as animation:
        assert animation.n_frames == 40  # type: ignore[attr-defined]
    assert sorted(path.name for path in out.iterdir()) == ["a.gif", "a.mp4"]
    assert seen[-1].frames_out == 80
    assert [s.frames_out for s in seen] == sorted(s.frames_out for s in seen)


def test_a_canvas_begins_at_cuts_and_the_style_is_sent_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reverse.onnx").write_bytes(canvas_model())
    recipe = Recipe("reverse.onnx", "fast")
    clip = write_clip(tmp_path / "in.mp4", frames=99, image=scenes)
    done = run([(clip, tmp_path / "out.mp4")], recipe)[tmp_path / "out.mp4"]
    assert isinstance(done, Done)
    assert 1 < done.parts < 9
    assert (tmp_path / "out.mp4").read_bytes() == alone(clip, tmp_path / "whole.mp4", recipe)


def test_after_ctrl_c_the_same_run_goes_on(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", frames=60)
    out = tmp_path / "out.mp4"

    with pytest.raises(StoppedError):
        run([(clip, out)], watch=interrupt_at(LENGTH))
    assert not out.exists()
    kept = len(list((tmp_path / "out.mp4.parts").glob("0*")))
    assert kept >= 1
    done = run([(clip, out)])[out]
    assert done.kept == kept
    assert out.read_bytes() == alone(clip, tmp_path / "whole.mp4")
    assert not (tmp_path / "out.mp4.parts").exists()


def test_other_options_begin_anew_unless_they_must_go_on(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", frames=30)
    out = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        run([(clip, out)], watch=interrupt_at(0))
    other = Recipe("invert", "fast", strength=0.5)
    assert "other options" in str(run([(clip, out)], other, resume=True)[out])
    assert run([(clip, out)], other)[out].kept == 0
    assert out.read_bytes() == alone(clip, tmp_path / "whole.mp4", other)


def test_a_file_that_the_machines_do_not_see_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "in.mp4", frames=30, sound="aac")
    whole = alone(clip, tmp_path / "whole.mp4")
    # What the caller sees is another file than what is there for the workers.
    monkeypatch.setattr("rtstyle.cluster.inputs.stamp", lambda name: [1, 2])
    assert run([(clip, tmp_path / "out.mp4")])[tmp_path / "out.mp4"].frames == 30
    assert (tmp_path / "out.mp4").read_bytes() == whole


def command(*words: str) -> Any:
    from typer.testing import CliRunner

    from rtstyle.cli import build_app

    return CliRunner().invoke(build_app(), list(words))


def test_from_a_store_into_a_store(tmp_path: Path, store: str) -> None:
    import s3fs

    clip = write_clip(tmp_path / "a.mp4", frames=30, sound="aac")
    there = s3fs.S3FileSystem()
    there.put_file(str(clip), "clips/in/a.mp4")
    there.put_file(str(clip), "clips/in/b.mp4")
    words = ("video", f"{store}/in", f"{store}/out/", "--cluster", "auto", "--style", "invert",
             "--size", "fast", "--device", "openvino:cpu", "--encoder", "libx264")  # fmt: skip
    result = command(*words)
    assert result.exit_code == 0, result.output
    whole = alone(clip, tmp_path / "whole.mp4")
    there.invalidate_cache()
    assert sorted(there.ls("clips/out")) == ["clips/out/a.mp4", "clips/out/b.mp4"]
    for name in ("a", "b"):
        there.get_file(f"clips/out/{name}.mp4", str(tmp_path / "got.mp4"))
        assert (tmp_path / "got.mp4").read_bytes() == whole
    again = command(*words)
    assert again.exit_code == 0
    assert "2 of 2 are painted already" in again.output


def test_a_folder_of_photos(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(11):
        Image.new("RGB", (24, 16), (10 * number, 20, 30)).save(folder / f"{number:02d}.png")
    (folder / "11.png").write_bytes(b"no picture")
    words = ("image", str(folder), str(tmp_path / "out"), "--cluster", "auto", "--style", "invert",
             "--size", "fast")  # fmt: skip
    result = command(*words)
    assert result.exit_code == 2, result.output
    assert "1 of 12 photos were skipped" in result.output
    for number in range(11):
        painted = np.asarray(Image.open(tmp_path / "out" / f"{number:02d}.png"))
        assert (painted == (255 - 10 * number, 235, 225)).all()
    (folder / "11.png").unlink()
    assert "11 of 11 are painted already" in command(*words).output


def test_photos_from_a_store_into_a_store(tmp_path: Path, store: str) -> None:
    import s3fs

    there = s3fs.S3FileSystem(use_listings_cache=False)
    for number in range(3):
        Image.new("RGB", (24, 16), (10 * number, 20, 30)).save(tmp_path / f"{number}.png")
        there.put_file(str(tmp_path / f"{number}.png"), f"clips/photos/{number}.png")
    words = ("image", f"{store}/photos", f"{store}/painted-photos/", "--cluster", "auto", "--style",
             "invert", "--size", "fast")  # fmt: skip
    result = command(*words)
    assert result.exit_code == 0, result.output
    for number in range(3):
        there.get_file(f"clips/painted-photos/{number}.png", str(tmp_path / "got.png"))
        painted = np.asarray(Image.open(tmp_path / "got.png"))
        assert (painted == (255 - 10 * number, 235, 225)).all()
    assert "3 of 3 are painted already" in command(*words).output


def test_a_killed_worker_and_a_lost_machine_cost_their_parts_only(
    tmp_path: Path, nodes: Any
) -> None:
    """The last test: one of both machines is gone after it."""
    clip = write_clip(
        tmp_path / "in.mp4",
        frames=72,
        width=320,
        height=240,
        image=lambda w, h, n: picture(w, h, n),
    )
    # Frame by frame: over a canvas, parts would begin at cuts, and there are none.
    recipe = Recipe("mosaic", "balanced", height=720, coherence=0.0)
    second = nodes.second.node_id
    killed: list[int] = []
    removed: list[str] = []

    def lose(tasks: dict[str, Told]) -> None:
        for told in tasks.values():
            if not killed and told.node != second:
                os.kill(told.process, signal.SIGKILL)
                killed.append(told.process)
            elif killed and not removed and told.node == second:
                nodes.cluster.remove_node(nodes.second, allow_graceful=False)
                removed.append(told.node)

    done = run([(clip, tmp_path / "out.mp4")], recipe, told=lose)[tmp_path / "out.mp4"]
    assert killed
    assert removed
    assert done.frames == 72
    # Not in every run is it known which parts were lost.
    assert (tmp_path / "out.mp4").read_bytes() == alone(clip, tmp_path / "whole.mp4", recipe)


def test_what_cannot_be_done_on_a_cluster_is_said(tmp_path: Path) -> None:
    assert "no pipes" in str(command("video", "-", "out.mp4", "--cluster", "auto").exception)
    wrong = command("video", "in.mp4", "out.mp4", "--cluster", "somewhere").exception
    assert "ray://HOST:10001" in str(wrong)
