"""Sends pictures to `rtstyle serve` and switches styles; prints the memory that it then holds.

A program of its own, so that what other tests left behind does not count:
`python tests/soak.py UPLOADS SWITCHES` prints one JSON object, bytes by moment.
"""

from __future__ import annotations

import io
import json
import sys

import httpx
import numpy as np
import psutil
from PIL import Image as Pil

from rtstyle.live.bank import apart
from rtstyle.serve.live_picture import LivePicture
from rtstyle.serve.painter import USUAL
from rtstyle.serve.server import Options, Running, serving

FIRST = 24
"""Uploads, and switches, after which memory has to stay: as many as the gallery keeps."""
PATIENCE = 120.0


def picture(number: int) -> bytes:
    """A PNG of a size and a colour of its own."""
    colour = (number % 251, number * 7 % 256, number // 251)
    width, height = 512 + number * 37 % 512, 512 + number * 53 % 512
    file = io.BytesIO()
    Pil.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def held(server: Running) -> int:
    if not server.lobby.bank.wait_fitted(10 * PATIENCE):
        raise SystemExit("pictures were never fitted")
    return int(psutil.Process().memory_info().rss)


def upload(server: Running, client: httpx.Client, number: int) -> None:
    reply = client.post(
        f"{server.address}/api/pictures",
        content=picture(number),
        headers={"content-type": "image/png"},
    )
    reply.raise_for_status()
    if not server.lobby.bank.wait_idle(PATIENCE):
        raise SystemExit("a picture never became ready")


def switch(server: Running, count: int) -> None:
    lobby = server.lobby
    live = LivePicture(lobby.bank, lobby.painter, lobby.catalogue)
    live.change({"fade": 0.0})
    # Of the size that styles are made ready for.
    frame = np.full((*USUAL, 3), 200, np.uint8)
    names = list(lobby.catalogue)
    for number in range(count):
        name = names[number % len(names)]
        live.change({"style": name})
        while live(frame) and live.shown != name:
            if not lobby.bank.wait_idle(PATIENCE) or live.problem:
                raise SystemExit(live.problem or "a style never became ready")


def main(uploads: int, switches: int) -> None:
    # On a machine that is busy otherwise, pictures would be fitted for hours.
    apart.NICENESS = 0
    found = {}
    with (
        serving(Options(port=0, style="mosaic", camera="test")) as server,
        httpx.Client(timeout=PATIENCE) as client,
    ):
        for number in range(uploads):
            upload(server, client, number)
            if number + 1 == FIRST:
                # What painting itself takes (30 MB, however many follow) is held from here on.
                switch(server, FIRST)
                found["first"] = held(server)
        found["uploads"] = held(server)
        switch(server, switches)
        found["switches"] = held(server)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
