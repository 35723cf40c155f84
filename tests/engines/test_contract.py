"""One contract for every engine.

Engines of GPUs run on stand-ins that compute on the CPU, labelled FAKE. On a machine with a card,
`RTSTYLE_TEST_DEVICES=onnxruntime:cuda` (devices, with commas) runs the same on what is named.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import fake_card
import numpy as np
import onnx
import pytest
from helpers.models import gain_model, identity_model, invert_model, network_model
from helpers.pictures import noise

from rtstyle.engines import open_engine
from rtstyle.engines.base import Batch
from rtstyle.engines.gpu import onnxrt_gpu
from rtstyle.engines.gpu.onnxrt_gpu import Provider
from rtstyle.errors import DeviceError, EngineError

ENGINES = ("onnxruntime:cpu", "openvino:cpu")
GPUS = ("tensorrt:cuda", "onnxruntime:cuda", "onnxruntime:webgpu")
REAL = tuple(filter(None, os.environ.get("RTSTYLE_TEST_DEVICES", "").split(",")))

ROOMS = {
    "openvino:cpu": "rtstyle.engines.ov",
    "tensorrt:cuda": "rtstyle.engines.gpu.trt",
    "onnxruntime:cuda": "rtstyle.engines.gpu.onnxrt_gpu",
    "onnxruntime:webgpu": "rtstyle.engines.gpu.onnxrt_gpu",
}
"""Modules of the engines that are built for a size, which are imported where they are asked for."""


def kept_sizes(device: str) -> int:
    return int(import_module(ROOMS[device]).KEPT_SIZES)


@pytest.fixture(
    params=REAL or [*ENGINES, *GPUS], ids=REAL or [*ENGINES, *(f"{gpu}-FAKE" for gpu in GPUS)]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every engine; those of GPUs on stand-ins, unless devices are named."""
    if not REAL:
        cpu = Provider("CPUExecutionProvider", {}, "")
        monkeypatch.setattr(onnxrt_gpu, "find_cuda", lambda: replace(cpu, memory="cpu"))
        without_bytes = replace(cpu, has_bytes=False, half=False)
        monkeypatch.setattr(onnxrt_gpu, "find_webgpu", lambda: without_bytes)
        fake_card.install(monkeypatch)
    return str(request.param)


@pytest.fixture(scope="module")
def network() -> bytes:
    return network_model(4)


def test_identity_returns_the_picture(device: str) -> None:
    image = noise(1, 33, 47)
    with open_engine(identity_model(), device) as engine:
        assert f"{engine.name}:{engine.device}" == device
        np.testing.assert_array_equal(engine.run(image), image)


def test_text_that_is_not_utf8_is_a_damaged_model(device: str) -> None:
    model = onnx.load_from_string(invert_model())
    onnx.helper.set_model_props(model, {"rtstyle.name": "AAAA"})
    content = model.SerializeToString()
    assert content.count(b"AAAA") == 1
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_engine(content.replace(b"AAAA", b"AA\xe9\xff"), device)


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 17, 31), (2, 40, 24), (1, 45, 16)])
def test_any_batch_and_size(device: str, shape: tuple[int, int, int], network: bytes) -> None:
    with open_engine(network, device) as engine:
        result = engine.run(noise(*shape))
    assert result.shape == (*shape, 3)
    assert result.dtype == np.uint8
    assert result.std() > 5


def test_bright_flat_picture_stays_finite(device: str, network: bytes) -> None:
    flat = np.full((1, 64, 64, 3), 255, np.uint8)
    with open_engine(network, device) as engine:
        bright = engine.run(flat)
        dark = engine.run(flat * 0)
    # Away from the zero-padded border a flat picture has one colour per place in the stride.
    inner = bright[0, 24:40:4, 24:40:4].reshape(-1, 3)
    assert np.ptp(inner, axis=0).max() <= 1
    assert dark.shape == bright.shape


def test_pictures_of_a_batch_do_not_mix(device: str, network: bytes) -> None:
    first, second = noise(1, 32, 32, seed=1), noise(1, 32, 32, seed=2)
    with open_engine(network, device) as engine:
        both = engine.run(np.concatenate([first, second]))
        alone = np.concatenate([engine.run(first), engine.run(second)])
    assert np.abs(both.astype(int) - alone).max() <= 1


