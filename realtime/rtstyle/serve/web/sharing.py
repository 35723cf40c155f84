"""The link to the page with the present look, and its QR code."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rtstyle.errors import UsageError
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.settings import CONTROLS, read_query

LONGEST = 1000
"""Characters of the longest look in a link."""


@dataclass(frozen=True)
class Link:
    """Where others reach the page: `address`, and the `token` that lets them in.

    `near` says that only this machine reaches it.
    """

    address: str
    token: str | None
    near: bool

    def share(self, look: str, catalogue: Catalogue) -> dict[str, Any]:
        """Return the link with a look, a query as `/obs` takes it, as JSON: with its QR code.

        Raises `UsageError` for what is not a look.
        """
        if len(look) > LONGEST:
            raise UsageError("This look is too long for a link.")
        pairs = dict(parse_qsl(look))
        read_query(pairs, catalogue, catalogue.mixable)
        query = {name: value for name, value in pairs.items() if name in ("style", *CONTROLS)}
        if self.token:
            query["token"] = self.token
        link = f"{self.address}/?{urlencode(query, safe=':,')}" if query else f"{self.address}/"
        return {"link": link, "near": self.near, "qr": qr_code(link)}


def qr_code(text: str) -> str:
    """Return a QR code as SVG, with the quiet zone that readers need."""
    import segno

    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(out, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue().decode()
