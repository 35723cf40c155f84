"""The image job: formats, metadata, tiles, and files that are never lost."""

from __future__ import annotations

import os
import struct
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.console import command
from helpers.models import network_model
from PIL import Image as Pil
from PIL import ImageCms, PngImagePlugin

from rtstyle.errors import EngineError, SinkError, SourceError, StyleError, UsageError
from rtstyle.frame import Image
from rtstyle.jobs import image as job
from rtstyle.jobs.image import paint_file, plan, stylize_image
from rtstyle.jobs.sheet import best_columns, contact_sheet, fit
from rtstyle.media.picture import Picture, read_picture, write_picture
from rtstyle.painting import tiling
from rtstyle.painting.norm_graph import NormGraph
from rtstyle.painting.stylizer import Stylizer
from rtstyle.painting.tiling import Moments, paint_tiled, spans

CPU = "onnxruntime:cpu"


def smooth(height: int, width: int, seed: int = 0) -> Image:
    """A picture with both broad areas and detail."""
    random = np.random.default_rng(seed)
    broad = random.integers(0, 256, (1 + height // 40, 1 + width // 40, 3), np.uint8)
    large = np.asarray(Pil.fromarray(broad).resize((width, height), Pil.Resampling.BICUBIC), int)
    return np.clip(large + random.integers(-20, 20, large.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Pil.fromarray(smooth(40, 60)).save(path)
    return path


def paint(source: Path, output: Path, style: str = "invert", **options: object) -> Image:
    options = {"size": "fast", "device": CPU, **options}
    stylize_image(source, output, style, **options)  # type: ignore[arg-type]
    return pixels_of(output)


def pixels_of(path: Path) -> Image:
    with Pil.open(path) as file:
        return np.asarray(file)


def test_paints_a_file(photo: Path, tmp_path: Path) -> None:
    before = pixels_of(photo)
    np.testing.assert_array_equal(paint(photo, tmp_path / "out.png"), 255 - before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.png", "photo.png"]


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("TIFF", "TIFF")])
def test_format_follows_the_extension(photo: Path, tmp_path: Path, suffix: str, kind: str) -> None:
    output = tmp_path / f"out.{suffix}"
    painted = paint(photo, output, quality=100)
    with Pil.open(output) as file:
        assert file.format == kind
    assert np.abs(painted.astype(int) - (255 - pixels_of(photo))).mean() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    source, output = tmp_path / "in.png", tmp_path / "out.png"
    exif = Pil.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    pixels = smooth(20, 30)
    Pil.fromarray(pixels).save(source, exif=exif)
    painted = paint(source, output, "identity")
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[:, ::-1],
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: pixels.transpose(1, 0, 2)[::-1],
    }
    np.testing.assert_array_equal(painted, turned[orientation])
    with Pil.open(output) as file:
        kept = file.getexif()
    assert kept.get(0x0112, 1) == 1
    assert kept[0x010F] == "Maker"
    assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_alpha_is_kept(tmp_path: Path, suffix: str) -> None:
    source, output = tmp_path / "in.png", tmp_path / f"out.{suffix}"
    alpha = np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)
    Pil.fromarray(np.dstack([smooth(40, 60), alpha])).save(source)
    painted = paint(source, output, quality=100)
    np.testing.assert_array_equal(painted[..., 3], alpha)


def test_alpha_is_scaled_along(tmp_path: Path) -> None:
    source, output = tmp_path / "in.png", tmp_path / "out.png"
    Pil.fromarray(np.full((40, 60, 4), 90, np.uint8)).save(source)
    painted = paint(source, output, height=20)
    assert painted.shape == (20, 30, 4)
    assert (painted[..., 3] == 90).all()


def test_jpeg_lays_alpha_over_white_and_says_so(tmp_path: Path) -> None:
    source, output = tmp_path / "in.png", tmp_path / "out.jpg"
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, :16, 3] = 255
    Pil.fromarray(rgba).save(source)
    report = stylize_image(source, output, "identity", size="fast", device=CPU)
    painted = pixels_of(output).astype(int)
    assert painted[:, 20:].min() > 245
    assert painted[:, :12].max() < 10
    assert any("transparency" in note for note in report.notes)


