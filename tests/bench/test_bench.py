"""The benchmark: its arithmetic, its clips, its processes, and what it shows. Never its speed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from helpers import console
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil
from rich.console import Console

from rtstyle.bench import camera, plot, report, runner, session, suite
from rtstyle.bench.clips import prepare_clip, repeat_clip
from rtstyle.bench.figures import Figure, efficiency, growth, medians, percentile, slowest
from rtstyle.errors import (
    DeviceError,
    MissingExtraError,
    RtstyleError,
    SinkError,
    SourceError,
    StyleError,
    UsageError,
)
from rtstyle.samples import sample_frames

# One engine by name, so that nothing is measured to choose one.
DEVICE = "onnxruntime:cpu"
SETTINGS = suite.Settings(
    sizes=("fast",),
    network_only=("balanced",),
    resolutions=((64, 48),),
    device=DEVICE,
    frames=3,
    runs=1,
    starts=1,
    longer=2,
)
MACHINE = {"cpu": "a processor", "cores": 2, "system": "Linux x86_64", "load_before": 0.1}
finite = st.floats(-1e6, 1e6)


def facts(path: Path) -> tuple[list[float], list[Any], list[bytes]]:
    """Times and pictures of a clip, and its sound packets."""
    with av.open(str(path)) as file:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]
    with av.open(str(path)) as file:
        sound = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    times, pictures = zip(*frames, strict=True)
    return list(times), list(pictures), sound


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_clip(tmp_path_factory.mktemp("bench") / "clip.mp4", 64, 48, 4)


@pytest.fixture(scope="module")
def measured(_own_folders: None) -> tuple[suite.Result, list[str]]:
    """The result of a tiny benchmark, and the steps it named."""
    steps: list[str] = []
    return suite.run(SETTINGS, steps.append), steps


# Arithmetic


@given(st.lists(finite, min_size=1, max_size=30), st.floats(0, 100))
def test_percentile_is_that_of_numpy(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(
        float(np.percentile(values, percent)), abs=1e-6
    )


def test_percentile_by_hand() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([10, 20], 95) == pytest.approx(19.5)
    assert percentile([7], 95) == 7


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_percentile_of_nothing(values: list[float], percent: float) -> None:
    with pytest.raises(UsageError):
        percentile(values, percent)


def test_medians_of_what_all_runs_have() -> None:
    runs = [{"fps": 10.0, "x": 1.0}, {"fps": 40.0}, {"fps": 20.0, "x": 2.0}]
    assert medians(runs) == {"fps": 20.0}
    assert medians([]) == {}


def test_efficiency_is_over_the_slowest_stage() -> None:
    stages = {"decode": 300.0, "network": 50.0, "encode": 100.0}
    assert slowest(stages) == "network"
    assert efficiency(45.0, stages) == pytest.approx(0.9)


def test_percentile_with_what_never_came() -> None:
    inf = float("inf")
    assert percentile([1.0, 2.0, inf], 50) == 2
    assert percentile([1.0, inf], 50) == inf
    assert percentile([inf, inf], 50) == inf


def test_growth() -> None:
    assert growth(200.0, 210.0) == pytest.approx(0.05)
    assert growth(200.0, 190.0) == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("value", "target", "at_least", "reached"),
    [
        (40.0, 40.0, True, True),
        (39.9, 40.0, True, False),
        (0.4, 0.4, False, True),
        (0.41, 0.4, False, False),
        (1.0, None, True, None),
    ],
)
def test_a_target_is_reached_or_not(
    value: float, target: float | None, at_least: bool, reached: bool | None
) -> None:
    assert Figure("it", value, "s", target, at_least).reached is reached


# Clips


def test_clip_has_the_size_the_frames_and_as_much_sound(clip: Path) -> None:
    times, pictures, sound = facts(clip)
    assert [picture.shape for picture in pictures] == [(48, 64, 3)] * 4
    assert times == pytest.approx([0, 0.04, 0.08, 0.12])
    # AAC comes in packets of 1024 samples at 48 kHz: eight cover 0.16 s.
    assert len(sound) in (8, 9)


def coarse(picture: Any) -> Any:
    """Means of 20x20 pixels: what is left when sharpness and half a pixel do not count."""
    return np.asarray(picture, float).reshape(12, 20, 16, 20, 3).mean((1, 3))


def test_clip_is_the_middle_of_the_bundled_one(tmp_path: Path) -> None:
    painted = coarse(facts(prepare_clip(tmp_path / "c.mp4", 320, 240, 1))[1][0])
    first = Pil.fromarray(next(iter(sample_frames(2))))

    def distance(left: int) -> float:
        # 640x360 covers 320x240 at two thirds, so that 480 of its columns are seen.
        wanted = first.crop((left, 0, left + 480, 360)).resize((320, 240))
        return float(np.abs(painted - coarse(wanted)).mean())

    assert distance(80) < 2
    assert min(distance(60), distance(100)) > 6


def test_repeated_clip_goes_on_without_a_gap(clip: Path, tmp_path: Path) -> None:
    _, pictures, sound = facts(clip)
    longer = facts(repeat_clip(tmp_path / "longer.mp4", clip, 3))
    assert longer[0] == pytest.approx([n * 0.04 for n in range(12)])
    for number, picture in enumerate(longer[1]):
        assert np.array_equal(picture, pictures[number % 4])
    assert set(longer[2]) == set(sound)
    assert len(longer[2]) >= 3 * (len(sound) - 1)


@pytest.mark.parametrize(
    ("width", "height", "frames"), [(63, 48, 3), (64, 8, 3), (64, 48, 0), (64, 48, 133)]
)
def test_clip_that_cannot_be_made(width: int, height: int, frames: int, tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    with pytest.raises(UsageError):
        prepare_clip(path, width, height, frames)
    assert not path.exists()


# Processes


def test_error_of_a_case_arrives_as_it_was_raised(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        runner.run_case("decode", clip=str(tmp_path / "none.mp4"))
    assert "none.mp4" in caught.value.what
    assert caught.value.exit_code == SourceError.exit_code


def test_case_that_dies_is_one_clear_error() -> None:
    with pytest.raises(RtstyleError) as caught:
        runner.run_case("no such case")
    assert caught.value.what == "The case 'no such case' of the benchmark failed with status 1."
    assert caught.value.why == "KeyError: 'no such case'"
    assert "\n" not in str(caught.value)


def test_command_that_fails_is_one_clear_error() -> None:
    with pytest.raises(RtstyleError, match=r"status 3\. It said nothing\."):
        runner.time_command([sys.executable, "-c", "import sys; sys.exit(3)"])


def test_timed_tools_keep_what_python_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))
    module = tmp_path / "timed_module.py"
    module.write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import timed_module"
    runner.time_command([sys.executable, "-c", code])
    assert list(tmp_path.rglob("timed_module.*.pyc"))


def test_hung_case_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CASE_LIMIT", 0.05)
    with pytest.raises(RtstyleError, match="hung"):
        runner.time_command([sys.executable, "-c", "import time; time.sleep(60)"])


def test_peak_memory_is_that_of_the_process_itself() -> None:
    # The blob of this process must not show up in the other one's peak.
    blob = b"\1" * 200_000_000
    code = "from rtstyle.machine.memory import peak_memory as peak; before = peak(); "
    code += "blob = b'\\1' * 150_000_000; print(before, peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 1_000_000 < before < 100_000_000 < len(blob)
    assert after - before > 100_000_000


# The suite


def test_unknown_device_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        suite.run(replace(SETTINGS, device="tensorrt"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"runs": 0}, UsageError),
        ({"frames": 1}, UsageError),
        ({"frames": 1000}, UsageError),
        ({"resolutions": ((63, 48),)}, UsageError),
        ({"style": "mosiac"}, StyleError),
        ({"sizes": ("paper",)}, StyleError),
    ],
)
def test_settings_are_checked_before_any_work(
    changes: dict[str, Any], error: type[RtstyleError]
) -> None:
    steps: list[str] = []
    with pytest.raises(error):
        suite.run(replace(SETTINGS, **changes), steps.append)
    assert steps == []


@pytest.mark.slow
def test_rows_hold_what_was_measured(measured: tuple[suite.Result, list[str]]) -> None:
    result, steps = measured
    assert [(row.kind, row.label) for row in result.rows] == [
        ("network", "fast 64x48"),
        ("video", "fast 64x48"),
        ("network", "balanced 64x48"),
    ]
    assert result.engine == "onnxruntime cpu fp32"
    for row in result.rows:
        assert row.frames == 3
        assert row.fps > 0
        assert 0 < row.p50_ms <= row.p95_ms
        assert row.warm_up_s > 0
        assert 20 < row.peak_mb < 5000
        assert row.streams >= 1
        assert row.all_fps == [row.fps]
        assert set(row.stages) == (
            {"decode", "network", "encode"} if row.kind == "video" else set()
        )
    assert "run 1 of 1: 64x48, fast, decoding to encoding" in steps


@pytest.mark.slow
def test_a_picture_costs_time_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    Pil.fromarray(next(iter(sample_frames(1)))[::8, ::8].copy()).save(path)
    settings = replace(SETTINGS, style=f"{path}:1,mosaic:1", network_only=(), longer=0)
    assert settings.pictures == [str(path)]
    figures = {figure.name: figure.value for figure in suite.run(settings).figures}
    glance, fitted = (
        figures[f"a new painting, fast, {what}"] for what in ("at one glance", "fitted")
    )
    assert 0 < glance <= fitted < 60
    assert replace(SETTINGS, style="mosaic:1").pictures == []


@pytest.mark.slow
def test_stages_alone_are_those_of_their_own_cases(
    measured: tuple[suite.Result, list[str]],
) -> None:
    alone, whole, _ = measured[0].rows
    assert whole.stages["network"] == alone.fps


def test_figures_carry_their_targets(measured: tuple[suite.Result, list[str]]) -> None:
    figures = {figure.name: figure for figure in measured[0].figures}
    assert figures["rtstyle --help"].target == 0.4
    assert figures["first stylized frame, fast 64x48"].target == 2.0
    assert figures["memory growth, fast 64x48, 2 times as long"].target == 0.05
    # There is no target for this size of picture.
    assert figures["decode to encode, fast 64x48"].reached is None
    assert not any("network only" in name for name in figures)


def make_row(kind: str, size: str, resolution: tuple[int, int], fps: float) -> suite.Row:
    run = {"fps": fps, "p50_ms": 20.0, "p95_ms": 30.0, "warm_up_s": 0.5, "peak_mb": 250.0}
    runs = [{**run, "frames": 132, "streams": 2}, {**run, "fps": 2 * fps, "frames": 132}]
    runs.append({**run, "fps": 3 * fps})
    stages = {"decode": 400.0, "network": 2.5 * fps, "encode": 90.0} if kind == "video" else None
    return suite.make_row(kind, size, resolution, runs, stages)


@pytest.fixture
def made() -> suite.Result:
    """A result with the default rows, made up."""
    rows = [
        make_row(kind, size, resolution, fps)
        for resolution in suite.DEFAULT_RESOLUTIONS
        for kind, size, fps in (
            ("network", "fast", 30.0),
            ("video", "fast", 20.5),
            ("network", "balanced", 1003.0),
            ("video", "balanced", 9.0),
            ("network", "paper", 0.5),
        )
    ]
    figures = [*suite.rate_figures(rows), Figure("rtstyle --help", 0.35, "s", 0.4, False)]
    figures.append(Figure("memory growth, fast 640x480", 0.0312, "", 0.05, False))
    return suite.Result(suite.Settings(network_only=("paper",)), "openvino cpu fp32", rows, figures)


def test_rows_are_medians(made: suite.Result) -> None:
    row = made.rows[1]
    assert (row.fps, row.all_fps) == (41.0, [20.5, 41.0, 61.5])
    assert statistics.median(row.all_fps) == row.fps


def test_rate_figures(made: suite.Result) -> None:
    reached = {figure.name: figure.reached for figure in suite.rate_figures(made.rows)}
    assert reached["decode to encode, fast 640x480"] is True
    assert reached["decode to encode, balanced 640x480"] is False
    assert reached["decode to encode, fast 1280x720"] is True
    assert reached["decode to encode, balanced 1280x720"] is None
    assert reached["share of the slowest stage (network) alone, fast 640x480"] is False
    assert reached["peak memory, fast 640x480"] is True
    assert len(reached) == 12


# What it shows


def test_json_has_everything(measured: tuple[suite.Result, list[str]]) -> None:
    content = json.loads(report.to_json(measured[0], report.describe_machine()))
    assert set(content) == {"schema", "machine", "engine", "settings", "rows", "figures"}
    assert content["schema"] == 1
    assert {"cpu", "cores", "system", "python", "libraries"} <= set(content["machine"])
    assert content["machine"]["libraries"]["rtstyle"] != "none"
    assert content["settings"]["resolutions"] == [[64, 48]]
    video = content["rows"][1]
    assert video["efficiency"] == pytest.approx(video["fps"] / min(video["stages"].values()))
    assert video["stages"][video["slowest_stage"]] == min(video["stages"].values())
    assert "efficiency" not in content["rows"][0]
    for figure in content["figures"]:
        assert set(figure) == {"name", "value", "unit", "target", "at_least", "reached"}


def test_tables_fit_into_80_columns(made: suite.Result) -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    report.print_tables(made, MACHINE, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    for part in ("paper 1280x720", "balanced 1280x720", "41.0", "2006.0", "+3.1%", "≤ +5.0%"):
        assert part in text
    lines = [line for line in text.splitlines() if "decode to encode, fast 640x480" in line]
    assert [line.split()[-6:] for line in lines] == [["41.0", "FPS", "≥", "40.0", "FPS", "reached"]]
    assert "busy" not in text


def test_busy_machine_is_pointed_out() -> None:
    assert "load 3.0 on 2 cores" in report.busy_note({**MACHINE, "load_before": 3.0})
    assert report.busy_note({**MACHINE, "load_before": 0.9}) == ""


@pytest.mark.slow
def test_plot_is_a_picture_of_the_rows(made: suite.Result) -> None:
    image = Pil.open(io.BytesIO(plot.draw(made, MACHINE))).convert("RGB")
    assert image.format is None
    assert image.width > 1000 > image.height > 300
    pixels = {color for _, color in image.getcolors(1 << 24) or []}
    wanted = {tuple(bytes.fromhex(code[1:])) for code in plot.COLORS.values()}
    assert wanted <= pixels
    # The marks of the targets.
    assert (255, 0, 0) in pixels


@pytest.mark.slow
def test_plot_marks_the_targets_of_the_style(
    made: suite.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[list[float | None]] = []
    monkeypatch.setattr(plot, "_marks", lambda axes, targets: marked.append(targets))
    picture = tmp_path / "a.png"
    Pil.new("RGB", (8, 8)).save(picture)
    plot.draw(replace(made, settings=replace(made.settings, style=str(picture))), MACHINE)
    sizes = [(row.size, row.width, row.height) for row in made.rows if row.kind == "video"]
    assert marked[0] == [suite.PICTURE_FPS_TARGETS.get(size) for size in sizes]
    assert 15 in marked[0]


@pytest.mark.slow
def test_plot_without_clips(made: suite.Result) -> None:
    only = replace(made, rows=[row for row in made.rows if row.kind == "network"])
    assert Pil.open(io.BytesIO(plot.draw(only, MACHINE))).width > 1000


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch, made: suite.Result) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"\[plot\]"):
        plot.draw(made, MACHINE)


# The command


def test_files_are_written_and_tables_printed(
    made: suite.Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "b.json", tmp_path / "b.png"
    figures.write_text("old")
    session.present(made, {**MACHINE, "python": "3"}, figures, picture, print)
    assert json.loads(figures.read_text(encoding="utf-8"))["engine"] == "openvino cpu fp32"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert sorted(tmp_path.iterdir()) == [figures, picture]
    assert "Decode to encode" in capsys.readouterr().out


def test_json_on_standard_output_stands_alone(
    made: suite.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    session.present(made, dict(MACHINE), Path("-"), None, lambda _: None)
    out, err = capsys.readouterr()
    assert json.loads(out)["schema"] == 1
    assert "Network only" in err


LIVE = {
    "fps": 29.9, "dropped": 0.0, "frames": 400, "switches": 12, "growth": float("nan"),
    "switch_p50_ms": 40.0, "switch_max_ms": float("inf"), "switch_gap_ms": 90.0,
    "memory_mb": float("nan"), "size": "fast", "height": 0, "changes": 0, "drops": {"full": 1},
    **{f"p{share}_ms_{part}": 20.0 for share in (50, 95) for part in ("all", "first", "last")},
}  # fmt: skip


def test_live_figures_survive_a_failure_of_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> float:
        raise RtstyleError("After SIGINT webcam hung.")

    monkeypatch.setattr(camera, "camera_clip", lambda path, *_: path)
    monkeypatch.setattr(camera, "stop_seconds", failing)
    monkeypatch.setattr(runner, "run_case", lambda *_, **__: dict(LIVE))
    figures = tmp_path / "live.json"
    assert run_command("live", "--json", figures) == 0
    out, err = capsys.readouterr()
    for word in ("29.90", "failed", "never", "unknown"):
        assert word in out
    assert err.count("After SIGINT webcam hung.") == len(camera.STOPS)

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    values = json.loads(figures.read_text(encoding="utf-8"), parse_constant=refused)["live"]
    empty = {key for key, value in values.items() if value is None}
    assert empty == {"growth", "memory_mb", "switch_max_ms", *camera.STOPS}
    assert values["drops"] == {"full": 1}


def test_frames_of_a_fade_are_counted_from_the_first_new_one() -> None:
    meter = camera.Meter(None, None, 1.0)
    # Thirty a second; the third of a second from 11.0 on brings every other one only.
    moments = [10 + k / 30 for k in range(90)]
    kept = [m for k, m in enumerate(moments) if not (30 <= k < 40 and k % 2)]
    for number, at in enumerate(kept):
        meter.times.extend((at, 0.02, number))
        meter.styles.append("wave" if at >= 10.5 else "mosaic")
    meter.pressed = [(10.45, "wave"), (10.95, "wave"), (12.9, "nothing")]
    # Of fifteen, five are missing in the second.
    assert camera.fade_rates(meter, 0.5)[:2] == [30.0, 20.0]
    # A style that never came.
    assert camera.fade_rates(meter, 0.5)[2] == 0.0
    delays, gaps = camera.switch_times(meter)
    assert delays[0] == pytest.approx(0.05)
    assert gaps[1] == pytest.approx(2 / 30)


def test_live_table_without_a_figure_for_sigterm() -> None:
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(camera.table({**LIVE, "stop_s": 0.5}, 30.0))
    text = console.export_text()
    assert "Ctrl-C" in text
    assert "SIGTERM" not in text


class Hanging:
    """A process that no signal ends."""

    def __init__(self, command: list[str], **_: object) -> None:
        Path(command[-1]).write_bytes(bytes(camera.ENOUGH_BYTES + 1))
        self.killed = False

    def poll(self) -> None:
        return None

    def send_signal(self, how: int) -> None:
        assert how == camera.INTERRUPT

    def kill(self) -> None:
        self.killed = True

    def wait(self, timeout: float | None = None) -> int:
        if not self.killed:
            raise subprocess.TimeoutExpired("webcam", timeout or 0)
        return -9


def test_a_webcam_that_hangs_or_leaves_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera.subprocess, "Popen", Hanging)
    with pytest.raises(RtstyleError, match="webcam hung"):
        camera.stop_seconds("clip.mp4", "mosaic", DEVICE, camera.INTERRUPT)
    monkeypatch.setattr(Hanging, "wait", lambda *_: 0)
    with pytest.raises(RtstyleError, match="webcam ended with 0"):
        camera.stop_seconds("clip.mp4", "mosaic", DEVICE, camera.INTERRUPT)


def test_stop_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "WINDOWS", True)
    code = camera.webcam_command(["--loop"])[2]
    compile(code, "command", "exec")
    assert "SIGBREAK" in code
    assert camera.webcam_command(["--loop"])[3:] == ["webcam", "--loop"]


run_command = partial(console.command, "bench")


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        (["--resolution", "640"], UsageError, "is not a size"),
        (["--resolution", "63x48"], UsageError, "63x48"),
        (["--runs", "0"], UsageError, "--runs"),
        (["--plot", "b.jpg"], UsageError, ".png"),
        (["--plot", "missing/b.png"], SinkError, "missing"),
        (["--json", "missing/b.json"], SinkError, "missing"),
        (["--style", "mosiac"], StyleError, "mosaic"),
        (["--size", "huge"], StyleError, "huge"),
    ],
)
def test_bad_options_are_one_line_and_no_work(
    arguments: list[str],
    error: type[RtstyleError],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(*arguments) == error.exit_code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
    assert word in err
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--help") == 0
    out = capsys.readouterr().out
    for option in (
        "--style",
        "--size",
        "--resolution",
        "--frames",
        "--runs",
        "--json",
        "--plot",
        "--precision",
    ):
        assert option in out


def test_default_sizes_are_those_that_the_style_has() -> None:
    settings = session.settings_for("mosaic")
    assert settings == suite.Settings()
    chosen = session.settings_for("mosaic", ["fast", "fast"], [(64, 48)], device="cpu", frames=9)
    assert (chosen.sizes, chosen.network_only) == (("fast",), ())
    assert (chosen.resolutions, chosen.device, chosen.frames) == (((64, 48),), "cpu", 9)


def test_an_unknown_device_is_refused_before_any_work() -> None:
    with pytest.raises(UsageError, match=r"no device 'tpu'\. Use one of auto, cpu"):
        suite.check(suite.Settings(device="tpu"))


def test_a_file_is_measured_as_it_is(pretrained_folder: Path) -> None:
    file = str(pretrained_folder / "identity-fast.onnx")
    settings = session.settings_for(file, ["balanced"])
    assert (settings.sizes, settings.network_only) == (("file",), ())
    suite.check(settings)


def test_a_picture_is_measured_by_its_own_targets(tmp_path: Path) -> None:
    settings = session.settings_for("mosaic:1,invert:2")
    assert (settings.sizes, settings.network_only) == (("fast",), ("paper",))
    row = make_row("video", "fast", (640, 480), 16.0)
    figures = list(suite.rate_figures([row], settings.fps_targets))
    assert (figures[0].value, figures[0].target) == (2 * 16.0, 15)
    assert next(suite.rate_figures([row])).target == 40
    with pytest.raises(StyleError, match=r"no\.jpg"):
        session.settings_for(str(tmp_path / "no.jpg"))


# scripts/bench_peers


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "bench_peers"
    loader = importlib.machinery.SourceFileLoader("bench_peers", str(path))
    spec = importlib.util.spec_from_loader("bench_peers", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up; and no bytecode belongs beside a script.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setitem(sys.modules, "bench_peers", module)
        loader.exec_module(module)
    return module


def test_peers_start_up_is_taken_off_alike(peers: ModuleType) -> None:
    long = [peers.Run(seconds, 1.0, 100.0) for seconds in (9.0, 4.0, 5.0)]
    short = [peers.Run(seconds, 1.0, 100.0) for seconds in (1.0, 2.0, 1.5)]
    assert peers.rates(long, short) == pytest.approx((132 / 5, 131 / 3.5))


@pytest.mark.skipif(sys.platform == "win32", reason="os.wait4 is POSIX")
def test_peers_process_is_measured(peers: ModuleType, tmp_path: Path) -> None:
    output = tmp_path / "out"
    code = "import sys, shutil; shutil.copy(*sys.argv[1:]); blob = b'1' * 80_000_000"
    source = tmp_path / "in"
    source.write_text("x")
    run = peers.run([sys.executable, "-c", code, "{in}", "{out}"], source, output)
    assert output.read_text() == "x"
    assert run.seconds > 0
    assert run.peak_mb > 80
    with pytest.raises(RtstyleError, match="no such luck"):
        peers.run([sys.executable, "-c", "raise SystemExit('no such luck')"], source, output)
