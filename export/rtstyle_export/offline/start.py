"""All that starts an optimisation of one picture, for the commands."""

from rtstyle_export.offline.gatys import Method
from rtstyle_export.offline.job import Settings, state_file, write_still, write_texture
from rtstyle_export.offline.keyframe import GatysPainter
from rtstyle_export.offline.objective import GatysSpec, suited
from rtstyle_export.offline.pyramid import Plan
from rtstyle_export.offline.reconstruct_job import Sheet, write_sheet

__all__ = [
    "GatysPainter",
    "GatysSpec",
    "Method",
    "Plan",
    "Settings",
    "Sheet",
    "state_file",
    "suited",
    "write_sheet",
    "write_still",
    "write_texture",
]
