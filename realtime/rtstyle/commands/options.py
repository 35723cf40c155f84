"""Options that the commands of `rtstyle bench` share."""

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
