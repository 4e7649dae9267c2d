"""`/v1/videos`: ask for a video, look how far it is, fetch it, ask for another like it, make it longer, delete it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from lumos.serve.faults import RequestError, no_such_job, shown_id
from lumos.serve.requests.bodies import ExtensionBody, RemixBody, VideoBody, plain, read_body, typed
from lumos.serve.requests.idempotency import sent_key
from lumos.serve.requests.turns import in_turn
from lumos.serve.requests.uploads import clip_of, is_file, save_upload
from lumos.serve.routes.documented import takes
from lumos.serve.serving import Serving
from lumos.serve.storage import files
from lumos.serve.storage.jobs import Job, is_id

_VARIANTS: Mapping[str, tuple[str, str]] = {
    "video": (files.VIDEO, "video/mp4"),
    "thumbnail": (files.THUMBNAIL, "image/webp"),
    "spritesheet": (files.SPRITESHEET, "image/jpeg"),
}
"""`variant` of the content -> file of the job, and its type."""


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of videos."""
    router = APIRouter(prefix="/v1/videos", tags=["videos"])
    _add_asking(router, serving)
    _add_having(router, serving)
    return router


def _add_asking(router: APIRouter, serving: Serving) -> None:
    """Add the routes that make jobs."""

    @router.post("", openapi_extra=takes(VideoBody))
    async def create(request: Request) -> dict[str, Any]:
        async with read_body(request) as fields:
            return await in_turn(_create, serving, fields, request)

    @router.post("/extensions", openapi_extra=takes(ExtensionBody))
    async def extend(request: Request) -> dict[str, Any]:
        async with read_body(request) as fields:
            return await in_turn(_extend, serving, fields, request)

    @router.post("/{video_id}/remix", openapi_extra=takes(RemixBody))
    async def remix(request: Request) -> dict[str, Any]:
        async with read_body(request) as fields:
            return await in_turn(_remix, serving, fields, request)


def _add_having(router: APIRouter, serving: Serving) -> None:
    """Add the routes of jobs that there are."""

    @router.get("")
    def listed(after: str | None = None, limit: int = 20, order: Literal["asc", "desc"] = "desc") -> dict[str, Any]:
        if not 1 <= limit <= 100:
            raise RequestError(400, f"limit is {limit}; it must be from 1 to 100", param="limit")
        jobs, has_more = serving.store.page("video", after=after, limit=limit, order=order)
        ends = {"first_id": jobs[0].id, "last_id": jobs[-1].id} if jobs else {"first_id": None, "last_id": None}
        return {"object": "list", "data": [serving.shown(job) for job in jobs], **ends, "has_more": has_more}

    @router.get("/{video_id}")
    def retrieve(video_id: str) -> dict[str, Any]:
        return serving.shown(find_job(serving, video_id))

    @router.get("/{video_id}/content")
    def content(video_id: str, variant: Literal["video", "thumbnail", "spritesheet"] = "video") -> FileResponse:
        job = find_job(serving, video_id)
        _require_finished(job, unfinished=404)
        name, media_type = _VARIANTS[variant]
        path = serving.files.of(job.id, name)
        if not path.is_file():  # it has expired in this moment
            raise no_such_job(video_id)
        return FileResponse(path, media_type=media_type, filename=f"{job.id}{path.suffix}")

    @router.delete("/{video_id}")
    def delete(video_id: str) -> dict[str, Any]:
        job = find_job(serving, video_id)
        serving.delete(job)
        return {"id": job.id, "object": "video.deleted", "deleted": True}


def find_job(serving: Serving, job_id: str, *, kind: Literal["video", "image"] = "video") -> Job:
    """Return a job of a kind.

    Raises:
        RequestError: there is none of this id.
    """
    job = serving.store.get(job_id) if is_id(job_id) else None
    if job is None or job.kind != kind:
        raise no_such_job(job_id, what=kind)
    return job


def _create(serving: Serving, fields: dict[str, Any], sent: Request) -> dict[str, Any]:
    key = sent_key(sent, fields)
    if (job := serving.sent_before(key)) is not None:
        return serving.shown(job)
    request, picture = serving.asker.video(fields)
    return serving.shown(serving.accept("video", request, picture=picture, key=key))


def _remix(serving: Serving, fields: dict[str, Any], sent: Request) -> dict[str, Any]:
    key, video_id = sent_key(sent, fields), sent.path_params["video_id"]
    if (job := serving.sent_before(key)) is not None:
        return serving.shown(job)
    prompt = typed(RemixBody, fields).prompt
    source = find_job(serving, video_id)
    _require_finished(source, unfinished=409)
    request = serving.asker.remix(source.request, prompt, source_id=source.id)
    kept = {}
    for name, wanted in ((files.PICTURE, request.has_picture), (files.BEFORE, request.num_before > 0)):
        if wanted:
            kept[name] = serving.files.of(source.id, name)
            if not kept[name].is_file():
                raise no_such_job(video_id)
    job = serving.accept("video", request, copies=kept, key=key)
    return serving.shown(job)


def _extend(serving: Serving, fields: dict[str, Any], sent: Request) -> dict[str, Any]:
    """Have a clip go on: what is made behind it follows from its last frames, and the two are one file."""
    key = sent_key(sent, fields)
    if (found := serving.sent_before(key)) is not None:
        return serving.shown(found)
    with tempfile.TemporaryDirectory(prefix=files.MAKING, dir=serving.files.root) as folder:
        path, source = _clip_to_extend(serving, fields, Path(folder))
        clip = clip_of(path, limits=serving.limits, param="video")
        request = serving.asker.extension(fields, source, clip=clip)
        job = serving.accept("video", request, copies={files.BEFORE: path}, key=key)
    return serving.shown(job)


def _clip_to_extend(serving: Serving, fields: Mapping[str, Any], folder: Path) -> tuple[Path, Any]:
    """Return the file of the clip, and how it was made if it was made here."""
    video = fields.get("video")
    if is_file(video):
        path = folder / files.BEFORE
        save_upload(video, path)
        return path, None
    if isinstance(video, str) and video.lstrip().startswith("{"):  # an object in a field of a form
        video = plain(video)
    video_id = video.get("id") if isinstance(video, dict) and set(video) == {"id"} else video
    if not isinstance(video_id, str) or not video_id:
        raise RequestError(400, "video must be a file, or {'id': 'video_...'}", param="video")
    job = find_job(serving, video_id)
    _require_finished(job, unfinished=409)
    return serving.files.of(job.id, files.VIDEO), job.request


def _require_finished(job: Job, *, unfinished: int) -> None:
    """Check that there is a video; `unfinished` is the status where there is none yet."""
    if job.status == "failed":
        told = (job.error or {}).get("message", "")
        raise RequestError(422, f"the video {shown_id(job.id)} failed: {told}", code="video_failed")
    if not job.is_finished:
        fault = f"the video {shown_id(job.id)} is not finished ({job.status}); ask for it again later"
        raise RequestError(unfinished, fault, code="video_not_ready")
