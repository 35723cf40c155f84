"""Which cases a benchmark runs, and what comes out of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtstyle.bench import runner
from rtstyle.bench.clips import SAMPLE_FRAMES, check_clip, prepare_clip, repeat_clip
from rtstyle.bench.figures import Figure, efficiency, growth, medians, percentile, slowest
from rtstyle.engines.devices import candidates
from rtstyle.errors import UsageError
from rtstyle.files.temporary import temporary_folder
from rtstyle.styles import manifest, model
from rtstyle.styles.spec import parse_style

DEFAULT_RESOLUTIONS = ((640, 480), (1280, 720))
DEFAULT_SIZES = ("fast", "balanced")
DEFAULT_NETWORK_ONLY = ("paper",)
"""Sizes that are too slow for a whole clip, so that by default only the network is measured."""

NETWORK_SECONDS = 10.0
"""How long the network alone runs at most, each time."""

Resolution = tuple[int, int]

# The figures that the project set itself, for two cores, by size, width and height.
FPS_TARGETS: Mapping[tuple[str, int, int], float] = {
    ("fast", 640, 480): 40,
    ("balanced", 640, 480): 20,
    ("fast", 1280, 720): 15,
}
# The same for a picture as the style.
PICTURE_FPS_TARGETS: Mapping[tuple[str, int, int], float] = {("fast", 640, 480): 15}
EFFICIENCY_TARGET = 0.9
PEAK_TARGET = {(640, 480): 700.0}
GROWTH_TARGET = 0.05
HELP_TARGET = 0.4
FIRST_FRAME_TARGET = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure.

    `sizes` are measured alone and from decoding to encoding, `network_only` alone. `resolutions`
    are (width, height). Every case runs `runs` times on `frames` frames, a command `starts`
    times; medians count. The clip for memory growth is `longer` times as long; 0 leaves it out.
    """

    style: str = manifest.DEFAULT_STYLE
    sizes: tuple[str, ...] = DEFAULT_SIZES
    network_only: tuple[str, ...] = ()
    resolutions: tuple[Resolution, ...] = DEFAULT_RESOLUTIONS
    device: str = "auto"
    precision: str = "auto"
    frames: int = SAMPLE_FRAMES
    runs: int = 3
    starts: int = 5
    longer: int = 10

    @property
    def fps_targets(self) -> Mapping[tuple[str, int, int], float]:
        """Wanted frames a second of whole clips, by size, width and height."""
        trained = isinstance(parse_style(self.style), str)
        return FPS_TARGETS if trained else PICTURE_FPS_TARGETS

    @property
    def pictures(self) -> list[str]:
        """The picture files among the styles."""
        parsed = parse_style(self.style)
        names = [] if isinstance(parsed, str) else [name for name, _ in parsed.parts]
        return [name for name in names if name not in manifest.load_manifest().styles]


