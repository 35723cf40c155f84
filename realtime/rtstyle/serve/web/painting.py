"""Files that are sent to be painted: in, how far they are, and out."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rtstyle.errors import UsageError
from rtstyle.serve.gallery.catalogue import Catalogue
from rtstyle.serve.paint_jobs import HEAD, Job, PaintJobs, kind_of
from rtstyle.serve.settings import check_settings, parse_object
from rtstyle.serve.web.guard import PAINT

if TYPE_CHECKING:
    from starlette.requests import Request

TYPES = ("image/", "video/", "application/octet-stream")
"""What a file may come as: nothing that a form of another site can send."""
SETTINGS = ("style", "strength", "keep_color", "stroke_size", "coherence")
"""What of a page's settings says how a file is painted."""


class Painting:
    """The routes of `PaintJobs`. A job is known by its secret name, to its page alone."""

    def __init__(self, jobs: PaintJobs, catalogue: Catalogue) -> None:
        self._jobs, self._catalogue = jobs, catalogue

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = PAINT + "/{job}"
        return [
            Route(PAINT, self.take, methods=["POST"]),
            Route(one, self.state, methods=["GET"]),
            Route(one, self.remove, methods=["DELETE"]),
            Route(one + "/file", self.result, methods=["GET"]),
        ]

    async def take(self, request: Request) -> Response:
        """Take a file with `name` and `settings` (JSON) in the query; return its job."""
        if not request.headers.get("content-type", "").startswith(TYPES):
            raise HTTPException(415, "A file is sent as image/* or video/*.")
        jobs, query = self._jobs, request.query_params
        recipe = self._recipe(query.get("settings", "{}"))
        jobs.check_room()
        jobs.arriving += 1
        jobs.folder.mkdir(exist_ok=True)
        path = jobs.folder / secrets.token_hex(8)
        try:
            source, suffix = await receive(request, path)
        finally:
            jobs.arriving -= 1
            path.unlink(missing_ok=True)
        job = jobs.add(query.get("name", ""), source, suffix, recipe)
        return JSONResponse(self._public(job))

    async def state(self, request: Request) -> Response:
        """Tell how far a job is."""
        return JSONResponse(self._public(self._find(request)))

    async def result(self, request: Request) -> Response:
        """Send what was painted."""
        job = self._find(request)
        if job.state != "done":
            raise HTTPException(409, "It is not painted yet.")
        return FileResponse(
            job.output, filename=job.file_name, headers={"cache-control": "no-store"}
        )

    async def remove(self, request: Request) -> Response:
        """Stop a job, or delete its result; one that has gone is fine."""
        job = self._jobs.find(request.path_params["job"])
        if job is not None:
            self._jobs.remove(job)
        return Response(status_code=204)

    def _find(self, request: Request) -> Job:
        job = self._jobs.find(request.path_params["job"])
        if job is None:
            raise HTTPException(404, "There is no such file; results are deleted after a while.")
        return job

    def _public(self, job: Job) -> dict[str, Any]:
        found = {"job": job.id, "state": job.state, "progress": job.progress, "name": job.file_name}
        return found | {"error": job.error, "notes": job.notes, "before": self._jobs.place(job)}

    def _recipe(self, text: str) -> dict[str, Any]:
        """Return settings of a `Recipe`. Raises `UsageError`."""
        asked = {name: value for name, value in parse_object(text).items() if name in SETTINGS}
        catalogue = self._catalogue
        recipe = check_settings(asked, catalogue, catalogue.mixable)
        recipe["style"] = catalogue.model_of(recipe.get("style", catalogue.first))
        return recipe | {"size": catalogue.size}


async def receive(request: Request, path: Path) -> tuple[Path, str]:
    """Write a body to a file beside `path`; return it and the suffix of its painting.

    Raises `UsageError` for what is not painted, before all of it is there.
    """
    head, suffixes = b"", ("", "")
    try:
        with path.open("wb") as file:
            async for chunk in request.stream():
                if len(head) < HEAD:
                    head = (head + chunk)[:HEAD]
                    if len(head) == HEAD:
                        suffixes = kind_of(head)
                file.write(chunk)
    except OSError as error:
        raise UsageError("The file cannot be kept.", f"{error.strerror}.") from error
    if len(head) < HEAD:
        raise UsageError("The file is empty." if not head else "The file is not whole.")
    source = path.with_suffix(suffixes[0])
    with suppress(FileNotFoundError):
        path.rename(source)
    return source, suffixes[1]
