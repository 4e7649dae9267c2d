"""What a client is told when a request cannot be done: a status and one sentence, in the form of OpenAI's errors.

{"error": {"message": "seconds is 0; ...", "type": "invalid_request_error", "param": "seconds", "code": null}}
"""

from collections.abc import Mapping
from typing import Any

_TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


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


def no_such_job(job_id: str, *, what: str = "video") -> RequestError:
    """Return the fault of an id that is not there, was deleted, or has expired."""
    return RequestError(404, f"there is no {what} {shown_id(job_id)}; it may have expired", code=f"{what}_not_found")


def shown_id(job_id: str) -> str:
    """Return what a client gave as an id, short and on one line."""
    return ascii(job_id if len(job_id) <= 60 else f"{job_id[:60]}...")
