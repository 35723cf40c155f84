"""What WCT does unless it is told otherwise; without imports, for the command line."""

from __future__ import annotations

ALPHA = 0.6
"""Strength at every level by default, as in the paper's figures."""
