"""What is asked of a painting: the style, and all else that is chosen before painting begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from rtstyle.errors import UsageError
from rtstyle.styles.manifest import DEFAULT_SIZE, DEFAULT_STYLE
from rtstyle.styles.spec import Styles, check_seed, pictures_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rtstyle.frame import Image

SCALES = (0.25, 4.0)
"""Least and largest `style_scale`."""
HEIGHTS = (16, 8192)
"""Least and largest `height`, in pixels."""
STROKE_SIZES = (0.25, 4.0)
"""Narrowest and widest strokes, as a factor of the width that looks right at the size."""
LEGS = (0.5, 3600.0)
"""Shortest and longest leg of a walk, in seconds."""


Asked: TypeAlias = str | Path | Sequence[str | Path]
"""What a caller may name: a style, or several for the regions of a mask."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """What to paint a picture with; checked here, once. `dataclasses.replace` makes another.

    `style` is a built-in name, the path of an .onnx file or of a picture, a blend
    (`a.jpg:0.7,b.jpg:0.3`), or several of these, one for each region of `mask`: a file, or an
    (H, W, 3) uint8 array of flat colours, dark to light (`rtstyle.painting.masks`). With one style
    and a mask, what is white in the mask is painted. `regional` announces that a mask comes with
    each frame. `sweep`, as `a.jpg..b.jpg`, takes the place of `style` and goes from one to the
    other over a clip.

    `size` names the network: `fast`, `balanced` or `paper`. `strength` is 0 (the picture itself)
    to 1 (the painting). `keep_color` keeps the colours of the picture, `match_color` gives the
    style the colours of the first picture. `height` scales every picture to that many rows before
    it is painted, with its aspect kept and an even width. `style_scale` (0.25 to 4) enlarges the
    strokes of pictures as styles. `stroke_size` (0.25 to 4) is how wide strokes are, as a factor of
    what looks right at the size of the picture, `coherence` (0 to 1) how much of its last painting
    a network that sees a canvas may keep. With `walk` the style is where a slow path through all
    styles begins, which comes to another one every `walk` seconds (0.5 to 3600), drawn with `seed`.

    Raises `UsageError` for a value out of range, and for settings that exclude each other. Whether
    style and mask exist is found out by who opens them.
    """

    style: Styles = DEFAULT_STYLE
    size: str = DEFAULT_SIZE
    strength: float = 1.0
    keep_color: bool = False
    height: int | None = None
    style_scale: float = 1.0
    mask: Path | str | Image | None = None
    sweep: str | None = None
    match_color: bool = False
    stroke_size: float = 1.0
    coherence: float = 1.0
    regional: bool = False
    walk: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        names = read_names(self.style)
        # One style has one form, whether it came alone or in a list.
        object.__setattr__(self, "style", names[0] if len(names) == 1 else names)
        self._check_styles()
        check_range("A strength", self.strength, (0, 1))
        check_range("A height", self.height, HEIGHTS)
        check_range("A style scale", self.style_scale, SCALES)
        check_range("A stroke size", self.stroke_size, STROKE_SIZES)
        check_range("A coherence", self.coherence, (0, 1))
        check_range("A leg of a walk", self.walk, LEGS)
        check_seed(self.seed)

    def _check_styles(self) -> None:
        """Raise `UsageError` unless the number of styles goes with a sweep or a mask."""
        if not self.names:
            raise UsageError("There is no style to paint with.")
        if self.sweep is not None and (len(self.names) > 1 or self.divided):
            raise UsageError("A sweep goes over the whole picture.", "", "Leave the mask out.")
        if self.sweep is not None and self.match_color:
            raise cannot_match()
        if self.walk is not None:
            self._check_walk()
        if len(self.names) > 1 and not self.divided:
            raise UsageError(
                f"{len(self.names)} styles were given, but no mask.",
                "",
                'Add --mask, or blend them: --style "a.jpg:0.5,b.jpg:0.5".',
            )

    def _check_walk(self) -> None:
        """Raise `UsageError` for what a walk excludes."""
        if len(self.names) > 1 or self.divided:
            raise UsageError("A walk goes over the whole picture.", "", "Leave the mask out.")
        if self.sweep is not None:
            raise UsageError("A walk and a sweep exclude each other.", "", "Give one of them.")
        if self.match_color:
            raise UsageError(
                "A walk leaves the colours of the picture.", "", "Use --keep-color with it."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The styles: one, or one for each region."""
        return (self.style,) if isinstance(self.style, str) else self.style

    @property
    def divided(self) -> bool:
        """Whether a mask divides the picture."""
        return self.mask is not None or self.regional

    @property
    def title(self) -> str:
        """The styles as the user named them, in one line."""
        return self.sweep or " | ".join(self.names)

    @property
    def model_name(self) -> tuple[Styles, str]:
        """The style, or those of the regions, and the size: together they name one model."""
        return self.style, self.size

    @property
    def depends_on_clip(self) -> bool:
        """Whether an open model serves one clip only."""
        return self.moves or self.divided or self.match_color

    @property
    def moves(self) -> bool:
        """Whether the style changes over a clip."""
        return self.sweep is not None or self.walk is not None

    def pictures(self) -> list[Path]:
        """Return the files that styles, sweep and mask are read from."""
        mask = None if self.mask is None or not isinstance(self.mask, (str, Path)) else self.mask
        return pictures_of(self.names, mask, self.sweep)


class Settings(TypedDict, total=False):
    """The fields of a `Recipe` besides style and size, as keyword arguments."""

    strength: float
    keep_color: bool
    height: int | None
    style_scale: float
    mask: Path | str | Image | None
    sweep: str | None
    match_color: bool
    stroke_size: float
    coherence: float
    regional: bool
    walk: float | None
    seed: int


def read_names(style: Asked) -> tuple[str, ...]:
    """Return the names of one style or of several; paths become text. Raises `UsageError`."""
    if isinstance(style, Sequence) and not isinstance(style, str | bytes):
        given: tuple[object, ...] = tuple(style)
    else:
        given = (style,)
    for one in given:
        if not isinstance(one, str | Path):
            raise UsageError(
                f"A style is a name or a path, not {type(one).__name__}.",
                "",
                "Save a picture to a file, and give its path.",
            )
    return tuple(map(str, given))


def as_recipe(
    style: Recipe | Asked, size: str | None = None, **settings: Unpack[Settings]
) -> Recipe:
    """Return the recipe of a style, or a recipe with some settings changed.

    Raises `UsageError` as `Recipe` does, `TypeError` for an unknown setting.
    """
    if isinstance(style, Recipe):
        changed = bool(size or settings)
        return replace(style, size=size or style.size, **settings) if changed else style
    return Recipe(read_names(style), size or DEFAULT_SIZE, **settings)


def check_range(what: str, value: float | None, limits: tuple[float, float]) -> None:
    """Raise `UsageError` for a value outside `limits`; None is inside, NaN is not."""
    if value is not None and not limits[0] <= value <= limits[1]:
        raise UsageError(
            f"{what} of {value} is out of range.", "", f"Use {limits[0]} to {limits[1]}."
        )


def cannot_match() -> UsageError:
    """Return the error for styles whose colours cannot be changed."""
    return UsageError(
        "--match-color is for pictures as styles.", "", "Use --keep-color for others."
    )
