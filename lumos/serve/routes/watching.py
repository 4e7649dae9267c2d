"""A video while it is made: `GET /v1/videos/{id}/events` (server-sent events), WebSocket `/v1/videos/{id}/stream`.

Over the WebSocket a frame comes as a text message that tells of it, and then as a binary one that is the picture.
"""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import anyio
from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from lumos.serve.faults import RequestError, storage_fault
from lumos.serve.routes.videos import find_job
from lumos.serve.serving import Serving
from lumos.serve.watching import require_seat, watch

_PLAIN = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""So that no proxy keeps events back."""
_PROTOCOL = "lumos"
"""The subprotocol that is chosen where a client offers it."""


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of those who watch."""
    router = APIRouter(prefix="/v1/videos", tags=["videos"])

    @router.get("/{video_id}/events")
    async def events(video_id: str, request: Request, first: int = 0) -> StreamingResponse:
        await run_in_threadpool(find_job, serving, video_id)
        begin = _after(request.headers.get("last-event-id"), first)
        require_seat(serving)

        async def lines() -> AsyncIterator[str]:
            async with aclosing(watch(serving, video_id, first=begin)) as messages:
                async for message in messages:
                    number = f"id: {message.content['index']}\n" if message.frame is not None else ""
                    yield f"{number}event: {message.type}\ndata: {json.dumps(message.as_json())}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream", headers=_PLAIN)

    @router.websocket("/{video_id}/stream")
    async def stream(socket: WebSocket, video_id: str, first: int = 0) -> None:
        try:
            await run_in_threadpool(find_job, serving, video_id)
            require_seat(serving)
        except (RequestError, sqlite3.Error) as error:
            fault = error if isinstance(error, RequestError) else storage_fault(error)
            assert fault is not None
            await socket.send_denial_response(JSONResponse(fault.body, fault.status, headers=fault.headers))
            return
        await socket.accept(_PROTOCOL if _PROTOCOL in socket.scope.get("subprotocols", ()) else None)
        send = partial(_send, serving, socket, video_id, first=max(0, first))
        await _until_either(send, partial(_until_gone, socket))

    return router


def _after(last_event_id: str | None, first: int) -> int:
    """Return the first frame that is wanted: the one after the last that a client has seen."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal():
        return int(last_event_id[:9]) + 1
    return max(0, first)


async def _send(serving: Serving, socket: WebSocket, video_id: str, *, first: int) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # whoever watched has gone in the middle of a message
        async with aclosing(watch(serving, video_id, first=first)) as messages:
            async for message in messages:
                await socket.send_text(json.dumps({"type": message.type, **message.content}))
                if message.frame is not None:
                    await socket.send_bytes(message.frame)
        await socket.close()


async def _until_gone(socket: WebSocket) -> None:
    """Return when the client has gone; what it says meanwhile is let be."""
    message: dict[str, Any] = {}
    while message.get("type") != "websocket.disconnect":
        message = dict(await socket.receive())


async def _until_either(work: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]) -> None:
    """Let both go on until one has ended, then end the other."""
    async with anyio.create_task_group() as group:

        async def last(one: Callable[[], Awaitable[None]]) -> None:
            await one()
            group.cancel_scope.cancel()

        group.start_soon(last, work)
        group.start_soon(last, other)