def test_result_belongs_to_the_caller(device: str) -> None:
    image = noise(1, 20, 20)
    with open_engine(invert_model(), device) as engine:
        first = engine.run(image)
        engine.run(np.zeros_like(image))
        np.testing.assert_array_equal(first, 255 - image)
        first[...] = 7
        np.testing.assert_array_equal(engine.run(image), 255 - image)
    assert (first == 7).all()


def test_input_is_left_alone_and_may_be_read_only_or_strided(device: str) -> None:
    image = noise(1, 40, 40)
    image.flags.writeable = False
    with open_engine(invert_model(), device) as engine:
        np.testing.assert_array_equal(engine.run(image), 255 - image)
        np.testing.assert_array_equal(engine.run(image[:, ::2, ::2]), 255 - image[:, ::2, ::2])


def test_more_sizes_than_are_kept(device: str) -> None:
    with open_engine(invert_model(), device) as engine:
        for side in (16, 18, 20, 22, 24, 26, 16):
            image = noise(1, side, side)
            np.testing.assert_array_equal(engine.run(image), 255 - image)


def test_it_tells_which_sizes_it_holds(device: str) -> None:
    with open_engine(invert_model(), device) as engine:
        for side in range(16, 40, 2):
            engine.run(noise(1, side, 16))
            assert engine.holds((side, 16))
        known = [side for side in range(16, 40, 2) if engine.holds((side, 16))]
    assert known == list(range(16, 40, 2))[-len(known) :]
    assert len(known) == (12 if device == "onnxruntime:cpu" else kept_sizes(device))


def test_it_lets_go_of_other_sizes_and_paints_them_again(device: str) -> None:
    with open_engine(invert_model(), device) as engine:
        for _ in range(2):
            for side in (16, 18, 20):
                image = noise(1, side, 16)
                np.testing.assert_array_equal(engine.run(image), 255 - image)
            engine.keep({(18, 16)})
            known = [side for side in (16, 18, 20) if engine.holds((side, 16))]
            # Only where it is quick to prepare one again.
            assert known == ([18] if device == "openvino:cpu" else [16, 18, 20])


def test_concurrent_runs(device: str) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for round_ in range(6):
                image = noise(1, 24 + 2 * (round_ % 2), 24, seed=seed)
                np.testing.assert_array_equal(engine.run(image), 255 - image)
        except BaseException as error:
            failures.append(error)

    with open_engine(invert_model(), device, streams=2, threads=2) as engine:
        assert engine.streams == 2
        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((1, 16, 16, 4), np.uint8),
        np.zeros((1, 0, 16, 3), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_wrong_picture_is_refused(device: str, image: Batch) -> None:
    with open_engine(identity_model(), device) as engine, pytest.raises(EngineError):
        engine.run(image)


def test_closed_engine_is_refused(device: str) -> None:
    engine = open_engine(identity_model(), device)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(noise(1, 16, 16))


def test_metadata(device: str) -> None:
    with open_engine(network_model(4, seed=3), device) as engine:
        assert engine.metadata["rtstyle.name"] == "net3"
        assert engine.metadata["rtstyle.size"] == "fast"


def test_further_inputs(device: str) -> None:
    image = noise(1, 16, 16) // 2
    with open_engine(gain_model(), device) as engine:
        assert engine.extras["gain"].shape == (1,)
        assert engine.extras["gain"].dtype == "float32"
        doubled = engine.run(image, {"gain": np.array([2], np.float32)})
        np.testing.assert_array_equal(doubled, image * 2)
        with pytest.raises(EngineError, match="gain"):
            engine.run(image)
        with pytest.raises(EngineError, match="other"):
            engine.run(image, {"other": np.array([2], np.float32)})


@pytest.mark.parametrize("content", [b"", b"no model at all", network_model(4)[:700]])
def test_damaged_model(device: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        open_engine(path, device)
    assert not isinstance(caught.value, DeviceError)


def test_a_model_that_is_no_style(device: str) -> None:
    content = identity_model().replace(b"stylized", b"stylised")
    with pytest.raises(EngineError, match="not a style"):
        open_engine(content, device)
