"""Styles that a user adds: from a file, a pack, a folder, an address; and what is refused."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import console
from helpers.models import invert_model, network_model, write_pretrained

from rtstyle import Stylizer
from rtstyle.errors import RtstyleError, StyleError, UsageError
from rtstyle.live.naming import style_among
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.styles import manifest, own

command = functools.partial(console.command, "styles")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(manifest.OWN_VARIABLE, str(tmp_path / "own"))
    yield tmp_path / "own"
    manifest.forget_own()


def trained(path: Path, **facts: str) -> Path:
    """Write what `rtstyle export` writes: a model with its credit in it."""
    model = onnx.load_from_string(invert_model())
    facts = {"name": "sea", "size": "fast", "title": "Sea", "licence": "CC0", **facts}
    for key, value in facts.items():
        model.metadata_props.add(key=f"rtstyle.{key}", value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_trained_style_is_known_by_its_name_everywhere(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("add", trained(tmp_path / "a.onnx")) == 0
    assert capsys.readouterr().out == "added sea\n"
    (tmp_path / "a.onnx").unlink()
    style = manifest.find_style("sea")
    assert (style.title, style.licence, style.own) == ("Sea", "CC0", True)
    assert style.files["fast"].problem() == ""
    assert manifest.style_names()[-1] == "sea"
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    for size in ("fast", "balanced"):
        with Stylizer("sea", size, device="cpu") as stylizer:
            assert np.array_equal(stylizer(picture), 255 - picture)
    assert "sea" in Catalogue("mosaic", "fast", tmp_path)
    assert style_among(manifest.style_names(), "sea") == "sea"
    assert command("--json") == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["sea"]["own"] is True
    assert listed["mosaic"]["own"] is False


def test_it_is_removed_and_what_ships_is_not(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own.add(str(trained(tmp_path / "a.onnx")), "my-sea")
    assert command("remove", "my-sea") == 0
    assert {path.name for path in folder.iterdir()} == {"manifest.json"}
    assert "my-sea" not in manifest.load_manifest().styles
    assert command("remove", "my-sea") == 2
    assert command("remove", "mosaic") == 2
    assert "ships with rtstyle" in capsys.readouterr().err


def test_a_pack_goes_from_one_user_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.add(str(trained(tmp_path / "a.onnx")))
    assert command("pack", "sea", tmp_path / "sea.zip") == 0
    monkeypatch.setenv(manifest.OWN_VARIABLE, str(tmp_path / "other"))
    assert "sea" not in manifest.load_manifest().styles
    assert own.add(str(tmp_path / "sea.zip")) == ["sea"]
    assert manifest.find_style("sea").licence == "CC0"
    assert manifest.find_model("sea", "fast").parent == tmp_path / "other"


def test_a_folder_with_several(tmp_path: Path, folder: Path) -> None:
    models = {name: {"fast": network_model(4, seed=n)} for n, name in enumerate(("a", "b"))}
    write_pretrained(tmp_path / "many", models)
    assert own.add(str(tmp_path / "many")) == ["a", "b"]
    with pytest.raises(UsageError, match="2 styles"):
        own.add(str(tmp_path / "many"), "c")


def test_from_an_address(tmp_path: Path) -> None:
    trained(tmp_path / "a.onnx")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert command("add", f"{url}/a.onnx") == 0
            with pytest.raises(StyleError, match="cannot be fetched"):
                own.add(f"{url}/none.onnx")
        finally:
            server.shutdown()
            thread.join()
    assert "sea" in manifest.load_manifest().styles


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


def test_adding_again_replaces(tmp_path: Path) -> None:
    own.add(str(trained(tmp_path / "a.onnx")))
    own.add(str(trained(tmp_path / "a.onnx", title="Other sea")))
    assert manifest.find_style("sea").title == "Other sea"


class TestRefused:
    def refused(self, folder: Path, source: Path, name: str | None = None) -> str:
        with pytest.raises(RtstyleError) as raised:
            own.add(str(source), name)
        assert not folder.exists() or not list(folder.iterdir())
        return str(raised.value)

    @pytest.mark.parametrize("name", ["mosaic", "../x", "a b", "", "x" * 65, "a/b", ".hidden"])
    def test_names(self, tmp_path: Path, folder: Path, name: str) -> None:
        assert "--name" in self.refused(folder, trained(tmp_path / "a.onnx", name=name))

    def test_what_is_no_model(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "a.onnx").write_bytes(b"no model")
        assert "a.onnx" in self.refused(folder, tmp_path / "a.onnx")
        assert "There is no" in self.refused(folder, tmp_path / "none.onnx")
        (tmp_path / "a.zip").write_bytes(b"no pack")
        assert "not a pack" in self.refused(folder, tmp_path / "a.zip")
        (tmp_path / "empty").mkdir()
        assert "manifest.json" in self.refused(folder, tmp_path / "empty")

    def test_operators_that_a_model_brings(self, tmp_path: Path, folder: Path) -> None:
        model = onnx.load(trained(tmp_path / "a.onnx"))
        model.opset_import.add(domain="evil.example", version=1)
        onnx.save(model, tmp_path / "a.onnx")
        assert "operators of its own" in self.refused(folder, tmp_path / "a.onnx")

    def test_weights_in_another_file(self, tmp_path: Path, folder: Path) -> None:
        model = onnx.load(trained(tmp_path / "a.onnx"))
        weight = model.graph.initializer.add(name="w", data_type=1, dims=[1])
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="/etc/passwd")
        (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
        assert "another file" in self.refused(folder, tmp_path / "a.onnx")

    def test_another_network(self, tmp_path: Path, folder: Path) -> None:
        model = onnx.load(trained(tmp_path / "a.onnx"))
        model.graph.output[0].name = "other"
        (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
        assert "is not a style" in self.refused(folder, tmp_path / "a.onnx")

    @pytest.mark.parametrize("fault", ["hash", "path", "missing", "version"])
    def test_a_pack_that_is_not_what_it_says(
        self, tmp_path: Path, folder: Path, fault: str
    ) -> None:
        model = trained(tmp_path / "sea-fast.onnx")
        file = {"path": model.name, "sha256": "0" * 64, "bytes": 1}
        if fault == "path":
            file["path"] = "../sea-fast.onnx"
        version = 9 if fault == "version" else 1
        content = {"version": version, "styles": {"sea": {"files": {"fast": file}}}}
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("manifest.json", json.dumps(content))
            if fault != "missing":
                archive.write(model, model.name)
        assert self.refused(folder, tmp_path / "a.zip")
        assert not (tmp_path.parent / "sea-fast.onnx").exists()

    def test_a_pack_too_large(
        self, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(own, "LARGEST", 1000)
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.json", "0" * 2000)
        assert "larger" in self.refused(folder, tmp_path / "a.zip")


def test_a_damaged_list_says_what_to_do(folder: Path) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StyleError, match=r"Remove .*manifest\.json"):
        manifest.load_manifest()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "wave"), "`styles show` is not a command. `rtstyle styles` lists them"),
        (("add", "ftp://127.0.0.1/sea.zip"), "ftp://127.0.0.1/sea.zip cannot be fetched. Use http"),
        (("add", "."), "There is no manifest.json in ."),
        (("pack", "invert", "sea.tar"), "A pack cannot be written as 'sea.tar'. Use .zip."),
    ],
)
def test_what_is_wrong_is_named(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*words) == 2
    assert told in capsys.readouterr().err
    assert not Path("sea.tar").exists()


@pytest.mark.parametrize("words", [("add",), ("remove",), ("pack", "sea"), ("add", "a", "b")])
def test_commands_that_are_not_complete(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == 2
    assert "rtstyle styles" in capsys.readouterr().err
