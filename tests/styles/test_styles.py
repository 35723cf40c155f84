"""The manifest, its checksums and its error messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.console import rtstyle

from rtstyle.errors import StyleError
from rtstyle.styles import manifest


@pytest.fixture
def folder(tmp_path: Path, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the styles that a test may damage."""
    copy = tmp_path / "styles"
    shutil.copytree(pretrained_folder, copy)
    monkeypatch.setenv(manifest.FOLDER_VARIABLE, str(copy))
    return copy


def test_names_and_credits() -> None:
    assert set(manifest.style_names()) == {"mosaic", "identity", "invert"}
    style = manifest.find_style("mosaic")
    assert style.sizes == ("fast", "balanced")
    assert (style.year, style.licence) == ("1906", "public domain")


def test_find_model() -> None:
    path = manifest.find_model("mosaic", "fast")
    assert path.name == "mosaic-fast.onnx"
    assert path.is_file()


def test_a_path_is_a_style(folder: Path) -> None:
    path = folder / "invert-fast.onnx"
    assert manifest.find_model(str(path), "any size") == path
    with pytest.raises(StyleError, match="no style file"):
        manifest.find_model(str(folder / "none.onnx"))


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(StyleError) as caught:
        manifest.find_model("Mosiac")
    assert "mosaic" in caught.value.todo
    assert "invert" in caught.value.why


def test_unknown_size_lists_those_there_are() -> None:
    with pytest.raises(StyleError) as caught:
        manifest.find_model("mosaic", "paper")
    assert "fast, balanced" in caught.value.why


@pytest.mark.parametrize("words", [[], ["--json"], ["--sheet", "photo.png", "out.png"]])
def test_the_command_refuses_an_unknown_size(words: list[str]) -> None:
    done = rtstyle("styles", "--size", "nope", *words)
    assert done.code == 2
    assert "no size 'nope'. Use fast, balanced, paper" in done.err


def test_an_altered_file_is_refused(folder: Path) -> None:
    path = folder / "mosaic-fast.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StyleError, match="sha256"):
        manifest.find_model("mosaic", "fast")
    assert manifest.find_model("mosaic", "balanced").is_file()


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "mosaic-fast.onnx").unlink()
    with pytest.raises(StyleError, match="cannot be read"):
        manifest.find_model("mosaic", "fast")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 99, "styles": {}}',
        '{"version": 1, "styles": {"a": {}}}',
        '{"version": 1, "styles": {"a": {"files": {"fast": {"path": "x.onnx"}}}}}',
    ],
)
def test_a_damaged_manifest(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(StyleError, match="damaged"):
        manifest.load_manifest()


@pytest.mark.parametrize("path", ["../x.onnx", "/etc/passwd", "sub/x.onnx"])
def test_a_manifest_cannot_point_outside(folder: Path, path: str) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    content["styles"]["mosaic"]["files"]["fast"]["path"] = path
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(StyleError, match="damaged"):
        manifest.load_manifest()


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="cannot be read"):
        manifest.load_manifest(tmp_path)


def test_the_folder_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(manifest.FOLDER_VARIABLE)
    assert manifest.styles_folder().name == "pretrained"
