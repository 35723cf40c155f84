"""What works on this machine, what does not, and what would add it. Everything is really tried."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from rtstyle.doctor import jobs as doctor_jobs
from rtstyle.doctor.check import Check
from rtstyle.doctor.software import _version, machine, software
from rtstyle.engines import EngineOptions, devices
from rtstyle.engines.base import RANGES
from rtstyle.engines.devices import open_candidate
from rtstyle.errors import RtstyleError, SourceError
from rtstyle.machine import nvdec
from rtstyle.machine.scheduling import ordinary_scheduling
from rtstyle.samples import sample_clip
from rtstyle.styles import manifest as styles

# Codec -> encoders, software first.
ENCODERS = {
    "h264": ("libx264", "libopenh264"),
    "hevc": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
}
HARDWARE = ("nvenc", "qsv", "vaapi", "amf", "videotoolbox", "v4l2m2m")


def examine() -> list[Check]:
    """Try everything and return the findings. Takes a few seconds; never raises."""
    groups: dict[str, Callable[[], Iterator[Check]]] = {
        "software": software,
        "machine": machine,
        "engines": engines,
        "codecs": codecs,
        "styles": built_in_styles,
        "jobs": jobs,
        "live": live,
    }
    found: list[Check] = []
    for name, group in groups.items():
        try:
            found.extend(group())
        except Exception as error:
            # A broken library must not keep the user from the rest of the findings.
            needed = name != "live"
            found.append(Check(name, name, False, named(error), "Reinstall rtstyle.", needed))
    return found


def named(error: Exception) -> str:
    """Return an unforeseen error in words: its type, and what it says."""
    return f"{type(error).__name__}: {error}"


def engines() -> Iterator[Check]:
    """Every engine on every device: opened and run on a small picture."""
    content = trial_model()
    untried = devices.candidates("tensorrt") + devices.candidates("webgpu")  # by `auto`
    tried = devices.candidates("auto") + untried
    for one in tried:
        try:
            with open_candidate(content, one, EngineOptions(threads=1, precision="auto")) as engine:
                noise = np.zeros((1, 32, 32, 3), np.uint8)
                engine.run(noise, devices.blank_extra(engine, 32, 32))
                yield Check("engines", str(one), True, engine.precision)
        except RtstyleError as error:
            yield Check("engines", str(one), False, error.why or error.what, error.todo)
        except ImportError as error:
            yield Check("engines", str(one), False, str(error), "pip install rtstyle")
        except Exception as error:
            # A broken driver or library must not keep the user from the other engines.
            yield Check("engines", str(one), False, named(error), "Reinstall rtstyle.")
    yield built_engines(devices.cache_folder() / "tensorrt")


def built_engines(folder: Path) -> Check:
    """Report how many engines of TensorRT are kept, and how much room they take."""
    files = [file for file in folder.glob("*") if file.suffix in (".engine", ".kernels")]
    count = sum(file.suffix == ".engine" for file in files)
    size = sum(file.stat().st_size for file in files) / (1 << 20)
    detail = f"{count} built, {size:.0f} MiB in {folder}" if count else "none built"
    return Check("engines", "kept engines", None, detail)


def trial_model() -> bytes:
    """Return a tiny style model that may run in int8: one 3x3 mean filter, uint8 RGB in and out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    mean = np.tile(np.eye(3, dtype=np.float32)[:, :, None, None] / 9, (1, 1, 3, 3))
    weight = numpy_helper.from_array(mean, "kernel")
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["mean"], pads=[1, 1, 1, 1]),
        helper.make_node("Round", ["mean"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes"], ["stylized"], perm=[0, 2, 3, 1]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", "H", "W", 3])
        for name in ("image", "stylized")
    ]
    graph = helper.make_graph(nodes, "trial", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, {RANGES: '{"float": [0, 255]}'})  # so that int8 is tried, too
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def codecs() -> Iterator[Check]:
    """Decoders, and encoders that really encode a frame."""
    import av

    yield nvdec_check()
    for codec, software_encoders in ENCODERS.items():
        decodes = codec in av.codecs_available
        yield Check("codecs", f"{codec} decoder", decodes, needed=codec == "h264")
        names = [name for name in software_encoders if name in av.codecs_available]
        usable = [name for name in names if not encoder_problem(name)]
        todo = "" if usable else "pip install --force-reinstall av"
        yield Check(
            "codecs", f"{codec} encoder", bool(usable), ", ".join(usable), todo, codec == "h264"
        )
    for name in (f"{codec}_{kind}" for codec in ("h264", "hevc") for kind in HARDWARE):
        if name in av.codecs_available:
            why = encoder_problem(name)
            yield Check("codecs", name, not why, why or "hardware")


def nvdec_check() -> Check:
    """Decode one frame of the bundled clip on an NVIDIA card, as `--decoder nvdec` does."""
    import av

    container, why = nvdec.open_with_card(sample_clip())
    try:
        if container is not None and not why:
            next(container.decode(video=0))
    except av.error.FFmpegError as error:
        why = str(error)
    finally:
        if container is not None:
            container.close()
    return Check("codecs", "nvdec", not why, why.removeprefix("decoded on the CPU: "))


