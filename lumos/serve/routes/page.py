"""The page at `/`, static files that speak to the other routes, and what it asks for beside them.

GET /                              index.html; its parts are under /page/, by the names that lie in lumos/serve/page
GET /v1/videos/{id}/record         all that makes a video again
GET /v1/videos/{id}/picture        the first frame that it was given
GET /v1/videos/{id}/before         the clip that it goes on from
"""

import dataclasses
import json
from functools import partial
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from lumos.serve.faults import no_such_job
from lumos.serve.routes.videos import find_job
from lumos.serve.serving import Serving
from lumos.serve.storage import files
from lumos.serve.storage.jobs import Job

FOLDER = Path(__file__).parent.parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, in nobody's frame."""
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of the page."""
    router = APIRouter(tags=["page"])
    parts = {path.name: path for path in FOLDER.iterdir() if path.suffix in _TYPES}

    @router.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return _part(parts["index.html"])

    for name, path in parts.items():
        router.add_api_route(f"/page/{name}", partial(_part, path), methods=["GET"], include_in_schema=False)

    @router.get("/v1/videos/{video_id}/record")
    def record(video_id: str) -> Response:
        text = json.dumps(_record(find_job(serving, video_id)), ensure_ascii=False, indent=2)
        return Response(text, media_type="application/json", headers={"X-Content-Type-Options": "nosniff"})

    @router.get("/v1/videos/{video_id}/picture")
    def picture(video_id: str) -> FileResponse:
        job = find_job(serving, video_id)
        path = _given(serving, job, files.PICTURE, is_given=job.request.has_picture, what="picture of the video")
        return FileResponse(path, media_type="image/png", filename=f"{job.id}.png")

    @router.get("/v1/videos/{video_id}/before")
    def before(video_id: str) -> FileResponse:
        job = find_job(serving, video_id)
        is_given = job.request.num_before > 0
        path = _given(serving, job, files.BEFORE, is_given=is_given, what="clip before the video")
        return FileResponse(path, media_type="video/mp4", filename=f"{job.id}-before.mp4")

    return router


def _given(serving: Serving, job: Job, name: str, *, is_given: bool, what: str) -> Path:
    """Return a file that was sent with a job; an error 404 where none was, or it is there no more."""
    path = serving.files.of(job.id, name)
    if not is_given or not path.is_file():
        raise no_such_job(job.id, what=what)
    return path


def _part(path: Path) -> FileResponse:
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=_HEADERS)


def _record(job: Job) -> dict[str, object]:
    """Return what was asked for, the settings of the call, and what it took."""
    asked = dataclasses.asdict(job.request)
    del asked["sent"]  # it makes nothing
    asked["settings"] = asked.pop("given")
    return {"id": job.id, "created_at": int(job.created_at), **asked, **job.outcome}
