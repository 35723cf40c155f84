"""Stands before every request: host, origin, token, size; and sets the security headers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from rtstyle.serve.web.addresses import is_address, is_loopback, is_unspecified

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 65_536
"""Bytes of the largest request body, except for a picture."""
BODY_WITHIN = 15.0
"""Seconds for it to arrive."""
MAX_PICTURE = 20_000_000
"""Bytes of the largest picture that is sent as a style."""
PICTURE_WITHIN = 60.0
"""Seconds for one to arrive."""
PICTURES = "/api/pictures"
MAX_VIDEO = 100_000_000
"""Bytes of the largest photo or video that is sent to be painted."""
VIDEO_WITHIN = 240.0
"""Seconds for one to arrive."""
PAINT = "/api/paint"
COOKIE = "rtstyle"
COOKIE_DAYS = 90
"""How long a browser keeps the cookie: an installed page is opened without the link."""
PAGE = "/"
"""The one path to which another site may lead a visitor: nothing starts there by itself."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
    # The link carries the token: no other site may learn of it.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-cache",
}


class RefusedError(Exception):
    """A request that goes no further: a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Guard:
    """ASGI middleware that lets through what comes from the server's own page.

    `host` is what the server is bound to. A name in `Host` other than those of this machine is
    refused, or a foreign site whose name was pointed here (DNS rebinding) could read everything.
    With a `token` every request needs it: as a bearer, in the link, or in the cookie that the
    link sets. `secure` marks that cookie for HTTPS only.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, token: str | None = None, secure: bool = False
    ) -> None:
        self._app, self._token, self._secure = app, token, secure
        self._names = allowed_names(host)
        self._any_address = is_unspecified(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the life span of the server."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        send = with_headers(send)
        headers: dict[str, str] = {}
        try:
            headers = single_headers(scope["headers"])
            self._check_host(headers)
            check_origin(headers, scope["path"])
            if await self._check_token(scope, headers, send):
                return
            limit, within = limits_of(scope["path"])
            check_length(headers, limit)
            await self._app(scope, bounded(receive, limit, within), send)
        except RefusedError as refusal:
            person = "text/html" in headers.get("accept", "")
            await reply(send, refusal.status, refusal.message, plain=person)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a WebSocket through by the same rules; a refused one is answered by 403."""
        try:
            headers = single_headers(scope["headers"])
            self._check_host(headers)
            check_origin(headers, scope["path"])
            await self._check_token(scope, headers, send)
        except RefusedError:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: dict[str, str]) -> None:
        name = host_name(headers.get("host", ""))
        if name in self._names or (self._any_address and is_address(name)):
            return
        raise RefusedError(403, "This server does not go by that name.")

    async def _check_token(self, scope: Scope, headers: dict[str, str], send: Send) -> bool:
        """Raise unless the request has the token. True: the link was answered by a cookie."""
        if self._token is None:
            return False
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        in_link = [value for name, value in query if name == "token"]
        if in_link and scope["type"] == "websocket" and same(in_link[0], self._token):
            return False  # Not every program can send headers along with these.
        if in_link and scope.get("method") == "GET":
            if not same(in_link[0], self._token):
                raise RefusedError(401, "The token in this link is wrong.")
            # The token leaves the address bar, the history and what is sent on.
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            # Never two slashes in front: that would lead to another site.
            path = "/" + scope["path"].lstrip("/")
            await self._welcome(path + ("?" + rest if rest else ""), send)
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(bearer.strip(), self._token):
            return False
        if same(read_cookie(headers.get("cookie", "")), pass_for(self._token)):
            return False
        raise RefusedError(401, "Open the link that rtstyle printed: it carries the token.")

    async def _welcome(self, where: str, send: Send) -> None:
        cookie = f"{COOKIE}={pass_for(self._token or '')}; Path=/; HttpOnly; SameSite=Lax"
        cookie += f"; Max-Age={COOKIE_DAYS * 86_400}"
        if self._secure:
            cookie += "; Secure"
        location = where.encode("ascii", "ignore").replace(b"\r", b"").replace(b"\n", b"")
        headers = [(b"location", location), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def check_origin(headers: dict[str, str], path: str) -> None:
    """Raise `RefusedError` for what another site's page asks for; programs send no origin.

    Such a page may lead a visitor to `PAGE` alone: `/obs` would open the camera.
    """
    origin = headers.get("origin")
    if origin is not None and place_of(origin) != headers["host"].lower():
        raise RefusedError(403, "This page may not use this server.")
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    if headers.get("sec-fetch-mode") != "navigate":
        raise RefusedError(403, "This page may not use this server.")
    if path != PAGE:
        raise RefusedError(
            403, "Another site led here. If this is what you want, paste the address yourself."
        )


def place_of(origin: str) -> str:
    """Return name and port of an origin, lower case; an empty string for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def allowed_names(host: str) -> set[str]:
    """Return the names, lower case, by which a server bound to `host` may be called."""
    names = {*LOOPBACK, host.lower()}
    if not is_loopback(host):
        own = socket.gethostname().lower()
        names |= {own, f"{own.partition('.')[0]}.local"}
    return names


def host_name(header: str) -> str:
    """Return the name in a Host header, lower case, without port and brackets.

    An empty string for what is not a name and port, as `evil.example@localhost`.
    """
    if any(char in "@/\\?#" or char.isspace() for char in header):
        return ""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def same(given: str, right: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


def pass_for(token: str) -> str:
    """Return what the cookie holds: proof of the token that is not the token."""
    return hmac.new(token.encode(), b"rtstyle cookie", hashlib.sha256).hexdigest()


def read_cookie(header: str) -> str:
    """Return the value of our cookie, or an empty string."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def single_headers(raw: Collection[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name. Raises `RefusedError` for two hosts or origins: which one is true?"""
    headers: dict[str, str] = {}
    for key, value in raw:
        name = key.decode("latin-1").lower()
        if name in headers and name in ("host", "origin", "content-length"):
            raise RefusedError(400, f"There is more than one {name}.")
        headers[name] = value.decode("latin-1")
    return headers


def limits_of(path: str) -> tuple[int, float]:
    """Return how many bytes a request to a path may have, and in how many seconds they come."""
    if path == PICTURES:
        return MAX_PICTURE, PICTURE_WITHIN
    return (MAX_VIDEO, VIDEO_WITHIN) if path == PAINT else (MAX_BODY, BODY_WITHIN)


def check_length(headers: dict[str, str], limit: int) -> None:
    """Raise `RefusedError` for a body that says of itself that it is longer than `limit`."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > limit:
        raise too_long(limit)


def bounded(receive: Receive, limit: int, within: float) -> Receive:
    """Return a `receive` that raises `RefusedError` for a body that is too long or too slow.

    It has `limit` bytes at most and is there `within` seconds from now.
    """
    total, whole = 0, False
    clock = asyncio.get_running_loop().time
    end = clock() + within

    async def limited() -> Message:
        nonlocal total, whole
        if whole:
            return await receive()  # Waits for the client to leave.
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - clock()))
        except asyncio.TimeoutError as error:
            raise RefusedError(408, "The request did not arrive in time.") from error
        total += len(message.get("body", b""))
        if total > limit:
            raise too_long(limit)
        whole = not message.get("more_body", False)
        return message

    return limited


def too_long(limit: int) -> RefusedError:
    """Return the refusal of a body longer than `limit` bytes."""
    if limit == MAX_PICTURE:
        return RefusedError(413, f"A picture has at most {MAX_PICTURE // 1_000_000} MB.")
    if limit == MAX_VIDEO:
        return RefusedError(413, f"A file has at most {MAX_VIDEO // 1_000_000} MB.")
    return RefusedError(413, f"A request has at most {limit} bytes.")


def with_headers(send: Send) -> Send:
    """Return a `send` that adds the security headers to every response."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {key.lower() for key, _ in message.get("headers", [])}
            extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            message["headers"] = [
                *message.get("headers", []),
                *(pair for pair in extra if pair[0] not in present),
            ]
        await send(message)

    return sender


async def reply(send: Send, status: int, message: str, *, plain: bool = False) -> None:
    """Send one error: as JSON, or `plain` for a person who opened the address in a browser."""
    body = (f"rtstyle: {message}\n" if plain else json.dumps({"error": message})).encode()
    kind = b"text/plain; charset=utf-8" if plain else b"application/json"
    headers: list[Any] = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
