"""Names of network sizes: `fast`, `balanced`, `paper`, `texture`, and with a transform, as
`fast-linear`."""

from __future__ import annotations

from rtstyle.errors import UsageError

TRANSFORMS = ("adain", "linear")
"""What pictures as styles do to features: Huang and Belongie 2017, Li et al. 2018."""


TEXTURE = "texture"
"""The size of texture networks, which take noise besides the picture."""


def plain_size(size: str) -> str:
    """Return a size without its transform: that of networks trained for one style, and AdaIN's."""
    return size.partition("-")[0]


def any_size(size: str) -> str:
    """Return the size of the network for any style that stands for `size`."""
    plain, *transform = size.partition("-")
    return "".join(("fast" if plain == "balanced" else plain, *transform))


def with_transform(size: str, transform: str = TRANSFORMS[0]) -> str:
    """Return the size of networks for any style with one of `TRANSFORMS`: `fast-linear`.

    Raises `UsageError` for another transform.
    """
    if transform == "wct":
        raise UsageError(
            "The transform wct takes seconds a picture.",
            "It has a command of its own.",
            "rtstyle still photo.jpg out.png --style painting.jpg --method wct",
        )
    if transform not in TRANSFORMS:
        raise UsageError(
            f"There is no transform {transform!r}.", "", f"Use {' or '.join(TRANSFORMS)}."
        )
    return size if transform == TRANSFORMS[0] else f"{size}-{transform}"
