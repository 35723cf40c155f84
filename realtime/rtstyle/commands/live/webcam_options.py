"""The options of `rtstyle webcam`, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtstyle.commands.options import (
    MATCH_HELP,
    Coherence,
    Precision,
    StyleOptions,
    StyleWalk,
    read_coherence,
    read_resolution,
)
from rtstyle.errors import UsageError
from rtstyle.live.controls.table import FADE, ONLY, TRANSITIONS, find_control
from rtstyle.remote.defaults import HOST, PORT
from rtstyle.styles.recipe import Recipe

DEFAULT_RATE = 30.0
MOST_SIDE = 8192
"""Pixels of the longest side that a camera may be asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class CameraOptions:
    """Which camera, and what is asked of it. Raises `UsageError`."""

    camera: Annotated[
        str,
        typer.Option(
            help="Index, part of the name, device, URL (rtsp, http, file), a video file played "
            "in real time, `screen`, `ndi:NAME`, `spout:NAME`, `syphon:NAME`, or `test`. See "
            "`rtstyle cameras`."
        ),
    ] = "0"
    resolution: Annotated[str, typer.Option(help="Asked of the camera.")] = "640x480"
    fps: Annotated[float, typer.Option(help="Asked of the camera.")] = DEFAULT_RATE
    loop: Annotated[bool, typer.Option("--loop", help="Repeat a video file without end.")] = False

    def __post_init__(self) -> None:
        read_resolution(self.resolution, MOST_SIDE)
        check_rate("--fps", self.fps)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return read_resolution(self.resolution, MOST_SIDE)


@dataclass(frozen=True, eq=False, repr=False)
class LiveStyle(StyleOptions):
    """What a camera is painted like at first. Raises `UsageError`."""

    size: Annotated[
        str, typer.Option(help="Network: auto (by measurement), fast, balanced or paper.")
    ] = "auto"
    target_fps: Annotated[
        float | None,
        typer.Option(help="Rate to hold; default: the camera's.", show_default=False),
    ] = None
    strength: Annotated[float, typer.Option(help="0 (the camera) to 1 (the painting).")] = (
        Recipe.strength
    )
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the camera.")
    ] = False
    match_color: Annotated[
        bool, typer.Option("--match-color", help=MATCH_HELP + " (of the first picture)")
    ] = False
    style_walk: StyleWalk = None
    coherence: Coherence = "on"
    only: Annotated[str, typer.Option(help=f"Paint {', '.join(ONLY[:-1])} or {ONLY[-1]}.")] = ONLY[
        0
    ]
    height: Annotated[
        int | None,
        typer.Option(
            help="Rows the network works on; default: by measurement.", show_default=False
        ),
    ] = None
    mirror: Annotated[bool, typer.Option("--mirror", help="Swap left and right.")] = False
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        read_coherence(self.coherence)


@dataclass(frozen=True, eq=False, repr=False)
class ChangeOptions:
    """How the picture changes while it runs. Raises `UsageError`."""

    transition: Annotated[
        str, typer.Option(help="How styles give way to each other: fade, cut or wipe.")
    ] = TRANSITIONS[0]
    fade: Annotated[float, typer.Option(help="Seconds that it takes.", min=0, max=10)] = FADE
    cycle: Annotated[
        float,
        typer.Option(
            help="Go on to the next style every so many seconds; 0: never.", min=0, max=3600
        ),
    ] = 0.0
    scenes: Annotated[
        Path | None,
        typer.Option(help="Scenes and bindings, as TOML: show.toml.", show_default=False),
    ] = None
    react: Annotated[
        str | None,
        typer.Option(
            help="Have sound move what [react] of --scenes says: `mic`, `line`, `line:DEVICE`, "
            "or an audio or video file.",
            show_default=False,
        ),
    ] = None
    folder: Annotated[Path, typer.Option(help="For snapshots and recordings by key.")] = Path()

    def __post_init__(self) -> None:
        find_control("transition").check(self.transition)


