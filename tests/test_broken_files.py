"""Files that are broken in their text: style files, manifests, EXIF. Each is one clear message."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from console import command
from models import identity_model, network_model, write_pretrained
from PIL import Image as Pil

from rtstyle import styles
from rtstyle.engines import open_engine
from rtstyle.errors import EngineError, RtstyleError, StyleError
from rtstyle.picture import Picture, read_picture, write_picture

WORDS = sorted(set(re.findall(rb"[A-Za-z_.]{4,}", network_model(4, seed=1))))


def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    Pil.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)
    return path


class TestStyleFiles:
    @pytest.mark.parametrize("device", ["onnxruntime:cpu", "openvino:cpu"])
    def test_text_that_is_not_utf8(self, tmp_path: Path, device: str) -> None:
        model, refused = network_model(4, seed=1), 0
        path = tmp_path / "style.onnx"
        for word in WORDS:
            path.write_bytes(model.replace(word, b"\xff" + word[1:]))
            try:
                open_engine(path, device).close()
            except RtstyleError:
                refused += 1
        assert refused > len(WORDS) / 2

    @pytest.mark.parametrize("word", [b"rtstyle.name", b"stylized"])
    def test_the_message(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: bytes
    ) -> None:
        path = tmp_path / "style.onnx"
        path.write_bytes(network_model(4, seed=1).replace(word, b"\xff" + word[1:]))
        with pytest.raises(EngineError, match="text that is not UTF-8"):
            open_engine(path, "onnxruntime:cpu")
        words = ("image", photo(tmp_path), tmp_path / "out.png", "--style", path)
        assert command(*words, "--device", "onnxruntime:cpu") == 2
        assert "not UTF-8" in capsys.readouterr().err


class TestManifests:
    def write(self, folder: Path, text: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")

    @pytest.mark.parametrize("name", ["a\0.onnx", "\ud800.onnx", "../a.onnx", "a/b.onnx"])
    def test_names_that_are_none(self, tmp_path: Path, name: str) -> None:
        manifest = json.loads(
            write_pretrained(tmp_path / "s", {"x": {"fast": identity_model()}}).read_text()
        )
        manifest["styles"]["x"]["files"]["fast"]["path"] = name
        self.write(tmp_path / "s", json.dumps(manifest))
        with pytest.raises(StyleError, match="is damaged"):
            styles.load_manifest(tmp_path / "s")

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '{"version": 1, "styles": {"x": {"files": {"fast": '
            '{"path": "a", "sha256": "", "bytes": 1e999}}}}}',
            '{"version": 1, "styles": [1]}',
            '{"version": 1, "styles": {"x": null}}',
            '{"version": 1}',
            "null",
        ],
        ids=range(6),
    )
    def test_what_is_no_manifest(self, tmp_path: Path, text: str) -> None:
        self.write(tmp_path / "s", text)
        with pytest.raises(StyleError, match="is damaged"):
            styles.load_manifest(tmp_path / "s")

    def test_the_command(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        files = {"fast": {"path": "\0", "sha256": "", "bytes": 1}}
        text = json.dumps({"version": 1, "styles": {"x": {"files": files}}})
        self.write(tmp_path / "s", text)
        monkeypatch.setenv("RTSTYLE_STYLES", str(tmp_path / "s"))
        assert command("styles") == 2
        told = capsys.readouterr().err
        assert "is damaged" in told
        assert told.count("\n") == 1


class TestExif:
    def exif(self) -> bytes:
        exif = Pil.Exif()
        exif[271], exif[282], exif[283], exif[296] = "Apple", 72.0, 72.0, 2
        exif.get_ifd(0x8769)[0x9003] = "2024:05:05 12:00:00"
        exif.get_ifd(0x8825)[1] = "N"
        exif.get_ifd(0x8825)[2] = (52.0, 1.0, 2.0)
        return exif.tobytes()

    def test_tiff_keeps_exif_in_all_folders(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
        Pil.fromarray(pixels).save(tmp_path / "in.png", exif=self.exif())
        notes = write_picture(read_picture(tmp_path / "in.png"), tmp_path / "out.tif")
        assert notes == ()
        with Pil.open(tmp_path / "out.tif") as file:
            found = file.getexif()
            assert found[271] == "Apple"
            assert found.get_ifd(0x8769)[0x9003] == "2024:05:05 12:00:00"
            assert found.get_ifd(0x8825) == {1: "N", 2: (52.0, 1.0, 2.0)}
            assert np.array_equal(np.asarray(file), pixels)
        # libtiff writes to the terminal by itself.
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp"])
    def test_what_cannot_be_written_is_left_out_with_a_note(
        self, tmp_path: Path, suffix: str
    ) -> None:
        pixels = np.zeros((8, 8, 3), np.uint8)
        out = tmp_path / f"out.{suffix}"
        notes = write_picture(Picture(pixels, exif=b"Exif\0\0this is no TIFF at all"), out)
        assert len(notes) == (suffix == "tif")
        assert not notes or "EXIF was left out" in notes[0]
        assert read_picture(out).rgb.shape == (8, 8, 3)

    @pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp"])
    def test_damaged_exif_never_costs_the_photo(self, tmp_path: Path, suffix: str) -> None:
        whole, random = self.exif(), np.random.default_rng(0)
        image = Pil.fromarray(np.zeros((8, 8, 3), np.uint8))
        for _ in range(60):
            damaged = bytearray(whole)
            for at in random.integers(14, len(whole), 3):
                damaged[at] = random.integers(0, 256)
            image.save(tmp_path / "in.png", exif=bytes(damaged))
            write_picture(read_picture(tmp_path / "in.png"), tmp_path / f"out.{suffix}")
            assert read_picture(tmp_path / f"out.{suffix}").rgb.shape == (8, 8, 3)
