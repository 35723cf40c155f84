"""Where the versions of PyAV that rtstyle runs with differ."""

from __future__ import annotations

from typing import Any

import av

# From 19 on PyAV keeps text that is not UTF-8 as it stands in the file (as lone surrogates, which
# it writes back unchanged) and has no such option; before, it raises unless told to replace it.
LENIENT_TEXT: dict[str, Any] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
"""Options of `av.open` that let tags be in any encoding."""
