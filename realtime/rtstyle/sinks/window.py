"""A window on the desktop, through pygame."""

from __future__ import annotations

import os
from typing import Any

from rtstyle.errors import SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink, SinkClosedError

LARGEST = 0.9
"""A window opens at most this large, as a fraction of the desktop."""


class WindowSink(Sink):
    """Shows frames in a window that can be resized; `q`, Esc or closing it ends the run.

    `open`, `write` and `idle` must be called from the main thread. Without a display `open`
    raises `SinkError`.
    """

    def __init__(self, title: str = "rtstyle") -> None:
        self.name = "window"
        self.title = title
        self._pygame: Any = None
        self._screen: Any = None

    def open(self) -> None:
        """Connect to the display; the window itself comes with the first frame."""
        if self._pygame is not None:
            return
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        try:
            pygame.display.init()
        except pygame.error as error:
            raise no_display(str(error)) from error
        if pygame.display.get_driver() in ("offscreen", "evdev"):
            pygame.display.quit()
            raise no_display("No desktop is running.")
        self._pygame = pygame

    def write(self, frame: Frame) -> None:
        """Show one frame, scaled to the window with its shape kept."""
        self.open()
        height, width = frame.image.shape[:2]
        if self._screen is None:
            self._make_window(width, height)
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
        self._pygame.display.flip()
        self.idle()

    def idle(self) -> None:
        """Answer the desktop, and raise `SinkClosedError` if the user wants to end."""
        if self._screen is None:
            return
        pygame = self._pygame
        for event in pygame.event.get():
            pressed = event.type == pygame.KEYDOWN and event.key in (pygame.K_q, pygame.K_ESCAPE)
            if event.type == pygame.QUIT or pressed:
                raise SinkClosedError

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - nothing is kept
        """Close the window."""
        self.abort()

    def abort(self) -> None:
        """Close the window."""
        if self._pygame is not None:
            self._pygame.display.quit()
        self._pygame = self._screen = None

    def _make_window(self, width: int, height: int) -> None:
        pygame = self._pygame
        try:
            desk = pygame.display.get_desktop_sizes()[0]
            scale = min(1.0, LARGEST * desk[0] / width, LARGEST * desk[1] / height)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        except (pygame.error, IndexError) as error:
            raise no_display(str(error)) from error
        pygame.display.set_caption(self.title)


def no_display(why: str) -> SinkError:
    """Return the error for a machine without a screen."""
    return SinkError("A window cannot be opened here.", why, "Use --no-window --frames 300.")
