"""The application: routes behind the door, errors in one form, the worker beside them."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lumos import __version__
from lumos.serve.door import Door
from lumos.serve.faults import RequestError, error_body, storage_fault
from lumos.serve.routes import images, page, server, videos, watching
from lumos.serve.serving import Serving

_LOG = logging.getLogger(__name__)


def create_app(serving: Serving, *, keys: Iterable[str] = (), hosts: Iterable[str] | None = None) -> FastAPI:
    """Return the application of a server; its worker begins and ends with it.

    Args:
        serving: the parts (`lumos.serve.serving.put_together`).
        keys: API keys, of which a client needs one; none: everybody may come in.
        hosts: names that the server goes by; None: any.
    """

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        serving.worker.start()
        try:
            yield
        finally:
            serving.close()

    app = FastAPI(title="lumos", version=__version__, docs_url=None, redoc_url=None, lifespan=alive)
    for part in (videos, watching, images, server, page):
        app.include_router(part.router_of(serving))
    app.add_exception_handler(RequestError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_a_query)
    app.add_exception_handler(WebSocketRequestValidationError, _of_a_query_of_a_socket)
    app.add_exception_handler(HTTPException, _of_starlette)
    app.add_exception_handler(ClientDisconnect, _of_one_who_went)
    for kind in (sqlite3.Error, OSError):
        app.add_exception_handler(kind, _of_storage)
    app.add_exception_handler(Exception, _unforeseen)
    most_bytes = serving.limits.most_upload_bytes
    app.add_middleware(Door, keys=list(keys), hosts=hosts, most_bytes=most_bytes, metrics=serving.metrics)
    return app


async def _of_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    return JSONResponse(error.body, error.status, headers=error.headers)


async def _of_a_query(request: Request, error: Exception) -> JSONResponse:
    """Answer a query or a path that is not of the kind it must be."""
    assert isinstance(error, RequestValidationError)
    return _said_of(error)


async def _of_a_query_of_a_socket(socket: WebSocket, error: Exception) -> None:
    """Answer the same in the place of a WebSocket."""
    assert isinstance(error, WebSocketRequestValidationError)
    await socket.send_denial_response(_said_of(error))


def _said_of(error: ValidationException) -> JSONResponse:
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return JSONResponse(error_body(400, f"{name}: {first['msg']}", param=name), 400)


async def _of_starlette(request: Request, error: Exception) -> JSONResponse:
    """Answer an address or a method that there is not."""
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path[:80]!a}"
    said = {404: f"there is no {asked}", 405: f"{asked} cannot be done"}.get(error.status_code, str(error.detail))
    return JSONResponse(error_body(error.status_code, said), error.status_code, headers=error.headers)


async def _of_one_who_went(request: Request, error: Exception) -> JSONResponse:
    """Answer a client that has gone in the middle of its request: nobody hears it, and it is no mistake of ours."""
    return JSONResponse(error_body(400, "the request was cut off"), 400)


async def _of_storage(request: Request, error: Exception) -> JSONResponse:
    """Answer what the disk or the store of jobs has against a request; another error is a mistake of ours."""
    fault = storage_fault(error)
    if fault is None:
        raise error
    _LOG.error("%s %a: %s", request.method, request.url.path[:80], error)
    return JSONResponse(fault.body, fault.status, headers=fault.headers)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """Answer a mistake of ours; the log has its traceback."""
    return JSONResponse(error_body(500, "the server made a mistake; its log says more"), 500)
