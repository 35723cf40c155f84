"""Photo files as they lie about: cut off, from a phone, raw, far too large."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.console import command
from helpers.heif_files import write_heic
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageFile, TiffImagePlugin

from rtstyle.errors import SourceError
from rtstyle.media import limits
from rtstyle.media.picture import read_picture
from rtstyle.media.picture_file import JPEG_SUFFIXES, MAX_SCANS, jpeg_scans


def noisy(height: int = 256, width: int = 320) -> NDArray[np.uint8]:
    """Every row differs and none is grey or black, so that what is missing shows."""
    random = np.random.default_rng(0)
    image = random.integers(40, 90, (height // 4, width // 4, 3), np.uint8)
    return np.kron(image, np.ones((4, 4, 1), np.uint8))


def encoded(image: NDArray[np.uint8], kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(image).save(out, kind, **options)
    return out.getvalue()


class TestCutOff:
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("missing", [1, 3, 40])
    def test_a_jpeg_whose_last_bytes_are_missing(
        self, tmp_path: Path, progressive: bool, missing: int
    ) -> None:
        path = tmp_path / "a.jpg"
        content = encoded(noisy(), "JPEG", progressive=progressive)
        path.write_bytes(content)
        whole = read_picture(path)
        assert whole.notes == ()
        path.write_bytes(content[:-missing])
        picture = read_picture(path)
        assert picture.notes == ("the file is cut off: less than 1 % of the picture is missing",)
        np.testing.assert_array_equal(picture.rgb[:-32], whole.rgb[:-32])

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "PPM"])
    def test_how_much_is_missing_is_told(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "a.dat"
        content = encoded(noisy(), kind)
        path.write_bytes(content[: round(len(content) * 0.7)])
        picture = read_picture(path)
        (note,) = picture.notes
        share = int(note.split("off: ")[1].split(" %")[0])
        assert 27 <= share <= 33
        lost = np.isin(picture.rgb, (0, 127, 128)).all(axis=(1, 2))
        if kind == "BMP":
            lost = lost[::-1]
        assert abs(lost[::-1].argmin() / len(lost) * 100 - share) < 1
        assert not lost[: 256 * 2 // 3].any()

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_less_than_half_is_refused(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "a.dat"
        content = encoded(noisy(), kind)
        path.write_bytes(content[: round(len(content) * 0.4)])
        with pytest.raises(SourceError, match=r"a\.dat is cut off\. Less than half"):
            read_picture(path)
        assert not ImageFile.LOAD_TRUNCATED_IMAGES

    def test_a_progressive_jpeg_of_means_only_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        content = encoded(noisy(), "JPEG", progressive=True)
        scans, end = jpeg_scans(content)
        assert end == len(content)
        assert scans[0] is False
        assert True in scans
        second = [at for at in range(len(content)) if content[at : at + 2] == b"\xff\xda"][1]
        for cut in (8, 0, -1):
            path.write_bytes(content[: second - cut])
            with pytest.raises(SourceError, match="Less than half"):
                read_picture(path)

    def test_paintings_masks_and_training_photos_must_be_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(encoded(noisy(), "JPEG")[:-3])
        with pytest.raises(SourceError, match=r"a\.jpg is cut off\. Its end is missing"):
            read_picture(path, whole=True)

    def test_the_command_paints_it_with_a_note(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "a.jpg").write_bytes(encoded(noisy(), "JPEG")[:-3])
        target = tmp_path / "o.png"
        assert command("image", tmp_path / "a.jpg", target, "--style", "identity") == 0
        assert "note: the file is cut off" in capsys.readouterr().err
        with Pil.open(tmp_path / "o.png") as painted:
            assert painted.size == (320, 256)


def write_dng(path: Path, version: bool = True) -> Path:
    """Write a small preview with the tags by which a raw file is known."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254], tags[330] = 1, 8
    if version:
        tags[50706] = b"\1\4\0\0"
        tags.tagtype[50706] = 1
    Pil.fromarray(noisy(48, 64)).save(path, "TIFF", tiffinfo=tags)
    return path


