"""The other end of the control API: what `rtstyle control` and scripts use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from rtstyle.errors import MissingExtraError, SourceError, UsageError
from rtstyle.live.controls.change import read_words
from rtstyle.remote.defaults import ADDRESS

TIMEOUT = 10.0


class ControlClient:
    """Speaks to a running `rtstyle webcam --control` or `rtstyle serve` at `address`.

    `address` is like `http://127.0.0.1:8766`. Raises `UsageError` for what was refused and
    `SourceError` where nobody answers.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise UsageError(f"{address} is not an address.", "", f"Write {ADDRESS}.")
        self.address, self._token = address.rstrip("/"), token
        # A control on this machine or in this room is never behind a proxy.
        self._opener = build_opener(ProxyHandler({}))

    def controls(self) -> list[dict[str, Any]]:
        """Return every control with its type, range and value."""
        found: list[dict[str, Any]] = self._call("GET", "/api/controls")
        return found

    def state(self) -> dict[str, Any]:
        """Return all values and figures."""
        found: dict[str, Any] = self._call("GET", "/api/state")
        return found

    def ask(self, changes: dict[str, object]) -> None:
        """Change controls, all of them or none."""
        self._call("PATCH", "/api/state", changes)

    def say(self, words: str) -> None:
        """Change a control as words say: `style wave`, `strength +0.1`, `mirror`."""
        name, value = read_words(words)
        self.ask({name: value})

    def bindings(self) -> dict[str, Any]:
        """Return what devices are bound to, and what is learnt."""
        found: dict[str, Any] = self._call("GET", "/api/bindings")
        return found

    def learn(self, words: str | None) -> None:
        """Bind what is touched next to `words`; None: nothing."""
        self._call("PUT", "/api/learn", words, always=True)

    def watch(self) -> Iterator[dict[str, Any]]:
        """Yield messages with `state` and `figures` as they change, the first with all of it.

        Ends when the program does.
        """
        try:
            from websockets.exceptions import ConnectionClosed, InvalidStatus
            from websockets.sync.client import connect
        except ImportError as error:
            raise MissingExtraError(
                "`rtstyle control watch` needs the extra `stage`.", "", "Install rtstyle[stage]."
            ) from error
        url = "ws" + self.address.removeprefix("http") + "/api/live"
        try:
            with connect(
                url, additional_headers=self._headers(), proxy=None, open_timeout=TIMEOUT
            ) as socket:
                for message in socket:
                    yield json.loads(message)
        except InvalidStatus as error:
            raise UsageError(
                f"{self.address} refused.", "", "Check the token: --token or RTSTYLE_CONTROL_TOKEN."
            ) from error
        except OSError as error:
            raise self._nobody(error) from error
        except ConnectionClosed:
            return

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def _call(self, method: str, path: str, body: object = None, *, always: bool = False) -> Any:
        data = json.dumps(body).encode() if always or body is not None else None
        headers = {**self._headers(), "content-type": "application/json"}
        request = Request(self.address + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                content = answer.read()
        except HTTPError as error:
            with error:
                raise UsageError(_told(error)) from error
        except (URLError, OSError) as error:
            raise self._nobody(error) from error
        return json.loads(content) if content else None

    def _nobody(self, error: Exception) -> SourceError:
        why = str(getattr(error, "reason", None) or error)
        return SourceError(
            f"Nobody answers at {self.address}.", why, "Start `rtstyle webcam --control`."
        )


def _told(error: HTTPError) -> str:
    """Return what the other side said of a request that it refused."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The answer was {error.code} {error.reason}."
