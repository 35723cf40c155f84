"""What is asked of a painting: one object, checked where it is made."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rtstyle import Recipe, Stylizer
from rtstyle.errors import UsageError
from rtstyle.live.look import Look
from rtstyle.styles.recipe import Settings, as_recipe

MASK = np.zeros((16, 16, 3), np.uint8)


def test_one_style_has_one_form() -> None:
    for style in ("wave", ("wave",), ["wave"]):
        assert as_recipe(style).style == "wave"
        assert as_recipe(style).names == ("wave",)
    both = as_recipe(["wave", "mosaic"], mask=MASK)
    assert both.model_name == (("wave", "mosaic"), "balanced")
    assert both.title == "wave | mosaic"


def test_a_style_is_a_name_or_a_path() -> None:
    assert as_recipe(Path("a.jpg")).style == "a.jpg"
    assert Recipe(Path("a.jpg")).names == ("a.jpg",)  # type: ignore[arg-type]
    assert as_recipe([Path("a.jpg"), "wave"], mask=MASK).names == ("a.jpg", "wave")
    strangers: list[Any] = [
        Image.new("RGB", (8, 8)),
        MASK,
        None,
        3,
        b"wave",
        {"wave": 1},
        ["wave", 3],
    ]
    for stranger in strangers:
        for kind in (as_recipe, Recipe):
            with pytest.raises(UsageError, match=r"A style is a name or a path, not \w+\. Save"):
                kind(stranger)


@pytest.mark.parametrize("name", ["strength", "height", "style_scale", "stroke_size", "coherence"])
@pytest.mark.parametrize("value", [-1, 1e6, float("nan")])
@pytest.mark.parametrize("kind", [Recipe, Look])
def test_values_out_of_range_are_refused(kind: type[Recipe], name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{value} is out of range"):
        kind(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        replace(kind(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"style": ()}, "no style to paint with"),
        ({"style": ("wave", "mosaic")}, "2 styles were given, but no mask"),
        ({"sweep": "a.jpg..b.jpg", "mask": "mask.png"}, "whole picture"),
        ({"sweep": "a.jpg..b.jpg", "style": ("wave", "mosaic"), "regional": True}, "whole picture"),
        ({"sweep": "a.jpg..b.jpg", "match_color": True}, "for pictures as styles"),
    ],
)
def test_what_excludes_each_other_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Recipe(**settings)


def test_a_live_picture_has_no_sweep() -> None:
    with pytest.raises(UsageError, match="over a clip"):
        Look(sweep="a.jpg..b.jpg")


def test_settings_are_the_fields_of_a_recipe() -> None:
    names = [field.name for field in fields(Recipe)]
    assert [*names[:2], *Settings.__annotations__] == names
    assert names[:2] == ["style", "size"]


def test_a_recipe_is_changed_by_settings() -> None:
    recipe = Recipe("wave", "fast", strength=0.5)
    changed = as_recipe(recipe, height=64)
    assert (changed.style, changed.size, changed.strength) == ("wave", "fast", 0.5)
    assert changed.height == 64
    assert as_recipe(recipe, "paper").size == "paper"
    with pytest.raises(TypeError):
        as_recipe("wave", colour="red")  # type: ignore[call-arg]


def test_whether_a_model_serves_several_clips() -> None:
    assert not Recipe("wave", keep_color=True, height=64).depends_on_clip
    for settings in ({"sweep": "a..b"}, {"mask": MASK}, {"regional": True}, {"match_color": True}):
        assert Recipe("wave", **settings).depends_on_clip  # type: ignore[arg-type]


def test_the_files_that_a_recipe_reads(tmp_path: Path) -> None:
    first, last, mask = (tmp_path / name for name in ("a.jpg", "b.jpg", "mask.png"))
    for file in (first, last, mask):
        file.touch()
    assert Recipe(str(first), mask=mask).pictures() == [mask, first]
    assert Recipe("wave", sweep=f"{first}..{last}").pictures() == [first, last]
    assert Recipe(f"{first}:0.5,mosaic:0.5", mask=MASK).pictures() == [first, Path("mosaic")]


def test_a_stylizer_takes_a_recipe_or_its_fields() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    recipe = Recipe("invert", "fast", strength=0.25, height=40)
    with Stylizer(recipe, device="onnxruntime:cpu") as stylizer:
        assert stylizer.recipe is recipe
        by_recipe = stylizer(image)
    with Stylizer("invert", "fast", strength=0.25, height=40, device="onnxruntime:cpu") as stylizer:
        np.testing.assert_array_equal(stylizer(image), by_recipe)
        stylizer.strength, stylizer.keep_color = 1.0, True
        assert (stylizer.recipe.strength, stylizer.recipe.keep_color) == (1.0, True)
        with pytest.raises(UsageError):
            stylizer.strength = 2.0
        assert stylizer.strength == 1.0
