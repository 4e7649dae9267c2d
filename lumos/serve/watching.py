"""A job as it is made, message by message, for those who watch: the same over server-sent events and a WebSocket.

video.queued        the video object, with its place in the queue; also now and then while nothing happens
video.progress      the video object, whenever its progress has risen
video.frame         {"index": 4, "num_frames": 24, "media_type": "image/webp", "frame": base64}
video.completed     the video object; the last message, as are
video.failed        the video object, with its error
video.deleted       {"id": ...}
"""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from lumos.serve.faults import RequestError
from lumos.serve.generation.feeds import Feed
from lumos.serve.generation.recording import FRAME_TYPE
from lumos.serve.serving import Serving

PATIENCE_S = 10.0
"""Without news, after which the state is said again: whoever has gone is found out then."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One of those above."""

    type: str
    content: dict[str, Any]
    frame: bytes | None = None
    """The encoded picture of a `video.frame`."""

    def as_json(self) -> dict[str, Any]:
        """Return the whole message, a frame as base64."""
        held = {} if self.frame is None else {"frame": base64.b64encode(self.frame).decode()}
        return {"type": self.type, **self.content, **held}


async def watch(serving: Serving, job_id: str, *, first: int = 0) -> AsyncGenerator[Message]:
    """Yield the messages of a job until it is finished; of its frames those from `first` on."""
    with serving.metrics.viewing(), serving.feeds.watched(job_id) as feed:
        async with aclosing(_messages(serving, job_id, feed=feed, first=first)) as messages:
            async for message in messages:
                yield message


async def _messages(serving: Serving, job_id: str, *, feed: Feed, first: int) -> AsyncGenerator[Message]:
    cursor, said = first, -1
    while True:
        version, is_closed = feed.version, feed.is_closed
        job = await run_in_threadpool(serving.store.get, job_id)
        for frame in feed.frames_from(cursor):
            about = {"id": job_id, "index": cursor, "media_type": FRAME_TYPE}
            total = {} if job is None else {"num_frames": job.request.num_frames - job.request.num_before}
            yield Message(type="video.frame", content={**about, **total}, frame=frame)
            cursor += 1
        if job is None:
            yield Message(type="video.deleted", content={"id": job_id})
            return
        shown = serving.shown(job)
        if job.is_finished:
            yield Message(type=f"video.{job.status}", content=shown)
            return
        if is_closed:  # the server ends, and the job waits for its next start
            yield Message(type="video.queued", content=shown)
            return
        if job.status == "queued" or shown["progress"] != said:
            said = shown["progress"]
            yield Message(type="video.queued" if job.status == "queued" else "video.progress", content=shown)
        if not await feed.wait(version, patience_s=PATIENCE_S):
            said = -1


def require_seat(serving: Serving) -> None:
    """Check that one more may watch.

    Raises:
        RequestError: there are as many as may be.
    """
    if serving.metrics.num_viewers >= serving.limits.most_viewers:
        raise RequestError(429, "too many connections watch already", code="too_many_viewers", retry_after_s=10)
