"""Names of numbered pictures."""

from __future__ import annotations

import re

PRINTF = re.compile(r"%0?\d*d(?![A-Za-z])")
"""A place for a number; in `100%done.png` there is none."""
