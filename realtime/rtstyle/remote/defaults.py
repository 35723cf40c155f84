"""Where a running picture is controlled unless it is told otherwise; without other imports."""

from __future__ import annotations

HOST, PORT = "127.0.0.1", 8766
ADDRESS = f"http://{HOST}:{PORT}"
