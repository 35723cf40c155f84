"""A back end for mido without a driver: ports that tests play on. It stands in for ALSA.

Messages go through mido's own parser, as bytes, like those of a cable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mido

NAMES = ["Midi Through Port-0", "nanoKONTROL2 MIDI 1"]
inputs: dict[str, Input] = {}
sent: list[Any] = []


class Input:
    def __init__(self, name: str, callback: Callable[[Any], None], **_: Any) -> None:
        self.name, self.callback, self.closed = name, callback, False
        self.parser = mido.Parser()
        inputs[name] = self

    def play(self, *messages: Any) -> None:
        """Send messages down the cable."""
        for message in messages:
            self.parser.feed(message.bytes())
            for parsed in self.parser:
                self.callback(parsed)

    def close(self) -> None:
        self.closed = True


class Output:
    def __init__(self, name: str, **_: Any) -> None:
        self.name, self.closed = name, False

    def send(self, message: Any) -> None:
        sent.append(message)

    def close(self) -> None:
        self.closed = True


def get_devices(**_: Any) -> list[dict[str, Any]]:
    return [{"name": name, "is_input": True, "is_output": True} for name in NAMES]