@dataclass(frozen=True, eq=False, repr=False)
class OutputOptions:
    """Where the picture goes. Raises `UsageError` for what does nothing without another option."""

    window: Annotated[bool, typer.Option("--window/--no-window", help="Show a window.")] = True
    full_screen: Annotated[
        bool, typer.Option("--full-screen", help="Fill the screen from the start.")
    ] = False
    display: Annotated[
        int, typer.Option(help="The screen for the window: 0 is the first.", min=0, max=63)
    ] = 0
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Show it to Zoom, Meet, Teams, OBS.")
    ] = False
    ndi: Annotated[
        str | None,
        typer.Option(help="Send it as an NDI source of this name.", show_default=False),
    ] = None
    spout: Annotated[
        str | None,
        typer.Option(help="Share it as a Spout sender of this name (Windows).", show_default=False),
    ] = None
    syphon: Annotated[
        str | None,
        typer.Option(help="Share it as a Syphon server of this name (macOS).", show_default=False),
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(help="Record into this new .mp4, .mkv, .mov or .webm.", show_default=False),
    ] = None
    mic: Annotated[bool, typer.Option("--mic", help="Record the microphone too.")] = False
    stream: Annotated[
        str | None,
        typer.Option(help="Stream to rtmp://, rtsp://, srt:// or udp://.", show_default=False),
    ] = None
    stream_bitrate: Annotated[
        int | None,
        typer.Option(
            help="Kilobits a second at most; default: by the size.",
            min=100,
            max=100_000,
            show_default=False,
        ),
    ] = None
    out: Annotated[
        str | None,
        typer.Option(help="Write to `-` (standard output) or a FIFO too.", show_default=False),
    ] = None
    out_format: Annotated[str, typer.Option(help="nut or y4m.")] = "nut"

    def __post_init__(self) -> None:
        check_needs("--window", self.window, full_screen=self.full_screen, display=self.display)
        check_needs("--stream", self.stream is not None, stream_bitrate=self.stream_bitrate)
        check_needs("--out", self.out is not None, out_format=self.out_format != "nut")

    @property
    def bits(self) -> int | None:
        """Bits a second of the stream at most."""
        return self.stream_bitrate and 1000 * self.stream_bitrate


@dataclass(frozen=True, eq=False, repr=False)
class ControlOptions:
    """Who may change the picture from outside. Raises `UsageError`, as `OutputOptions`."""

    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="Take control by HTTP, at a port that may follow; see `rtstyle control`.",
        ),
    ] = False
    control_host: Annotated[
        str, typer.Option(help="Address for it; other than loopback needs a token.")
    ] = HOST
    control_port: Annotated[int, typer.Option(help="0: any free one.", min=0, max=65535)] = PORT
    control_token: Annotated[
        str | None,
        typer.Option(
            help="Ask for this token (default: a new one off loopback).", show_default=False
        ),
    ] = None
    osc: Annotated[
        int | None,
        typer.Option(
            help="Take control by OSC at this UDP port; 0: any free one.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None
    osc_host: Annotated[str, typer.Option(help="Address for it.")] = HOST
    osc_out: Annotated[
        str | None, typer.Option(help="Send what changes to HOST:PORT.", show_default=False)
    ] = None
    midi: Annotated[
        str | None,
        typer.Option(
            help="Take control by the MIDI input with this in its name, or `any`; see "
            "`rtstyle control ports`.",
            show_default=False,
        ),
    ] = None

    def __post_init__(self) -> None:
        check_needs(
            "--control", self.control, control_host=self.control_host != HOST,
            control_port=self.control_port != PORT, control_token=self.control_token is not None,
        )  # fmt: skip
        osc = self.osc is not None
        check_needs("--osc", osc, osc_host=self.osc_host != HOST, osc_out=self.osc_out is not None)


@dataclass(frozen=True, eq=False, repr=False)
class RunOptions:
    """How long it runs, and what it writes about itself."""

    kiosk: Annotated[
        bool,
        typer.Option(
            "--kiosk",
            help="Run for months: full screen, waits for its camera, never sleeps, watchdog, log.",
        ),
    ] = False
    log: Annotated[
        Path | None,
        typer.Option(
            help="Write messages here too, 4 MB at most; --kiosk: rtstyle.log in --folder.",
            show_default=False,
        ),
    ] = None
    frames: Annotated[
        int | None, typer.Option(help="Stop after so many frames.", min=1, show_default=False)
    ] = None


def check_needs(other: str, given: bool, **used: object) -> None:
    """Raise `UsageError` for an option that is used without the `other` one that it is for."""
    for name, value in used.items():
        if value and not given:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does nothing without {other}.", "", f"Add {other}, or leave it out."
            )


def check_rate(option: str, rate: float) -> None:
    """Raise `UsageError` for a rate that no camera has; NaN is one, too."""
    if not 1 <= rate <= 240:
        raise UsageError(f"{option} {rate:g} is out of range.", "", "Use 1 to 240.")
