"""Frames for other programs on this Windows machine, by Spout: by SpoutGL."""

from __future__ import annotations

from typing import Any

import cv2

from rtstyle.errors import MissingExtraError, SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink

GL_RGBA = 0x1908
"""The number that OpenGL has for this order of channels."""


class SpoutSink(Sink):
    """Shares frames as a sender of this `name`.

    Raises `MissingExtraError` without SpoutGL, and `SinkError` where the graphics card does not
    take the first frame.
    """

    def __init__(self, name: str) -> None:
        self.name, self._title = f"Spout sender {name}", name
        self._sender: Any = None
        self._sent = False

    def open(self) -> None:
        """Make the sender; it is seen by others with the first frame."""
        if self._sender is not None:
            return
        try:
            import SpoutGL
        except ImportError as error:
            raise MissingExtraError(
                "Spout needs SpoutGL, on Windows.", str(error), "Install rtstyle[spout]."
            ) from error
        self._sender = SpoutGL.SpoutSender()
        self._sender.setSenderName(self._title)

    def write(self, frame: Frame) -> None:
        """Share a frame; it may be of another size than the one before."""
        self.open()
        height, width = frame.image.shape[:2]
        pixels = cv2.cvtColor(frame.image, cv2.COLOR_RGB2RGBA)
        if self._sender.sendImage(pixels, width, height, GL_RGBA, False, 0):
            self._sent = True
            self._sender.setFrameSync(self._title)
        elif not self._sent:
            raise SinkError(
                f"The {self.name} cannot be made.", "The graphics card did not take the picture."
            )

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - the same either way
        """End the sender."""
        self.abort()

    def abort(self) -> None:
        """End the sender."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.releaseSender()
