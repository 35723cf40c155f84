"""All that starts an optimisation of one picture, for the commands."""

from rtstyle_export.offline.gatys import Method
from rtstyle_export.offline.job import Settings, run, state_file
from rtstyle_export.offline.keyframe import GatysPainter
from rtstyle_export.offline.network import check_layers
from rtstyle_export.offline.objective import GatysSpec
from rtstyle_export.offline.pyramid import Plan
from rtstyle_export.offline.reconstruct import rows
from rtstyle_export.offline.reconstruct_job import draw
from rtstyle_export.offline.subject import Subject

__all__ = [
    "GatysPainter",
    "GatysSpec",
    "Method",
    "Plan",
    "Settings",
    "Subject",
    "check_layers",
    "draw",
    "rows",
    "run",
    "state_file",
]
