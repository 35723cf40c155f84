"""What a person does to a running picture: styles, settings, snapshots, recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rtstyle.errors import RtstyleError, UsageError
from rtstyle.live.bank import StyleBank
from rtstyle.live.controls.bindings import Bindings
from rtstyle.live.controls.desk import Desk, Knob, attribute
from rtstyle.live.controls.table import Value
from rtstyle.live.hearing.tempo import Tempo
from rtstyle.live.keepsakes import Keepsakes
from rtstyle.live.keys import BINDINGS, KEYS
from rtstyle.live.meter import Meter
from rtstyle.live.naming import stem, style_among
from rtstyle.live.painter import Studio
from rtstyle.live.reach import Ahead
from rtstyle.live.show.player import Player
from rtstyle.report import Progress
from rtstyle.sinks.base import SinkClosedError
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.sinks.window import WindowSink
from rtstyle.styles.latent import check_space
from rtstyle.styles.spec import as_mixture, mixture, own_seed, parse_style

SHOW = "show.toml"
"""Where scenes are written that have no file yet."""
NOTE_SECONDS = 4.0
"""How long a message stays in the picture."""


class LiveSession:
    """Does what is asked of the controls, and says what to show; all calls come from one thread.

    Whatever asks, a key or a program, asks at `desk.board`; see `rtstyle.live.controls`. `names`
    are the styles to go through, by themselves every `cycle` seconds (0: never). Snapshots and
    recordings go to `folder`. `rate` is the frames a second that are held; `limit_rate` is called
    with a new one. `scenes` is a scenes file; raises `UsageError` where it is wrong. `warn` is told
    what is wrong with it later.
    """

    def __init__(
        self,
        studio: Studio,
        bank: StyleBank,
        names: Sequence[str],
        recorder: RecorderSink,
        *,
        folder: Path = Path(),
        rate: float = 30.0,
        cycle: float = 0.0,
        scenes: Path | None = None,
        warn: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.studio, self._bank, self.names, self._recorder = studio, bank, list(names), recorder
        self._clock, self._warn = clock, warn
        self._note, self._note_until = "", 0.0
        self._base, self._mixed = studio.look.names[0], 0.0
        self._before: str | None = None
        self._first, self._drawn = own_seed(), 0
        self.meter, self._failures = Meter(), 0
        self._ahead = Ahead(bank)
        self._rate, self._cycle, self._since = rate, cycle, clock()
        self.limit_rate: Callable[[float], None] = lambda _: None
        self.bindings = Bindings()
        self.bindings.use("keys", BINDINGS)
        self.desk = Desk(self.say)
        self.keepsakes = Keepsakes(folder, studio, recorder, self.say)
        self.player = Player(
            scenes or folder / SHOW, self.bindings, self._put, self.say, self._tell, own=BINDINGS,
            how={"transition": studio.transition, "fade": studio.fade}, clock=clock,
        )  # fmt: skip
        self.desk.board.check_texts(self._check_text)
        self.desk.add(self._knobs(), self._actions())
        self.tempo = Tempo(self.desk, self.bindings, self.say, clock)
        if scenes is not None:
            self.player.load()
            self._take_styles()
            self.player.start()

    def _knobs(self) -> dict[str, Knob]:
        studio, look = self.studio, self._of_look
        return {
            "style": Knob(lambda: self.style, self.choose_named),
            "mix": Knob(lambda: self._mixed, self.mix),
            "walk": Knob(lambda: studio.walk, self.use_walk),
            "strength": look("strength", "strength {:.0%}".format),
            "coherence": look("coherence", "coherence {:.0%}".format),
            "stroke_size": look("stroke_size", "strokes {:.2g} times as wide".format),
            "keep_color": look(
                "keep_color", lambda on: f"colours of the {'camera' if on else 'style'}"
            ),
            "match_color": Knob(lambda: studio.matching, self.match),
            "only": look("only", "painting {}".format),
            "mask": Knob(lambda: studio.masked, self.use_mask),
            "mirror": look("mirror", lambda on: "mirrored" if on else "not mirrored"),
            "split": look("split", lambda on: "split with the original" if on else "no split"),
            "freeze": Knob(lambda: studio.frozen, self.freeze),
            "record": Knob(lambda: self._recorder.recording is not None, self.keepsakes.record),
            "target_fps": Knob(lambda: self._rate, self.hold_rate),
            "transition": Knob(lambda: studio.transition, self.use_transition),
            "fade": Knob(lambda: studio.fade, self.use_fade),
            "cycle": Knob(lambda: self._cycle, self.use_cycle),
            "scene": Knob(self._scene_name, self.player.show_scene),
        }

    def _actions(self) -> dict[str, Callable[[], object]]:
        return {
            "next": lambda: self.turn(1),
            "previous": lambda: self.turn(-1),
            "next_scene": self.player.go_on,
            "save_scene": lambda: self.player.save(self.desk.present()),
            "snapshot": self.keepsakes.snapshot,
            "random": self.draw,
            "quit": self.quit,
        }

    def _of_look(self, name: str, said: Callable[[Any], str]) -> Knob:
        """Return the knob of a setting of the look."""

        def change(value: Value) -> None:
            self.studio.change(**{name: value})
            self.say(said(value))

        return Knob(lambda: getattr(self.studio.look, name), change)

    def _check_text(self, control: str, value: Value) -> None:
        """Raise `UsageError` for a style or scene that nobody listed; called in any thread."""
        if control == "style":
            style_among(self.names, str(value))
        else:
            self.player.show.find(str(value))

    def _scene_name(self) -> str:
        return self.player.scene.name if self.player.scene is not None else ""

    def _put(self, name: str, value: Value) -> None:
        """Set a control as the scenes file has it: its styles may be pictures that it brings."""
        if name == "style" and not str(value).isdecimal():
            self.choose(str(value))
        else:
            self.desk.put(name, value)

    def _take_styles(self) -> None:
        """Take the styles of the scenes among those to go through, so that they are kept warm."""
        fresh = [style for style in self.player.styles if style not in self.names]
        if fresh:
            self.names = [*self.names, *fresh]

    def meet(self, window: WindowSink) -> None:
        """Take in the controls of a window."""
        self.desk.add(
            {
                "full_screen": Knob(lambda: window.full_screen, window.fill_screen),
                "figures": attribute(window, "show_hud"),
                "help": attribute(window, "show_help"),
            }
        )

    def key(self, key: str) -> bool:
        """Do what `key` stands for; return False if that is nothing.

        Raises `SinkClosedError` where it ends the program.
        """
        binding = self.bindings.find("keys", key)
        if binding is not None:
            self.desk.press(binding)
        return binding is not None

    def quit(self) -> None:
        """End the program."""
        raise SinkClosedError

    def drop(self, path: str) -> None:
        """Paint like a picture that was dropped on the window, and keep it among the styles."""
        try:
            parse_style(path)
        except RtstyleError as error:
            self.say(error.what)
            return
        if path not in self.names:
            at = self.names.index(self._base) + 1 if self._base in self.names else 0
            self.names.insert(at, path)
        self.choose(path)
        self.say(Path(path).name)

    @property
    def style(self) -> str:
        """The style, or the blend, that was last asked for."""
        return self.studio.look.title if self._mixed else self._base

    def choose_named(self, text: str) -> None:
        """Change to one of `names`, or to a blend of some. Raises `UsageError` for others."""
        self.choose(style_among(self.names, text))

    def mix(self, share: float) -> None:
        """Mix `share` of the style before this one in, 0 to 1; both then paint as pictures.

        Raises `UsageError` for an .onnx style, `StyleError` for a picture that is gone.
        """
        if self._before is None:
            raise UsageError("choose a second style to mix with")
        ends = ((self._base, 1 - share), (self._before, share))
        parts = [(n, w * part) for name, w in ends for n, part in as_mixture(name).parts]
        self.studio.change(style=str(mixture(parts)) if share else self._base)
        self._mixed = share
        names = [f"{stem(name)} {weight:.0%}" for name, weight in ends]
        self.say(" + ".join(names))

    def say(self, text: str) -> None:
        """Show a message for a while."""
        self._note, self._note_until = text, self._clock() + NOTE_SECONDS

    def _tell(self, problem: RtstyleError) -> None:
        """Show what is wrong, and pass it on in full."""
        self.say(problem.what)
        self._warn(str(problem))

    def choose(self, style: str) -> None:
        """Change to `style` as soon as its model is ready."""
        if style != self._base:
            self._before = self._base
        self._base, self._mixed, self._since = style, 0.0, self._clock()
        self.studio.change(style=self._walkable(style))

    def _walkable(self, style: str) -> str:
        """Return what to paint: during a walk a built-in style is its painting."""
        return str(as_mixture(style)) if self.studio.walk else style

    def draw(self) -> None:
        """Change to a style that nobody painted. Raises `StyleError` where there are none."""
        check_space(self.studio.look.size)
        self._drawn += 1
        name = f"random:{self._first + self._drawn}"
        self.choose(name)
        self.say(name)

    def use_walk(self, leg: float) -> None:
        """Walk through styles, one every `leg` seconds; 0 stays at the present one.

        Raises `UsageError` for an .onnx style, `StyleError` where styles cannot be sampled.
        """
        if leg:
            as_mixture(self._base)
            check_space(self.studio.look.size)
        began, self.studio.walk = self.studio.walk == 0 and leg > 0, leg
        if began or not leg:
            self.studio.change(style=self._walkable(self._base))
        self.say(f"a walk, {leg:g} s a style" if leg else "no walk")

    def turn(self, step: int) -> None:
        """Go `step` styles on, round and round."""
        at = self.names.index(self._base) if self._base in self.names else -step
        self.choose(self.names[(at + step) % len(self.names)])

    def match(self, on: bool) -> None:
        """Give pictures the colours of the camera as it is now, or their own again."""
        self.studio.match(on)
        self.say("pictures in the camera's colours" if on else "pictures in their own colours")

    def use_mask(self, on: bool) -> None:
        """Paint by the mask, or everything. Raises `UsageError` where there is none."""
        self.studio.use_mask(on)
        self.say("painting by the mask" if on else "no mask")

    def freeze(self, on: bool) -> None:
        """Hold the picture, or let it go."""
        self.studio.frozen = on
        self.say("frozen" if on else "live")

    def hold_rate(self, rate: float) -> None:
        """Hold another rate than the one of the start, in frames a second."""
        self.studio.hold_rate(rate)
        self.limit_rate(rate)
        self._rate = rate
        self.say(f"holding {rate:g} FPS")

    def use_transition(self, kind: str) -> None:
        """Have styles give way to each other by `kind` from now on."""
        self.studio.transition = kind
        self.say(kind)

    def use_fade(self, seconds: float) -> None:
        """Have a transition take so long from now on."""
        self.studio.fade = seconds
        self.say(f"transitions of {seconds:g} s")

    def use_cycle(self, seconds: float) -> None:
        """Go on to the next style after so long, from now on; 0: never."""
        self._cycle, self._since = seconds, self._clock()
        self.say(f"next style every {seconds:g} s" if seconds else "no cycle")

    def _go_on(self, now: float) -> None:
        """Go on to the next scene or style where its time has come."""
        try:
            self.player.look()
            self._take_styles()
            if self.player.due(self._cycle):
                self.player.go_on()
        except RtstyleError as error:
            self._tell(error)
        if not self.player.show.scenes and self._cycle and now - self._since >= self._cycle:
            self.turn(1)

    def progress(self, progress: Progress) -> None:
        """Take in where the pipeline stands, after each frame."""
        now = self._clock()
        self.meter.note(progress, now)
        if self.studio.problem is not None:
            self.say(self.studio.problem.what)
            self.studio.problem = None
        if len(self._recorder.failures) > self._failures:
            self._failures = len(self._recorder.failures)
            self.say(self._recorder.failures[-1].what)
        self._go_on(now)
        self.prepare()
        self.desk.publish({**self.meter.figures(self.studio), "note": self.note()})

    def prepare(self) -> None:
        """Have every style ready for the present working size, the neighbours first."""
        look, last = self.studio.shown, self.studio.last
        if last is None:
            return
        size = (last.shape[0], last.shape[1])
        self._ahead.prepare(self.names, self._base, look, size, self._clock())

    def hud(self) -> list[str]:
        """Return the lines that the window shows over the picture."""
        return self.meter.lines(self.studio, self._recorder.recording)

    def help(self) -> list[tuple[str, str]]:
        """Return each key of the window and what it does."""
        return [(key.shown, key.does) for key in KEYS]

    def note(self) -> str:
        """Return the message of the moment, or ''."""
        return self._note if self._clock() < self._note_until else ""
