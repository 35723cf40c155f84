"""Options that several commands share, and their help: the same words everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write the figures as JSON; - is standard output.", show_default=False
    ),
]


STYLE_HELP = (
    'A built-in style, any picture file, a blend ("a.jpg:0.7,b.jpg:0.3"), or an .onnx file.'
)


REGIONS_HELP = " With --mask give one for each region."


SIZE_HELP = "Network: fast, balanced or paper; for pictures fast or paper."


SCALE_HELP = "Size of the strokes of a picture as style, 0.25 to 4."


MASK_HELP = "Picture of flat colours: a region for each --style, dark to light."


MATCH_HELP = "Give the style picture the colours of the content first."


PRECISION_HELP = (
    "auto (the quickest that style and machine allow), fp32, fp16 (GPUs), int8 or bf16."
)