class TestKinds:
    @pytest.mark.parametrize("quarter_turns", [0, 1, 3])
    def test_heic_is_read_upright(self, tmp_path: Path, quarter_turns: int) -> None:
        image = np.zeros((64, 96, 3), np.uint8)
        image[:32, :, 1], image[32:, :48, 2] = 200, 220
        image[..., 0] = np.linspace(0, 255, 96).astype(np.uint8)
        path = write_heic(tmp_path / "a.heic", image, quarter_turns)
        expected = np.rot90(image, quarter_turns)
        assert np.abs(read_picture(path).rgb.astype(int) - expected).max() <= 4

    def test_a_broken_heic_is_one_clear_error(self, tmp_path: Path) -> None:
        path = tmp_path / "a.heic"
        path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200))
        with pytest.raises(SourceError, match=r"a\.heic"):
            read_picture(path)

    def test_avif(self, tmp_path: Path) -> None:
        (tmp_path / "a.avif").write_bytes(encoded(noisy(), "AVIF", quality=95))
        found = read_picture(tmp_path / "a.avif").rgb.astype(int)
        assert np.abs(found - noisy()).mean() < 8

    @pytest.mark.parametrize("version", [True, False])
    @pytest.mark.parametrize("name", ["a.dng", "a.tif"])
    def test_raw_files_are_refused_by_name(self, tmp_path: Path, version: bool, name: str) -> None:
        path = write_dng(tmp_path / name, version)
        with pytest.raises(SourceError, match=r"raw file of a camera.*Export it as JPEG"):
            read_picture(path)

    def test_raw_files_that_pillow_does_not_know(self, tmp_path: Path) -> None:
        path = tmp_path / "a.CR3"
        path.write_bytes(b"\0\0\0\x18ftypcrx " + bytes(100))
        with pytest.raises(SourceError, match="raw file of a camera"):
            read_picture(path)

    def test_an_empty_file_is_called_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jpg"
        path.touch()
        with pytest.raises(SourceError, match=r"empty\. It has 0 bytes\. Fetch it again"):
            read_picture(path)

    @pytest.mark.parametrize("values", [np.float32(0.5), np.int32(70_000), np.int32(-1)])
    def test_values_of_other_depths_are_named(self, tmp_path: Path, values: Any) -> None:
        path = tmp_path / "a.tif"
        Pil.fromarray(np.full((8, 8), values)).save(path)
        with pytest.raises(SourceError, match=r"painted\. Its values.*Save it with 8 or 16 bits"):
            read_picture(path)

    def test_one_that_the_system_does_not_open_is_not_called_damaged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.jpg"
        path.touch()

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("rtstyle.media.picture._read", refuse)
        with pytest.raises(SourceError, match=r"a\.jpg cannot be read\. Permission denied$"):
            read_picture(path)

    def test_what_would_start_a_program_is_no_photo(self, tmp_path: Path) -> None:
        path = tmp_path / "a.eps"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
        with pytest.raises(SourceError, match="not a photo that can be read"):
            read_picture(path)

    def test_a_folder_says_what_it_leaves_out(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        for suffix in JPEG_SUFFIXES:
            (folder / f"a{suffix[1:]}{suffix}").write_bytes(encoded(noisy(), "JPEG"))
        write_heic(folder / "b.heic", noisy(64, 64))
        write_dng(folder / "c.dng")
        write_dng(folder / "d.DNG")
        (folder / "notes.txt").write_text("x")
        (folder / ".hidden").write_text("x")
        assert command("image", folder, out, "--style", "identity") == 0
        assert len(list(out.iterdir())) == len(JPEG_SUFFIXES) + 1
        assert f"note: 3 files of {folder} left out: 2 .dng, 1 .txt\n" in capsys.readouterr().err

    def test_a_folder_of_raw_files_only(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_dng(tmp_path / "c.dng")
        assert command("image", tmp_path, tmp_path / "out") == 2
        told = capsys.readouterr().err
        assert "has no photos" in told
        assert f"1 file of {tmp_path} left out: 1 .dng" in told


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiled_tiff(side: int) -> bytes:
    tags = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(322, side), (323, side), (324, 8), (325, 256)]
    body = struct.pack("<H", len(tags))
    for tag, value in tags:
        body += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4 + 256)


HUGE = limits.MAX_PIXELS // 10_000 + 1


class TestTooLarge:
    @pytest.mark.parametrize(
        "content",
        [
            png(30_000, 30_000, 1, 0),
            png(13_300, 13_300, 16, 6),
            png(10_000, HUGE, 8, 2),
            b"GIF89a" + struct.pack("<HHBBB", 16_000, 16_000, 0, 0, 0) + b"," + bytes(20),
            b"P6 20000 20000 255\n",
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 20_000, 20_000, 1, 24, *[0] * 6),
            tiled_tiff(16_000),
        ],
        ids=["png1", "png16", "png8", "gif", "ppm", "bmp", "tiff"],
    )
    def test_it_is_refused_before_it_is_decoded(
        self, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def load(_: object) -> None:
            raise AssertionError("decoded")

        monkeypatch.setattr(ImageFile.ImageFile, "load", load)
        (tmp_path / "a.dat").write_bytes(content)
        with pytest.raises(SourceError, match=r"a\.dat is too large\. It (is|has)"):
            read_picture(tmp_path / "a.dat")

    @pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000", "HEIF"])
    def test_decoders_that_take_much_memory_have_a_limit_of_their_own(
        self, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.dat"
        if kind == "HEIF":
            write_heic(path, noisy(64, 64))
        else:
            path.write_bytes(encoded(noisy(64, 64), kind))
        read_picture(path)
        monkeypatch.setattr("rtstyle.media.picture_file.MAX_HUNGRY_PIXELS", 64 * 64 - 1)
        with pytest.raises(SourceError, match="too large"):
            read_picture(path)

    def test_a_jpeg_of_endless_scans(self, tmp_path: Path) -> None:
        content = encoded(noisy(), "JPEG", progressive=True)
        last = content.rindex(b"\xff\xda")
        path = tmp_path / "a.jpg"
        path.write_bytes(content[:last] + content[last:-2] * (MAX_SCANS + 1) + b"\xff\xd9")
        with pytest.raises(SourceError, match="takes too long"):
            read_picture(path)

    @pytest.mark.slow
    @pytest.mark.parametrize(("depth", "colour", "channels"), [(8, 2, 3), (16, 6, 8), (1, 0, 1)])
    def test_what_is_read_takes_few_bytes_a_pixel(
        self, tmp_path: Path, depth: int, colour: int, channels: int
    ) -> None:
        width, height = 4_000, 6_000
        row = 1 + (width * channels if depth > 1 else width // 8)
        path = tmp_path / "a.png"
        path.write_bytes(png(width, height, depth, colour, b"\0" * row * height))
        code = (
            "import sys; from pathlib import Path; from rtstyle.media.picture import *; "
            "from rtstyle.media.picture_file import opened; read_picture(Path(sys.argv[1])); "
            "from rtstyle.machine.memory import peak_memory as peak; before = peak(); "
            "read_picture(Path(sys.argv[2])); print(peak() - before)"
        )
        (tmp_path / "b.png").write_bytes(png(16, 16, depth, colour, b"\0" * 16 * 129))
        asked = [sys.executable, "-c", code, str(tmp_path / "b.png"), str(path)]
        grown = int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
        assert grown < 9.5 * width * height
