"""Errors as responses."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from rtstyle.serve.web.guard import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger(__name__)


def failure(status: int, message: str) -> Response:
    """Return one error as JSON."""
    headers = {"retry-after": "5"} if status == 503 else {}
    return JSONResponse({"error": message}, status, headers)


def handler_for(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what turns an exception into a response of `status`."""

    async def handle(_: Request, error: Exception) -> Response:
        return failure(status, str(error))

    return handle


async def refused(_: Request, error: Exception) -> Response:
    """Answer what the guard or a route turned down."""
    if isinstance(error, RefusedError):
        response = failure(error.status, error.message)
        # The rest of its body, if any, is not waited for.
        response.headers["connection"] = "close"
        return response
    if isinstance(error, HTTPException):
        return failure(error.status_code, error.detail)
    raise error


async def left(request: Request, _: Exception) -> Response:
    """Note that a client left before its request was there; nobody reads the response."""
    log.warning("a client left in the middle of a request to %s", request.url.path)
    return failure(400, "The request is not whole.")


async def unforeseen(_: Request, error: Exception) -> Response:
    """Answer what should not happen, without its details."""
    return failure(500, f"The server failed ({type(error).__name__}).")