def encoder_problem(name: str) -> str:
    """Encode one small frame with a video encoder; return why it failed, or nothing."""
    import av
    import av.logging
    from av.video.codeccontext import VideoCodecContext

    # FFmpeg tells every failure to standard error on its own.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    os.environ.setdefault("SVT_LOG", "1")
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
        context.width, context.height = 320, 240
        context.pix_fmt = "nv12" if name.endswith(HARDWARE) else "yuv420p"
        context.framerate = Fraction(25)
        context.options = {"x265-params": "log-level=none"} if name == "libx265" else {}
        frame = av.VideoFrame(320, 240, context.pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        with ordinary_scheduling():
            packets = [*context.encode(frame), *context.encode(None)]
    except Exception as error:
        # PyAV puts FFmpeg's own words last, where there are any.
        why = str(error).splitlines()[0].rpartition("last error log: ")[2]
        return why.partition("] ")[2] or why
    finally:
        av.logging.set_level(level)
    return "" if packets else "it gave no data"


def built_in_styles() -> Iterator[Check]:
    """The manifest, and each style's files against their sha256."""
    manifest = styles.load_manifest()
    if not manifest.styles:
        yield Check("styles", "styles", False, "none", "Reinstall rtstyle.", needed=True)
    for style in manifest.styles.values():
        yield style_check(style.name, style.files.values(), ", ".join(style.sizes))
    paintings = [] if manifest.paintings is None else [manifest.paintings]
    for size, parts in manifest.any.items():
        yield style_check(f"any picture, {size}", [*parts.values(), *paintings], ", ".join(parts))
    if manifest.wct:
        yield style_check("any picture, wct", manifest.wct.values(), ", ".join(manifest.wct))
    if manifest.textures:
        names = ", ".join(manifest.textures)
        yield style_check("pure texture", manifest.textures.values(), names)
    if manifest.upsampler is not None:
        yield style_check("large frames", [manifest.upsampler], manifest.upsampler.path.name)


def style_check(name: str, files: Iterable[styles.StyleFile], detail: str) -> Check:
    """Hold files against the sha256 of the manifest; `detail` says what they are."""
    wrong = [f"{file.path.name}: {why}" for file in files if (why := file.problem())]
    todo = "Reinstall rtstyle." if wrong else ""
    return Check("styles", name, not wrong, "; ".join(wrong) or detail, todo, needed=True)


def jobs() -> Iterator[Check]:
    """Small jobs from end to end, as users start them."""
    yield tried("jobs", "video", doctor_jobs.paint_video, needed=True)
    yield tried("jobs", "picture as style", doctor_jobs.paint_like_a_picture, needed=True)


def live() -> Iterator[Check]:
    """What live use may need: a display, cameras, people, microphone, the page, control."""
    shown = has_display()
    todo = "" if shown else "Use --no-window, or start from a desktop session."
    yield Check("live", "display", shown, "" if shown else "none found", todo)
    yield tried("live", "camera", find_cameras)
    yield tried("live", "people", find_people)
    yield tried("live", "virtual camera", open_virtual_camera)
    yield tried("live", "microphone", open_microphone)
    page = extra_check("web page", ("starlette", "uvicorn", "websockets", "aiortc"), "serve")
    yield tried("live", "web page", doctor_jobs.serve_page, page.detail) if page.ok else page
    stage = ("starlette", "uvicorn", "websockets", "python-osc", "mido", "python-rtmidi", "mss")
    yield extra_check("control", stage, "stage")


def tried(
    group: str, name: str, work: Callable[[], str], known: str = "", *, needed: bool = False
) -> Check:
    """Run `work`, which says what it found or raises; `known` is told before that."""
    try:
        detail = ", ".join(part for part in (known, work()) if part)
        return Check(group, name, True, detail, needed=needed)
    except RtstyleError as error:
        return Check(group, name, False, error.why or error.what, error.todo, needed)
    except Exception as error:
        # Another library's trouble must not keep the user from the rest of the findings.
        return Check(group, name, False, named(error), "Reinstall rtstyle.", needed)


def find_cameras() -> str:
    """Name the cameras of this machine."""
    from rtstyle.sources.cameras.camera_list import list_cameras

    found = list_cameras()
    if not found:
        todo = "Plug one in, or pass a video file to --camera."
        raise SourceError("none found", "", todo)
    return ", ".join(f"{camera.index}: {camera.name}" for camera in found)


def find_people() -> str:
    """Run the segmentation, and report how long one picture takes."""
    from rtstyle.live.person import PersonSegmenter

    picture = np.zeros((480, 640, 3), np.uint8)
    with PersonSegmenter() as segmenter:
        segmenter(picture)
        began = time.perf_counter()
        segmenter(picture)
        return f"{1000 * (time.perf_counter() - began):.1f} ms a picture of 640x480"


def open_virtual_camera() -> str:
    """Open the virtual camera for a moment."""
    from rtstyle.sinks.virtual_camera import VirtualCameraSink

    sink = VirtualCameraSink(640, 480)
    try:
        sink.open()
        return sink.name
    finally:
        sink.abort()


def open_microphone() -> str:
    """Open the microphone for a moment."""
    from rtstyle.sources.microphone import Microphone

    microphone = Microphone()
    try:
        microphone.open()
        return microphone.describe()
    finally:
        microphone.close()


def extra_check(name: str, libraries: tuple[str, ...], extra: str) -> Check:
    """Return True if the libraries of an optional extra are installed."""
    missing = [library for library in libraries if not _version(library)]
    if missing:
        return Check(
            "live", name, False, f"without {', '.join(missing)}", f"pip install 'rtstyle[{extra}]'"
        )
    return Check("live", name, True, ", ".join(f"{one} {_version(one)}" for one in libraries))


def has_display() -> bool:
    """Return True if a window could be opened."""
    if sys.platform == "linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
