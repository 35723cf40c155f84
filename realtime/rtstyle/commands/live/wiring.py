"""What `rtstyle webcam` opens around the picture, and what it says of a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np

from rtstyle.commands.live.webcam_options import DEFAULT_RATE, OutputOptions, check_rate
from rtstyle.errors import UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.live.hearing.react import Ear, ReactSink
from rtstyle.live.look import Look
from rtstyle.live.session import LiveSession
from rtstyle.report import Report, in_frames
from rtstyle.sinks.base import Sink
from rtstyle.sinks.null import NullSink
from rtstyle.sinks.pipe import PipeSink, check_format, is_pipe_output
from rtstyle.sinks.programs.ndi import NdiSink
from rtstyle.sinks.programs.spout import SpoutSink
from rtstyle.sinks.programs.syphon_server import SyphonSink
from rtstyle.sinks.streams.stream import StreamSink
from rtstyle.sinks.tracks.shared_sound import SharedSound
from rtstyle.sinks.video_file import SoundInput
from rtstyle.sinks.virtual_camera import VirtualCameraSink
from rtstyle.sinks.window import WindowSink
from rtstyle.sources.base import Source
from rtstyle.sources.line_input import find_line
from rtstyle.sources.microphone import Microphone
from rtstyle.sources.sound_file import open_by_the_clock

STDOUT = "-"
PIPE_FORMATS = ("nut", "y4m")


def warm_up(bank: StyleBank, look: Look, source: Source) -> str:
    """Paint one picture before the camera runs: else the first frames are all too late.

    Returns what the model runs on.
    """
    engine = bank.network(*look.model_name).engine
    shape = look.working_size(source.height, source.width)
    bank.paint(np.zeros((*shape, 3), np.uint8), *look.model_name)
    return f"{engine.name} {engine.device} {engine.precision}"


def hold_rate(asked: float | None, camera: Fraction | None) -> Fraction:
    """Return the frames a second to hold. Raises `UsageError` for a rate out of range."""
    if asked is None:
        return camera or Fraction(DEFAULT_RATE)
    check_rate("--target-fps", asked)
    return Fraction(asked).limit_denominator(1001)


def open_microphone(stack: ExitStack) -> SoundInput:
    """Return the open microphone. Raises `SourceError` if there is none."""
    microphone = Microphone()
    stack.callback(microphone.close)
    microphone.open()
    return microphone


def open_shown(
    window: bool,
    virtual: tuple[int, int, Fraction] | None,
    session: LiveSession,
    stack: ExitStack,
    *,
    display: int = 0,
    full_screen: bool = False,
    figures: bool = True,
) -> list[Sink]:
    """Open the window, on a `display`, and the virtual camera (of this width, height and rate).

    Without either, a sink that shows nothing takes their place.
    """
    sinks: list[Sink] = []
    if virtual is not None:
        sinks.append(VirtualCameraSink(*virtual))
    if window:
        title = f"rtstyle: {Path(session.studio.look.names[0]).stem}"
        shown = WindowSink(title, session, display=display, full_screen=full_screen)
        shown.show_hud = figures
        sinks.append(shown)
    for sink in sinks:
        # Before the model is loaded, so that a missing screen or device is told at once.
        stack.callback(sink.abort)
        sink.open()
    return sinks or [NullSink()]


def summary(report: Report) -> str:
    """Return one line: frames, rate, delay, drops, the longest gap, placards where there were."""
    if not report.frames_out:
        return "stopped before the first frame"
    share = 100 * report.drops["late"] / max(1, report.frames_in)
    placards = report.counts["placards"]
    return (
        f"{in_frames(report.frames_out)}, {report.steady_fps:.1f} FPS, latency "
        f"p50 {1000 * report.latency['p50']:.0f} ms, p95 {1000 * report.latency['p95']:.0f} ms, "
        f"{report.drops['late']} dropped ({share:.1f} %), "
        f"longest gap {1000 * report.longest_gap:.0f} ms"
        + (f", {placards} placards" if placards else "")
    )


def open_streams(
    asked: OutputOptions,
    rate: Fraction,
    sound: SharedSound | None,
    say: Callable[[str], object],
    stack: ExitStack,
) -> list[Sink]:
    """Return what sends to other programs, streams and the pipe, as asked for, open.

    Raises `SinkError`.
    """
    sinks: list[Sink] = [NdiSink(asked.ndi, rate=rate)] if asked.ndi is not None else []
    sinks += [SpoutSink(asked.spout)] if asked.spout is not None else []
    sinks += [SyphonSink(asked.syphon)] if asked.syphon is not None else []
    if asked.stream is not None:
        own = sound and sound.also()
        sinks.append(StreamSink(asked.stream, rate=rate, bits=asked.bits, sound=own, news=say))
    if asked.out is not None:
        out, kind = Path(asked.out), asked.out_format
        if kind not in PIPE_FORMATS:
            raise UsageError(
                f"--out-format {kind} is unknown.", "", f"Use {' or '.join(PIPE_FORMATS)}."
            )
        if not is_pipe_output(out):
            raise UsageError(
                f"--out {out} is not a pipe.", "", "Use - or a FIFO; --record is for files."
            )
        form = check_format(kind, out)
        assert form is not None
        sinks.append(PipeSink(out, form, rate=rate, live=True, sound=sound and sound.also()))
    for sink in sinks:
        stack.callback(sink.abort)
        sink.open()
    return sinks


def open_react(
    what: str | None,
    heard: SharedSound | None,
    session: LiveSession,
    say: Callable[[str], object],
    stack: ExitStack,
) -> list[Sink]:
    """Return what has sound move the controls, if that was asked for. Raises `SourceError`."""
    if what is None:
        return []
    ear: Ear
    if heard is not None and what == "mic":
        ear = heard.also()
    else:
        if what == "line" or what.startswith("line:"):
            ear = player = Microphone(what[5:] or find_line())
        else:
            ear = player = Microphone(what, opener=open_by_the_clock)
        stack.callback(player.close)
        player.open()
    return [ReactSink(ear, session.desk.board, session.bindings, say)]
