"""What a client is told when a request cannot be done: a status and one sentence, in the form of OpenAI's errors.

{"error": {"message": "seconds is 0; ...", "type": "invalid_request_error", "param": "seconds", "code": null}}
"""

import errno
import sqlite3
from collections.abc import Mapping
from typing import Any

_TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


_DISK_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}
_AGAIN_S = 5


class RequestError(Exception):
    """A request that is refused; the message is for the client, and names nothing of the server's disk."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    @property
    def body(self) -> dict[str, Any]:
        """What is answered."""
        return error_body(self.status, self.message, param=self.param, code=self.code)


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    usual = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": _TYPES.get(status, usual), "param": param, "code": code}}


def storage_fault(error: Exception) -> RequestError | None:
    """Return what is said where the disk or the store of jobs takes nothing; None for an error that is not theirs.

    507: it is full, may not be written to, or is broken; 503: it is in use, or too many files are open.
    """
    if isinstance(error, sqlite3.Error):
        number = getattr(error, "sqlite_errorcode", None)  # none: the store was closed
        is_busy = number is None or number & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        reason = str(error) if number is not None else "the server is ending"
    elif isinstance(error, OSError) and error.errno in _DISK_REFUSES | _TOO_MANY_FILES:
        is_busy = error.errno in _TOO_MANY_FILES
        reason = error.strerror or type(error).__name__
    else:
        return None
    if is_busy:
        fault = f"the server cannot get at its disk now ({reason}); send the request again"
        return RequestError(503, fault, code="storage_busy", retry_after_s=_AGAIN_S)
    return RequestError(507, f"the server's disk takes nothing ({reason})", code="storage_error")


def is_full(error: sqlite3.Error) -> bool:
    """Whether the store found no room, or an error of the disk that may be that."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def no_such_job(job_id: str, *, what: str = "video") -> RequestError:
    """Return the fault of an id that is not there, was deleted, or has expired."""
    return RequestError(404, f"there is no {what} {shown_id(job_id)}; it may have expired", code=f"{what}_not_found")


def shown_id(job_id: str) -> str:
    """Return what a client gave as an id, short and on one line."""
    return ascii(job_id if len(job_id) <= 60 else f"{job_id[:60]}...")
