"""A benchmark from its beginning to its end: checks, measures, prints tables, writes files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rtstyle.bench import camera, plot, runner, suite
from rtstyle.bench.figures import plain
from rtstyle.bench.report import busy_note, describe_machine, print_tables, to_json
from rtstyle.errors import UsageError
from rtstyle.files.temporary import temporary_folder
from rtstyle.files.whole import STDOUT, check_place, write_or_print, write_whole
from rtstyle.styles import manifest
from rtstyle.styles.spec import parse_style

Tell = Callable[[str], None]


def settings_for(
    style: str,
    sizes: Sequence[str] | None = None,
    resolutions: Sequence[suite.Resolution] = (),
    **others: Any,
) -> suite.Settings:
    """Return `suite.Settings`; the sizes that are not given depend on what the style has.

    Raises `StyleError`.
    """
    network_only: tuple[str, ...] = ()
    if style.lower().endswith(".onnx"):
        # A file is one network, whatever its size is called.
        sizes = ["file"]
    elif not sizes:
        trained = isinstance(parse_style(style), str)
        has = manifest.find_style(style).sizes if trained else manifest.ANY_SIZES
        sizes = [size for size in suite.DEFAULT_SIZES if size in has] or list(has[:1])
        network_only = tuple(size for size in suite.DEFAULT_NETWORK_ONLY if size in has)
    return suite.Settings(
        style=style,
        sizes=tuple(dict.fromkeys(sizes)),
        network_only=tuple(size for size in network_only if size not in sizes),
        resolutions=tuple(resolutions) or suite.DEFAULT_RESOLUTIONS,
        **others,
    )


def measure(
    settings: suite.Settings, json_file: Path | None, picture: Path | None, tell: Tell
) -> None:
    """Run all cases, and print or write what they gave; `tell` is told what runs.

    Raises `UsageError`, `SinkError`, `MissingExtraError`, or what a case raised.
    """
    if picture is not None:
        plot.check_plot(picture)
    for path in (json_file, picture):
        check_place(path)
    machine = describe_machine()
    present(suite.run(settings, progress=tell), machine, json_file, picture, tell)


def present(
    result: suite.Result,
    machine: dict[str, Any],
    json_file: Path | None,
    picture: Path | None,
    tell: Tell,
) -> None:
    """Print the tables, and write the files that are wanted."""
    print_tables(result, machine, Console(stderr=json_file == STDOUT))
    write(json_file, to_json(result, machine), tell)
    if picture is not None:
        write_whole(picture, plot.draw(result, machine))
        tell(f"{picture} written")


def measure_live(
    style: str,
    size: str,
    resolution: tuple[int, int],
    *,
    minutes: float,
    target: float,
    fade: float,
    device: str,
    json_file: Path | None,
    tell: Tell,
) -> None:
    """Play a clip as a camera for `minutes`, then change the style a dozen times.

    Raises as `measure`.
    """
    check_place(json_file)
    if not 0.2 <= minutes <= 12:
        raise UsageError(f"{minutes:g} minutes are out of range.", "", "Use 0.2 to 12.")
    if not 1 <= target <= 240 or target != round(target):
        raise UsageError(f"--target-fps {target:g} is out of range.", "", "Use 1 to 240.")
    machine = describe_machine()
    wide, high = resolution
    with temporary_folder() as folder:
        clip = camera.camera_clip(Path(folder) / "camera.mp4", wide, high, round(target))
        tell(f"playing {wide}x{high} for {minutes:g} minutes")
        values = runner.run_case(
            "live", clip=str(clip), style=style, device=device, minutes=minutes, target=target,
            size=size, fade=fade,
        )  # fmt: skip
        values |= camera.stop_figures(str(clip), style, device, tell)
    settings = {
        "style": style, "resolution": f"{wide}x{high}", "minutes": minutes, "target": target,
        "fade": fade,
    }  # fmt: skip
    console = Console(stderr=json_file == STDOUT)
    show(console, machine, style, [camera.table(values, target)])
    content = {"live": plain(values), "settings": settings, "machine": machine}
    write(json_file, json.dumps(content, indent=1, allow_nan=False) + "\n", tell)


def show(console: Console, machine: dict[str, Any], style: str, tables: Sequence[Table]) -> None:
    """Print the machine, the style and what was measured."""
    console.print(f"{machine['cpu']}, {machine['cores']} cores; {style}", highlight=False)
    if note := busy_note(machine):
        console.print(note, style="yellow", highlight=False)
    for table in tables:
        console.print(table)


def write(json_file: Path | None, text: str, tell: Tell) -> None:
    """Write the figures where they are wanted."""
    if write_or_print(json_file, text):
        tell(f"{json_file} written")
