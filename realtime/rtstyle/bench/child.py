"""One case of a benchmark in a process of its own: `python -m rtstyle.bench.child CASE`.

CASE is JSON: the `kind` of a case (see `CASES`) and its arguments. The last line on standard
output is JSON too: the measured values by name, or an `error` with the parts of an `RtstyleError`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from rtstyle.bench.figures import percentile
from rtstyle.errors import RtstyleError, SourceError
from rtstyle.frame import Frame, Image
from rtstyle.jobs import video as video_job
from rtstyle.machine.memory import peak_memory
from rtstyle.painting.stylizer import Stylizer
from rtstyle.pipeline import one_opencv_thread
from rtstyle.sinks.video_file import VideoFileSink
from rtstyle.sources import open_video
from rtstyle.styles import fit, paintings
from rtstyle.styles.recipe import Recipe

DISTINCT = 16
"""How many different pictures the network alone is fed with, over and over."""

Values = dict[str, Any]


def network(
    clip: str,
    style: str,
    size: str,
    device: str,
    precision: str = "auto",
    frames: int = 132,
    seconds: float = 20.0,
) -> Values:
    """Measure the network alone, with as many runs at once as the video job has.

    It paints about `frames` pictures, or fewer if they would take more than `seconds`.
    `warm_up_s` is loading plus the first pictures, one of them on every stream.
    """
    images = [frame.image for frame in read_frames(clip, DISTINCT)]
    began = time.perf_counter()
    with open_stylizer(style, size, device, precision) as stylizer:
        first_times(stylizer.paint, images, 1, 1, seconds)
        first_times(stylizer.paint, images, stylizer.streams, stylizer.streams, seconds)
        warm = time.perf_counter()
        times = first_times(stylizer.paint, images, stylizer.streams, frames, seconds)
        spent = time.perf_counter() - warm
        return {
            "fps": len(times) / spent,
            "p50_ms": 1000 * percentile(times, 50),
            "p95_ms": 1000 * percentile(times, 95),
            "frames": len(times),
            "warm_up_s": warm - began,
            "engine": str(stylizer.network.engine.name),
            "device": stylizer.network.engine.device,
            "precision": stylizer.network.engine.precision,
            "streams": stylizer.streams,
        }


def video(
    clip: str, output: str, style: str, size: str, device: str, precision: str = "auto"
) -> Values:
    """Measure the video job from decoding to the finished file.

    `warm_up_s` lasts until the first frame is written; `fps` counts the frames after it, up to
    the finished file. p50 and p95 are of the way of one frame from the decoder into the file.
    """
    moments: list[float] = []
    began = time.perf_counter()
    report = video_job.stylize_video(
        clip,
        output,
        style,
        size=size,
        device=device,
        precision=precision,
        overwrite=True,
        progress=lambda _: moments.append(time.perf_counter()),
    )
    ended = time.perf_counter()
    return {
        "fps": rate(len(moments), moments[0], ended),
        "p50_ms": 1000 * report.pipeline.latency["p50"],
        "p95_ms": 1000 * report.pipeline.latency["p95"],
        "frames": report.frames,
        "warm_up_s": moments[0] - began,
        "seconds": ended - began,
        "streams": report.pipeline.workers,
    }


def decode(clip: str) -> Values:
    """Measure reading and converting alone."""
    with open_video(clip) as source, one_opencv_thread():
        moments = [time.perf_counter() for _ in source]
    return {"fps": rate(len(moments), moments[0], moments[-1]), "frames": len(moments)}


def encode(clip: str, output: str) -> Values:
    """Measure converting and encoding the frames of `clip` alone; they are decoded beforehand."""
    with open_video(clip) as source:
        frames, speed = list(source), source.rate
    with one_opencv_thread(), VideoFileSink(output, rate=speed) as sink:
        sink.write(frames[0])
        first = time.perf_counter()
        for frame in frames[1:]:
            sink.write(frame)
        sink.close()
        ended = time.perf_counter()
    return {"fps": rate(len(frames), first, ended), "frames": len(frames)}


def live(**arguments: Any) -> Values:
    """Measure a clip as a camera, painted live."""
    from rtstyle.bench.camera import measure

    return measure(**arguments)


def study(painting: str, size: str) -> Values:
    """Measure how long a picture that was never seen takes to become a style.

    `glance_s` lasts until it can be painted with, `seconds` until it is fitted, too.
    """
    began = time.perf_counter()
    picture = paintings.prepare(paintings.read_painting(Path(painting)))
    glance = paintings.encode_image(picture, size)
    seen = time.perf_counter()
    if fit.available(size):
        fit.refine(glance, picture, size)
    return {"glance_s": seen - began, "seconds": time.perf_counter() - began}


CASES: dict[str, Callable[..., Values]] = {
    "network": network,
    "video": video,
    "decode": decode,
    "encode": encode,
    "study": study,
    "live": live,
}


def rate(frames: int, first: float, ended: float) -> float:
    """Return the frames a second after the first one, which was done at the moment `first`."""
    if frames < 2:
        raise SourceError("A rate needs two frames or more.", "", "Ask for more --frames.")
    return (frames - 1) / (ended - first)


def first_times(
    paint: Callable[[Image], Image],
    images: Sequence[Image],
    streams: int,
    frames: int,
    seconds: float,
) -> list[float]:
    """Return the seconds of `frames` runs, `streams` at once; none starts after `seconds`."""
    deadline = time.perf_counter() + seconds

    def work(stream: int) -> list[float]:
        times: list[float] = []
        for number in range(stream, frames, streams):
            began = time.perf_counter()
            if times and began > deadline:
                break
            paint(images[number % len(images)])
            times.append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(streams) as pool:
        return [spent for part in pool.map(work, range(streams)) for spent in part]


def open_stylizer(style: str, size: str, device: str, precision: str) -> Stylizer:
    """Open the model just as the video job does."""
    recipe = Recipe(style, size, coherence=0.0)
    return video_job.open_stylizer(recipe, device=device, precision=precision)


def read_frames(clip: str, count: int) -> list[Frame]:
    """Return the first frames of a clip."""
    with open_video(clip) as source:
        return list(islice(source, count))


def run_case(case: str) -> Values:
    """Run the case that the JSON text describes; its values, or its error, and peak memory."""
    arguments = json.loads(case)
    kind = arguments.pop("kind")
    try:
        values = CASES[kind](**arguments)
    except RtstyleError as error:
        parts = {"what": error.what, "why": error.why, "todo": error.todo}
        return {"error": {"type": type(error).__name__, **parts}}
    return {**values, "peak_mb": peak_memory() / 1e6}


def main() -> int:
    """Run the case named on the command line."""
    result = run_case(sys.argv[1])
    print(json.dumps(result), flush=True)
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())
