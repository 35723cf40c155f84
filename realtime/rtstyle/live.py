"""What a person does to a running picture: styles, settings, snapshots, recordings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from rtstyle.bank import Shape, StyleBank
from rtstyle.errors import RtstyleError
from rtstyle.look import ONLY, Look
from rtstyle.mixture import as_mixture, is_file, mixture, parse_style, split_blend
from rtstyle.picture import Picture, write_picture
from rtstyle.pipeline import Progress
from rtstyle.sinks.recorder import RecorderSink
from rtstyle.studio import Studio

STRENGTH_STEP = 0.1
BLEND_STEP = 0.1
NOTE_SECONDS = 4.0
"""How long a message stays in the picture."""
RATE_SECONDS = 2.0
"""Span of the frame rate that is shown."""


class LiveSession:
    """Answers keys (see `rtstyle.keys`) and says what to show; all calls come from one thread.

    `names` are the styles to go through. Snapshots and recordings go to `folder`.
    """

    def __init__(
        self,
        studio: Studio,
        bank: StyleBank,
        names: Sequence[str],
        recorder: RecorderSink,
        *,
        folder: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.studio, self._bank, self.names, self._recorder = studio, bank, list(names), recorder
        self._folder, self._clock = folder, clock
        self._note, self._note_until = "", 0.0
        self._base, self._mixed = studio.look.style, 0.0
        self._before: str | None = None
        self._times: deque[float] = deque()
        self._latency, self._drops, self._failures = 0.0, 0, 0
        self._prepared: tuple[str, Shape] | None = None
        self._actions: dict[str, Callable[[], object]] = {
            "n": lambda: self.turn(1),
            "p": lambda: self.turn(-1),
            "+": lambda: self.strengthen(STRENGTH_STEP),
            "=": lambda: self.strengthen(STRENGTH_STEP),
            "-": lambda: self.strengthen(-STRENGTH_STEP),
            "_": lambda: self.strengthen(-STRENGTH_STEP),
            "c": lambda: self.toggle("keep_color", "colours of the camera", "colours of the style"),
            "]": lambda: self.mix(BLEND_STEP),
            "[": lambda: self.mix(-BLEND_STEP),
            "k": self.match,
            "m": lambda: self.toggle("mirror", "mirrored", "not mirrored"),
            "o": lambda: self.toggle("split", "split with the original", "no split"),
            "b": self.next_region,
            "space": self.freeze,
            "s": self.snapshot,
            "r": self.record,
        }

    def key(self, key: str) -> bool:
        """Do what `key` stands for; False if it is none of the session's."""
        if len(key) == 1 and key in "123456789":
            if int(key) <= len(self.names):
                self.choose(self.names[int(key) - 1])
            return True
        action = self._actions.get(key)
        if action is None:
            return False
        try:
            action()
        except RtstyleError as error:
            self.say(error.what)
        return True

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

    def mix(self, step: float) -> None:
        """Mix `step` more of the style before this one in; both then paint as pictures.

        Raises `UsageError` for an .onnx style, `StyleError` for a picture that is gone.
        """
        if self._before is None:
            self.say("choose a second style to mix with")
            return
        self._mixed = min(1.0, max(0.0, round(self._mixed + step, 2)))
        ends = ((self._base, 1 - self._mixed), (self._before, self._mixed))
        parts = [(n, w * share) for name, w in ends for n, share in as_mixture(name).parts]
        self.studio.change(style=str(mixture(parts)) if self._mixed else self._base, regions=())
        names = [f"{Path(name).stem} {weight:.0%}" for name, weight in ends]
        self.say(" + ".join(names))

    def say(self, text: str) -> None:
        """Show a message for a while."""
        self._note, self._note_until = text, self._clock() + NOTE_SECONDS

    def choose(self, style: str) -> None:
        """Change to `style` as soon as its model is ready."""
        if style != self._base:
            self._before = self._base
        self._base, self._mixed = style, 0.0
        self.studio.change(style=style, regions=())

    def turn(self, step: int) -> None:
        """Go `step` styles on, round and round."""
        at = self.names.index(self._base) if self._base in self.names else -step
        self.choose(self.names[(at + step) % len(self.names)])

    def strengthen(self, step: float) -> None:
        """Change the strength by `step`, within 0 to 1."""
        strength = min(1.0, max(0.0, round(self.studio.look.strength + step, 2)))
        self.studio.change(strength=strength)
        self.say(f"strength {strength:.0%}")

    def toggle(self, name: str, on: str, off: str) -> None:
        """Switch a setting of the look."""
        value = not getattr(self.studio.look, name)
        self.studio.change(**{name: value})
        self.say(on if value else off)

    def match(self) -> None:
        """Give pictures the colours of the camera as it is now, or their own again."""
        on = not self.studio.matched
        self.studio.match(on)
        self.say("pictures in the camera's colours" if on else "pictures in their own colours")

    def next_region(self) -> None:
        """Paint everything, the background or the person, in turn."""
        only = ONLY[(ONLY.index(self.studio.look.only) + 1) % len(ONLY)]
        self.studio.change(only=only)
        self.say(f"painting {only}")

    def freeze(self) -> None:
        """Hold the picture, or let it go."""
        self.studio.frozen = not self.studio.frozen
        self.say("frozen" if self.studio.frozen else "live")

    def snapshot(self) -> Path | None:
        """Save the last picture as PNG; None if there is none yet."""
        image = self.studio.last
        if image is None:
            return None
        path = self._new_file(".png")
        write_picture(Picture(image), path)
        self.say(f"saved {path.name}")
        return path

    def record(self) -> None:
        """Start a recording, or end the one that runs."""
        if self._recorder.recording is None:
            path = self._new_file(".mp4")
            self._recorder.start(path)
            self.say(f"recording {path.name}")
        else:
            path = self._recorder.recording
            saved = self._recorder.stop()
            self.say(f"saved {path.name}" if saved else "nothing recorded")

    def progress(self, progress: Progress) -> None:
        """Take in where the pipeline stands, after each frame."""
        now = self._clock()
        self._times.append(now)
        while self._times[0] < now - RATE_SECONDS:
            self._times.popleft()
        self._latency += (progress.latency - self._latency) / min(20, progress.frames_out)
        self._drops = progress.drops
        if self.studio.problem is not None:
            self.say(self.studio.problem.what)
            self.studio.problem = None
        if len(self._recorder.failures) > self._failures:
            self._failures = len(self._recorder.failures)
            self.say(self._recorder.failures[-1].what)
        self.prepare()

    def prepare(self) -> None:
        """Have every style ready for the present working size, the neighbours first."""
        look, last = self.studio.shown, self.studio.last
        if last is None:
            return
        shape = look.working_size(last.shape[0], last.shape[1])
        if self._prepared == (look.size, shape):
            return
        self._prepared = (look.size, shape)
        at = self.names.index(self._base) if self._base in self.names else 0
        order = sorted(
            range(len(self.names)),
            key=lambda i: min((i - at) % len(self.names), (at - i) % len(self.names)),
        )
        self._bank.prepare([(self.names[i], look.size) for i in order], shape, urgent=False)

    @property
    def fps(self) -> float:
        """Frames a second over the last moments."""
        span = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / span if span else 0.0

    def hud(self) -> list[str]:
        """Return the lines that the window shows over the picture."""
        shown, wanted = self.studio.shown, self.studio.look
        style = shown_names(shown)
        if wanted.model[0] != shown.model[0]:
            style += f" > {shown_names(wanted)}"
        rows = f", {shown.height} rows" if shown.height else ""
        flags = [f"{shown.strength:.0%}"] if shown.strength < 1 else []
        flags += [name for name in ("mirror", "split") if getattr(shown, name)]
        flags += ["camera colours"] if shown.keep_color else []
        flags += [f"{shown.only} only"] if shown.only != "all" else []
        flags += ["frozen"] if self.studio.frozen else []
        lines = [
            f"{style}  ({shown.size}{rows})",
            f"{self.fps:.0f} FPS   {1000 * self._latency:.0f} ms   {self._drops} dropped",
        ]
        if flags:
            lines.append(", ".join(flags))
        if self._recorder.recording is not None:
            lines.append(f"REC {self._recorder.recording.name}")
        return lines

    def note(self) -> str:
        """Return the message of the moment, or ''."""
        return self._note if self._clock() < self._note_until else ""

    def _new_file(self, suffix: str) -> Path:
        """Return a free name that tells the time."""
        stamp = time.strftime("rtstyle-%Y%m%d-%H%M%S")
        path, number = self._folder / f"{stamp}{suffix}", 1
        while path.exists():
            number += 1
            path = self._folder / f"{stamp}-{number}{suffix}"
        return path


def shown_name(style: str) -> str:
    """Return a style as the window shows it: names without folders and endings."""
    if is_file(style):
        return Path(style).stem
    return " + ".join(map(_shown_part, split_blend(style)))


def _shown_part(part: str) -> str:
    """Return one part of a blend, `monet.jpg:0.5`, as `monet 50%`."""
    name, colon, weight = part.rpartition(":")
    if is_file(part) or not colon:
        return Path(part).stem
    return f"{Path(name).stem} {float(weight):.0%}"


def shown_names(look: Look) -> str:
    """Return the style of a look, or those of its regions, as the window shows them."""
    return " | ".join(map(shown_name, look.regions or (look.style,)))
