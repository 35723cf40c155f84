"""Any picture as the style: what is parsed, encoded, blended, masked and refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers import pictures
from helpers.console import rtstyle
from helpers.media import write_clip
from numpy.typing import NDArray
from PIL import Image as Pil

from rtstyle.engines.devices import cache_folder
from rtstyle.errors import RtstyleError, SourceError, StyleError, UsageError
from rtstyle.frame import Frame, Image
from rtstyle.jobs.image import stylize_image
from rtstyle.jobs.mask_video import MovingMask, is_video
from rtstyle.jobs.video import stylize_video
from rtstyle.live.bank import StyleBank
from rtstyle.live.look import Look
from rtstyle.live.painter import Studio
from rtstyle.media.color import Colours
from rtstyle.painting import masks
from rtstyle.painting.masks import (
    StillMask,
    check_shape,
    even_greys,
    find_colours,
    read_mask,
    weigh,
)
from rtstyle.painting.stylizer import Stylizer
from rtstyle.styles import manifest, model, paintings
from rtstyle.styles.spec import Mixture, as_mixture, parse_style, parse_sweep

CPU = "onnxruntime:cpu"


def noise(height: int, width: int) -> Image:
    return pictures.noise(height, width, low=60, high=180)


def write(path: Path, image: Image) -> str:
    Pil.fromarray(image).save(path)
    return str(path)


def painting(colour: tuple[int, int, int], spread: int = 20) -> Image:
    """A picture whose colours lie `spread` above and below one colour."""
    image = np.full((64, 64, 3), colour, np.int16)
    image[::2] += spread
    image[1::2] -= spread
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def red(tmp_path: Path) -> str:
    return write(tmp_path / "red.png", painting((200, 60, 60)))


@pytest.fixture
def green(tmp_path: Path) -> str:
    return write(tmp_path / "green.png", painting((60, 180, 60)))


def colour_of(image: Image) -> NDArray[np.float64]:
    return np.asarray(image.reshape(-1, 3).mean(axis=0))


class TestParsing:
    def test_what_a_style_may_be(self, red: str, green: str) -> None:
        assert parse_style("mosaic") == "mosaic"
        assert parse_style("some/model.onnx") == "some/model.onnx"
        assert parse_style(red) == Mixture(((red, 1.0),))
        blend = parse_style(f"{red}:3, {green}:1")
        assert blend == Mixture(((red, 0.75), (green, 0.25)))
        assert parse_style(f"{red},{green},{red}") == Mixture(((red, 2 / 3), (green, 1 / 3)))
        assert parse_style("mosaic:1") == as_mixture("mosaic") == Mixture((("mosaic", 1.0),))

    def test_the_text_of_a_blend_is_a_blend(self, red: str, green: str) -> None:
        blend = as_mixture(f"{red}:0.7,{green}:0.3")
        assert parse_style(str(blend)) == blend

    def test_a_file_name_with_separators_is_a_file(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a,b:0.5.png", painting((10, 20, 30)))
        assert parse_style(path) == Mixture(((path, 1.0),))

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{red}:0,{green}:0", "sum to zero"),
            ("{red}:-1,{green}:2", "out of range"),
            ("{red}:nan", "out of range"),
            ("{red}:inf,{green}:1", "out of range"),
            ("{red}:much", "no picture"),
            ("{red},,{green}", "empty part"),
            ("model.onnx,{red}", "cannot be mixed"),
            ("nothere.jpg", "no picture nothere.jpg"),
            ("nothere.jpg:0.5,{red}:0.5", "no picture nothere.jpg"),
            ("mosiac", "no style named"),
            ("{folder}", "is a folder"),
        ],
    )
    def test_refusals(self, text: str, says: str, red: str, green: str, tmp_path: Path) -> None:
        with pytest.raises(RtstyleError, match=says):
            parse_style(text.format(red=red, green=green, folder=tmp_path))

    def test_the_nearest_name_is_told(self) -> None:
        with pytest.raises(StyleError, match="mosaic"):
            parse_style("mosiac")

    def test_sweep(self, red: str, green: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert parse_sweep(f"{red}..{green}") == (as_mixture(red), as_mixture(green))
        folder = Path(red).parent / "below"
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert parse_sweep("../red.png..../green.png")
        for text in ("a.jpg", "..", "a.jpg.."):
            with pytest.raises(RtstyleError):
                parse_sweep(text)


def test_shares_of_a_blend() -> None:
    assert model.even_shares([1.0]) == [1.0]
    assert model.even_shares([0.0, 1.0]) == [0.0, 1.0]
    np.testing.assert_allclose(model.even_shares([0.25] * 4), [0.25] * 4)
    # 3^0.75 : 1
    np.testing.assert_allclose(model.even_shares([0.75, 0.25]), [0.69507, 0.30493], atol=1e-5)
    three = model.even_shares([0.5, 0.3, 0.2])
    assert sum(three) == pytest.approx(1)
    assert three[0] > three[1] > three[2] > 0.2


class TestEncoding:
    def test_statistics_of_a_picture(self, red: str) -> None:
        found = paintings.encode(red, "fast")
        np.testing.assert_allclose(found[:3], [200, 60, 60], atol=1)

    def test_a_second_run_takes_them_from_the_disk(
        self, red: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = paintings.encode(red, "fast")
        paintings._VECTORS.clear()
        monkeypatch.setattr(paintings, "encode_image", lambda *_: pytest.fail("encoded again"))
        np.testing.assert_array_equal(paintings.encode(red, "fast"), first)

    def test_a_changed_file_is_encoded_anew(self, red: str) -> None:
        before = paintings.encode(red, "fast")
        write(Path(red), painting((10, 10, 240), 3))
        assert abs(paintings.encode(red, "fast") - before).max() > 50

    def test_a_damaged_cache_is_no_error(self, red: str) -> None:
        first = paintings.encode(red, "fast", 1.5)
        for kept in (cache_folder() / "paintings").glob("*.vector"):
            kept.write_bytes(b"nonsense")
        paintings._VECTORS.clear()
        np.testing.assert_array_equal(paintings.encode(red, "fast", 1.5), first)

    def test_a_cache_that_cannot_be_written_is_no_error(
        self, green: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("")
        monkeypatch.setenv("RTSTYLE_CACHE", str(blocked))
        assert len(paintings.encode(green, "fast", 0.5)) == 6

    @pytest.mark.parametrize("mode", ["L", "CMYK", "I;16", "P", "RGBA", "1"])
    def test_kinds_of_pictures(self, mode: str, tmp_path: Path) -> None:
        kind = ".tif" if mode in ("CMYK", "I;16") else ".png"
        path = tmp_path / f"style{kind}"
        if mode == "I;16":
            Pil.fromarray(np.full((40, 40), 30000, np.uint16)).save(path)
        else:
            Pil.fromarray(painting((120, 130, 140))).convert(mode).save(path)
        assert np.isfinite(paintings.encode(str(path), "fast")).all()

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (16, 16), (3, 12000)])
    def test_extreme_shapes(self, height: int, width: int, tmp_path: Path) -> None:
        path = write(tmp_path / "style.png", np.full((height, width, 3), 77, np.uint8))
        prepared = paintings.prepare(paintings.read_painting(Path(path)))
        assert min(prepared.shape[:2]) >= paintings.SHORTEST
        assert max(prepared.shape[:2]) <= paintings.LONGEST * paintings.STYLE_SIDE
        np.testing.assert_allclose(paintings.encode(path, "fast")[:3], 77, atol=1)

    def test_animated_pictures_are_refused(self, tmp_path: Path) -> None:
        frames = [Pil.fromarray(painting((c, 0, 0))) for c in (10, 200)]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        with pytest.raises(StyleError, match=r"animated.*still"):
            paintings.encode(str(tmp_path / "a.gif"), "fast")

    def test_what_is_no_picture_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "style.jpg").write_text("no picture")
        with pytest.raises(StyleError, match="not a picture"):
            paintings.encode(str(tmp_path / "style.jpg"), "fast")

    def test_scale_changes_what_is_seen(self) -> None:
        image = noise(300, 400)
        assert paintings.prepare(image).shape == (256, 341, 3)
        assert paintings.prepare(image, 0.5).shape == (128, 171, 3)
        for scale in (0.0, -1.0, 9.0, float("nan")):
            with pytest.raises(UsageError, match="out of range"):
                paintings.encode("x.png", "fast", scale)

    def test_built_in_paintings_need_no_file(self) -> None:
        assert paintings.encode("mosaic", "fast")[2] == 200
        with pytest.raises(StyleError, match="not there"):
            paintings.encode("identity", "fast")
        with pytest.raises(UsageError, match="scale 1"):
            paintings.encode("mosaic", "fast", 2.0)

    def test_colours_of_the_content(self, red: str) -> None:
        wanted = Colours.of(painting((30, 40, 150), 10))
        found = paintings.encode(red, "fast", colours=wanted)
        np.testing.assert_allclose(found[:3], [30, 40, 150], atol=2)


class TestManifest:
    def test_sizes(self) -> None:
        assert manifest.any_size("balanced") == "fast"
        assert manifest.find_any("regions", "paper").path.name == "any-paper-content.onnx"
        with pytest.raises(StyleError, match="no network of size"):
            manifest.find_any("style", "huge")

    def test_an_altered_file_is_refused(
        self, tmp_path: Path, pretrained_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for file in pretrained_folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        changed = tmp_path / "any-fast-content.onnx"
        changed.write_bytes(changed.read_bytes() + b"x")
        monkeypatch.setenv("RTSTYLE_STYLES", str(tmp_path))
        with pytest.raises(StyleError, match="sha256"):
            manifest.find_any("content", "fast")


@pytest.mark.parametrize("size", ["fast", "balanced", "paper"])
class TestPainting:
    def test_the_colours_become_the_paintings(self, size: str, red: str) -> None:
        with Stylizer(red, size, device=CPU) as stylize:
            painted = stylize(noise(48, 64))
            np.testing.assert_allclose(colour_of(painted), [200, 60, 60], atol=3)
            assert stylize.describe().startswith(red)

    def test_strength_is_the_networks(self, size: str, red: str) -> None:
        image = noise(48, 64)
        with Stylizer(red, size, device=CPU, strength=0.5) as stylize:
            middle = (colour_of(image) + np.array([200, 60, 60])) / 2
            np.testing.assert_allclose(colour_of(stylize(image)), middle, atol=3)
            stylize.strength = 0.0
            np.testing.assert_array_equal(stylize(image), image)

    def test_blend(self, size: str, red: str, green: str) -> None:
        image, seen = noise(48, 64), []
        for weight in (0.0, 0.25, 0.5, 0.75, 1.0):
            with Stylizer(f"{red}:{1 - weight},{green}:{weight}", size, device=CPU) as stylize:
                seen.append(colour_of(stylize(image)))
        assert (np.diff([c[0] for c in seen]) < 0).all()
        assert (np.diff([c[1] for c in seen]) > 0).all()

    def test_tiny_flat_and_extreme_frames(self, size: str, red: str) -> None:
        with Stylizer(red, size, device=CPU) as stylize:
            for shape in ((1, 1), (16, 16), (7, 33)):
                for value in (0, 128, 255):
                    flat = np.full((*shape, 3), value, np.uint8)
                    assert stylize(flat).shape == flat.shape

    def test_sweep(self, size: str, red: str, green: str) -> None:
        image = noise(48, 64)
        with Stylizer(size=size, sweep=f"{red}..{green}", device=CPU) as stylize:
            reds = [colour_of(stylize(image, at=at))[0] for at in (0.0, 0.5, 1.0, 2.0)]
        np.testing.assert_allclose(reds, [200, 130, 60, 60], atol=3)

    def test_regions(self, size: str, red: str, green: str) -> None:
        mask = np.zeros((48, 64, 3), np.uint8)
        mask[:, 32:] = 255
        with Stylizer([red, green], size, mask=mask, device=CPU) as stylize:
            painted = stylize(noise(96, 128))
        np.testing.assert_allclose(colour_of(painted[:, :54]), [200, 60, 60], atol=6)
        np.testing.assert_allclose(colour_of(painted[:, 74:]), [60, 180, 60], atol=6)

    def test_keep_color(self, size: str, red: str) -> None:
        image = noise(48, 64)
        with Stylizer(red, size, keep_color=True, device=CPU) as stylize:
            painted = colour_of(stylize(image))
        assert np.ptp(painted) < 10

    def test_match_color(self, size: str, red: str) -> None:
        image = painting((40, 60, 160), 30)
        with Stylizer(red, size, match_color=True, device=CPU) as stylize:
            np.testing.assert_allclose(colour_of(stylize(image)), [40, 60, 160], atol=4)


class TestRefusals:
    def test_options_that_do_not_go_together(self, red: str, green: str) -> None:
        mask = np.zeros((48, 64, 3), np.uint8)
        cases: list[tuple[object, dict[str, object], str]] = [
            ([red, green], {}, "no mask"),
            ([], {}, "no style"),
            ("mosaic", {"style_scale": 2.0}, "one scale"),
            ("mosaic", {"match_color": True}, "--keep-color"),
            (red, {"sweep": f"{red}..{green}", "mask": mask}, "whole picture"),
            ([red, green], {"mask": mask}, "1 region, but 2"),
            (red, {"strength": 2.0}, "out of range"),
        ]
        for style, options, says in cases:
            with pytest.raises(UsageError, match=says):
                Stylizer(style, "fast", device=CPU, **options)  # type: ignore[arg-type]


class TestMasks:
    def three(self) -> Image:
        mask = np.zeros((60, 90, 3), np.uint8)
        mask[:, 30:60] = (200, 30, 30)
        mask[:, 60:] = (250, 250, 250)
        return mask

    def test_regions_go_from_dark_to_light(self) -> None:
        colours, covered = find_colours(self.three())
        assert len(colours) == 3
        assert covered == 1.0
        weights = StillMask(self.three(), 3).weights(120, 180)
        assert weights.shape == (3, 120, 180)
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
        for k, column in enumerate((20, 90, 160)):
            assert weights[k, 60, column] > 0.99

    @pytest.mark.parametrize("size", [(60, 90), (38, 57), (242, 363)])
    def test_weights_sum_to_one_at_any_size(self, size: tuple[int, int]) -> None:
        colours = np.array([[250, 10, 10], [10, 240, 30], [0, 0, 255]], np.float32)
        mask = np.random.default_rng(0).choice(colours, (60, 90)).astype(np.uint8)
        weights = weigh(mask, colours, *size)
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
        assert weights.min() >= 0

    def test_edges_are_soft(self) -> None:
        weights = StillMask(self.three(), 3).weights(500, 750)
        edge = weights[0, 250, 240:260]
        assert (np.diff(edge) <= 1e-6).all()
        assert 0.3 < edge[10] < 0.7
        assert abs(np.diff(edge)).max() < 0.25

    def test_jpeg_noise_makes_no_regions(self, tmp_path: Path) -> None:
        Pil.fromarray(self.three()).save(tmp_path / "m.jpg", quality=40)
        noisy = read_mask(tmp_path / "m.jpg")
        StillMask(noisy, 3)

    def test_a_gradient_mixes_two_styles(self) -> None:
        ramp = np.linspace(0, 255, 90).astype(np.uint8)
        mask = np.repeat(np.broadcast_to(ramp, (60, 90))[:, :, None], 3, axis=2)
        weights = StillMask(mask, 2).weights(60, 90)
        np.testing.assert_allclose(weights[1, 30], ramp / 255, atol=0.01)

    @pytest.mark.parametrize(("level", "share"), [(0, 0.0), (255, 1.0), (51, 0.2)])
    def test_one_style_and_a_mask_of_one_colour(self, level: int, share: float) -> None:
        weights = StillMask(np.full((60, 90, 3), level, np.uint8), 1).weights(30, 45)
        np.testing.assert_allclose(weights[1], share, atol=0.003)
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)

    def test_one_style_and_a_mask_of_three_colours(self) -> None:
        with pytest.raises(UsageError, match="3 regions, but one style"):
            StillMask(self.three(), 1)

    @pytest.mark.parametrize("count", [2, 4])
    def test_another_number_of_regions_is_refused(self, count: int) -> None:
        with pytest.raises(UsageError, match=f"3 regions, but {count} styles"):
            StillMask(self.three(), count)

    def test_another_shape_is_refused_another_size_is_not(self) -> None:
        check_shape(self.three(), 600, 900)
        check_shape(self.three(), 601, 900)
        for height, width in ((60, 60), (90, 60), (60, 100)):
            with pytest.raises(UsageError, match="60"):
                check_shape(self.three(), height, width)

    def test_one_style_paints_what_is_white(self, red: str) -> None:
        image, mask = noise(48, 64), np.zeros((48, 64, 3), np.uint8)
        mask[:, 32:] = 255
        for style in (red, "invert"):
            with Stylizer(style, "fast", mask=mask, device=CPU) as stylize:
                painted = stylize(image)
            np.testing.assert_array_equal(painted[:, :24], image[:, :24])
            assert abs(painted[:, 40:].astype(int) - image[:, 40:]).mean() > 20

    def test_video_masks_have_even_greys(self) -> None:
        np.testing.assert_array_equal(even_greys(3)[:, 0], [0, 127.5, 255])
        mask = np.full((10, 10, 3), 120, np.uint8)
        assert weigh(mask, even_greys(3), 20, 20)[1].min() > 0.99

    @pytest.mark.parametrize("count", [2, 3, 5])
    @pytest.mark.parametrize("size", [(60, 90), (40, 60), (90, 135)])
    def test_mask_frames_are_weighed_alike_but_quickly(
        self, count: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mask = np.repeat(np.repeat(noise(6, 9), 10, axis=0), 10, axis=1)
        # Greys that are not quite even take the general way.
        general = weigh(mask, even_greys(count) + np.float32(1e-3), *size)

        def slow(*_: object) -> None:
            raise AssertionError("the general way is too slow for every frame")

        monkeypatch.setattr(masks, "nearest_colour", slow)
        weights = weigh(mask, even_greys(count), *size)
        assert weights.dtype == np.float32
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
        np.testing.assert_allclose(weights, general, atol=0.01)

    def test_what_is_a_video(self) -> None:
        assert is_video(Path("m.mp4"))
        assert is_video(Path("m_%03d.png"))
        assert is_video(Path("m.gif"))
        assert not is_video(Path("m.png"))

    def test_a_mask_video_goes_along(self, tmp_path: Path) -> None:
        for i in range(4):
            write(tmp_path / f"m_{i:03d}.png", np.full((20, 20, 3), 60 * i, np.uint8))
        with MovingMask(tmp_path / "m_%03d.png") as mask:
            step = Fraction(1, 25)
            frames = [Frame(noise(20, 20), i, i, step, 0.0) for i in (0, 2, 1, 3, 9)]
            assert [int(mask.at(frame).mean()) for frame in frames] == [0, 120, 60, 180, 180]

    def test_pictures_of_a_mask_belong_to_one_frame_each(self, tmp_path: Path) -> None:
        for i in range(4):
            write(tmp_path / f"m_{i:03d}.png", np.full((20, 20, 3), 60 * i, np.uint8))
        with MovingMask(tmp_path, rate=Fraction(10)) as mask:
            frames = [Frame(noise(20, 20), i, i, Fraction(1, 10), 0.0) for i in range(4)]
            assert [int(mask.at(frame).mean()) for frame in frames] == [0, 60, 120, 180]


class TestJobs:
    def test_image(self, red: str, tmp_path: Path) -> None:
        write(tmp_path / "photo.png", noise(60, 80))
        stylize_image(tmp_path / "photo.png", tmp_path / "out.png", red, device=CPU)
        painted = read_mask(tmp_path / "out.png")
        np.testing.assert_allclose(colour_of(painted), [200, 60, 60], atol=3)

    @pytest.mark.parametrize("strength", [1.0, 0.5])
    def test_a_large_image_is_painted_in_tiles(
        self, red: str, strength: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rtstyle.jobs import image as job
        from rtstyle.media.picture import Picture
        from rtstyle.painting import tiling

        photo = noise(300, 400)
        monkeypatch.setattr(job, "WHOLE_PIXELS", 100)
        monkeypatch.setattr(tiling, "WHOLE_BYTES", 100)
        monkeypatch.setattr(tiling, "TILE", 128)
        with Stylizer(red, "fast", device=CPU, strength=strength) as stylize:
            painted, tiles = job.paint_picture(stylize, Picture(photo))
            whole = stylize(photo)
        assert tiles > 1
        assert abs(painted.rgb.astype(int) - whole).max() <= 1

    def test_its_own_network_is_not_a_style(self, red: str) -> None:
        for part in ("content", "regions"):
            file = str(manifest.find_any(part, "fast").path)
            for style in (file, [file, "invert"]):
                with pytest.raises(StyleError, match="Name the picture"):
                    Stylizer(style, "fast", regional=style != file, device=CPU)
            with StyleBank(device=CPU) as bank, pytest.raises(StyleError, match="is not a style"):
                bank.paint(noise(32, 32), file, "fast")

    def test_a_height_that_would_make_the_picture_huge(self) -> None:
        with (
            Stylizer("invert", "fast", height=8192, device=CPU) as stylize,
            pytest.raises(UsageError, match="12288000 pixels wide"),
        ):
            stylize(noise(2, 3000))

    def test_large_regions_are_refused(
        self, red: str, green: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rtstyle.painting import tiling

        mask = np.zeros((30, 40, 3), np.uint8)
        mask[:, 20:] = 255
        monkeypatch.setitem(tiling.MOST_REGIONAL, "fast", 100)
        with (
            Stylizer([red, green], "fast", mask=mask, device=CPU) as stylize,
            pytest.raises(RtstyleError, match="--height"),
        ):
            tiling.paint(stylize.network, noise(30, 40), stylize.recipe)

    def test_video_sweep(self, red: str, green: str, tmp_path: Path) -> None:
        for i in range(5):
            write(tmp_path / f"in_{i:03d}.png", noise(48, 64))
        stylize_video(
            tmp_path / "in_%03d.png",
            tmp_path / "out_%03d.png",
            sweep=f"{red}..{green}",
            size="fast",
            device=CPU,
        )
        files = sorted(tmp_path.glob("out_*.png"))
        reds = [colour_of(read_mask(f))[0] for f in files]
        # A quarter of the way looks like a quarter: 0.305 in statistics (`adain.EVENNESS`).
        np.testing.assert_allclose(reds, [200, 157.3, 130, 102.7, 60], atol=4)

    def test_video_with_a_mask_video(self, red: str, green: str, tmp_path: Path) -> None:
        for i in range(4):
            write(tmp_path / f"in_{i:03d}.png", noise(48, 64))
            write(tmp_path / f"m_{i:03d}.png", np.full((48, 64, 3), 255 * (i > 1), np.uint8))
        stylize_video(
            tmp_path / "in_%03d.png",
            tmp_path / "out_%03d.png",
            [red, green],
            mask=tmp_path / "m_%03d.png",
            size="fast",
            device=CPU,
        )
        files = sorted(tmp_path.glob("out_*.png"))
        reds = [colour_of(read_mask(f))[0] for f in files]
        np.testing.assert_allclose(reds, [200, 200, 60, 60], atol=4)

    def test_a_mask_that_is_not_there(self, red: str, tmp_path: Path) -> None:
        for name in ("none.png", "none.mp4"):
            with pytest.raises(SourceError, match="none"):
                stylize_video(
                    write(tmp_path / "in_000.png", noise(48, 64)).replace("000", "%03d"),
                    tmp_path / "out_%03d.png",
                    red,
                    mask=tmp_path / name,
                    device=CPU,
                )


class TestLive:
    def test_pictures_share_one_engine(self, red: str, green: str) -> None:
        with StyleBank(device=CPU) as bank:
            assert bank.network(red, "fast").engine is bank.network(f"{red},{green}", "fast").engine
            assert bank.network("mosaic", "fast").engine is not bank.network(red, "fast").engine

    def test_a_known_picture_is_ready_at_once(self, red: str, green: str) -> None:
        with StyleBank(device=CPU) as bank:
            bank.paint(noise(48, 64), red, "fast")
            assert bank.ready(red, "fast", (48, 64))
            assert not bank.ready(green, "fast", (48, 64))
            bank.prepare([(green, "fast")], (48, 64))
            assert bank.wait_idle(30)
            assert bank.ready(green, "fast", (48, 64))

    def test_a_bad_picture_leaves_the_picture_on_the_screen(self, red: str) -> None:
        with StyleBank(device=CPU) as bank:
            studio = Studio(bank, Look(red, "fast"))
            before = studio(noise(48, 64))
            studio.change(style="nothere.jpg")
            studio(noise(48, 64))
            assert bank.wait_idle(30)
            np.testing.assert_array_equal(studio(noise(48, 64)), before)
            assert studio.problem is not None
            assert studio.look.style == red

    def test_strength_acts_in_the_network_alone(self, red: str) -> None:
        image = noise(48, 64)
        with StyleBank(device=CPU) as bank:
            painted = Studio(bank, Look(red, "fast", strength=0.5))(image)
        middle = (colour_of(image) + np.array([200, 60, 60])) / 2
        np.testing.assert_allclose(colour_of(painted), middle, atol=3)

    def test_a_mask_divides_the_live_picture(self, red: str, green: str) -> None:
        mask, image = np.zeros((64, 96, 3), np.uint8), noise(64, 96)
        mask[:, 48:] = 255
        with StyleBank(device=CPU) as bank:
            look = Look((red, green), "fast", regional=True)
            clock = [0.0]
            studio = Studio(bank, look, mask=StillMask(mask, 2), clock=lambda: clock[0])
            painted = studio(image)
            np.testing.assert_allclose(colour_of(painted[:, :40]), [200, 60, 60], atol=12)
            np.testing.assert_allclose(colour_of(painted[:, 56:]), [60, 180, 60], atol=12)
            studio.change(height=32)
            bank.prepare([studio.look.model_name], (32, 48))
            assert bank.wait_idle(30)
            small = studio(image)
            assert studio.shown.height == 32
            np.testing.assert_allclose(colour_of(small[:, 56:]), [60, 180, 60], atol=12)
            clock[0] = 1.0
            studio.change(style=green)
            for _ in range(2):
                whole = studio(image)
                assert bank.wait_idle(30)
            np.testing.assert_allclose(colour_of(whole[:, :40]), [60, 180, 60], atol=12)

    def test_one_style_paints_what_is_white_in_a_mask(self, red: str) -> None:
        mask, image = np.zeros((64, 96, 3), np.uint8), noise(64, 96)
        mask[:, 48:] = 255
        with StyleBank(device=CPU) as bank:
            painted = Studio(bank, Look(red, "fast"), mask=StillMask(mask, 2))(image)
            np.testing.assert_array_equal(painted[:, :40], image[:, :40])
            np.testing.assert_allclose(colour_of(painted[:, 56:]), [200, 60, 60], atol=12)
            # Both the mask and the person count.
            studio = Studio(
                bank,
                Look(red, "fast", only="background"),
                mask=StillMask(mask, 2),
                segmenter=lambda image: mask[:, :, 0],
            )
            # Soft edges overlap.
            np.testing.assert_array_equal(studio(image)[:, :40], image[:, :40])
            np.testing.assert_array_equal(studio(image)[:, 56:], image[:, 56:])

    def test_pictures_have_the_scale_of_the_bank(self, red: str) -> None:
        with StyleBank(device=CPU, style_scale=0.25) as bank:
            for style in (red, f"{red}:1"):
                found = bank.resolve(style, "fast").statistics
                assert found is not None
                np.testing.assert_allclose(found[0], paintings.encode(red, "fast", 0.25))
                assert np.abs(found[0] - paintings.encode(red, "fast")).max() > 1
            # Built-in paintings ship at one scale.
            mixed = bank.resolve(f"{red}:1,mosaic:1", "fast").statistics
            wanted = (paintings.encode(red, "fast") + paintings.encode("mosaic", "fast")) / 2
            assert mixed is not None
            np.testing.assert_allclose(mixed[0], wanted, rtol=1e-5)
        with pytest.raises(UsageError, match="out of range"):
            StyleBank(style_scale=9)

    def test_pictures_take_on_the_colours_of_a_frame(self, red: str) -> None:
        image = painting((30, 40, 150), 10)
        with StyleBank(device=CPU) as bank:
            studio = Studio(bank, Look(red, "fast", match_color=True))
            np.testing.assert_allclose(colour_of(studio(image)), [30, 40, 150], atol=3)
            assert studio.matched
            np.testing.assert_allclose(colour_of(studio(noise(64, 64))), [30, 40, 150], atol=3)
            studio.match(False)
            # The old colours stay until the new ones are there.
            before = colour_of(studio(image))
            assert bank.wait_idle(30)
            for found in (before, colour_of(studio(image))):
                wanted = [30, 40, 150] if found[2] > 100 else [200, 60, 60]
                np.testing.assert_allclose(found, wanted, atol=3)
            np.testing.assert_allclose(colour_of(studio(image)), [200, 60, 60], atol=3)


class TestCommands:
    @pytest.fixture
    def run(self) -> Callable[..., tuple[int, str]]:
        def call(*words: object) -> tuple[int, str]:
            done = rtstyle(*words)
            return done.code, done.output

        return call

    def test_image(self, red: str, tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
        photo, out = write(tmp_path / "p.png", noise(48, 64)), tmp_path / "o.png"
        assert run("image", photo, out, "--style", red, "--device", CPU)[0] == 0
        assert out.exists()

    def test_image_by_regions(
        self, red: str, green: str, tmp_path: Path, run: Callable[..., tuple[int, str]]
    ) -> None:
        photo, out = write(tmp_path / "p.png", noise(48, 64)), tmp_path / "o.png"
        mask = np.zeros((48, 64, 3), np.uint8)
        mask[24:] = 255
        both = ("--style", red, "--style", green, "--device", CPU)
        code, said = run("image", photo, out, *both)
        assert code == 2
        assert "no mask" in said
        written = write(tmp_path / "m.png", mask)
        assert run("image", photo, out, *both, "--mask", written)[0] == 0

    def test_style_and_sweep_exclude_each_other(
        self, red: str, run: Callable[..., tuple[int, str]]
    ) -> None:
        sweep = f"{red}..{red}"
        code, said = run("video", "a.mp4", "b.mp4", "--style", red, "--style-sweep", sweep)
        assert code == 2
        assert "exclude" in said

    def test_grid(
        self, red: str, green: str, tmp_path: Path, run: Callable[..., tuple[int, str]]
    ) -> None:
        photo, out = write(tmp_path / "p.png", noise(48, 64)), tmp_path / "o.png"
        code, _ = run("grid", photo, red, green, "mosaic", red, out, "--steps", 3)
        assert code == 0
        with Pil.open(out) as sheet:
            assert sheet.width > 3 * 64
        assert run("grid", photo, red, green, "mosaic", red, out, "--steps", 3)[0] == 2
        before = Path(red).read_bytes()
        code, said = run("grid", photo, green, red, "mosaic", green, red, "--overwrite")
        assert (code, "read here" in said) == (2, True)
        assert Path(red).read_bytes() == before
        assert run("grid", photo, red, green, "mosaic", out)[0] == 2

    @pytest.mark.slow
    def test_webcam_with_a_mask(
        self, red: str, green: str, tmp_path: Path, run: Callable[..., tuple[int, str]]
    ) -> None:
        clip, mask = write_clip(tmp_path / "clip.mp4", frames=6, rate=100), tmp_path / "m.png"
        halves = np.zeros((64, 96, 3), np.uint8)
        halves[:, 48:] = 255
        write(mask, halves)
        words = ["webcam", "--camera", clip, "--no-window", "--device", "cpu"]
        regions = ["--style", red, "--style", green, "--mask", mask, "--style-scale", 2]
        out = tmp_path / "out.mp4"
        code, said = run(*words, *regions, "--match-color", "--record", out)
        assert code == 0, said
        assert "red | green" in said
        assert out.is_file()
        for bad, message in (
            (["--style", red, "--style", green], "2 styles were given, but no mask"),
            (["--style", red, "--style", green, "--style", red, "--mask", mask], "3 styles"),
            (["--style", red, "--mask", write(mask.with_name("s.png"), halves[:, 20:])], "aspects"),
            (["--style", red, "--mask", tmp_path / "none.png"], "none.png"),
            (["--style", "mosaic", "--match-color"], "--match-color is for pictures"),
            (["--style", "mosaic", "--style-scale", 2], "one scale"),
            (["--style", red, "--style-scale", 9], "out of range"),
        ):
            code, said = run(*words, *bad)
            assert code == 2, bad
            assert message in said
            assert said.count("\n") == 1


def test_engines_are_compared_on_models_with_a_map_as_input() -> None:
    from rtstyle.engines import EngineOptions, open_engine
    from rtstyle.engines.devices import blank_extra, candidates, measure

    model = manifest.find_any("content", "paper").path.read_bytes()
    with open_engine(model, CPU) as engine:
        shapes = {name: value.shape for name, value in blank_extra(engine, 24, 32).items()}
    assert shapes == {"statistics": (1, 1, 6), "strength": (1,), "weights": (1, 1, 24, 32)}
    assert len(measure(model, candidates("cpu"), EngineOptions(threads=1))) == 2
