"""Where people are in a picture, by MediaPipe's selfie segmentation.

The network (MobileNetV3 with a small decoder, 144 x 256, Google, Apache-2.0) ships with rtstyle as
`models/person.onnx`, converted by `scripts/convert_person_model` from the file in MediaPipe's own
wheel. MediaPipe itself is not installed: it brings an OpenCV that overwrites ours, pins old NumPy
and protobuf, has no wheel with this model for Python 3.13, and asks for 300 MB. Its runtime and
ours give the same mask to 1/255. It was trained for people within two metres of the camera, as
they are in calls. What stands out like a person, such as a large animal, counts as one.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.closeable import Closing
from rtstyle.errors import EngineError
from rtstyle.frame import Image

if TYPE_CHECKING:
    pass

MODEL = Path(__file__).parents[1] / "models" / "person.onnx"
ROWS, COLUMNS = 144, 256
"""What the network sees, whatever the shape of the picture: it was trained on squeezed ones."""
SURE = 96
"""Distance from 127.5 beyond which the network is sure: then its new answer counts at once."""
KEPT = 0.75
"""How much of the last mask stays where the network is wholly unsure."""
CUT = 40.0
"""Mean change of the small picture, of 255, that is a new scene and no movement."""
EDGE = (64, 208)
"""Answers of the network that become 0 and 255: narrows its soft edge without making it hard."""


class PersonSegmenter(Closing):
    """Maps pictures of one video, in order, to masks of the people in them.

    Call it with (H, W, 3) uint8 RGB of any size; it returns (H, W) uint8, 255 on a person, 0
    behind, with a soft edge between. Flicker is smoothed over time where the network is unsure; a
    new scene or size starts afresh. `every` runs the network on every n-th picture only, and
    shows its last mask in between. `threads` are those of one inference.

    For one thread; the loaded model is shared by all segmenters. The first picture waits for it
    (0.2 s). Raises `EngineError` if it cannot be run.
    """

    def __init__(self, *, every: int = 1, threads: int = 1) -> None:
        self.every, self._threads = every, threads
        self._request: Any = None
        self._small: Image = np.empty((0, 0, 3), np.uint8)
        self._soft: NDArray[np.uint8] | None = None
        self._mask: NDArray[np.uint8] | None = None
        self._count = 0

    def __call__(self, image: Image) -> Image:
        """Return the mask, (H, W) uint8, of one picture, (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        fresh = self._mask is None or self._mask.shape != (height, width)
        if fresh:
            self.reset()
        if fresh or self._count % self.every == 0:
            self._soft = self._smooth(image)
            large = cv2.resize(self._soft, (width, height), interpolation=cv2.INTER_LINEAR)
            self._mask = np.asarray(cv2.LUT(large, _contrast()), np.uint8)
        self._count += 1
        mask = self._mask
        return mask if mask is not None else np.zeros((height, width), np.uint8)

    def reset(self) -> None:
        """Forget the pictures so far."""
        self._soft = self._mask = None
        self._count = 0

    def close(self) -> None:
        """Let go of the network; the next picture takes it up again."""
        self.reset()
        self._request = None

    def _smooth(self, image: Image) -> NDArray[np.uint8]:
        """Return the network's answer at its own size, mixed with the last where it is unsure."""
        small = cv2.resize(image, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
        answer = self._infer(small)
        last, before, self._small = self._soft, self._small, np.asarray(small, np.uint8)
        if last is None or cv2.norm(before, small, cv2.NORM_L1) > CUT * small.size:
            return answer
        weight = _kept()[answer]
        mixed = answer + (last.astype(np.float32) - answer) * weight
        return np.asarray(mixed + 0.5, np.uint8)

    def _infer(self, small: Any) -> NDArray[np.uint8]:
        try:
            if self._request is None:
                self._request = compiled_model(self._threads).create_infer_request()
            answer = self._request.infer({"image": small[None]}, share_outputs=False)["mask"]
        except EngineError:
            raise
        except Exception as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EngineError("People cannot be separated from the background.", why) from error
        mask: NDArray[np.uint8] = answer[0]
        return mask


_lock = threading.Lock()


def compiled_model(threads: int) -> Any:
    """Return the network compiled for the CPU, the same for all who ask. Raises `EngineError`."""
    # Two threads that load it at once would each keep a copy, and OpenVINO's binding can lock up.
    with _lock:
        return _compile(threads)


@cache
def _compile(threads: int) -> Any:
    from rtstyle.engines.ov import shared_core

    if not MODEL.is_file():
        raise EngineError(
            "The network that finds people is missing.",
            f"There is no {MODEL}.",
            "Install rtstyle again.",
        )
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    return shared_core().compile_model(str(MODEL), "CPU", config)


@cache
def _kept() -> NDArray[np.float32]:
    """Return, for each answer of the network, how much of the last mask is kept."""
    distance = np.abs(np.arange(256, dtype=np.float32) - 127.5)
    return np.asarray(KEPT * np.clip(1 - distance / SURE, 0, 1), np.float32)


@cache
def _contrast() -> NDArray[np.uint8]:
    low, high = EDGE
    ramp = np.clip((np.arange(256) - low) / (high - low), 0, 1)
    return np.asarray(255 * ramp * ramp * (3 - 2 * ramp) + 0.5, np.uint8)
