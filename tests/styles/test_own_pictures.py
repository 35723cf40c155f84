"""Pictures as styles of one's own: by name everywhere, and in packs with their vectors."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from helpers import console
from helpers.models import invert_model

from rtstyle import Stylizer
from rtstyle.errors import StyleError, UsageError
from rtstyle.live.rate import choose_ladder, steady_ladder
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.styles import manifest, own, paintings
from rtstyle.styles.spec import Mixture, parse_style
from rtstyle.styles.watching import tell

command = functools.partial(console.command, "styles")
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(manifest.OWN_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setenv("RTSTYLE_CACHE", str(tmp_path / "cache"))
    paintings._VECTORS.clear()
    yield tmp_path / "own"
    manifest.forget_own()


def painting(path: Path, *rgb: int) -> Path:
    cv2.imwrite(str(path), np.full((48, 64, 3), rgb[::-1], np.uint8))
    return path


def test_a_picture_is_known_by_its_name_everywhere(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = painting(tmp_path / "My Sea (1).png", 200, 30, 30)
    assert command("add", file) == 0
    assert capsys.readouterr().out == "added my_sea_1\n"
    assert command("add", file, "--name", "sea") == 0
    with Stylizer(str(file), "fast", device="cpu") as stylizer:
        expected = stylizer(PHOTO)
    file.unlink()
    kept = folder / "sea.png"
    assert parse_style("sea") == Mixture(((str(kept), 1.0),))
    assert parse_style("sea:1,mosaic:3") == Mixture(((str(kept), 0.25), ("mosaic", 0.75)))
    with Stylizer("sea", "fast", device="cpu") as stylizer:
        assert np.array_equal(stylizer(PHOTO), expected)
    catalogue = Catalogue("sea", "fast", tmp_path)
    assert catalogue.first == "sea"
    assert not [entry for entry in catalogue.entries.values() if entry.picture]
    assert choose_ladder(["sea"], "auto") == (steady_ladder("fast"), 0)
    assert "sea" in catalogue.mixable
    assert str(folder) not in str(catalogue["sea"])
    capsys.readouterr()
    assert command() == 0
    assert "picture, added" in " ".join(capsys.readouterr().out.split())
    assert command("remove", "sea") == 0
    assert not kept.exists()
    with pytest.raises(StyleError):
        parse_style("sea")


def test_a_pack_brings_the_vectors_so_that_nothing_is_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.add(str(painting(tmp_path / "sea.png", 200, 30, 30)))
    pack = tmp_path / "sea.zip"
    assert command("pack", "sea", pack) == 0
    with zipfile.ZipFile(pack) as archive:
        assert set(archive.namelist()) == {"manifest.json", "sea.png"}
        content = json.loads(archive.read("manifest.json"))
    vectors = content["styles"]["sea"]["files"]["picture"]["training"]["vectors"]
    assert {one["size"] for one in vectors} == set(manifest.load_manifest().any)
    expected = paintings.encode(str(tmp_path / "own" / "sea.png"), "fast")
    # Another machine, which has never seen it.
    monkeypatch.setenv(manifest.OWN_VARIABLE, str(tmp_path / "other"))
    monkeypatch.setenv("RTSTYLE_CACHE", str(tmp_path / "other-cache"))
    manifest.forget_own()
    paintings._VECTORS.clear()
    assert command("add", pack) == 0

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was encoded again")

    monkeypatch.setattr(paintings, "encode_image", never)
    found = paintings.encode(str(tmp_path / "other" / "sea.png"), "fast")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_packing_a_picture_says_that_it_is_studied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes seconds, and nothing was shown."""

    def slowly(path: Path) -> list[dict[str, object]]:
        for done in range(3):
            tell(path.name, done, 2)
        return []

    monkeypatch.setattr(paintings, "fitted_vectors", slowly)
    own.add(str(painting(tmp_path / "sea.png", 200, 30, 30)))
    assert command("pack", "sea", tmp_path / "sea.zip") == 0
    assert "studying sea.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": [1e9, "x"]},
        {"numbers": [1.0, 2.0]},
        {"numbers": None},
        {"numbers": [float("nan")] * 6},
        {"network": "0" * 64},
        {"size": "huge"},
    ],
)
def test_vectors_that_cannot_be_are_left_out(tmp_path: Path, change: dict[str, object]) -> None:
    file = painting(tmp_path / "sea.png", 200, 30, 30)
    [good, *_] = paintings.fitted_vectors(file)
    other = painting(tmp_path / "other.png", 1, 2, 3)
    right = paintings.encode(str(other), good["size"])
    paintings._VECTORS.clear()
    for path in (tmp_path / "cache").rglob("*.vector"):
        path.unlink()
    paintings.keep_vectors(other, [{**good, **change}, 5, None])
    paintings.keep_vectors(other, "nonsense")
    np.testing.assert_allclose(paintings.encode(str(other), good["size"]), right)


def test_what_is_no_picture_is_refused(tmp_path: Path, folder: Path) -> None:
    fake = tmp_path / "sea.png"
    fake.write_bytes(b"no picture")
    with pytest.raises(StyleError):
        own.add(str(fake))
    with pytest.raises(UsageError, match="--name"):
        own.add(str(painting(tmp_path / "().png", 1, 2, 3)))
    pack = tmp_path / "evil.zip"
    entry = {"files": {"picture": own._file_entry(fake) | {"path": "run.sh"}}}
    with zipfile.ZipFile(pack, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"version": 1, "styles": {"evil": entry}}))
        archive.write(fake, "run.sh")
    with pytest.raises(StyleError):
        own.add(str(pack))
    assert not folder.exists() or not list(folder.iterdir())


def test_models_that_were_exported_become_one_pack(tmp_path: Path) -> None:
    files = []
    for name, size in (("sea", "fast"), ("sea", "balanced"), ("sky", "fast")):
        model = onnx.load_from_string(invert_model())
        for key, value in {"name": name, "size": size, "licence": "CC0"}.items():
            model.metadata_props.add(key=f"rtstyle.{key}", value=value)
        path = tmp_path / f"{name}-{size}.onnx"
        path.write_bytes(model.SerializeToString())
        files.append(path)
    pack = tmp_path / "mine.zip"
    assert own.pack_models(files, pack) == ["sea", "sky"]
    assert own.add(str(pack)) == ["sea", "sky"]
    assert manifest.find_style("sea").sizes == ("fast", "balanced")
    with Stylizer("sky", "fast", device="cpu") as stylizer:
        assert np.array_equal(stylizer(PHOTO), 255 - PHOTO)
