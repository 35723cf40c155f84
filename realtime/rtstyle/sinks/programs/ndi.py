"""Frames as an NDI source in the network, for OBS, Resolume, TouchDesigner, vMix: by cyndilib."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2

from rtstyle.errors import MissingExtraError, SinkError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink


class NdiSink(Sink):
    """Sends frames under a `name`, to all who ask for it; nobody has to.

    `rate` is told to who receives them; frames go out as they come. Raises `MissingExtraError`
    without cyndilib, and `SinkError` where the network cannot be used.
    """

    def __init__(self, name: str, *, rate: Fraction = Fraction(30)) -> None:
        self.name, self._rate = f"NDI source {name}", rate
        self._title = name
        self._sender: Any = None
        self._size = (0, 0)

    def open(self) -> None:
        """Find out whether the library is there."""
        try:
            import cyndilib.sender  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "NDI needs cyndilib.", str(error), "Install rtstyle[ndi]."
            ) from error

    def write(self, frame: Frame) -> None:
        """Send a frame; another size begins the source anew."""
        height, width = frame.image.shape[:2]
        if self._sender is None or self._size != (width, height):
            self._begin(width, height)
        pixels = cv2.cvtColor(frame.image, cv2.COLOR_RGB2RGBA)
        # Compressed and sent by a thread of the library, which copies it first.
        self._sender.write_video_async(pixels.reshape(-1))

    def _begin(self, width: int, height: int) -> None:
        from cyndilib.sender import Sender
        from cyndilib.video_frame import VideoSendFrame
        from cyndilib.wrapper.ndi_structs import FourCC

        self.abort()
        picture = VideoSendFrame()
        picture.set_resolution(width, height)
        picture.set_frame_rate(self._rate)
        picture.set_fourcc(FourCC.RGBA)
        # Without a clock of its own: it would hold the picture back.
        sender = Sender(self._title, clock_video=False, clock_audio=False)
        sender.set_video_frame(picture)
        try:
            sender.open()
        except Exception as error:
            raise SinkError(f"The {self.name} cannot be made.", str(error)) from error
        self._sender, self._size = sender, (width, height)

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - the same either way
        """End the source."""
        self.abort()

    def abort(self) -> None:
        """End the source."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
