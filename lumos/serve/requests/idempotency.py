"""`Idempotency-Key`: a request that is sent twice under it, byte for byte the same in what it asks, is one job."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from lumos.serve.faults import RequestError
from lumos.serve.requests.uploads import is_file

_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class SentKey:
    """What a client names a request by, and what it sent under that name."""

    text: str
    digest: str
    """Of the address, the fields and the files."""


def sent_key(request: Request, fields: Mapping[str, Any]) -> SentKey | None:
    """Return the key of a request with these fields, its files read; None where it has none.

    Raises:
        RequestError: it is empty, too long, or has characters that are none.
    """
    text = request.headers.get("idempotency-key")
    if text is None:
        return None
    if not (0 < len(text) <= _LONGEST and text.isprintable()):
        raise RequestError(400, f"Idempotency-Key must have 1 to {_LONGEST} printable characters")
    asked = json.dumps([request.url.path, fields], sort_keys=True, default=_of_file)
    return SentKey(text=text, digest=hashlib.sha256(asked.encode()).hexdigest())


def _of_file(value: Any) -> str:
    """Return the digest of a file that was uploaded, which is read from its beginning once more later."""
    assert is_file(value)
    found = hashlib.file_digest(value.file, "sha256").hexdigest()
    value.file.seek(0)
    return found