@dataclass(frozen=True, slots=True)
class Row:
    """One network at one resolution, `kind` "network" (alone) or "video" (decoding to encoding).

    Medians over the runs: `fps` without warm-up; `p50_ms` and `p95_ms` of one run of the network,
    or of the way of a frame from the decoder into the file; `warm_up_s` up to the first frame;
    `peak_mb` (10^6 bytes) of the process. `all_fps` has the runs one by one. `stages` has, for a
    video, the FPS of each stage alone.
    """

    kind: str
    size: str
    width: int
    height: int
    fps: float
    p50_ms: float
    p95_ms: float
    warm_up_s: float
    peak_mb: float
    frames: int
    streams: int
    all_fps: list[float]
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Size and resolution in words."""
        return f"{self.size} {self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Result:
    """All that a benchmark found. `engine` names what the networks ran on."""

    settings: Settings
    engine: str
    rows: list[Row]
    figures: list[Figure]


def check(settings: Settings) -> None:
    """Raise `UsageError` or `StyleError` for settings that cannot work, before any work."""
    if settings.runs < 1 or settings.starts < 1:
        raise UsageError("Every case must run at least once.", "", "Use --runs 1 or more.")
    if settings.frames < 2:
        raise UsageError("A rate needs two frames or more.", "", "Use --frames 2 or more.")
    candidates(settings.device)
    for width, height in settings.resolutions:
        check_clip(width, height, settings.frames)
    for size in (*settings.sizes, *settings.network_only):
        model.resolve(settings.style, size)


def run(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Result:
    """Run every case and return medians and figures. `progress` is told what runs now.

    Raises `RtstyleError`s, also those of the processes that run the cases.
    """
    check(settings)
    with temporary_folder() as folder:
        bench = _Bench(settings, Path(folder), progress)
        engine = bench.warm()
        # Round by round, so that a load that comes and goes hits all cases alike.
        for number in range(settings.runs):
            bench.one_round(f"run {number + 1} of {settings.runs}: ")
        rows = list(bench.rows())
        figures = [
            *rate_figures(rows, settings.fps_targets),
            *bench.studies(),
            *bench.growth(rows),
            *bench.starts(),
        ]
    return Result(settings, engine, rows, figures)


class _Bench:
    """The clips, and what the cases gave so far."""

    def __init__(self, settings: Settings, folder: Path, progress: Callable[[str], None]) -> None:
        self.settings, self.folder, self.progress = settings, folder, progress
        self.results: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        progress("preparing clips")
        self.clips = {
            (width, height): prepare_clip(
                folder / f"{width}x{height}.mp4", width, height, settings.frames
            )
            for width, height in settings.resolutions
        }

    @property
    def all_sizes(self) -> tuple[str, ...]:
        return (*self.settings.sizes, *self.settings.network_only)

    def warm(self) -> str:
        """Let `auto` settle on a device for every size, uncounted; return what it chose."""
        clip = next(iter(self.clips.values()))
        chosen = {}
        for size in self.all_sizes:
            self.progress(f"warming up {size}")
            values = self.run_network(clip, size, frames=1)
            chosen[size] = f"{values['engine']} {values['device']} {values['precision']}"
        kinds = set(chosen.values())
        return kinds.pop() if len(kinds) == 1 else ", ".join(f"{s}: {e}" for s, e in chosen.items())

    def run_network(self, clip: Path, size: str, frames: int) -> dict[str, Any]:
        settings = self.settings
        return runner.run_case(
            "network",
            clip=str(clip),
            style=settings.style,
            size=size,
            device=settings.device,
            precision=settings.precision,
            frames=frames,
            seconds=NETWORK_SECONDS,
        )

    def run_video(self, clip: Path, size: str) -> dict[str, Any]:
        return runner.run_case(
            "video",
            clip=str(clip),
            output=str(self.painted(size)),
            style=self.settings.style,
            size=size,
            device=self.settings.device,
            precision=self.settings.precision,
        )

    def painted(self, size: str) -> Path:
        return self.folder / f"painted-{size}.mp4"

    def one_round(self, prefix: str) -> None:
        for resolution, clip in self.clips.items():
            place = f"{resolution[0]}x{resolution[1]}"
            self.progress(f"{prefix}{place}, decoding")
            self.results["decode", resolution].append(runner.run_case("decode", clip=str(clip)))
            for size in self.all_sizes:
                self.progress(f"{prefix}{place}, {size}, network only")
                values = self.run_network(clip, size, self.settings.frames)
                self.results["network", resolution, size].append(values)
                if size in self.settings.sizes:
                    self.progress(f"{prefix}{place}, {size}, decoding to encoding")
                    self.results["video", resolution, size].append(self.run_video(clip, size))
                    self.progress(f"{prefix}{place}, {size}, encoding")
                    self.results["encode", resolution, size].append(self.run_encode(size))

    def run_encode(self, size: str) -> dict[str, Any]:
        """Encode what was just painted: a painting costs more bits than a photo."""
        target = str(self.folder / "encoded.mp4")
        return runner.run_case("encode", clip=str(self.painted(size)), output=target)

    def rows(self) -> Iterator[Row]:
        for resolution in self.clips:
            for size in self.all_sizes:
                yield make_row(
                    "network", size, resolution, self.results["network", resolution, size]
                )
                if size in self.settings.sizes:
                    stages = {
                        "decode": self.fps("decode", resolution),
                        "network": self.fps("network", resolution, size),
                        "encode": self.fps("encode", resolution, size),
                    }
                    runs = self.results["video", resolution, size]
                    yield make_row("video", size, resolution, runs, stages)

    def fps(self, *key: Any) -> float:
        return medians([{"fps": run["fps"]} for run in self.results[key]])["fps"]

    def studies(self) -> Iterator[Figure]:
        """Time what a picture costs once, if the style is one, for each size."""
        pictures = self.settings.pictures
        for size in self.all_sizes if pictures else ():
            self.progress(f"studying {Path(pictures[0]).name}, {size}")
            runs = [
                runner.run_case("study", painting=pictures[0], size=size)
                for _ in range(self.settings.runs)
            ]
            for name, what in (("glance_s", "at one glance"), ("seconds", "fitted")):
                value = medians([{name: run[name]} for run in runs])[name]
                yield Figure(f"a new painting, {size}, {what}", value, "s")

    def growth(self, rows: Sequence[Row]) -> Iterator[Figure]:
        """Measure the peak memory on a longer clip, for the first size and resolution."""
        short = next((row for row in rows if row.kind == "video"), None)
        if short is None or self.settings.longer < 2:
            return
        times = self.settings.longer
        clip = self.clips[short.width, short.height]
        longer = repeat_clip(self.folder / "longer.mp4", clip, times)
        peaks = []
        for number in range(self.settings.runs):
            self.progress(f"run {number + 1} of {self.settings.runs}: a clip {times} times as long")
            peaks.append(self.run_video(longer, short.size)["peak_mb"])
        more = growth(short.peak_mb, percentile(peaks, 50))
        name = f"memory growth, {short.label}, {times} times as long"
        yield Figure(name, more, "", GROWTH_TARGET, at_least=False)

    def starts(self) -> Iterator[Figure]:
        """Time whole commands: the help, and a clip of one frame until its file is complete."""
        self.progress("starting `rtstyle --help`")
        yield self.start("rtstyle --help", ["--help"], HELP_TARGET)
        sizes = self.settings.sizes or self.all_sizes
        size = manifest.DEFAULT_SIZE if manifest.DEFAULT_SIZE in sizes else sizes[0]
        (width, height), clip = next(iter(self.clips.items()))
        self.progress("starting `rtstyle video` for one frame")
        output = self.folder / "first.mp4"
        options = ["--style", self.settings.style, "--size", size, "--end", "0.02", "--overwrite"]
        options += ["--device", self.settings.device, "--precision", self.settings.precision]
        name = f"first stylized frame, {size} {width}x{height}"
        yield self.start(name, ["video", str(clip), str(output), *options], FIRST_FRAME_TARGET)

    def start(self, name: str, arguments: Sequence[str], target: float) -> Figure:
        command = [*runner.RTSTYLE, *arguments]
        times = [runner.time_command(command) for _ in range(self.settings.starts)]
        return Figure(name, percentile(times, 50), "s", target, at_least=False)


def make_row(
    kind: str,
    size: str,
    resolution: Resolution,
    runs: Sequence[Mapping[str, Any]],
    stages: Mapping[str, float] | None = None,
) -> Row:
    """Put the medians over the runs of one case into a row."""
    names = ("fps", "p50_ms", "p95_ms", "warm_up_s", "peak_mb")
    middle = medians([{name: float(run[name]) for name in names} for run in runs])
    return Row(
        kind=kind,
        size=size,
        width=resolution[0],
        height=resolution[1],
        fps=middle["fps"],
        p50_ms=middle["p50_ms"],
        p95_ms=middle["p95_ms"],
        warm_up_s=middle["warm_up_s"],
        peak_mb=middle["peak_mb"],
        frames=int(runs[0]["frames"]),
        streams=int(runs[0]["streams"]),
        all_fps=[float(run["fps"]) for run in runs],
        stages=dict(stages or {}),
    )


def rate_figures(
    rows: Sequence[Row], targets: Mapping[tuple[str, int, int], float] = FPS_TARGETS
) -> Iterator[Figure]:
    """Return the figures that the rows hold, with their targets; `targets` are frames a second.

    The network alone is never held against a target for a whole clip.
    """
    for row in rows:
        if row.kind != "video":
            continue
        target = targets.get((row.size, row.width, row.height))
        yield Figure(f"decode to encode, {row.label}", row.fps, "FPS", target)
        name = f"share of the slowest stage ({slowest(row.stages)}) alone, {row.label}"
        yield Figure(name, efficiency(row.fps, row.stages), "", EFFICIENCY_TARGET)
        peak = PEAK_TARGET.get((row.width, row.height))
        yield Figure(f"peak memory, {row.label}", row.peak_mb, "MB", peak, at_least=False)
