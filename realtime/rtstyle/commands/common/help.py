"""How commands explain themselves: options in groups, the rarer ones under `--help-all`, examples.

By names, so that an option which several commands have stands in the same place in all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from rtstyle.styles.manifest import load_manifest

HELP_ALL = "--help-all"
MOST_VISIBLE = 25
"""Options that `--help` shows at most."""

GROUPS = {
    "Style": (
        "style", "size", "strength", "keep_color", "style_scale", "style_sweep", "style_walk",
        "mask", "match_color", "stroke_size", "coherence", "vary", "seed", "alpha", "levels",
        "method", "painting", "content", "name", "part", "style_size", "canvas", "body", "carry",
        "cycle", "fade", "react", "transition", "scenes", "only", "samples", "per", "p",
        "transform", "layer", "clip",
    ),
    "Picture": (
        "height", "width", "long_side", "side_by_side", "background", "deinterlace", "mirror",
        "resolution", "steps", "sheet",
    ),
    "Time": ("start", "end", "fps", "every", "threshold", "minutes", "target_fps", "min_fps",
             "frames", "loop", "runs", "iterations", "tolerance"),
    "Objective": (
        "content_weight", "style_weight", "tv_weight", "tv", "gamma", "content_layers",
        "style_layers", "pooling", "optimizer", "learning_rate", "init", "batch", "crop", "margin",
        "weight_bits", "stability_weight", "coherence_weight", "loss_network", "init_from",
        "diversity_weight", "norm",
        "kl_weight", "latent", "lattice_weight", "order_weight", "disentangle_weight",
        "distil_weight", "feature_steps", "feature_weight", "fitted", "blended", "skips_only",
        "teacher", "triplet_weight", "vector_steps", "vector_weight", "vectors", "level", "patch",
        "plain", "unpaired", "pixel_weight", "even_weight",
    ),
    "Output": (
        "out", "codec", "quality", "crf", "bitrate", "preset", "pixel_format", "hdr", "encoder",
        "format_", "no_audio", "keep_location", "overwrite", "skip_existing", "resume", "watch",
        "estimate", "preview", "preview_every", "save_every", "record", "folder", "json_file",
        "as_json", "plot", "photos", "paintings", "manifest", "title", "artist", "year", "licence",
        "virtual_camera", "ndi", "spout", "syphon", "window", "open_page", "stream",
        "stream_bitrate", "out_format", "full_screen", "display", "kiosk", "log", "library",
        "pack", "stills", "keep", "votes", "report",
    ),
    "Device": ("device", "precision", "decoder", "cluster", "threads", "workers", "vgg_weights",
               "camera", "mic", "tensorrt"),
    "Control": ("control", "control_host", "control_port", "control_token", "midi", "osc",
                "osc_host", "osc_out", "address", "token", "host", "port", "https", "certificate",
                "key", "max_clients", "questions"),
}  # fmt: skip
"""Parameters of the commands by group, in the order in which groups and options are shown."""

RARE = {
    "video": (
        "style_scale", "style_sweep", "style_walk", "match_color", "stroke_size", "coherence",
        "vary", "seed", "background", "deinterlace", "decoder", "crf", "preset", "pixel_format",
        "encoder",
        "format_", "keep_location", "hdr", "bitrate", "precision",
    ),
    "still": (
        "tolerance", "tv", "gamma", "tv_weight", "pooling", "optimizer", "learning_rate", "init",
        "style_layers", "content_layers", "preview_every", "seed", "threads", "precision",
    ),
    "webcam": (
        "transform",
        "control_host", "control_port", "control_token", "osc_host", "osc_out", "midi", "osc",
        "frames", "seed", "vary", "style_scale", "match_color", "folder", "style_walk", "loop",
        "precision", "transition", "fade", "cycle", "mirror", "resolution", "stream_bitrate", "out",
        "out_format", "display", "log", "ndi", "spout", "syphon",
    ),
    "train": (
        "margin", "weight_bits", "optimizer", "learning_rate", "tv_weight", "content_layers",
        "style_layers", "coherence_weight", "loss_network", "workers", "preview_every",
        "save_every", "stability_weight", "patch", "plain", "unpaired", "pixel_weight",
        "diversity_weight", "norm", "stills", "width",
    ),
    "train-adain": (
        "margin", "learning_rate", "preview_every", "save_every", "workers", "order_weight",
        "lattice_weight", "distil_weight", "blended", "skips_only", "coherence_weight",
        "style_size", "canvas_only", "stability_weight",
    ),
    "train-variational": (
        "margin", "learning_rate", "preview_every", "save_every", "workers", "kl_weight",
        "disentangle_weight", "triplet_weight", "vector_weight",
    ),
}  # fmt: skip
"""Options that only `--help-all` shows."""

EXAMPLES = {
    "video": (
        "rtstyle video in.mp4 out.mp4 --style starry_night",
        "rtstyle video clips/ painted/ --style mosaic --codec hevc",
        "rtstyle video in.mp4 out.mp4 --style a.jpg --start 1:05 --end 1:30",
        "rtstyle video in.mp4 out.mp4 --resume         (after Ctrl-C or a crash)",
        "rtstyle video --watch in/ out/                (what comes into a folder)",
        "rtstyle video clips/ painted/ --cluster auto  (on several machines)",
    ),
    "image": (
        "rtstyle image photo.jpg painted.png --style wave",
        "rtstyle image photos/ painted/ --style painting.jpg --keep-color",
    ),
    "still": ("rtstyle still photo.jpg out.png --style painting.jpg --long-side 1024",),
    "webcam": ("rtstyle webcam --style mosaic", "rtstyle webcam --record live.mp4 --mic"),
    "serve": ("rtstyle serve", "rtstyle serve --host 0.0.0.0"),
    "train": (
        "rtstyle train painting.jpg photos/",
        "rtstyle train painting.jpg clip.mp4 --name mine --minutes 30",
        "rtstyle train --frames painted/ --clip in.mp4 --minutes 5",
    ),
    "export": ("rtstyle export runs/painting-balanced",),
    "augment": ("rtstyle augment photos/ painted/ --per 3 --strength 0.3..1",),
    "survey": (
        "rtstyle survey fast/ paper/ --paintings originals/",
        "rtstyle survey --report --plot report.png",
    ),
}

CHAPTERS = {
    "Paint": ("video", "image", "grid", "styles"),
    "Live": ("webcam", "serve", "control", "cameras"),
    "Slow pictures": ("still", "texture", "reconstruct", "keyframes"),
    "This machine": ("doctor", "bench"),
    "Data and judgement": ("augment", "survey"),
}
"""Commands by chapter; those that are in none make styles."""
LAST_CHAPTER = "Make styles"


def group_of(name: str) -> str:
    """Return the group of a parameter."""
    return next((group for group, names in GROUPS.items() if name in names), "Other")


def place_of(param: Any) -> int:
    """Return where a parameter stands: arguments first, options by group."""
    if param.param_type_name == "argument":
        return -1
    order = [name for names in GROUPS.values() for name in names]
    return order.index(param.name) if param.name in order else len(order)


def hidden(command: str, name: str) -> bool:
    """Return True if only `--help-all` shows a parameter of a command."""
    return name in RARE.get(command, ())


FOLLOWED = {"--control": "--control-port"}
"""Flags, and the option that a number after each stands for: click knows no optional values."""


def spelled_out(args: list[str]) -> list[str]:
    """Return a command line in which `--control 8765` is `--control --control-port 8765`."""
    found: list[str] = []
    for arg in args:
        name, equals, value = arg.partition("=")
        if equals and value.isdecimal() and name in FOLLOWED:
            found += [name, FOLLOWED[name], value]
        elif arg.isdecimal() and found and found[-1] in FOLLOWED:
            found += [FOLLOWED[found[-1]], arg]
        else:
            found.append(arg)
    return found


class Command(TyperCommand):
    """A command whose help has groups and examples."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if param.name in COMPLETED:
                setattr(param, "shell_complete", completer(param.name))  # noqa: B010

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, `--help-all` first."""
        if HELP_ALL in args and not ctx.resilient_parsing:
            ctx.meta[HELP_ALL] = True
            typer.echo(ctx.get_help())
            ctx.exit()
        known = {option for param in self.params for option in param.opts}
        return super().parse_args(ctx, spelled_out(args) if known >= {*FOLLOWED} else args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then the options by group."""
        everything = HELP_ALL in ctx.meta
        rows: dict[str, list[tuple[str, str]]] = {}
        for param in sorted(self.get_params(ctx), key=place_of):
            record = param.get_help_record(ctx)
            name = param.name or ""
            if record is None or (not everything and hidden(self.name or "", name)):
                continue
            group = "Arguments" if param.param_type_name == "argument" else group_of(name)
            rows.setdefault("Help" if name == "help" else group, []).append(record)
        if self.name in RARE:
            rows.setdefault("Help", []).append((HELP_ALL, "Show all options and exit."))
        for group in ("Arguments", *GROUPS, "Other", "Help"):
            if group in rows:
                with formatter.section(group):
                    formatter.write_dl(rows[group])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.name in EXAMPLES:
            with formatter.section("Examples"):
                for line in EXAMPLES[self.name]:
                    formatter.write(f"  {line}\n")


