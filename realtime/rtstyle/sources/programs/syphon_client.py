"""What a program on this Mac shares by Syphon: `--camera syphon:NAME`, by syphon-python."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from rtstyle.errors import MissingExtraError
from rtstyle.frame import Image
from rtstyle.sources.programs import latest
from rtstyle.sources.programs.latest import LatestSource

LOOK = 0.05
"""Seconds that the system has to tell of servers, each time that it is asked."""


class SyphonSource(LatestSource):
    """A server of Syphon by a part of its name or of its program's, in small letters or large."""

    kind = "Syphon"

    def __init__(self, camera: str, *, rate: float = 30.0) -> None:
        super().__init__(camera, rate=rate)
        self._client: Any = None

    def _connect(self) -> str:
        try:
            import syphon
        except ImportError as error:
            raise MissingExtraError(
                "Syphon needs syphon-python, on macOS.", str(error), "Install rtstyle[syphon]."
            ) from error
        directory = syphon.SyphonServerDirectory()
        directory.run_loop_interval = LOOK
        until, names = time.monotonic() + latest.FIND, list[str]()
        while time.monotonic() < until and not self._stop.is_set():
            servers = directory.servers
            names = [f"{one.app_name} {one.name}".strip() for one in servers]
            for name, server in zip(names, servers, strict=True):
                if self._wanted.lower() in name.lower():
                    self._client = syphon.SyphonMetalClient(server)
                    return name
        raise self.missing(names, "None is on this machine.", "Start it, and try again.")

    def _take(self) -> Image | None:
        from syphon.utils.numpy import copy_mtl_texture_to_image

        if not self._client.is_valid or not self._client.has_new_frame:
            return None
        texture = self._client.new_frame_image
        if texture is None:
            return None
        pixels = copy_mtl_texture_to_image(texture)
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), np.uint8)

    def _release(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()
