"""From the checkpoints of `rtstyle train-wct` to ONNX files with a parity report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from rtstyle.errors import TrainingError
from rtstyle.painting.wct.models import WctModels
from rtstyle.painting.wct.stylizer import extend
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import OnFile
from rtstyle_export.export.manifest_writer import edit_manifest, file_entry, rewriting
from rtstyle_export.export.wct_onnx import (
    DecoderFile,
    EncoderFile,
    load_encoder,
    load_run,
    write_decoder,
    write_encoder,
)
from rtstyle_export.networks.encoder import Encoder
from rtstyle_export.networks.wct import LEVELS, CompactLevel5, WctDecoder
from rtstyle_export.onnx_files.storage import share
from rtstyle_export.quality.parity import Parity, compare
from rtstyle_export.runs.checkpoint import CHECKPOINT, Checkpoint, scales_of
from rtstyle_export.runs.config import WctConfig
from rtstyle_export.runs.loss_network import SCALES_FILE, SCALES_PART, write_scales
from rtstyle_export.runs.onnx_reader import take_over

DONOR, COMPACT = "decoder-4", "decoder-5"
"""The compact level 5 ends with the decoder of level 4, whose file holds the weights."""
MOST = 512
"""Pictures of the parity report are cut to this many rows and columns."""


def runs_below(folder: Path) -> list[Path]:
    """Return the checkpoints of the levels below `folder`, in order. Raises `TrainingError`."""
    found = [folder / str(level) / CHECKPOINT for level in LEVELS]
    if there := [path for path in found if path.exists()]:
        return there
    raise TrainingError(
        f"{folder} holds no {CHECKPOINT}, and no runs of `rtstyle train-wct`.",
        todo="Name the folder that was --out of the training.",
    )


def same_encoder(runs: Sequence[Checkpoint]) -> None:
    """Raise `TrainingError` unless runs, the deepest last, scaled the layers they share alike."""
    deepest = scales_of(runs[-1].model)
    for run in runs:
        pairs = zip(scales_of(run.model), deepest, strict=False)
        if not all(torch.allclose(a, b, rtol=1e-3) for a, b in pairs):
            raise TrainingError(
                f"Level {cast(WctConfig, run.config).level} has another encoder than the deepest.",
                "They took the scales of VGG-19 from different photos.",
                "Train it again with --init-from one of the others.",
            )


def export_wct(
    folder: Path,
    out: Path,
    *,
    pictures: Sequence[NDArray[np.uint8]],
    vgg_weights: Path | None = None,
    manifest: bool = False,
    on_file: OnFile | None = None,
) -> list[Path]:
    """Write `wct-encoder.onnx` and a `wct-decoder-K.onnx` for each level below `folder` to `out`.

    `wct-scales.npz` beside them holds the mean activations by which the encoder's filters are
    divided, where `vgg_weights` are given.

    Encoder and decoder together are compared with the networks on `pictures`, (H, W, 3) uint8,
    and refused if they differ too much. With `manifest` they are entered into manifest.json, beside
    the levels that are there already: an encoder that goes deeper than these runs stays, and the
    compact level 5 leaves weights to the decoder of level 4.
    """
    loaded = [load_run(path) for path in runs_below(folder)]
    runs = [run for run, _ in loaded]
    same_encoder(runs)
    encoder, deepest = load_encoder(runs[-1], vgg_weights), loaded[-1][1]
    tail = deepest.tail if isinstance(deepest, CompactLevel5) else None
    fresh_levels = [level.level for _, level in loaded]
    kept = kept_levels(out, encoder, fresh_levels) if manifest else []
    out.mkdir(parents=True, exist_ok=True)
    facts = {"encoder": {"scaled_on": cast(WctConfig, runs[-1].config).scaled_on}}
    # What is there already stays until every file has been compared.
    with tempfile.TemporaryDirectory(dir=out, prefix=".wct-") as name:
        fresh = {"encoder": Path(name) / "wct-encoder.onnx"}
        write_encoder(encoder, fresh["encoder"], tail)
        if vgg_weights is not None:
            # A run without a file of weights measured them on filters that were divided already.
            fresh[SCALES_PART], facts[SCALES_PART] = Path(name) / SCALES_FILE, facts["encoder"]
            write_scales(scales_of(runs[-1].model)[: len(encoder.layers())], fresh[SCALES_PART])
        for run, level in loaded:
            part = f"decoder-{level.level}"
            fresh[part], facts[part] = Path(name) / f"wct-{part}.onnx", training_facts(run)
            write_decoder(level, fresh[part], facts[part])
            parity = measure(EncoderFile(encoder, tail), level, Path(name), pictures)
            parity.require()
            if on_file is not None:
                on_file(out / fresh[part].name, parity, None)
        if max(kept, default=0) > fresh_levels[-1]:
            del fresh["encoder"]
            fresh.pop(SCALES_PART, None)
        files = {part: out / file.name for part, file in fresh.items()}
        with ExitStack() as stack:
            for part in ("encoder", DONOR):
                if part in files:
                    stack.enter_context(rewriting(files[part]))
            for part, file in fresh.items():
                file.replace(files[part])
    if manifest:
        _enter(out, files, facts, {f"decoder-{level}" for level in kept})
    return list(files.values())


def kept_levels(out: Path, encoder: Encoder, fresh: Sequence[int]) -> list[int]:
    """Return the levels that the manifest in `out` has beside the `fresh` ones.

    Raises `TrainingError` if they were trained with another encoder. Otherwise `encoder` takes over
    the weights that lie there.
    """
    path = out / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = data.get("wct", {})
    kept = [k for k in LEVELS if f"decoder-{k}" in known and k not in fresh]
    if "encoder" in known and not take_over(encoder, out / known["encoder"]["path"]) and kept:
        raise TrainingError(
            f"{out} has level {kept[0]} of another encoder.",
            "They took the scales of VGG-19 from different photos.",
            "Export to another folder, or train with --init-from a level that is there.",
        )
    return kept


def _enter(
    out: Path, files: dict[str, Path], facts: dict[str, dict[str, Any]], kept: set[str]
) -> None:
    """Enter files into the manifest of `out`, and keep what it says of `kept` parts."""
    donor = out / f"wct-{DONOR}.onnx"
    if COMPACT in files and donor.exists():
        share(files[COMPACT], donor)
    with edit_manifest(out) as data:
        known = data.get("wct", {})
        # Mean activations are those of one encoder.
        stays = {*kept, "encoder"} | (set() if "encoder" in files else {SCALES_PART})
        entries = {part: known[part] for part in known if part in stays}
        entries |= {part: file_entry(file, facts[part]) for part, file in files.items()}
        parts = ["encoder", SCALES_PART, *(f"decoder-{level}" for level in LEVELS)]
        data["wct"] = {part: entries[part] for part in parts if part in entries}


def measure(
    encode: EncoderFile,
    level: WctDecoder | CompactLevel5,
    folder: Path,
    pictures: Sequence[NDArray[np.uint8]],
) -> Parity:
    """Compare what the files make of pictures, encoded and decoded, with what the networks do."""
    number, decode = LEVELS.index(level.level), DecoderFile(level)
    pairs = []
    with WctModels(folder) as models, torch.no_grad():
        for picture in pictures:
            image = extend(picture[:MOST, :MOST])
            found = models.decode(models.encode(image, (level.level,))[0], level.level)
            wanted = decode(encode(torch.from_numpy(image.copy())[None])[number])
            pairs.append((found, wanted[0].numpy()))
    return compare("cpu", pairs)
