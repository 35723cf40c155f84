"""What slow commands tell: downloads before they begin, lines in a log file, a bar that fits."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision").models

from rich.console import Console  # noqa: E402

from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.maths import vgg  # noqa: E402
from rtstyle_export.offline.job import Settings, Watch  # noqa: E402
from rtstyle_export.runs.report import Reporter  # noqa: E402


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
def test_a_download_is_announced_and_its_failure_names_the_file(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def offline(*_args: Any, **_kwargs: Any) -> None:
        assert told, "announced before it begins"
        raise OSError("Name or service not known")

    monkeypatch.setattr(vgg, "on_download", told.append)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(models._api.WeightsEnum, "get_state_dict", offline)
    with pytest.raises(TrainingError) as caught:
        vgg.load_vgg(arch, ["relu5_1"])
    place = tmp_path / "checkpoints" / f"{arch}"
    for text in (told[0], str(caught.value)):
        assert str(place) in text
        assert f"https://download.pytorch.org/models/{arch}" in text
        assert " MB" in text
    # What is there already is not announced.
    name = told[0].rpartition("/")[2]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / name).touch()
    with pytest.raises(TrainingError):
        vgg.load_vgg(arch, ["relu5_1"])
    assert len(told) == 1


def test_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    watch = Watch(Settings(), Console(file=StringIO()))
    for closure in range(1, 101):
        now = float(closure)
        watch(
            SimpleNamespace(
                terms={}, level=0, levels=1, closure=closure, closures=100, value=1 / closure
            )  # type: ignore[arg-type]
        )
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("level 1 of 1: 1 of 100, 1.0000")
    assert lines[1] == "level 1 of 1: 31 of 100, 0.0323, 0:01:09 left"
    assert lines[-1].endswith("0:00:00 left")


@pytest.mark.parametrize("columns", [80, 160])
def test_the_bar_of_a_training_fits(columns: int, tmp_path: Path) -> None:
    out = StringIO()
    console = Console(file=out, width=columns, force_terminal=True, color_system=None)
    names = ("total", "content", "style", "tv", "stability")
    loop: Any = SimpleNamespace(
        step=0, seconds=0.0, config=SimpleNamespace(steps=4000), metrics=dict.fromkeys(names, 1.5)
    )
    pytest.importorskip("tensorboard")
    with Reporter(loop, tmp_path, torch.zeros(1, 3, 8, 8), console, every=10**6) as reporter:
        for step in range(1, 7):
            reporter(SimpleNamespace(step=step, steps=4000, losses={}, learning_rate=0.1,
                                     seconds=7.2 * step))  # type: ignore[arg-type]  # fmt: skip
        reporter.bar.refresh()
    text = out.getvalue()
    assert "6/4000" in text
    assert "total 1.5" in text
    assert ("stability" in text) == (columns == 160)
    assert "about 7:59:00 for the 3995 steps" in text


def test_the_bar_of_a_run_that_ends_by_minutes_counts_these(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    out = StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    painted: list[int] = []
    loop: Any = SimpleNamespace(
        step=0, seconds=0.0, config=SimpleNamespace(steps=4000, minutes=10.0), metrics={}
    )
    with Reporter(loop, tmp_path, torch.zeros(1, 3, 8, 8), console, every=10**6) as reporter:
        reporter.preview = painted.append  # type: ignore[method-assign]
        for step in range(1, 7):
            loop.step = step
            reporter(SimpleNamespace(step=step, steps=4000, losses={}, learning_rate=0.1,
                                     seconds=75.0 * step))  # type: ignore[arg-type]  # fmt: skip
        task = reporter.bar.tasks[0]
        assert (task.completed, task.total) == (450.0, 600.0)
        reporter.bar.refresh()
    text = out.getvalue()
    assert "step 6" in text
    assert "4000" not in text
    # However short it was, it leaves a picture of what was learnt.
    assert painted == [6]
