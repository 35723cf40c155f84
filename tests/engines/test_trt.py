"""TensorRT: building for real, running on a FAKE card (`fake_card`), and what is said without one.

The contract of every engine is in `test_contract`, which runs on the fake card, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_card import FakeCard, FakeCuda, FakeLibrary, install
from helpers.console import rtstyle
from helpers.models import gain_model, identity_model, invert_model, network_model
from test_static_graph import PRETRAINED, SHIPPED, feeds_for, shapes_of

from rtstyle.doctor import checks as doctor
from rtstyle.engines import EngineOptions, devices, open_engine, read_model
from rtstyle.engines.gpu import cuda_card, trt, trt_library
from rtstyle.engines.gpu.cuda_card import CudaCard
from rtstyle.engines.gpu.engine_cache import EngineCache
from rtstyle.engines.gpu.static_graph import static_model
from rtstyle.engines.gpu.trt import KEPT_SIZES, TensorRtEngine
from rtstyle.engines.gpu.trt_library import FULL, RTX, TensorRt, find_library, open_library
from rtstyle.errors import DeviceError, EngineError, UsageError
from rtstyle.styles.manifest import find_model

REQUIRED = "RTSTYLE_REQUIRE_TENSORRT"
"""Set where TensorRT for RTX must be there, as in CI: its tests then fail rather than skip."""


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    try:
        return open_library(RTX)
    except DeviceError as error:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(str(error))


@pytest.fixture
def card() -> FakeCard:
    return FakeCard()


def engine_on(card: FakeCard, folder: Path, model: bytes, **options: Any) -> TensorRtEngine:
    library = options.pop("library", None) or FakeLibrary(card)
    return TensorRtEngine(
        model,
        EngineOptions(device="cuda", **{"precision": "auto", **options}),
        card=card,
        library=library,
        cache=EngineCache(folder),
    )


def picture(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_tensorrt_builds_every_shipped_model(name: str, rtx: TensorRt) -> None:
    model = read_model(PRETRAINED / name)
    shapes = shapes_of(feeds_for(model, 64, 96))
    # Networks are built in the precision in which they run.
    half = "refine" not in name
    assert len(rtx.build(static_model(model, shapes, half=half), None)) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wave-fast.onnx", "mosaic-paper.onnx"])
def test_tensorrt_builds_in_float32_for_one_card(name: str, rtx: TensorRt) -> None:
    file = read_model(PRETRAINED / name)
    model = static_model(file, shapes_of(feeds_for(file, 1080, 1920)))
    assert rtx.build(model, (8, 9)) != rtx.build(model, (7, 5))


def test_tensorrt_builds_a_canvas_network(rtx: TensorRt, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from rtstyle_export.networks.canvas import SPECS, CanvasNet
    from rtstyle_export.onnx_files.writer import Credits, write_onnx

    torch.manual_seed(3)
    path = tmp_path / "canvas.onnx"
    net = CanvasNet(SPECS["fast", "quarter"]).eval().requires_grad_(False)
    write_onnx(net, path, name="canvas", size="fast", credit=Credits(), training={})
    model = path.read_bytes()
    shapes = shapes_of(feeds_for(model, 90, 121))
    assert rtx.build(static_model(model, shapes, half=True), (8, 9))


def test_a_model_that_tensorrt_cannot_read_is_named(rtx: TensorRt) -> None:
    with pytest.raises(EngineError, match="failed to read the model"):
        rtx.build(b"no model", None)


def test_an_engine_does_not_load_without_a_driver(rtx: TensorRt) -> None:
    try:
        CudaCard()
    except DeviceError:
        plan = rtx.build(static_model(identity_model(), {"image": (1, 8, 8, 3)}), None)
        with pytest.raises(EngineError, match="CUDA driver"):
            rtx.load(plan, b"")
    else:
        pytest.skip("this machine has a card")


def test_half_precision_is_what_auto_takes(card: FakeCard, tmp_path: Path) -> None:
    model, image = network_model(8), picture(1, 48, 64)
    with (
        engine_on(card, tmp_path, model) as half,
        engine_on(card, tmp_path, model, precision="fp32") as full,
    ):
        assert (half.precision, full.precision) == ("fp16", "fp32")
        apart = np.abs(half.run(image).astype(int) - full.run(image))
    assert 0 < apart.max() <= 1
    with pytest.raises(DeviceError, match="int8"):
        engine_on(card, tmp_path, model, precision="int8")


def test_everything_is_freed(card: FakeCard, tmp_path: Path) -> None:
    with engine_on(card, tmp_path, gain_model(), streams=2) as engine:
        for side in range(16, 16 + 2 * (KEPT_SIZES + 2), 2):
            gain = {"gain": np.ones(1, np.float32)}
            np.testing.assert_array_equal(
                engine.run(picture(1, side, 8), gain), picture(1, side, 8)
            )
        assert len(card.streams) == 2 * KEPT_SIZES
        assert len(card.memory) == 3 * 2 * KEPT_SIZES
    assert not card.memory
    assert not card.streams
    assert card.opened == 3 * 2 * (KEPT_SIZES + 2)


def test_a_size_in_use_is_freed_after_its_run(card: FakeCard, tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()
    wait = card.wait

    def slow(stream: int) -> None:
        if threading.current_thread().name == "slow":
            inside.set()
            assert go_on.wait(20)
        wait(stream)

    card.wait = slow  # type: ignore[method-assign]
    results: list[Any] = []
    engine = engine_on(card, tmp_path, invert_model())
    image = picture(1, 10, 10)
    thread = threading.Thread(target=lambda: results.append(engine.run(image)), name="slow")
    thread.start()
    assert inside.wait(20)
    for side in range(20, 20 + 2 * KEPT_SIZES, 2):
        engine.run(picture(1, side, 8))
    engine.close()
    assert len(card.memory) == 2  # of the run under way
    go_on.set()
    thread.join()
    np.testing.assert_array_equal(results[0], 255 - image)
    assert not card.memory
    assert not card.streams


def test_more_threads_than_streams_take_turns(card: FakeCard, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for turn in range(8):
                image = picture(1, 12 + 2 * (turn % 3), 16, seed=seed)
                np.testing.assert_array_equal(engine.run(image), 255 - image)
        except BaseException as error:
            failures.append(error)

    with engine_on(card, tmp_path, invert_model(), streams=2) as engine:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert not card.memory


def test_memory_that_does_not_suffice_leaves_nothing_behind(card: FakeCard, tmp_path: Path) -> None:
    card.limit = 3000
    with engine_on(card, tmp_path, invert_model(), streams=2) as engine:
        with pytest.raises(EngineError, match="out of memory"):
            engine.run(picture(1, 20, 20))
        assert not card.memory
        assert not card.streams
        np.testing.assert_array_equal(engine.run(picture(1, 8, 8)), 255 - picture(1, 8, 8))


def test_a_failed_run_does_not_spoil_the_next(card: FakeCard, tmp_path: Path) -> None:
    with engine_on(card, tmp_path, invert_model()) as engine:
        image = picture(1, 8, 8)
        engine.run(image)
        [size] = engine._sizes.values()
        [lane] = size._lanes
        whole = lane._context

        def fails(stream: int) -> None:
            raise EngineError("TensorRT failed to run the model.", "the card was lost")

        lane._context = SimpleNamespace(enqueue=fails)
        with pytest.raises(EngineError, match="card was lost"):
            engine.run(image)
        lane._context = whole
        np.testing.assert_array_equal(engine.run(image), 255 - image)


def test_a_further_input_of_another_type_is_refused(card: FakeCard, tmp_path: Path) -> None:
    with (
        engine_on(card, tmp_path, gain_model()) as engine,
        pytest.raises(EngineError, match="gain is float32, not float64"),
    ):
        engine.run(picture(1, 8, 8), {"gain": np.ones(1)})


def test_an_old_card_is_named(tmp_path: Path, rtx: TensorRt) -> None:
    card = FakeCard(capability=(6, 1))
    with pytest.raises(DeviceError, match=r"too old.*6\.1.*7\.5") as caught:
        engine_on(card, tmp_path, identity_model(), library=rtx)
    assert "--device" in caught.value.todo


def test_a_card_that_the_library_does_not_run_on_is_named(tmp_path: Path) -> None:
    card = FakeCard(capability=(9, 0))
    library = FakeLibrary(card)
    library.fails = True
    with (
        engine_on(card, tmp_path, identity_model(), library=library) as engine,
        pytest.raises(DeviceError, match=r"does not run on FAKE card.*9\.0") as caught,
    ):
        engine.run(picture(1, 8, 8))
    assert "full TensorRT" in caught.value.todo


def cuda_that_says(error: str, driver: int = 0, count: int = 0) -> SimpleNamespace:
    """A FAKE of cuda.bindings.runtime that has no card to show."""
    names = ("cudaSuccess", "cudaErrorInsufficientDriver", "cudaErrorNoDevice", "cudaErrorUnknown")
    kinds = SimpleNamespace(**{name: i for i, name in enumerate(names)})
    return SimpleNamespace(
        cudaError_t=kinds,
        cudaDriverGetVersion=lambda: (kinds.cudaSuccess, driver),
        cudaGetDeviceCount=lambda: (getattr(kinds, error), count),
        cudaGetErrorString=lambda error: (kinds.cudaSuccess, names[error].encode()),
    )


@pytest.mark.parametrize(
    ("error", "driver", "why", "todo"),
    [
        ("cudaErrorInsufficientDriver", 0, "driver is not installed", "Install NVIDIA's driver"),
        ("cudaErrorInsufficientDriver", 12040, "knows CUDA 12.4", "Update NVIDIA's driver"),
        ("cudaErrorNoDevice", 13000, "finds no card", "--device cpu"),
        ("cudaSuccess", 13000, "finds no card", "--device cpu"),
        ("cudaErrorUnknown", 13000, "CUDA 3: cudaErrorUnknown", "Restart the machine"),
    ],
)
def test_a_missing_card_is_told_with_its_remedy(
    error: str, driver: int, why: str, todo: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        CudaCard(cuda_that_says(error, driver))
    assert why in caught.value.why
    assert todo in caught.value.todo


def test_cuda_is_called_as_it_wants() -> None:
    cuda = FakeCuda()
    card = CudaCard(cuda)
    assert (card.name, card.capability, card.driver) == ("FAKE", (8, 6), 13000)
    stream, buffer = card.open_stream(), card.allocate(100)
    buffer.host[:] = range(100)
    card.upload(buffer, stream)
    card.wait(stream)
    buffer.host[:] = 0
    card.download(buffer, stream)
    card.wait(stream)
    np.testing.assert_array_equal(buffer.host, range(100))
    card.free(buffer)
    cuda.limit = 1
    with pytest.raises(EngineError, match="CUDA 2: out of memory"):
        card.allocate(100)  # of the two halves the second does not fit
    card.close_stream(stream)
    assert cuda.blocks == {"card": {}, "host": {}}
    assert not cuda.streams


def test_the_real_binding_takes_these_arguments() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    if runtime.cudaDriverGetVersion()[1]:
        pytest.skip("this machine has a driver")
    up = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
    answers = [
        runtime.cudaMalloc(8),
        runtime.cudaHostAlloc(8, 0),
        runtime.cudaStreamCreateWithFlags(1),
        runtime.cudaMemcpyAsync(4096, 8192, 8, up, 7),
        runtime.cudaStreamSynchronize(7),
        runtime.cudaStreamDestroy(7),
        runtime.cudaFree(4096),
        runtime.cudaFreeHost(4096),
        runtime.cudaDeviceGetAttribute(runtime.cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor, 0),
        runtime.cudaGetDeviceProperties(0),
    ]
    assert {answer[0] for answer in answers} == {runtime.cudaError_t.cudaErrorInsufficientDriver}


def test_missing_libraries_are_told_with_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(DeviceError, match="cuda-bindings is not installed") as caught:
        CudaCard()
    assert caught.value.todo == "pip install 'rtstyle[tensorrt]'"
    for name in (RTX, FULL):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(trt_library, "open_library", open_library.__wrapped__)
    with pytest.raises(DeviceError, match=RTX) as caught:
        find_library(FakeCard())
    assert caught.value.todo == "pip install 'rtstyle[tensorrt]'"


class FakeModule(SimpleNamespace):
    """A FAKE Python binding of TensorRT."""

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1)

        def __init__(self) -> None: ...

    def __init__(self, *names: str, **members: object) -> None:
        super().__init__(OnnxParser=1, Builder=1, __version__="9", **members)
        if names:
            self.IRuntimeConfig = self.IRuntimeCache = 1
            self.ComputeCapability = SimpleNamespace(__members__=dict.fromkeys(names))


@pytest.mark.parametrize(
    ("capability", "full", "wanted"),
    [
        ((8, 9), True, "TensorRT for RTX"),
        ((9, 0), True, "TensorRT"),
        ((9, 0), False, "TensorRT for RTX"),
        ((6, 1), True, "TensorRT"),
    ],
)
def test_the_library_is_chosen_by_the_card(
    capability: tuple[int, int], full: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, RTX, FakeModule("NONE", "CURRENT", "SM75", "SM89", "SM120"))
    monkeypatch.setitem(sys.modules, FULL, FakeModule() if full else None)
    monkeypatch.setattr(trt_library, "open_library", open_library.__wrapped__)
    assert find_library(FakeCard(capability)).name == wanted


def test_a_library_that_builds_nothing_is_no_library() -> None:
    module = FakeModule()
    del module.Builder
    with pytest.raises(DeviceError, match="builds nothing"):
        TensorRt(module)


def test_nothing_of_it_is_imported_unless_asked_for() -> None:
    code = (
        "import sys, rtstyle, rtstyle.engines.devices as d\n"
        "from rtstyle.cli import build_app; build_app()\n"
        "assert all(one.engine != 'tensorrt' for one in d.candidates('auto'))\n"
        "import rtstyle.engines.onnxrt, rtstyle.engines.ov\n"
        "bad = ('cuda', 'tensorrt', 'tensorrt_rtx_bindings', 'onnxruntime_ep_webgpu')\n"
        "assert not set(bad) & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_device_is_never_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> CudaCard:
        raise DeviceError(cuda_card.UNAVAILABLE, "There is none.", "Use --device cpu.")

    monkeypatch.setattr(cuda_card, "open_card", absent)
    assert trt_library.available_devices() == ()
    assert [str(one) for one in devices.candidates("tensorrt")] == ["tensorrt:cuda"]


def test_the_command_builds_ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(devices.CACHE_VARIABLE, str(tmp_path))
    card, library = install(monkeypatch)
    words = ["export", "mosaic", "--tensorrt", "--size", "fast", "--resolution"]
    for times in (1, 2):
        done = rtstyle(*words, "64x48", "--resolution", "48x64")
        assert done.code == 0, done.output
        assert done.output.count("kept already") == (0 if times == 1 else 2)
    assert len(library.built) == 2
    assert not card.memory
    assert len(list((tmp_path / "tensorrt").glob("64x48-fp16-*.engine"))) == 1
    # What was built is what a video then takes.
    with open_engine(find_model("mosaic", "fast"), "tensorrt", streams=2) as engine:
        engine.run(picture(1, 48, 64))
    assert len(library.built) == 2
    check = doctor.built_engines(tmp_path / "tensorrt")
    assert check.ok is None
    assert check.detail.startswith("2 built, ")


def test_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> CudaCard:
        raise DeviceError(cuda_card.UNAVAILABLE, "There is none.", "Use --device cpu.")

    monkeypatch.setattr(trt, "open_card", absent)
    done = rtstyle("export", "mosaic", "--tensorrt", "--size", "fast")
    assert isinstance(done.error, DeviceError)
    wrong = rtstyle("export", "mosaic", "--tensorrt", "--resolution", "big")
    assert isinstance(wrong.error, UsageError)
    assert doctor.built_engines(Path("nowhere")).detail == "none built"