def test_hidden_leftovers_do_not_reach_the_network(tmp_path: Path) -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:16] = (100, 150, 200, 255)
    rgba[16:, :, 0] = 255
    Pil.fromarray(rgba).save(tmp_path / "in.png")
    picture = read_picture(tmp_path / "in.png")
    assert (picture.rgb == (100, 150, 200)).all()


def swapped_primaries() -> bytes:
    """An RGB profile in which red and green have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp.").replace(b"gXYZ", b"rXYZ").replace(b"tmp.", b"gXYZ")
    assert swapped != profile
    return swapped


def test_colour_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    red = Pil.new("RGB", (20, 20), (220, 30, 30))
    red.save(tmp_path / "in.png", icc_profile=swapped_primaries())
    painted = paint(tmp_path / "in.png", tmp_path / "out.png", "identity")
    assert np.abs(painted.astype(int) - (30, 220, 30)).max() <= 3
    with Pil.open(tmp_path / "out.png") as file:
        profile = ImageCms.ImageCmsProfile(BytesIO(file.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_broken_profile_costs_a_note_only(photo: Path, tmp_path: Path) -> None:
    Pil.fromarray(pixels_of(photo)).save(tmp_path / "in.png", icc_profile=b"no profile")
    picture = read_picture(tmp_path / "in.png")
    np.testing.assert_array_equal(picture.rgb, pixels_of(photo))
    assert any("profile" in note for note in picture.notes)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    pixels = smooth(30, 30)
    source = Pil.fromarray(pixels).convert(mode)
    path = tmp_path / ("in.tiff" if mode in ("CMYK", "YCbCr") else "in.png")
    source.save(path)
    picture = read_picture(path)
    expected = np.asarray(source.convert("RGB"), int)
    assert np.abs(picture.rgb.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path, suffix: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))
    Pil.fromarray(ramp).save(tmp_path / f"in.{suffix}")
    picture = read_picture(tmp_path / f"in.{suffix}")
    np.testing.assert_array_equal(picture.rgb[0, :, 1], np.arange(256))


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    pixels = Pil.fromarray(np.tile(np.arange(4, dtype=np.uint8), (20, 5)), "P")
    pixels.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    pixels.save(tmp_path / "in.png", transparency=1)
    picture = read_picture(tmp_path / "in.png")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha[0, :4], [255, 0, 255, 255])


def frames(count: int) -> list[Pil.Image]:
    return [Pil.fromarray(smooth(20, 20, seed)) for seed in range(count)]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_are_refused(tmp_path: Path, suffix: str) -> None:
    first, *others = frames(3)
    first.save(tmp_path / f"in.{suffix}", save_all=True, append_images=others)
    with pytest.raises(SourceError, match=r"animated\. Use `rtstyle video` for it\."):
        read_picture(tmp_path / f"in.{suffix}")


def test_only_the_first_page_is_painted(tmp_path: Path) -> None:
    first, *others = frames(3)
    first.save(tmp_path / "in.tiff", save_all=True, append_images=others)
    picture = read_picture(tmp_path / "in.tiff")
    np.testing.assert_array_equal(picture.rgb, np.asarray(first))
    assert "3 pages" in picture.notes[0]


def test_bad_files(tmp_path: Path, photo: Path) -> None:
    whole = photo.read_bytes()
    for name, content in {
        "empty.jpg": b"",
        "text.png": b"no picture",
        "cut.png": whole[: len(whole) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name):
            read_picture(tmp_path / name)
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(SourceError, match="no photo"):
            read_picture(path)
    Pil.new("F", (20, 20)).save(tmp_path / "float.tiff")
    with pytest.raises(SourceError, match="16 bits"):
        read_picture(tmp_path / "float.tiff")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Failed to decode frame 0"), TypeError("Missing dimensions"), struct.error()],
)
def test_whatever_a_damaged_photo_raises_is_one_clear_error(
    error: Exception, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(SourceError, match=r"cannot be read\. .*\. The file may be damaged\."):
        read_picture(photo)


def test_broken_exif_costs_no_photo_and_no_turn(tmp_path: Path) -> None:
    # The orientation is sound (6), the width is a text: Pillow cannot write these tags anew.
    tags = [struct.pack("<HHIHH", 274, 3, 1, 6, 0), struct.pack("<HHI4s", 256, 2, 4, b"abc")]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(sorted(tags)) + bytes(4)
    path = tmp_path / "a.jpg"
    Pil.fromarray(smooth(40, 60)).save(path, exif=exif)
    assert read_picture(path).rgb.shape == (60, 40, 3)


def test_orientation_that_cannot_be_read(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def getexif(_: object) -> None:
        raise struct.error("unpack requires a buffer of 2 bytes")

    monkeypatch.setattr(Pil.Image, "getexif", getexif)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "getexif", getexif)
    np.testing.assert_array_equal(read_picture(photo).rgb, smooth(40, 60))


def test_outputs_that_must_not_be_written(photo: Path, tmp_path: Path) -> None:
    existing = tmp_path / "existing.png"
    existing.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        paint(photo, existing)
    with pytest.raises(UsageError, match="input itself"):
        paint(photo, photo, overwrite=True)
    with pytest.raises(UsageError, match="written as"):
        paint(photo, tmp_path / "out.xyz")
    with pytest.raises(SinkError, match="does not exist"):
        paint(photo, tmp_path / "none" / "out.png")
    with pytest.raises(UsageError, match="quality"):
        paint(photo, tmp_path / "out.jpg", quality=0)
    assert existing.read_bytes() == b"precious"


def test_what_is_read_is_never_replaced(photo: Path, tmp_path: Path) -> None:
    painting, mask = tmp_path / "p.png", tmp_path / "m.png"
    for path in (painting, mask):
        path.write_bytes(b"precious")
    link = tmp_path / "link.png"
    link.symlink_to(painting)
    for style, output, masked in (
        (str(painting), painting, None),
        (f"mosaic:0.5,{link}:0.5", painting, None),
        (str(painting), link, None),
        ("invert", mask, mask),
        (["invert", str(painting)], painting, mask),
    ):
        with pytest.raises(UsageError, match="read here"):
            stylize_image(photo, output, style, mask=masked, overwrite=True)
    assert painting.read_bytes() == mask.read_bytes() == b"precious"


def test_what_is_read_is_never_replaced_in_a_folder(photo: Path, tmp_path: Path) -> None:
    painting = tmp_path / "out" / photo.name
    painting.parent.mkdir()
    painting.write_bytes(b"precious")
    with pytest.raises(UsageError, match="read here"):
        plan([photo], painting.parent, overwrite=True, read=[painting])


def test_the_command_keeps_what_it_reads(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    painting = tmp_path / "p.png"
    painting.write_bytes(photo.read_bytes())
    words = ["image", photo, painting, "--style", painting, "--overwrite", "--size", "fast"]
    assert command(*words) == 2
    assert "read here" in capsys.readouterr().err
    assert painting.read_bytes() == photo.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["image", "photo.png", "out.png"],
        ["styles", "--sheet", "photo.png", "out.png"],
        ["grid", "photo.png", "mosaic", "mosaic", "mosaic", "mosaic", "out.png"],
        ["still", "photo.png", "out.png", "--style", "photo.png", "--method", "wct"],
        ["texture", "photo.png", "out.png", "--method", "wct"],
    ],
)
def test_a_locked_folder_is_found_before_the_work(
    photo: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(*_: object, **__: object) -> None:
        pytest.fail("the work began")

    monkeypatch.chdir(photo.parent)
    # Within what other modules import: one that is imported now would keep a stand-in for good.
    monkeypatch.setattr("rtstyle.painting.stylizer.Stylizer.__init__", work)
    monkeypatch.setattr("rtstyle.media.picture.opened", work)
    monkeypatch.setattr("rtstyle.jobs.slow.wct.open_stylizer", work)
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    assert command(*words) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_a_failed_run_leaves_the_old_output(photo: Path, tmp_path: Path) -> None:
    existing = tmp_path / "existing.png"
    existing.write_bytes(b"precious")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(SourceError):
        paint(tmp_path / "bad.png", existing, overwrite=True)
    with pytest.raises(StyleError):
        paint(photo, existing, "nonesuch", overwrite=True)
    # WebP cannot hold a side over 16383: Pillow fails in the midst of writing.
    wide = tmp_path / "existing.webp"
    wide.write_bytes(b"precious")
    with pytest.raises(SinkError):
        write_picture(Picture(np.zeros((1, 17000, 3), np.uint8)), wide)
    assert existing.read_bytes() == wide.read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*"))
    paint(photo, existing, overwrite=True)
    assert existing.read_bytes() != b"precious"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_is_not_writable(photo: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(SinkError):
        paint(photo, locked / "out.png")


def test_plan_for_folders(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.jpg", "a.bmp", "note.txt"):
        (folder / name).write_bytes(b"")
    target = tmp_path / "painted"
    pairs = plan([folder, photo], target, overwrite=False)
    names = [(s.name, t.relative_to(tmp_path).as_posix()) for s, t in pairs]
    assert names == [
        ("a.bmp", "painted/a.png"),
        ("b.jpg", "painted/b.jpg"),
        ("photo.png", "painted/photo.png"),
    ]
    assert target.is_dir()
    assert plan([photo], target, overwrite=False) == [(photo, target / "photo.png")]


def test_photos_of_one_name_but_for_its_kind(tmp_path: Path) -> None:
    folder, target = tmp_path / "photos", tmp_path / "painted"
    folder.mkdir()
    for name in ("anim.gif", "anim.png", "b.bmp", "b.GIF", "c.gif"):
        (folder / name).write_bytes(b"")
    names = {s.name: t.name for s, t in plan([folder], target, overwrite=False)}
    assert names == {
        "anim.gif": "anim_gif.png",
        "anim.png": "anim.png",
        "b.bmp": "b_bmp.png",
        "b.GIF": "b_GIF.png",
        "c.gif": "c.png",
    }
    (folder / "anim_gif.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"Two photos would become anim_gif\.png"):
        plan([folder], target, overwrite=False)


def test_plans_that_are_refused(photo: Path, tmp_path: Path) -> None:
    empty, twin = tmp_path / "empty", tmp_path / "twin"
    empty.mkdir()
    twin.mkdir()
    (twin / photo.name).write_bytes(photo.read_bytes())
    with pytest.raises(SourceError, match="no photos"):
        plan([empty], tmp_path / "out", overwrite=False)
    with pytest.raises(UsageError, match="Two photos"):
        plan([photo, twin], tmp_path / "out", overwrite=False)
    with pytest.raises(UsageError, match="one file"):
        plan([twin, empty / "x.png"], tmp_path / "out.png", overwrite=False)
    with pytest.raises(UsageError, match="is not a folder"):
        plan([photo, twin / "y.png"], photo, overwrite=False)
    with pytest.raises(SinkError, match="cannot be made"):
        plan([twin], tmp_path / "a" / "b", overwrite=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(411, 530), (256, 700), (96, 97)])
@pytest.mark.slow
def test_tiles_equal_the_whole(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(network_model(4, seed=5))
    monkeypatch.setattr(tiling, "PROBE_TILE", 64)
    image = smooth(*size)
    graph = NormGraph(path.read_bytes())
    with Stylizer(str(path), device="openvino:cpu", precision="fp32") as stylizer:
        whole = stylizer(image)
        tiled, tiles = paint_tiled(stylizer.network.engine, graph, image, tile=64)
    assert tiles > (1 if max(size) > 200 else 0)
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_graph_layout() -> None:
    graph = NormGraph(network_model(4, blocks=1))
    assert [norm.jump for norm in graph.norms] == [2, 4, 4, 4, 2]
    assert all(norm.margin * norm.jump == 8 for norm in graph.norms)
    # Three convolutions at stride 2 and three at stride 4 see at least this far.
    assert graph.reach >= 3 * 2 + 3 * 4


def test_reach_bounds_what_a_pixel_sees() -> None:
    from rtstyle.engines import open_engine
    from rtstyle.painting.norm_graph import Affine

    graph = NormGraph(network_model(4, seed=3))
    plain = [Affine(np.ones_like(n.gamma), np.zeros_like(n.gamma)) for n in graph.norms]
    image = smooth(192, 192)
    touched = image.copy()
    touched[96, 96] = 255 - touched[96, 96]
    with open_engine(graph.fixed(plain), CPU) as engine:
        changed = (engine.run(image[None]) != engine.run(touched[None]))[0].any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 0 < max(abs(rows - 96).max(), abs(columns - 96).max()) <= graph.reach


def test_large_pictures_take_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.png"
    Pil.fromarray(smooth(300, 420)).save(source)
    whole = paint(source, tmp_path / "whole.png", "mosaic")
    monkeypatch.setattr(job, "WHOLE_PIXELS", 1000)
    monkeypatch.setattr(tiling, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(tiling, "TILE", 128)
    with Stylizer("mosaic", "fast", device=CPU) as stylizer:
        report = paint_file(stylizer, source, tmp_path / "tiled.png")
    assert report.tiles > 1
    tiled = pixels_of(tmp_path / "tiled.png")
    assert np.abs(tiled.astype(int) - whole).max() <= 1


@pytest.mark.slow
def test_statistics_from_a_sample_are_close(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = NormGraph(network_model(4, seed=5))
    image = smooth(900, 1200)
    exact = tiling.gather(graph, image)
    monkeypatch.setattr(tiling, "EXACT_PIXELS", 0)
    monkeypatch.setattr(tiling, "SAMPLED_PIXELS", 300_000)
    tile = 2 * tiling.aligned(graph.reach)
    drawn = tiling.probe_tiles(graph.reach, image)
    assert len(drawn) == 300_000 // tile**2 < len(list(tiling.grid(image, tile, graph.reach)))
    assert len({(one.rows.start, one.columns.start) for one in drawn}) == len(drawn)
    sampled = tiling.gather(graph, image)
    for one, other in zip(exact, sampled, strict=True):
        np.testing.assert_allclose(other.scale, one.scale, rtol=0.15)


def test_a_style_that_mixes_the_whole_picture_is_not_tiled() -> None:
    from helpers.models import Graph

    graph = Graph()
    x = graph.planes("image")
    graph.finish(graph.op("Sub", x, graph.op("GlobalAveragePool", x)))
    with pytest.raises(EngineError, match="too large"):
        NormGraph(graph.model())


@pytest.mark.parametrize("length", [1, 100, 175, 176, 177, 192, 500, 1001])
def test_spans_cover_everything_once(length: int) -> None:
    cut = spans(length, 64, 48)
    assert cut[0].first == 0
    assert cut[-1].last == length
    for before, after in pairwise(cut):
        assert before.last == after.first > before.first
    for span in cut:
        assert span.start % tiling.ALIGNMENT == 0
        assert span.start <= span.first < span.last <= span.end
        assert span.first == 0 or span.first - span.start >= 48
        assert span.last == length or span.end - span.last >= 48
    assert len({span.end - span.start for span in cut}) <= 2


def test_moments_match_numpy() -> None:
    values = np.random.default_rng(0).normal(3, 2, (5, 1000))
    moments = Moments(5)
    for part in np.split(values, [10, 10, 400], axis=1):
        if part.size:
            moments.add(part.shape[1], part.mean(axis=1), part.var(axis=1))
    moments.add(0, np.full(5, np.nan), np.full(5, np.nan))
    np.testing.assert_allclose(moments.mean, values.mean(axis=1))
    np.testing.assert_allclose(moments.variance, values.var(axis=1))


def test_sheet_shows_the_photo_and_every_style() -> None:
    seen: list[str] = []
    photo = smooth(40, 60)
    sheet = contact_sheet(photo, size="fast", device=CPU, progress=seen.append)
    assert seen == ["mosaic", "identity", "invert"]
    np.testing.assert_array_equal(sheet[16:56, 16:76], photo)
    places = [
        (y, x)
        for y in range(sheet.shape[0] - 40)
        for x in range(sheet.shape[1] - 60)
        if (sheet[y, x] == 255 - photo[0, 0]).all()
        and (sheet[y + 39, x + 59] == 255 - photo[-1, -1]).all()
    ]
    assert len(places) == 1
    with pytest.raises(StyleError):
        contact_sheet(photo, size="paper", device=CPU)


def test_sheet_layout() -> None:
    from PIL import ImageFont

    assert best_columns(1, 300, 300) == 1
    assert best_columns(12, 496, 380) == 4
    font = ImageFont.load_default(size=12)
    assert fit("short", font, 200) == "short"
    assert font.getlength(fit("a very long credit " * 9, font, 120)) <= 120


def test_real_photo(data: Path, tmp_path: Path) -> None:
    source = sorted((data / "content" / "val").glob("*.jpg"))[0]
    painted = paint(source, tmp_path / "out.jpg", "invert", quality=95)
    expected = 255 - read_picture(source).rgb.astype(int)
    assert np.abs(painted - expected).mean() < 3