class Chapters(TyperGroup):
    """The commands of `rtstyle`, by chapter."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each chapter with its commands."""
        left = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        chapters = {chapter: [n for n in names if n in left] for chapter, names in CHAPTERS.items()}
        known = {name for names in chapters.values() for name in names}
        chapters[LAST_CHAPTER] = [name for name in left if name not in known]
        room = shutil.get_terminal_size().columns - 6 - max(map(len, left))
        for chapter, names in chapters.items():
            if names:
                with formatter.section(chapter):
                    formatter.write_dl(
                        [(n, self.commands[n].get_short_help_str(max(20, room))) for n in names]
                    )
        with formatter.section("Examples"):
            formatter.write("  rtstyle in.mp4 out.mp4 --style wave     (a video or a photo)\n")
            formatter.write("  rtstyle webcam                          (live)\n")
            formatter.write("  rtstyle COMMAND --help\n")


# Values that a shell completes.


@dataclass(frozen=True)
class Item:
    """A value for the shell, in the form that Click asks for."""

    value: str
    type: str = "plain"
    help: str | None = None


def styles(begun: str) -> Iterator[str]:
    """Yield the built-in styles that begin so."""

    yield from (name for name in load_manifest().styles if name.startswith(begun))


def choices(*values: str) -> Any:
    """Return a function that yields those of `values` that begin so."""
    return lambda begun: (value for value in values if value.startswith(begun))


