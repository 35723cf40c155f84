"""`rtstyle webcam`: paint a camera live."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rtstyle.commands.live import wiring
from rtstyle.commands.live.wiring import DEFAULT_RATE
from rtstyle.commands.options import (
    MATCH_HELP,
    Coherence,
    Device,
    Mask,
    Precision,
    Seed,
    StrokeSize,
    Styles,
    StyleScale,
    StyleWalk,
    Transform,
    Vary,
    read_coherence,
    sampled,
)
from rtstyle.styles.manifest import DEFAULT_STYLE, names_with
from rtstyle.styles.sizes import TRANSFORMS, with_transform
from rtstyle.styles.spec import as_mixture

if TYPE_CHECKING:
    from rtstyle.live.look import Only
    from rtstyle.sources.base import Source


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("webcam", help="Paint a camera live: window, recording, virtual camera.")(webcam)


def webcam(
    camera: Annotated[
        str,
        typer.Option(
            help="Index, part of the name, device, URL (rtsp, http, file), a video file played "
            "in real time, or `test`. See `rtstyle cameras`."
        ),
    ] = "0",
    style: Styles = None,
    size: Annotated[
        str, typer.Option(help="Network: auto (by measurement), fast, balanced or paper.")
    ] = "auto",
    target_fps: Annotated[
        float | None,
        typer.Option(help="Rate to hold; default: the camera's.", show_default=False),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (the camera) to 1 (the painting).")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Keep the colours of the camera.")
    ] = False,
    match_color: Annotated[
        bool, typer.Option("--match-color", help=MATCH_HELP + " (of the first picture)")
    ] = False,
    transform: Transform = "adain",
    style_scale: StyleScale = 1.0,
    style_walk: StyleWalk = None,
    vary: Vary = 0.0,
    seed: Seed = None,
    stroke_size: StrokeSize = 1.0,
    coherence: Coherence = "on",
    mask: Mask = None,
    only: Annotated[str, typer.Option(help="Paint all, background or person.")] = "all",
    height: Annotated[
        int | None,
        typer.Option(
            help="Rows the network works on; default: by measurement.", show_default=False
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    resolution: Annotated[str, typer.Option(help="Asked of the camera.")] = "640x480",
    fps: Annotated[float, typer.Option(help="Asked of the camera.")] = DEFAULT_RATE,
    transition: Annotated[
        str, typer.Option(help="How styles give way to each other: fade, cut or wipe.")
    ] = "fade",
    fade: Annotated[float, typer.Option(help="Seconds that it takes.", min=0, max=10)] = 0.6,
    cycle: Annotated[
        float,
        typer.Option(
            help="Go on to the next style every so many seconds; 0: never.", min=0, max=3600
        ),
    ] = 0.0,
    scenes: Annotated[
        Path | None,
        typer.Option(help="Scenes and bindings, as TOML: show.toml.", show_default=False),
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Swap left and right.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat a video file without end.")] = False,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show a window.")] = True,
    record: Annotated[
        Path | None,
        typer.Option(help="Record into this new .mp4, .mkv, .mov or .webm.", show_default=False),
    ] = None,
    mic: Annotated[bool, typer.Option("--mic", help="Record the microphone too.")] = False,
    react: Annotated[
        str | None,
        typer.Option(
            help="Have sound move what [react] of --scenes says: `mic`, `line`, `line:DEVICE`, "
            "or an audio or video file.",
            show_default=False,
        ),
    ] = None,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Show it to Zoom, Meet, Teams, OBS.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Take control by HTTP; see `rtstyle control`.")
    ] = False,
    control_host: Annotated[
        str, typer.Option(help="Address for it; other than loopback needs a token.")
    ] = "127.0.0.1",
    control_port: Annotated[int, typer.Option(help="0: any free one.", min=0, max=65535)] = 8766,
    control_token: Annotated[
        str | None,
        typer.Option(
            help="Ask for this token (default: a new one off loopback).", show_default=False
        ),
    ] = None,
    osc: Annotated[
        int | None,
        typer.Option(
            help="Take control by OSC at this UDP port; 0: any free one.",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    osc_host: Annotated[str, typer.Option(help="Address for it.")] = "127.0.0.1",
    osc_out: Annotated[
        str | None, typer.Option(help="Send what changes to HOST:PORT.", show_default=False)
    ] = None,
    midi: Annotated[
        str | None,
        typer.Option(
            help="Take control by the MIDI input with this in its name, or `any`; see "
            "`rtstyle control ports`.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="Stream to rtmp://, rtsp://, srt:// or udp://.", show_default=False),
    ] = None,
    stream_bitrate: Annotated[
        int | None,
        typer.Option(
            help="Kilobits a second at most; default: by the size.",
            min=100,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="Write to `-` (standard output) or a FIFO too.", show_default=False),
    ] = None,
    out_format: Annotated[str, typer.Option(help="nut or y4m.")] = "nut",
    full_screen: Annotated[
        bool, typer.Option("--full-screen", help="Fill the screen from the start.")
    ] = False,
    display: Annotated[
        int, typer.Option(help="The screen for the window: 0 is the first.", min=0, max=63)
    ] = 0,
    kiosk: Annotated[
        bool,
        typer.Option(
            "--kiosk",
            help="Run for months: full screen, waits for its camera, never sleeps, watchdog, log.",
        ),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            help="Write messages here too, 4 MB at most; --kiosk: rtstyle.log in --folder.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="For snapshots and recordings by key.")] = Path(),
    frames: Annotated[
        int | None, typer.Option(help="Stop after so many frames.", min=1, show_default=False)
    ] = None,
) -> None:
    """Paint a camera live. In the window `?` lists the keys; `q` or Ctrl-C ends it."""
    from rtstyle.live.controls.table import find_control

    width, rows = wiring.read_resolution(resolution)
    wiring.check_rate("--fps", fps)
    find_control("transition").check(transition)
    from rtstyle.files.pending import check_folder
    from rtstyle.live.bank import StyleBank
    from rtstyle.live.look import Look
    from rtstyle.live.painter import Studio
    from rtstyle.live.person import PersonSegmenter
    from rtstyle.live.rate import RateController, choose_ladder
    from rtstyle.painting.stylizer import check_match, open_mask
    from rtstyle.sinks.heartbeat import HeartbeatSink
    from rtstyle.sinks.recorder import RecorderSink
    from rtstyle.sinks.tracks.shared_sound import SharedSound
    from rtstyle.sources import open_camera
    from rtstyle.styles.latent import open_space
    from rtstyle.styles.model import resolve

    names = sampled(style or [DEFAULT_STYLE], vary, seed)
    if style_walk is not None:
        # A network that is trained for one style knows no other: its painting does.
        names = tuple(str(as_mixture(name)) for name in names)
    check_folder(folder)
    if transform != TRANSFORMS[0]:
        size = with_transform("fast" if size == "auto" else size, transform)
    ladder, start = choose_ladder(names, size)
    look = Look(
        names, ladder[start].size, strength, keep_color, height, style_scale, mask,
        match_color=match_color, mirror=mirror, only=cast("Only", only), walk=style_walk,
        seed=seed or 0, stroke_size=stroke_size, coherence=read_coherence(coherence),
    )  # fmt: skip
    if style_walk is not None:
        open_space(look.size)
    model = resolve(*look.model_name, style_scale, rough=True)
    if match_color:
        check_match(model)
    divided = open_mask(mask, len(names)) if mask else None
    from rtstyle.commands.live import kiosk as long_run
    from rtstyle.machine.service import ServiceManager

    service = ServiceManager()
    with ExitStack() as stack:
        log = log or (folder / long_run.LOG if kiosk else None)
        say = stack.enter_context(long_run.logged(log)) if log else partial(typer.echo, err=True)
        if kiosk:
            long_run.keep_awake(stack, say)
        # Once the pipeline runs it closes the camera, or leaves it to a thread that hangs in it.
        mine = stack.enter_context(ExitStack())

        def open_source() -> Source:
            asked = open_camera(camera, width=width, height=rows, rate=fps, loop=loop or kiosk)
            return mine.enter_context(asked)

        source = long_run.opened(open_source, service, say) if kiosk else open_source()
        if divided:
            divided.weights(source.height, source.width)
        rate = wiring.hold_rate(target_fps, source.rate)
        # Standard output may be the picture.
        tell = say if out == wiring.STDOUT else typer.echo
        heard = SharedSound(wiring.open_microphone(stack)) if mic or react == "mic" else None
        recorder = RecorderSink(
            record, rate=rate, sound=heard if mic else None,
            on_failure=lambda error: say(str(error)),
        )  # fmt: skip
        # Now, so that a name that cannot be is told before anything takes time.
        stack.callback(recorder.abort)
        recorder.open()
        bank = stack.enter_context(
            StyleBank(device=device, precision=precision, style_scale=style_scale)
        )
        controller = RateController(float(rate), ladder, start) if height is None else None
        studio = Studio(
            bank, look, segmenter=stack.enter_context(PersonSegmenter()), controller=controller,
            mask=divided, fade=fade,
        )  # fmt: skip
        studio.transition = transition
        studio.walk, studio.seed = style_walk or 0.0, look.seed
        from rtstyle.live.controls.desk import DeskSink
        from rtstyle.live.hearing.tempo import BeatSink
        from rtstyle.live.naming import shown_names
        from rtstyle.live.session import LiveSession
        from rtstyle.pipeline import LATEST, Pipeline

        session = LiveSession(
            studio, bank, names_with(*names), recorder, folder=folder, rate=float(rate),
            cycle=cycle, scenes=scenes, warn=say,
        )  # fmt: skip
        from rtstyle.commands.live import faces

        if control:
            faces.open_control(session, control_host, control_port, control_token, stack)
        if osc is not None:
            faces.open_osc(session, osc, osc_host, osc_out, stack)
        if midi is not None:
            faces.open_midi(session, midi, stack)
        virtual = (source.width, source.height, rate) if virtual_camera else None
        sinks = [
            *wiring.open_react(react, heard, session, say, stack),
            BeatSink(session.tempo),
            DeskSink(session.desk),
            recorder,
            *wiring.open_streams(
                stream,
                out,
                out_format,
                rate,
                stream_bitrate and 1000 * stream_bitrate,
                heard if mic else None,
                say,
                stack,
            ),
            *wiring.open_shown(
                window, virtual, session, stack, display=display,
                full_screen=full_screen or kiosk, figures=not kiosk,
            ),
            HeartbeatSink(service),
        ]  # fmt: skip
        look = studio.look  # That of the first scene, where there are some.
        engine = wiring.warm_up(bank, look, source)
        what = f"{shown_names(look)} on {engine}, {float(rate):g} FPS"
        say(f"{source.describe()}  |  {what}")
        pipeline = Pipeline(
            source, studio, sinks, policy=LATEST, limit=frames,
            max_rate=float(rate) if target_fps else None, progress=session.progress,
        )  # fmt: skip
        session.limit_rate = pipeline.limit_rate
        mine.pop_all()
        report = pipeline.run()
        long_run.log.info("%s", wiring.summary(report))
    tell(wiring.summary(report))
    for note in (note for sink in sinks for note in sink.notes()):
        say(note)
    for path in recorder.paths:
        tell(f"recorded {path}")
    if recorder.failures:
        # Told when it happened; a script must see it too.
        raise typer.Exit(2)
