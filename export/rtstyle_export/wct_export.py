"""From the checkpoints of `rtstyle train-wct` to ONNX files with a parity report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from rtstyle.errors import TrainingError
from rtstyle.wct_models import WctModels
from rtstyle.wct_stylizer import extend
from rtstyle_export.manifest_writer import edit_manifest, file_entry, rewriting
from rtstyle_export.networks.adain import Encoder
from rtstyle_export.networks.wct import LEVELS, WctDecoder, layer
from rtstyle_export.parity import Parity, compare
from rtstyle_export.train.checkpoint import Checkpoint, scales_of
from rtstyle_export.train.config import WctConfig
from rtstyle_export.wct_onnx import (
    DecoderFile,
    EncoderFile,
    load_encoder,
    load_run,
    training_facts,
    write_decoder,
    write_encoder,
)

MOST = 512
"""Pictures of the parity report are cut to this many rows and columns."""


def runs_below(folder: Path) -> list[Path]:
    """Return the checkpoints of the levels below `folder`, in order. Raises `TrainingError`."""
    found = [folder / str(level) / "checkpoint.pt" for level in LEVELS]
    if there := [path for path in found if path.exists()]:
        return there
    raise TrainingError(
        f"There are no runs of `rtstyle train-wct` below {folder}.",
        todo="Name the folder that was its --out.",
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
    on_file: Callable[[Path, Parity], None] | None = None,
) -> list[Path]:
    """Write `wct-encoder.onnx` and a `wct-decoder-K.onnx` for each level below `folder` to `out`.

    Encoder and decoder together are compared with the networks on `pictures`, (H, W, 3) uint8,
    and refused if they differ too much; with `manifest` they are entered into manifest.json.
    """
    loaded = [load_run(path) for path in runs_below(folder)]
    runs = [run for run, _ in loaded]
    same_encoder(runs)
    encoder = load_encoder(runs[-1], vgg_weights)
    out.mkdir(parents=True, exist_ok=True)
    facts = {"encoder": {"scaled_on": cast(WctConfig, runs[-1].config).scaled_on}}
    # What is there already stays until every file has been compared.
    with tempfile.TemporaryDirectory(dir=out, prefix=".wct-") as name:
        fresh = {"encoder": Path(name) / "wct-encoder.onnx"}
        write_encoder(encoder, fresh["encoder"])
        for run, decoder in loaded:
            part = f"decoder-{decoder.level}"
            fresh[part], facts[part] = Path(name) / f"wct-{part}.onnx", training_facts(run)
            write_decoder(decoder, fresh[part], facts[part])
            parity = measure(encoder, decoder, Path(name), pictures)
            parity.require()
            if on_file is not None:
                on_file(out / fresh[part].name, parity)
        files = {part: out / file.name for part, file in fresh.items()}
        with rewriting(files["encoder"]):
            for part, file in fresh.items():
                file.replace(files[part])
    if manifest:
        with edit_manifest(out) as data:
            data["wct"] = {part: file_entry(file, facts[part]) for part, file in files.items()}
    return list(files.values())


def measure(
    encoder: Encoder, decoder: WctDecoder, folder: Path, pictures: Sequence[NDArray[np.uint8]]
) -> Parity:
    """Compare what the files make of pictures, encoded and decoded, with what the networks do."""
    level = decoder.level
    number = [layer(each) for each in LEVELS].index(layer(level))
    encode, decode = EncoderFile(encoder), DecoderFile(decoder)
    pairs = []
    with WctModels(folder) as models, torch.no_grad():
        for picture in pictures:
            image = extend(picture[:MOST, :MOST])
            found = models.decode(models.encode(image, (level,))[0], level)
            wanted = decode(encode(torch.from_numpy(image.copy())[None])[number])
            pairs.append((found, wanted[0].numpy()))
    return compare("cpu", pairs)
