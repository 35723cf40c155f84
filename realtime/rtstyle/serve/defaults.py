"""What `rtstyle serve` does unless it is told otherwise; without imports, for the command line."""

from __future__ import annotations

HOST, PORT = "127.0.0.1", 8765
MAX_CLIENTS = 8
MIN_FPS = 8.0
"""Frames a second below which a client is refused: motion falls apart."""
TARGET_FPS = 32.0
"""Frames a second for each client that the working resolution is chosen for.

More than any camera gives: video is decoded and encoded beside the painting, and often the
browser runs on the same cores.
"""
