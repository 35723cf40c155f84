"""`rtstyle webcam` at work: opens what was asked for, wires it, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import cast

import typer

from rtstyle.commands.live import faces, kiosk, wiring
from rtstyle.commands.live.webcam_options import (
    CameraOptions,
    ChangeOptions,
    ControlOptions,
    LiveStyle,
    OutputOptions,
    RunOptions,
)
from rtstyle.commands.options import read_coherence
from rtstyle.files.pending import check_folder
from rtstyle.live.bank import StyleBank
from rtstyle.live.controls.desk import DeskSink
from rtstyle.live.controls.table import Only
from rtstyle.live.hearing.tempo import BeatSink
from rtstyle.live.look import Look
from rtstyle.live.naming import shown_names
from rtstyle.live.painter import Studio
from rtstyle.live.person import PersonSegmenter
from rtstyle.live.rate import RateController, Rung, choose_ladder
from rtstyle.live.session import LiveSession
from rtstyle.machine.service import ServiceManager
from rtstyle.painting.masks import StillMask
from rtstyle.painting.stylizer import check_match, open_mask
from rtstyle.pipeline import LATEST, Pipeline
from rtstyle.sinks.base import Sink
from rtstyle.sinks.heartbeat import HeartbeatSink
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sinks.tracks.shared_sound import SharedSound
from rtstyle.sources import open_camera
from rtstyle.sources.base import Source
from rtstyle.styles.latent import open_space
from rtstyle.styles.manifest import names_with
from rtstyle.styles.model import resolve
from rtstyle.styles.sizes import TRANSFORMS, with_transform
from rtstyle.styles.spec import as_mixture


def paint(
    camera: CameraOptions,
    asked: LiveStyle,
    changes: ChangeOptions,
    outputs: OutputOptions,
    controls: ControlOptions,
    run: RunOptions,
) -> int:
    """Paint a camera until it ends or is ended, and return the exit code. Raises `RtstyleError`."""
    if changes.folder != Path():
        # Where rtstyle was started it may run without saving anything.
        check_folder(changes.folder)
    first = choose_first(asked)
    service = ServiceManager()
    with ExitStack() as stack:
        log = run.log or (changes.folder / kiosk.LOG if run.kiosk else None)
        say = stack.enter_context(kiosk.logged(log)) if log else partial(typer.echo, err=True)
        if run.kiosk:
            kiosk.keep_awake(stack, say)
        # Once the pipeline runs it closes the camera, or leaves it to a thread that hangs in it.
        mine = stack.enter_context(ExitStack())

        def open_source() -> Source:
            width, height = camera.size
            loop = camera.loop or run.kiosk
            opened = open_camera(
                camera.camera, width=width, height=height, rate=camera.fps, loop=loop
            )
            return mine.enter_context(opened)

        source = kiosk.opened(open_source, service, say) if run.kiosk else open_source()
        if first.mask:
            first.mask.weights(source.height, source.width)
        rate = wiring.hold_rate(asked.target_fps, source.rate)
        # Standard output may be the picture.
        tell = say if outputs.out == wiring.STDOUT else typer.echo
        recorder, heard = open_recorder(outputs, changes, rate, say, stack)
        bank = stack.enter_context(
            StyleBank(device=asked.device, precision=asked.precision, style_scale=asked.style_scale)
        )
        studio = open_studio(first, bank, asked, changes, float(rate), stack)
        session = LiveSession(
            studio, bank, names_with(*first.look.names), recorder, folder=changes.folder,
            rate=float(rate), cycle=changes.cycle, scenes=changes.scenes, warn=say,
        )  # fmt: skip
        faces.open_faces(controls, session, stack)
        virtual = (source.width, source.height, rate) if outputs.virtual_camera else None
        sound = heard if outputs.mic else None
        sinks: Sequence[Sink] = [
            *wiring.open_react(changes.react, heard, session, say, stack),
            BeatSink(session.tempo),
            DeskSink(session.desk),
            recorder,
            *wiring.open_streams(outputs, rate, sound, say, stack),
            *wiring.open_shown(
                outputs.window, virtual, session, stack, display=outputs.display,
                full_screen=outputs.full_screen or run.kiosk, figures=not run.kiosk,
            ),
            HeartbeatSink(service),
        ]  # fmt: skip
        look = studio.look  # That of the first scene, where there are some.
        engine = wiring.warm_up(bank, look, source)
        what = f"{shown_names(look)} on {engine}, {float(rate):g} FPS"
        say(f"{source.describe()}  |  {what}")
        pipeline = Pipeline(
            source, studio, sinks, policy=LATEST, limit=run.frames,
            max_rate=float(rate) if asked.target_fps else None, progress=session.progress,
        )  # fmt: skip
        session.limit_rate = pipeline.limit_rate
        mine.pop_all()
        report = pipeline.run()
        kiosk.log.info("%s", wiring.summary(report))
    tell(wiring.summary(report))
    for note in (note for sink in sinks for note in sink.notes()):
        say(note)
    for path in recorder.paths:
        tell(f"recorded {path}")
    # A failure was told when it happened; a script must see it too.
    return 2 if recorder.failures else 0


@dataclass(frozen=True)
class First:
    """What is painted first, what the controller may choose from, and where it begins."""

    look: Look
    ladder: tuple[Rung, ...]
    start: int
    mask: StillMask | None


def choose_first(asked: LiveStyle) -> First:
    """Check what was asked of the painting. Raises `UsageError` or `StyleError`."""
    names, walk = asked.names(), asked.style_walk
    if walk is not None:
        # A network that is trained for one style knows no other: its painting does.
        names = tuple(str(as_mixture(name)) for name in names)
    size = asked.size
    if asked.transform != TRANSFORMS[0]:
        size = with_transform("fast" if size == "auto" else size, asked.transform)
    ladder, start = choose_ladder(names, size)
    look = Look(
        names, ladder[start].size, **asked.settings(), mirror=asked.mirror, walk=walk,
        only=cast("Only", asked.only), coherence=read_coherence(asked.coherence),
    )  # fmt: skip
    if walk is not None:
        open_space(look.size)
    model = resolve(*look.model_name, asked.style_scale, rough=True)
    if asked.match_color:
        check_match(model)
    mask = open_mask(asked.mask, len(names)) if asked.mask else None
    return First(look, ladder, start, mask)


def open_recorder(
    outputs: OutputOptions,
    changes: ChangeOptions,
    rate: Fraction,
    say: Callable[[str], None],
    stack: ExitStack,
) -> tuple[RecorderSink, SharedSound | None]:
    """Return the recorder, open, and the microphone that it or `--react` hears."""
    wanted = outputs.mic or changes.react == "mic"
    heard = SharedSound(wiring.open_microphone(stack)) if wanted else None
    recorder = RecorderSink(
        outputs.record, rate=rate, sound=heard if outputs.mic else None,
        on_failure=lambda error: say(str(error)),
    )  # fmt: skip
    # Now, so that a name that cannot be is told before anything takes time.
    stack.callback(recorder.abort)
    recorder.open()
    return recorder, heard


def open_studio(
    first: First,
    bank: StyleBank,
    asked: LiveStyle,
    changes: ChangeOptions,
    rate: float,
    stack: ExitStack,
) -> Studio:
    """Return the painter of the picture, whose size follows `rate` unless `--height` is given."""
    held = RateController(rate, first.ladder, first.start) if asked.height is None else None
    studio = Studio(
        bank, first.look, segmenter=stack.enter_context(PersonSegmenter()), controller=held,
        mask=first.mask, fade=changes.fade,
    )  # fmt: skip
    studio.transition = changes.transition
    studio.walk, studio.seed = asked.style_walk or 0.0, first.look.seed
    return studio