COMPLETED: dict[str, Any] = {
    "style": styles,
    "styles": styles,
    "init_from": styles,
    "size": choices("fast", "balanced", "paper"),
    "codec": choices("h264", "hevc", "av1", "vp9", "prores"),
    "device": choices("auto", "cpu", "gpu", "cuda", "tensorrt", "webgpu", "coreml", "directml"),
    "deinterlace": choices("auto", "on", "off"),
    "decoder": choices("cpu", "nvdec"),
    "pixel_format": choices("auto", "8bit", "10bit"),
}


def files(begun: str) -> Iterator[str]:
    """Yield the files and folders whose names begin so: any picture may be a style."""
    folder, _, name = begun.rpartition("/")
    try:
        place = Path(f"{folder}/" if folder or begun.startswith("/") else ".")
        names = sorted(path.name for path in place.iterdir())
    except OSError:
        return
    for each in names:
        whole = f"{begun[: len(begun) - len(name)]}{each}"
        if each.startswith(name) and (name or not each.startswith(".")):
            yield f"{whole}/" if Path(whole).is_dir() else whole


def completer(name: str) -> Any:
    """Return a function for `Parameter.shell_complete`: known values, and for styles files too."""

    def complete(_ctx: Any, begun: str) -> list[Item]:
        found = list(COMPLETED[name](begun))
        if COMPLETED[name] is styles:
            found += files(begun)
        return [Item(value) for value in found]

    return complete
