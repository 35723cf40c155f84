"""The choice between engines, and what each says where it is not available; see `test_contract`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.models import identity_model, invert_model, network_model
from helpers.pictures import noise
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

from rtstyle.engines import Engine, EngineOptions, devices, onnxrt, open_engine, ov
from rtstyle.engines.base import Batch, first_line
from rtstyle.engines.devices import Candidate, Trial, open_candidate
from rtstyle.engines.gpu import onnxrt_gpu
from rtstyle.engines.gpu.onnxrt_gpu import OnnxRuntimeGpuEngine, Provider
from rtstyle.errors import DeviceError, EngineError, UsageError

ENGINES = ("onnxruntime:cpu", "openvino:cpu")


@pytest.fixture(scope="module")
def network() -> bytes:
    return network_model(4)


def test_engines_agree(network: bytes) -> None:
    image = noise(1, 67, 90)
    results = []
    for device in ENGINES:
        with open_engine(network, device, precision="fp32") as engine:
            results.append(engine.run(image).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


def test_pictures_are_painted_while_another_size_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go = threading.Event(), threading.Event()
    compiled = ov.OpenVinoEngine._compile

    def slowly(engine: Any, core: Any, shapes: Any) -> Any:
        if dict(shapes)["image"][1] == 64:
            begun.set()
            assert go.wait(60)
        return compiled(engine, core, shapes)

    monkeypatch.setattr(ov.OpenVinoEngine, "_compile", slowly)
    with open_engine(invert_model(), "openvino:cpu") as engine:
        small, large = noise(1, 16, 16), noise(1, 64, 16)
        engine.run(small)
        found: list[Batch] = []
        # Two of the same size wait for one compilation.
        threads = [threading.Thread(target=lambda: found.append(engine.run(large))) for _ in "ab"]
        for thread in threads:
            thread.start()
        assert begun.wait(60)
        np.testing.assert_array_equal(engine.run(small), 255 - small)
        assert not engine.holds((64, 16))
        go.set()
        for thread in threads:
            thread.join()
    assert len(found) == 2
    for painted in found:
        np.testing.assert_array_equal(painted, 255 - large)


def test_missing_model_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        open_engine(tmp_path / "none.onnx")


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "webgpu", "coreml", "directml", "gpu"])
def test_a_device_that_cannot_be_had_says_so(device: str) -> None:
    [candidate] = devices.candidates(device)
    if devices.is_present(candidate):
        pytest.skip(f"this machine may have {device}")
    with pytest.raises(DeviceError) as caught:
        open_engine(identity_model(), device)
    assert device in caught.value.what
    assert caught.value.why
    assert caught.value.todo


def test_bf16_is_refused_where_it_does_not_compute() -> None:
    with pytest.raises(DeviceError, match="bf16"):
        open_engine(identity_model(), "onnxruntime:cpu", precision="bf16")


@pytest.mark.parametrize(
    "options", [{"device": "cpuu"}, {"streams": 0}, {"threads": -1}, {"precision": "fp8"}]
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        open_engine(identity_model(), **options)  # type: ignore[arg-type]


def test_the_measured_choice_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bytes
) -> None:
    monkeypatch.setenv(devices.CACHE_VARIABLE, str(tmp_path))
    open_engine(network, "cpu").close()
    memory = json.loads((tmp_path / "devices.json").read_text())
    [entry] = memory.values()
    assert set(entry["seconds"]) == set(ENGINES)
    # What is written down is what is opened, whichever was the faster.
    for choice in ENGINES:
        entry["choice"] = choice
        (tmp_path / "devices.json").write_text(json.dumps(memory))
        with open_engine(network, "cpu") as engine:
            assert f"{engine.name}:{engine.device}" == choice


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"x": 1}'])
def test_damaged_memory_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv(devices.CACHE_VARIABLE, str(tmp_path))
    (tmp_path / "devices.json").write_text(content)
    open_engine(identity_model(), "auto").close()
    assert len(json.loads((tmp_path / "devices.json").read_text())) >= 1


def test_measure_leaves_out_what_fails() -> None:
    absent = Candidate("openvino", "nonesuch")
    present = Candidate("onnxruntime", "cpu")
    times = devices.measure(identity_model(), (absent, present), EngineOptions(threads=1))
    assert list(times) == [present]
    with pytest.raises(DeviceError):
        devices.measure(identity_model(), (absent,), EngineOptions(threads=1))


@pytest.mark.parametrize("there", [True, False])
def test_a_choice_without_a_device_that_failed_is_not_remembered(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bytes
) -> None:
    def busy(model: bytes, one: Candidate, options: EngineOptions) -> Engine:
        if one.engine == "openvino":
            raise DeviceError("The device is busy.")
        return open_candidate(model, one, options)

    monkeypatch.setenv(devices.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(devices, "open_candidate", busy)
    if not there:
        monkeypatch.setattr(ov, "available_devices", tuple)
    with open_engine(network, "cpu") as engine:
        assert engine.name == "onnxruntime"
    assert (tmp_path / "devices.json").exists() is not there


def test_onnxruntime_does_not_go_on_with_the_cpu_in_silence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Failing:
        """A session as ONNX Runtime has it inside, whose provider fails."""

        def __init__(self, session: object) -> None:
            self._session = session

        def __getattr__(self, name: str) -> object:
            return getattr(self._session, name)

        def run(self, *_: object) -> None:
            raise EPFail("the device was lost")

    with open_engine(identity_model(), "onnxruntime:cpu") as engine:
        assert isinstance(engine, onnxrt.OnnxRuntimeEngine)
        session = engine._session
        assert session is not None
        monkeypatch.setattr(session, "_sess", Failing(session._sess))
        with pytest.raises(EngineError, match="the device was lost"):
            engine.run(noise(1, 4, 4))
    assert capfd.readouterr() == ("", "")


def test_nodes_that_a_provider_does_not_take_do_not_go_to_the_cpu() -> None:
    """This provider takes none of them, as a card may not take some."""
    name = "AzureExecutionProvider"
    if name not in onnxrt.ort.get_available_providers():
        pytest.skip(f"this build has no {name}")
    options = EngineOptions(device="cuda")
    with (
        OnnxRuntimeGpuEngine(identity_model(), options, Provider(name, {}, "Mend it.")) as engine,
        pytest.raises(DeviceError, match="'cuda' is not available") as caught,
    ):
        engine.run(noise(1, 8, 8))
    assert caught.value.todo == "Mend it."
    assert "CPU" in caught.value.why


@pytest.mark.parametrize(
    ("names", "why", "todo"),
    [
        ((), "not installed", "rtstyle[webgpu]"),
        (("failing",), "libvulkan", "libvulkan1"),
        (("empty",), "finds no GPU", "--device cpu"),
        (("old",), "takes no plugins", "onnxruntime>=1.24.4"),
    ],
)
def test_a_missing_webgpu_is_told_with_its_remedy(
    names: tuple[str, ...], why: str, todo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register(*_: object) -> None:
        if "failing" in names:
            raise RuntimeError("libvulkan.so.1: no such file")

    plugin = SimpleNamespace(get_ep_name=lambda: "None", get_library_path=lambda: "none.so")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", plugin if names else None)
    monkeypatch.setattr(
        onnxrt_gpu.ort, "register_execution_provider_library", register, raising=False
    )
    monkeypatch.setattr(onnxrt_gpu.ort, "get_ep_devices", list, raising=False)
    if "old" in names:
        monkeypatch.delattr(onnxrt_gpu.ort, "get_ep_devices")
    with pytest.raises(DeviceError, match="'webgpu' is not available") as caught:
        onnxrt_gpu.find_webgpu()
    assert why in caught.value.why
    assert todo in caught.value.todo


def test_the_real_webgpu_plugin_is_found_or_says_why() -> None:
    pytest.importorskip("onnxruntime_ep_webgpu")
    if onnxrt_gpu.is_available("webgpu"):
        assert onnxrt_gpu.find_webgpu().plugin
    else:
        with pytest.raises(DeviceError, match="finds no GPU"):
            onnxrt_gpu.find_webgpu()


@pytest.mark.parametrize(("both", "why"), [(True, "both installed"), (False, "no provider")])
def test_a_missing_cuda_is_told_with_its_remedy(
    both: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxrt_gpu.ort, "get_available_providers", list)
    monkeypatch.setattr(onnxrt_gpu, "find_distribution", lambda _: both)
    with pytest.raises(DeviceError, match="'cuda' is not available") as caught:
        onnxrt_gpu.find_cuda()
    assert why in caught.value.why
    assert "pip uninstall onnxruntime" in caught.value.todo
    assert "onnxruntime-gpu[cuda,cudnn]" in caught.value.todo


def test_what_cuda_says_is_told_and_not_where_onnxruntime_stood() -> None:
    said = (
        "/src/cuda_call.cc:154 std::conditional_t<THRW, void> CudaCall(int) [with THRW = true] "
        "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; "
        "expr=cudaSetDevice(info_.device_id);\n\n"
    )
    assert first_line(RuntimeError(said)) == (
        "CUDA failure 100: no CUDA-capable device is detected"
    )
    assert first_line(RuntimeError("At source.cpp\n  the cause \n")) == "the cause"


def test_float32_on_cuda_is_not_ten_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "CUDAExecutionProvider"
    monkeypatch.setattr(onnxrt_gpu.ort, "get_available_providers", lambda: [name])
    monkeypatch.setattr(onnxrt_gpu.ort, "preload_dlls", lambda: None, raising=False)
    provider = onnxrt_gpu.find_cuda()
    assert provider.options["use_tf32"] == "0"
    assert provider.memory == "cuda"


def test_a_near_tie_goes_to_the_earlier() -> None:
    first, second = devices.candidates("cpu")
    assert devices.fastest({first: Trial(1.0, 2.0), second: Trial(0.95, 1.9)}) == first
    assert devices.fastest({first: Trial(1.0, 2.0), second: Trial(0.5, 1.0)}) == second


def test_a_busy_machine_does_not_change_the_choice() -> None:
    """The first had to wait for a core, but has less to do."""
    first, second = devices.candidates("cpu")
    assert devices.fastest({first: Trial(9.0, 1.0), second: Trial(2.0, 2.0)}) == first
    # A device of its own leaves the CPU nothing to do.
    other = Candidate("onnxruntime", "cuda")
    assert devices.fastest({other: Trial(9.0, 0.1), second: Trial(2.0, 2.0)}) == second
    assert Trial(1.0, 5.0).least(Trial(2.0, 3.0)) == Trial(1.0, 3.0)


@pytest.mark.slow
def test_ctrl_c_is_safe_after_an_engine_is_closed() -> None:
    """Unloading OpenVINO's CPU plugin used to take the signal stack of the main thread away."""
    code = (
        "import gc, signal, sys; sys.path[:0] = sys.argv[1:]\n"
        "from helpers.models import invert_model\n"
        "from rtstyle.engines import open_engine\n"
        "import numpy as np\n"
        "for _ in range(2):\n"
        "    with open_engine(invert_model(), 'openvino:cpu') as engine:\n"
        "        engine.run(np.zeros((1, 16, 16, 3), np.uint8))\n"
        "    del engine; gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('alive'))\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    here = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, here], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_openvino_is_imported_without_its_converter() -> None:
    code = """
import sys
import rtstyle.engines.ov, openvino
assert "openvino.tools.ovc" not in sys.modules
assert not hasattr(openvino, "nonsense")
assert openvino.convert_model.__module__.startswith("openvino.tools.ovc")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
