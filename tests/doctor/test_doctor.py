"""`rtstyle doctor` really tries things, and tells what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.console import rtstyle

from rtstyle.doctor import checks as doctor
from rtstyle.doctor import jobs
from rtstyle.doctor.check import Check, works
from rtstyle.doctor.checks import built_in_styles
from rtstyle.engines import Engine, EngineOptions, open_engine, ov
from rtstyle.engines.devices import Candidate, open_candidate
from rtstyle.samples import sample_clip
from rtstyle.styles import manifest as styles


@pytest.fixture(scope="module")
def checks() -> dict[tuple[str, str], Check]:
    return {(check.group, check.name): check for check in doctor.examine()}


@pytest.mark.slow
def test_it_works_here(checks: dict[tuple[str, str], Check]) -> None:
    assert works(list(checks.values()))
    assert {group for group, _ in checks} == {
        "software",
        "machine",
        "engines",
        "codecs",
        "styles",
        "jobs",
        "live",
    }


def test_both_cpu_engines_are_tried(checks: dict[tuple[str, str], Check]) -> None:
    assert checks["engines", "openvino:cpu"].ok
    if ov.has_int8():
        assert checks["engines", "openvino:cpu"].detail == "int8"
    assert checks["engines", "onnxruntime:cpu"].ok
    assert checks["codecs", "h264 encoder"].ok


def test_jobs_are_done_from_end_to_end(checks: dict[tuple[str, str], Check]) -> None:
    assert checks["jobs", "video"].detail == "5 frames, 640x360"
    assert checks["jobs", "picture as style"].ok
    assert "started in" in checks["live", "web page"].detail


@pytest.mark.parametrize("name", ["paint_video", "paint_like_a_picture", "serve_page"])
def test_a_library_that_does_not_fit_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyAV 17.0 imports, and lacks a name that painting videos takes."""

    def broken() -> str:
        raise ImportError("cannot import name 'Discard' from 'av.stream'")

    for job in ("paint_video", "paint_like_a_picture", "serve_page"):
        monkeypatch.setattr(jobs, job, broken if job == name else lambda: "done")
    for live in ("find_cameras", "find_people", "open_virtual_camera", "open_microphone"):
        monkeypatch.setattr(doctor, live, lambda: "there")
    found = [*doctor.jobs(), *doctor.live()]
    [bad] = [check for check in found if "Discard" in check.detail]
    assert bad.ok is False
    assert bad.todo
    engine = Check("engines", "a", True)
    assert works([engine, *found]) is (name == "serve_page")


def test_what_is_missing_comes_with_a_remedy(checks: dict[tuple[str, str], Check]) -> None:
    for check in checks.values():
        if check.ok is False and check.group in ("software", "engines", "live"):
            assert check.todo, check


def test_a_card_that_cannot_decode_is_told_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[Any, str]] = [(None, "decoded on the CPU: there is no card")]
    monkeypatch.setattr(doctor.nvdec, "open_with_card", lambda *_: told[0])
    check = doctor.nvdec_check()
    assert (check.ok, check.detail) == (False, "there is no card")
    told[0] = (av.open(str(sample_clip())), "")
    assert doctor.nvdec_check().ok


def test_an_encoder_that_does_not_exist() -> None:
    assert doctor.encoder_problem("nonesuch")
    assert doctor.encoder_problem("mpeg4") == ""


def test_the_trial_model_is_a_mean_filter() -> None:
    image = np.zeros((1, 20, 20, 3), np.uint8)
    image[0, 10, 10] = 90
    with open_engine(doctor.trial_model(), "onnxruntime:cpu") as engine:
        result = engine.run(image)
    assert (result[0, 9:12, 9:12] == 10).all()
    assert result.sum() == 90 * 3


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([Check("engines", "a", True)], True),
        ([Check("engines", "a", False)], False),
        ([Check("engines", "a", True), Check("styles", "s", False, needed=True)], False),
        ([Check("engines", "a", True), Check("live", "camera", False)], True),
        ([], False),
    ],
)
def test_what_counts(found: list[Check], expected: bool) -> None:
    assert works(found) is expected


@pytest.mark.parametrize("name", ["find_cameras", "find_people", "has_display"])
def test_trouble_with_live_use_does_not_keep_from_painting_videos(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise TypeError("unforeseen")

    monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr(doctor, "engines", lambda: iter([Check("engines", "a", True)]))
    monkeypatch.setattr(jobs, "serve_page", lambda: "")
    for group in ("software", "machine", "codecs", "built_in_styles", "jobs"):
        monkeypatch.setattr(doctor, group, tuple)
    found = doctor.examine()
    assert works(found)
    assert [check.detail for check in found if "unforeseen" in check.detail] == [
        "TypeError: unforeseen"
    ]


def test_an_engine_that_breaks_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(content: bytes, one: Candidate, options: EngineOptions) -> Engine:
        if one.engine == "openvino":
            raise RuntimeError("a driver broke")
        return open_candidate(content, one, options)

    monkeypatch.setattr(doctor, "open_candidate", opened)
    found = {check.name: check for check in doctor.engines()}
    assert (found["openvino:cpu"].ok, found["onnxruntime:cpu"].ok) == (False, True)
    assert found["openvino:cpu"].detail == "RuntimeError: a driver broke"
    assert works(list(found.values()))


def test_damaged_style_fails_the_command(
    tmp_path: Path,
    pretrained_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "styles"
    shutil.copytree(pretrained_folder, folder)
    (folder / "mosaic-fast.onnx").write_bytes(b"altered")
    monkeypatch.setenv(styles.FOLDER_VARIABLE, str(folder))
    done = rtstyle("doctor", "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert report["works"] is False
    [wrong] = [c for c in report["checks"] if c["group"] == "styles" and c["ok"] is False]
    assert wrong["name"] == "mosaic"
    assert "sha256" in wrong["detail"]


def test_a_damaged_network_for_any_picture_is_told(
    tmp_path: Path, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "styles"
    shutil.copytree(pretrained_folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    entry = next(iter(manifest["styles"]["mosaic"]["files"].values()))
    donor = {"path": "donor.onnx", "sha256": "0" * 64}
    manifest["any"] = {
        "fast": {"content": entry},
        "paper": {"content": {**entry, "donors": [donor]}},
    }
    manifest["wct"] = {"encoder": entry}
    manifest["upsampler"] = {**entry, "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setenv(styles.FOLDER_VARIABLE, str(folder))
    found = {check.name: check for check in built_in_styles()}
    assert found["any picture, fast"].ok
    assert found["any picture, wct"].ok
    assert found["large frames"].ok is False
    assert "sha256" in found["large frames"].detail
    assert found["any picture, paper"].ok is False
    assert "donor.onnx" in found["any picture, paper"].detail


@pytest.mark.slow
def test_the_printed_report() -> None:
    done = rtstyle("doctor")
    assert done.code == 0
    out = done.out
    assert "openvino:cpu" in out
    assert "Videos can be painted here." in out


def test_a_long_name_stands_apart_from_what_is_said_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rtstyle.commands.doctor import _print

    _print([Check("styles", "any picture, fast-linear", True, "style, content")])
    assert "any picture, fast-linear style, content\n" in capsys.readouterr().out
