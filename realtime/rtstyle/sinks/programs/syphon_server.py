"""Frames for other programs on this Mac, by Syphon: by syphon-python."""

from __future__ import annotations

from typing import Any

import cv2

from rtstyle.errors import MissingExtraError
from rtstyle.frame import Frame
from rtstyle.sinks.base import Sink


class SyphonSink(Sink):
    """Shares frames as a server of this `name`. Raises `MissingExtraError` without syphon-python.

    A texture of Metal is made for each size of frames.
    """

    def __init__(self, name: str) -> None:
        self.name, self._title = f"Syphon server {name}", name
        self._server: Any = None
        self._texture: Any = None
        self._size = (0, 0)

    def open(self) -> None:
        """Make the server, which others see at once."""
        if self._server is not None:
            return
        try:
            import syphon
        except ImportError as error:
            raise MissingExtraError(
                "Syphon needs syphon-python, on macOS.", str(error), "Install rtstyle[syphon]."
            ) from error
        self._server = syphon.SyphonMetalServer(self._title)

    def write(self, frame: Frame) -> None:
        """Share a frame."""
        from syphon.utils.numpy import copy_image_to_mtl_texture
        from syphon.utils.raw import create_mtl_texture

        self.open()
        height, width = frame.image.shape[:2]
        if self._size != (width, height):
            self._texture = create_mtl_texture(self._server.device, width, height)
            self._size = (width, height)
        pixels = cv2.cvtColor(frame.image, cv2.COLOR_RGB2RGBA)
        copy_image_to_mtl_texture(pixels, self._texture)
        self._server.publish_frame_texture(self._texture)

    def close(self, complete: bool = True) -> None:  # noqa: ARG002 - the same either way
        """End the server."""
        self.abort()

    def abort(self) -> None:
        """End the server."""
        server, self._server = self._server, None
        self._texture, self._size = None, (0, 0)
        if server is not None:
            server.stop()
