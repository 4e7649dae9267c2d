"""`/v1/images/generations`: images, made in the same queue and waited for; `/v1/images/{id}/content`."""

import base64
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from lumos.serve.faults import RequestError, no_such_job
from lumos.serve.requests.bodies import ImageBody, read_body
from lumos.serve.requests.idempotency import SentKey, sent_key
from lumos.serve.requests.turns import in_turn
from lumos.serve.routes.documented import takes
from lumos.serve.routes.videos import find_job
from lumos.serve.serving import Serving
from lumos.serve.storage import files
from lumos.serve.storage.jobs import Job, JobRequest

_LOG = logging.getLogger(__name__)
_LOOK_S = 1.0
"""Between two looks whether the client is still there."""
_STATUS: Mapping[str | None, int] = {"invalid_request": 400, "model_not_found": 404, "storage_error": 507}
"""Code of what made a job fail -> status of the answer; 500 for others."""


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])

    @router.post("/generations", openapi_extra=takes(ImageBody))
    async def generate(request: Request) -> dict[str, Any]:
        async with read_body(request) as fields:
            asked, form, key = await in_turn(_asked, serving, fields, request)
        jobs = await run_in_threadpool(serving.accept_images, asked, key=key)
        is_kept = key is not None  # whoever gave a key may ask again
        try:
            finished = [await _finished(serving, job, request) for job in jobs]
            data = [await run_in_threadpool(_datum, serving, job, form) for job in finished]
            is_kept = is_kept or form == "url"
            first = finished[0]
            size = f"{first.request.width}x{first.request.height}"
            return {"created": int(first.created_at), "data": data, "size": size, "output_format": "png"}
        finally:  # also where the client has gone: nobody else will ask for them
            if not is_kept:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(_forget, serving, jobs)

    @router.get("/{image_id}/content")
    def content(image_id: str) -> FileResponse:
        job = find_job(serving, image_id, kind="image")
        path = serving.files.of(job.id, files.IMAGE)
        if job.status != "completed" or not path.is_file():
            raise no_such_job(image_id, what="image")
        return FileResponse(path, media_type="image/png", filename=f"{job.id}.png")

    return router


def _asked(serving: Serving, fields: Mapping[str, Any], sent: Request) -> tuple[list[JobRequest], str, SentKey | None]:
    """Return a request an image, the form of the answer, and the key."""
    key = sent_key(sent, fields)
    return *serving.asker.image(fields), key


async def _finished(serving: Serving, job: Job, request: Request) -> Job:
    """Return the job once it is finished.

    Raises:
        RequestError: it failed, the client has gone, or the server ends.
    """
    with serving.feeds.watched(job.id) as feed:
        while True:
            version, is_closed = feed.version, feed.is_closed
            found = await run_in_threadpool(serving.store.get, job.id)
            if found is not None and found.status == "completed":
                return found
            if found is not None and found.status == "failed":
                error = found.error or {}
                code = error.get("code")
                raise RequestError(_STATUS.get(code, 500), error.get("message", ""), code=code)
            if found is None or is_closed or await request.is_disconnected():
                raise RequestError(503, "the image was not made: the server ends", retry_after_s=10)
            await feed.wait(version, patience_s=_LOOK_S)


def _datum(serving: Serving, job: Job, form: str) -> dict[str, Any]:
    about = {"seed": job.request.seed}
    if form == "url":
        return {"url": f"/v1/images/{job.id}/content", **about}
    try:
        content = serving.files.of(job.id, files.IMAGE).read_bytes()
    except FileNotFoundError:  # it has expired in this moment
        raise no_such_job(job.id, what="image") from None
    return {"b64_json": base64.b64encode(content).decode(), **about}


def _forget(serving: Serving, jobs: Sequence[Job]) -> None:
    """Delete the jobs; one that the store does not let go is made or expires, and takes no answer with it."""
    for job in jobs:
        try:
            serving.delete(serving.store.get(job.id) or job)
        except sqlite3.Error as error:
            _LOG.error("the image %s cannot be deleted now (%s); it will expire", job.id, error)
