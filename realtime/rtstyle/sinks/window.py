"""A window on the desktop, through pygame."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink, SinkClosedError

Place: TypeAlias = Callable[[int, int], tuple[int, int]]
"""Maps the width and height of a box to its left and top."""

LARGEST = 0.9
"""A window opens at most this large, as a fraction of the desktop."""
MARGIN, PADDING = 12, 8
"""Pixels around the text boxes, and within them."""
FONT_SIZE = 22
CENTRED_ON = 0x2FFF0000
"""Plus the number of a display: the middle of it, SDL_WINDOWPOS_CENTERED_DISPLAY."""
INK, ACCENT, SHADE = (240, 240, 240), (255, 196, 87), (12, 12, 16, 170)


class Overlay(Protocol):
    """What a window shows over the picture, and whom it tells of keys."""

    def meet(self, window: WindowSink) -> None:
        """Take in that this window shows it."""
        ...

    def key(self, key: str) -> bool:
        """Answer a key: one character, `space`, `escape`, `f1` and the like."""
        ...

    def drop(self, path: str) -> None:
        """Take in a file that was dropped on the window."""
        ...

    def hud(self) -> Sequence[str]:
        """Return the lines of figures."""
        ...

    def note(self) -> str:
        """Return the message of the moment, or ''."""
        ...

    def help(self) -> Sequence[tuple[str, str]]:
        """Return each key and what it does."""
        ...


class WindowSink(Sink):
    """Shows frames in a window that can be resized; closing it ends the run.

    With an `overlay`, keys and dropped files go to it; `show_hud` shows its figures, `show_help`
    its keys. Without one `f` is full screen, and `q` and Esc end the run. `open`, `write` and
    `idle` must be called from the main thread. `display` counts the screens from 0; with
    `full_screen` it fills that one from the start. Without a display `open` raises `SinkError`.
    """

    def __init__(
        self,
        title: str = "rtstyle",
        overlay: Overlay | None = None,
        *,
        display: int = 0,
        full_screen: bool = False,
    ) -> None:
        self._display, self._filled = display, full_screen
        self.name = "window"
        self.title, self.overlay = title, overlay
        self.show_hud, self.show_help = overlay is not None, False
        self._pygame: Any = None
        self._screen: Any = None
        self._windowed: tuple[int, int] | None = None
        self._last: Frame | None = None
        self._font: Any = None
        self._texts: dict[tuple[str, tuple[int, int, int]], Any] = {}
        if overlay is not None:
            overlay.meet(self)

    def open(self) -> None:
        """Connect to the display; the window itself comes with the first frame."""
        if self._pygame is not None:
            return
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        try:
            if sys.platform == "linux" and not os.environ.get("XDG_RUNTIME_DIR"):
                # Wayland cannot be used without it, and says so itself, before any message of ours.
                os.environ.setdefault("SDL_VIDEODRIVER", "x11,kmsdrm")
            pygame.display.init()
        except pygame.error as error:
            raise no_display(str(error)) from error
        if pygame.display.get_driver() in ("offscreen", "evdev"):
            pygame.display.quit()
            raise no_display("No desktop is running.")
        self._pygame = pygame
        count = len(pygame.display.get_desktop_sizes())
        if self._display >= count:
            self.abort()
            raise SinkError(
                f"There is no display {self._display}.",
                f"This machine has {count}.",
                f"Use --display 0 to {count - 1}." if count > 1 else "Leave out --display.",
            )

    def write(self, frame: Frame) -> None:
        """Show one frame, scaled to the window with its shape kept."""
        self.open()
        if self._screen is None:
            self._make_window(frame.image.shape[1], frame.image.shape[0])
        self._last = frame
        self._draw(frame)
        self.idle()

    def idle(self) -> None:
        """Answer the desktop, and raise `SinkClosedError` if the user wants to end."""
        if self._screen is None:
            return
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                raise SinkClosedError
            if event.type == self._pygame.KEYDOWN:
                self._key(self._name_of(event))
            if event.type == self._pygame.DROPFILE and self.overlay is not None:
                self.overlay.drop(event.file)

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - nothing is kept
        """Close the window."""
        self.abort()

    def abort(self) -> None:
        """Close the window."""
        if self._pygame is not None:
            if self._font is not None:
                self._pygame.font.quit()
            self._pygame.display.quit()
        self._pygame = self._screen = self._font = self._last = None
        self._texts.clear()

    def picture(self) -> Any:
        """Return the window's content, for tests: a pygame surface, None before the first frame."""
        return self._screen

    def _name_of(self, event: Any) -> str:
        """Return a key as its character, so that every keyboard layout works."""
        named = {self._pygame.K_ESCAPE: "escape", self._pygame.K_SPACE: "space"}
        return named.get(event.key) or event.unicode or self._pygame.key.name(event.key)

    def _key(self, key: str) -> None:
        if self.overlay is not None:
            self.overlay.key(key)
        elif key in ("q", "escape"):
            raise SinkClosedError
        elif key == "f":
            self.fill_screen(not self.full_screen)

    def _draw(self, frame: Frame) -> None:
        height, width = frame.image.shape[:2]
        picture = self._pygame.image.frombuffer(frame.image, (width, height), "RGB")
        across, down = self._screen.get_size()
        if (across, down) == (width, height):
            self._screen.blit(picture, (0, 0))
        else:
            scale = min(across / width, down / height)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            self._screen.fill((0, 0, 0))
            corner = ((across - size[0]) // 2, (down - size[1]) // 2)
            self._screen.blit(self._pygame.transform.smoothscale(picture, size), corner)
        if self.overlay is not None:
            self._draw_overlay(self.overlay)
        self._pygame.display.flip()

    def _draw_overlay(self, overlay: Overlay) -> None:
        across, down = self._screen.get_size()
        if self.show_hud:
            first, *others = overlay.hud()
            rows = [[self._text(first, ACCENT)], *([self._text(line)] for line in others)]
            self._box(rows, lambda *_: (MARGIN, MARGIN))
        if self.show_help:
            rows = [[self._text(key, ACCENT), self._text(does)] for key, does in overlay.help()]
            self._box(rows, lambda w, h: (across - w - MARGIN, (down - h) // 2))
        if note := overlay.note():
            rows = [[self._text(note, ACCENT)]]
            self._box(rows, lambda w, h: ((across - w) // 2, down - h - MARGIN))

    def _box(self, rows: Sequence[Sequence[Any]], place: Place) -> None:
        """Draw rows of one or two texts on a shade; `place` gets the size of the box."""
        first = max(row[0].get_width() for row in rows) + 2 * PADDING
        width = max(first * (len(row) - 1) + row[-1].get_width() for row in rows) + 2 * PADDING
        height = sum(row[0].get_height() for row in rows) + 2 * PADDING
        left, top = place(width, height)
        shade = self._pygame.Surface((width, height), self._pygame.SRCALPHA)
        shade.fill(SHADE)
        self._screen.blit(shade, (left, top))
        for row in rows:
            for column, text in enumerate(row):
                self._screen.blit(text, (left + PADDING + first * column, top + PADDING))
            top += row[0].get_height()

    def _text(self, text: str, color: tuple[int, int, int] = INK) -> Any:
        """Return a line as a picture; the last few are kept, as most stay the same."""
        if self._font is None:
            self._pygame.font.init()
            self._font = self._pygame.font.Font(None, FONT_SIZE)
        key = (text, color)
        if key not in self._texts:
            if len(self._texts) > 100:
                self._texts.clear()
            self._texts[key] = self._font.render(text, True, color)
        return self._texts[key]

    @property
    def full_screen(self) -> bool:
        """Whether the window fills the screen."""
        return self._windowed is not None

    def fill_screen(self, on: bool) -> None:
        """Fill the screen, or go back to the window; nothing happens before the first frame."""
        if self._screen is None or on == self.full_screen:
            return
        pygame = self._pygame
        if self._windowed is None:
            self._windowed = self._screen.get_size()
            self._screen = self._cover()
            pygame.mouse.set_visible(False)
        else:
            self._screen = pygame.display.set_mode(
                self._windowed, pygame.RESIZABLE, display=self._display
            )
            self._windowed = None
            self._centre()
            pygame.mouse.set_visible(True)
        if self._last is not None:
            self._draw(self._last)

    def _cover(self) -> Any:
        """Return the content of the window, which covers its display from now on."""
        pygame, at = self._pygame, self._display
        # By its size: without a window manager, as in a kiosk, nobody else would set it.
        size = pygame.display.get_desktop_sizes()[at]
        if pygame.display.get_driver() == "x11":
            # Nor would anybody move it, whatever SDL says of its place.
            pygame.display.set_mode(size, pygame.NOFRAME, display=at)
            self._centre()
        return pygame.display.set_mode(size, pygame.FULLSCREEN, display=at)

    def _centre(self) -> None:
        """Move the window to the middle of its display; elsewhere than on X11 the desktop does."""
        if self._pygame.display.get_driver() == "x11":
            self._pygame.display.set_window_position((CENTRED_ON + self._display,) * 2)

    def _make_window(self, width: int, height: int) -> None:
        pygame = self._pygame
        try:
            desk = pygame.display.get_desktop_sizes()[self._display]
            scale = min(1.0, LARGEST * desk[0] / width, LARGEST * desk[1] / height)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE, display=self._display)
        except (pygame.error, IndexError) as error:
            raise no_display(str(error)) from error
        pygame.display.set_caption(self.title)
        if self._filled:
            self.fill_screen(True)


def no_display(why: str) -> SinkError:
    """Return the error for a machine without a screen."""
    return SinkError("A window cannot be opened here.", why, "Use --no-window --frames 300.")
