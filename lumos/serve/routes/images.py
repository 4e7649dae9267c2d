"""`/v1/images/generations`: images, made in the same queue and waited for; `/v1/images/{id}/content`."""

import base64
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from lumos.serve import files
from lumos.serve.bodies import ImageBody, read_body
from lumos.serve.faults import RequestError, no_such_job
from lumos.serve.feeds import Feed
from lumos.serve.jobs import Job, JobRequest
from lumos.serve.routes.documented import takes
from lumos.serve.routes.videos import find_job
from lumos.serve.serving import Serving
from lumos.serve.turns import in_turn

_LOOK_S = 1.0
"""Between two looks whether the client is still there."""


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])

    @router.post("/generations", openapi_extra=takes(ImageBody))
    async def generate(request: Request) -> dict[str, Any]:
        async with read_body(request) as fields:
            asked, form = await in_turn(serving.asker.image, fields)
        jobs = await run_in_threadpool(_accept_all, serving, asked)
        finished: list[Job] = []
        try:
            for job in jobs:
                with serving.feeds.watched(job.id) as feed:
                    finished.append(await _finished(serving, job, request, feed=feed))
            return {
                "created": int(finished[0].created_at),
                "data": [await run_in_threadpool(_datum, serving, job, form) for job in finished],
                "size": f"{asked[0].width}x{asked[0].height}",
                "output_format": "png",
            }
        finally:  # also where the client has gone: nobody else will ask for them
            for job in jobs if form == "b64_json" or len(finished) < len(jobs) else ():
                serving.delete(serving.store.get(job.id) or job)

    @router.get("/{image_id}/content")
    def content(image_id: str) -> FileResponse:
        job = find_job(serving, image_id, kind="image")
        path = serving.files.of(job.id, files.IMAGE)
        if job.status != "completed" or not path.is_file():
            raise no_such_job(image_id, what="image")
        return FileResponse(path, media_type="image/png", filename=f"{job.id}.png")

    return router


def _accept_all(serving: Serving, asked: list[JobRequest]) -> list[Job]:
    """Return a job for each; all of them or none."""
    jobs: list[Job] = []
    try:
        for request in asked:
            jobs.append(serving.accept("image", request))
    except RequestError:
        for job in jobs:
            serving.delete(job)
        raise
    return jobs


async def _finished(serving: Serving, job: Job, request: Request, *, feed: Feed) -> Job:
    """Return the job once it is finished.

    Raises:
        RequestError: it failed, the client has gone, or the server ends.
    """
    while True:
        version, is_closed = feed.version, feed.is_closed
        found = await run_in_threadpool(serving.store.get, job.id)
        if found is not None and found.status == "completed":
            return found
        if found is not None and found.status == "failed":
            error = found.error or {}
            status = 400 if error.get("code") == "invalid_request" else 500
            raise RequestError(status, error.get("message", ""), code=error.get("code"))
        if found is None or is_closed or await request.is_disconnected():
            raise RequestError(503, "the image was not made: the server ends", retry_after_s=10)
        await feed.wait(version, patience_s=_LOOK_S)


def _datum(serving: Serving, job: Job, form: str) -> dict[str, Any]:
    about = {"seed": job.request.seed}
    if form == "url":
        return {"url": f"/v1/images/{job.id}/content", **about}
    content = serving.files.of(job.id, files.IMAGE).read_bytes()
    return {"b64_json": base64.b64encode(content).decode(), **about}
