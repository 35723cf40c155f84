"""From a checkpoint of `rtstyle train-variational` to ONNX files with a parity report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rtstyle.errors import TrainingError
from rtstyle.files.temporary import temporary_name
from rtstyle_export.export.facts import training_facts
from rtstyle_export.export.johnson import OnFile
from rtstyle_export.export.manifest_writer import edit_manifest, file_entry
from rtstyle_export.networks.variational import VariationalStyle
from rtstyle_export.onnx_files.variational import PARTS, export_form, write_part
from rtstyle_export.quality.adain_parity import measure_vectors
from rtstyle_export.runs.checkpoint import Checkpoint
from rtstyle_export.runs.variational_config import VariationalConfig

EXAMPLES = 16
"""Vectors on which a file is compared with the network."""


def load_style(checkpoint: Checkpoint) -> tuple[VariationalConfig, VariationalStyle]:
    """Return the latent space of a checkpoint. Raises `TrainingError` for one of another kind."""
    config = checkpoint.config_as(VariationalConfig)
    prefix = "style."
    state = {
        key.removeprefix(prefix): value
        for key, value in checkpoint.model.items()
        if key.startswith(prefix)
    }
    style = VariationalStyle(len(state["mean"]), config.latent, config.hidden)
    style.load_state_dict(state)
    return config, style.eval()


def export_variational(
    checkpoint: Checkpoint, out: Path, *, manifest: bool = False, on_file: OnFile | None = None
) -> list[Path]:
    """Write `any-SIZE-code.onnx` and `any-SIZE-sample.onnx` into folder `out`.

    Each is compared with the network, and refused if it differs too much. With `manifest` they
    join the network for any style in `out`/manifest.json. Raises `TrainingError`.
    """
    config, style = load_style(checkpoint)
    facts, files = training_facts(checkpoint), {}
    for part in PARTS:
        file = out / f"any-{config.size}-{part}.onnx"
        fresh = temporary_name(file)
        form = export_form(part, style)
        numbers = style.numbers if part == "code" else style.latent
        try:
            write_part(part, form, fresh, size=config.size, numbers=numbers, training=facts)
            parity = measure_vectors(form, fresh, example(part, style))
            parity.require()
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        files[part] = file
        if on_file is not None:
            on_file(file, parity, None)
    if manifest:
        enter(out, config.size, files, facts)
    return list(files.values())


def example(part: str, style: VariationalStyle) -> torch.Tensor:
    """Return plausible vectors of what a part takes."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(EXAMPLES, style.latent, generator=generator)
    with torch.no_grad():
        return style.decode(codes) if part == "code" else codes


def enter(folder: Path, size: str, files: dict[str, Path], facts: dict[str, Any]) -> None:
    """Enter the files beside those of the network for any style. Raises `TrainingError`."""
    with edit_manifest(folder) as data:
        known = data.get("any", {}).get(size)
        if known is None:
            raise TrainingError(
                f"{folder / 'manifest.json'} has no network for any style of the size {size}.",
                "Sampled styles are painted by it.",
                "Export that network into the same folder first.",
            )
        known.update({part: file_entry(file, facts) for part, file in files.items()})
