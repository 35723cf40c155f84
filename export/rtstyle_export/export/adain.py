"""From a checkpoint of `rtstyle train-adain` to ONNX files with a parity report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from rtstyle.engines import EngineOptions
from rtstyle.engines.base import read_model
from rtstyle.engines.onnxrt import open_session
from rtstyle.files.temporary import replacing
from rtstyle.styles import fit
from rtstyle.styles import paintings as adain
from rtstyle_export.data import list_pictures
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import OnFile, painting_by
from rtstyle_export.export.manifest_writer import edit_manifest, file_entry
from rtstyle_export.networks.adain import PaperAdain, PaperPair
from rtstyle_export.networks.adain_fast import CanvasAdain, FastAdain, FastPair
from rtstyle_export.networks.encoder import STYLE_LAYERS, Encoder
from rtstyle_export.onnx_files.adain import (
    PARTS,
    encoder_hash,
    export_form,
    reference_form,
    write_part,
)
from rtstyle_export.onnx_files.ranges import canvas_feeds, keep_ranges
from rtstyle_export.onnx_files.storage import halved, quantized, share
from rtstyle_export.quality.adain_parity import measure
from rtstyle_export.runs.adain_config import AdainConfig, AnyCanvasConfig
from rtstyle_export.runs.checkpoint import Checkpoint, scales_of, without_scales
from rtstyle_export.runs.loss_network import find_vgg, numbering_vgg
from rtstyle_export.runs.onnx_reader import head_of, take_over

DONOR, DECODER = "wct-encoder.onnx", "wct-decoder-4.onnx"
"""The files that hold the weights of VGG-19, and of its mirror, for the others beside them."""


def load_pair(checkpoint: Checkpoint, vgg_weights: Path | None) -> tuple[Encoder, Any]:
    """Return the encoder and the `FastPair` or `PaperPair` of a checkpoint, as they are stored."""
    encoder = encoder_of(checkpoint, vgg_weights)
    pair = PaperPair(encoder) if size_of(checkpoint) == "paper" else FastPair(net_of(checkpoint))
    pair.load_state_dict(without_scales(checkpoint.model), strict=False)
    halved(encoder)
    if isinstance(pair, PaperPair):
        quantized(pair.net.decoder)
        quantized(pair.net.skips)
    else:
        halved(pair)
    return encoder.eval(), pair.eval()


def size_of(checkpoint: Checkpoint) -> str:
    """Return the size of a network for any style. Raises `TrainingError` for others."""
    if isinstance(checkpoint.config, AnyCanvasConfig):
        return checkpoint.config.size
    return checkpoint.config_as(AdainConfig).size


def net_of(checkpoint: Checkpoint) -> FastAdain:
    """Return a fresh network of the size fast, which sees a canvas if it was trained to."""
    sees = isinstance(checkpoint.config, AnyCanvasConfig)
    return CanvasAdain() if sees else FastAdain()


def encoder_of(checkpoint: Checkpoint, vgg_weights: Path | None) -> Encoder:
    """Return VGG-19 with the scales of a checkpoint."""
    if isinstance(checkpoint.config, AnyCanvasConfig):
        # Its losses may have seen another network than its numbers are made of.
        vgg = numbering_vgg(vgg_weights)
    else:
        vgg = find_vgg("vgg19", STYLE_LAYERS, vgg_weights)
    return Encoder.of(vgg, scales_of(checkpoint.model))


def export_adain(
    checkpoint: Checkpoint,
    out: Path,
    *,
    pictures: Sequence[NDArray[np.uint8]],
    vgg_weights: Path | None = None,
    paintings: Path | None = None,
    manifest: bool = False,
    on_file: OnFile | None = None,
) -> list[Path]:
    """Write `any-SIZE-PART.onnx` into folder `out`.

    Each file is compared with the network on `pictures`, (H, W, 3) uint8, and refused if it
    differs too much; with `manifest` the files are entered into `out`/manifest.json, leave the
    weights of VGG-19 to the encoder that lies there for WCT, and the statistics of those built-in
    paintings that lie in the folder `paintings` are kept beside.
    """
    size = size_of(checkpoint)
    encoder, pair = load_pair(checkpoint, vgg_weights)
    facts = training_facts(checkpoint)
    numbers = pair.net.numbers
    files: dict[str, Path] = {}
    donor = out / DONOR
    if manifest and donor.exists():
        take_over(encoder, donor)
    if isinstance(pair, PaperPair):
        files |= shared_parts(out, encoder)
    elif manifest and isinstance(pair.net, CanvasAdain):
        files |= kept_parts(out, encoder, pair)
    for part in PARTS:
        if part in files:
            continue
        file = out / f"any-{size}-{part}.onnx"
        form = export_form(part, encoder, pair)
        with replacing(file) as fresh:
            feeds = content_feeds(files["style"], size, pictures) if part == "content" else []
            if feeds and isinstance(pair.net, CanvasAdain):
                feeds = canvas_feeds(feeds, painting_by(reference_form(part, encoder, pair)))
            write_part(part, form, fresh, size=size, numbers=numbers, training=facts, feeds=feeds)
            if manifest:
                share_all(fresh, donors_for(part, out, files))
            parity = measure(part, reference_form(part, encoder, pair), fresh, pictures, numbers)
            parity.require()
            rounding = keep_ranges(fresh, feeds) if feeds else None
        files[part] = file
        if on_file is not None:
            on_file(file, parity, rounding)
    if manifest:
        enter(out, size, files, facts)
        if paintings is not None:
            keep_paintings(out, paintings, size, files)
    return list(files.values())


def donors_for(part: str, folder: Path, files: Mapping[str, Path]) -> list[Path]:
    """Return the files that may hold weights of a part.

    They are those of VGG-19, of a decoder that `paper` may have taken as it is, and of the network.
    """
    parts = {"refine": ("regions", "content"), "regions": ("content",)}.get(part, ())
    return [folder / DONOR, folder / DECODER, *(files[each] for each in parts)]


def share_all(path: Path, donors: Sequence[Path]) -> None:
    """Take out of a file what weights the donors that exist hold too."""
    for donor in donors:
        if donor.exists():
            share(path, donor)


def shared_parts(folder: Path, encoder: Encoder) -> dict[str, Path]:
    """Return those files of `fast` in `folder` that serve both sizes.

    They have this encoder, and give `paper` what it takes.
    """
    found = {}
    for part, output, numbers in (
        ("style", "paper", PaperAdain.numbers),
        ("vgg", STYLE_LAYERS[0], None),
    ):
        path = folder / f"any-fast-{part}.onnx"
        if path.is_file():
            session = open_session(read_model(path), EngineOptions())
            meta = session.get_modelmeta().custom_metadata_map
            given = {port.name: port.shape for port in session.get_outputs()}
            fits = output in given and numbers in (None, given[output][1])
            if fits and meta.get("rtstyle.encoder") == encoder_hash(encoder):
                found[part] = path
    return found


def kept_parts(folder: Path, encoder: Encoder, pair: FastPair) -> dict[str, Path]:
    """Return those files in `folder` that make the same numbers of a painting as a network's head.

    Their names are in other entries of the manifest, and in the cache of users, too.
    """
    found = {}
    for part in ("style", "vgg"):
        path = folder / f"any-fast-{part}.onnx"
        if path.is_file():
            head = head_of(path) if part == "style" else {}
            own = pair.head.state_dict()
            meta = open_session(read_model(path), EngineOptions()).get_modelmeta()
            same = meta.custom_metadata_map.get("rtstyle.encoder") == encoder_hash(encoder)
            if same and all(torch.equal(own[key], value) for key, value in head.items()):
                found[part] = path
    return found


def content_feeds(
    style: Path, size: str, pictures: Sequence[NDArray[np.uint8]]
) -> list[dict[str, NDArray[Any]]]:
    """Feed each of `pictures` with three of them as the painting, for `measure_ranges`."""
    vectors = [adain.run_encoder(style, size, adain.prepare(p))[None] for p in pictures]
    feeds: list[dict[str, NDArray[Any]]] = []
    for number, picture in enumerate(pictures):
        for shift in (0, 1, 3):
            vector = vectors[(number + shift) % len(vectors)]
            feed: dict[str, NDArray[Any]] = {"image": picture[None], "statistics": vector}
            feed["strength"] = np.ones(1, np.float32)
            feeds.append(feed)
    return feeds


def enter(folder: Path, size: str, files: dict[str, Path], facts: dict[str, Any]) -> None:
    """Enter the files of a size into the manifest."""
    with edit_manifest(folder) as data:
        entry = data.setdefault("any", {})
        entry[size] = {part: file_entry(file, facts) for part, file in files.items()}


def keep_paintings(folder: Path, paintings: Path, size: str, files: Mapping[str, Path]) -> None:
    """Add the statistics of the built-in paintings in one size to `any-paintings.npz`."""
    path = folder / "any-paintings.npz"
    known: dict[str, NDArray[np.float32]] = {}
    if path.exists():
        with np.load(path) as content:
            known = {key: content[key].astype(np.float32) for key in content.files}
    for name, painting, part in find_paintings(folder, paintings):
        picture = adain.prepare(np.ascontiguousarray(adain.read_painting(painting)[part]))
        found = adain.run_encoder(files["style"], size, picture)
        fitted = fit.fit(found, picture, files["vgg"], files["refine"])
        known[f"{size}/{name}"] = found if fitted is None else fitted
    halves = {key: vector.astype(np.float16) for key, vector in known.items()}
    with replacing(path) as partial:
        np.savez_compressed(partial, **cast(Any, halves))
    with edit_manifest(folder) as data:
        data["paintings"] = file_entry(path, {})


def find_paintings(
    folder: Path, paintings: Path
) -> Iterator[tuple[str, Path, tuple[slice, slice]]]:
    """Yield those built-in styles whose painting is in `paintings`.

    Each with its name, its file, and the rows and columns that it was trained on.
    """
    styles = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["styles"]
    files = {path.name: path for path in list_pictures(paintings)}
    for name, style in styles.items():
        if style.get("painting") in files:
            parts = (file.get("training", {}).get("part") for file in style["files"].values())
            left, top, right, bottom = next(filter(None, parts), (None,) * 4)
            yield name, files[style["painting"]], (slice(top, bottom), slice(left, right))
