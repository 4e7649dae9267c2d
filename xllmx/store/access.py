"""Calls to an object store: tried again where that helps, and one clear error where it does not.

Who is asking is the business of the store's own client (environment, configuration files, the machine's role): nothing
here takes keys, and what a client says is repeated without any.
"""

import errno
import importlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import fsspec

_T = TypeVar("_T")

_NEEDS = {"s3": ("s3fs", "pip install s3fs"), "gs": ("gcsfs", "pip install gcsfs"), "hf": ("huggingface_hub", "")}
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"retries": {"mode": "standard", "max_attempts": 3}, "connect_timeout": 20}},
    "gs": {},
    "hf": {},
}
"""What a client is made with; lists of files are never kept, since other processes write too."""

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Before a call is made again that the store was too busy for."""

_BUSY = re.compile(
    r"SlowDown|Throttl|RequestLimitExceeded|TooManyRequests|Too Many Requests|ServiceUnavailable|InternalError|"
    r"reduce your request rate|RequestTimeout\b|\b(?:429|500|502|503|504)\b"
)
_DENIED = re.compile(r"AccessDenied|Forbidden|\b(?:401|403)\b|Access Denied")
_UNKNOWN = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|NoCredentials|Unable to locate credentials|"
    r"PartialCredentials|RefreshError|DefaultCredentials|TokenRefreshRequired"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist|RepositoryNotFound")
_NO_WAY = re.compile(r"EndpointConnection|ConnectionError|ConnectTimeout|ClientConnector|ConnectionClosed|Timeout")
_LOG_IN = "accept its conditions on its page, and log in with a token that may read it: hf auth login, or HF_TOKEN"
_WHO = {
    "s3": "give the credentials that its client takes, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "log in: gcloud auth application-default login, or let GOOGLE_APPLICATION_CREDENTIALS name a key",
    "hf": _LOG_IN,
}
_WHERE = {
    "s3": "AWS_ENDPOINT_URL, if it is not Amazon's",
    "gs": "STORAGE_EMULATOR_HOST, if it is not Google's",
    "hf": "HF_ENDPOINT, if it is not huggingface.co",
}
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN")
_LEAST_SECRET = 4


class StoreError(OSError, ValueError):
    """A store that cannot be asked, or does not do what is asked; says which place, why, and what to do."""


class DeniedError(StoreError):
    """The store knows who asks, and does not let this place be read or written."""


def file_system(scheme: str) -> Any:
    """Return fsspec's client of a kind of store; one a process.

    Raises:
        StoreError: what it needs is not installed.
    """
    module, remedy = _NEEDS[scheme]
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise StoreError(f"{scheme}:// needs {module}, which is not installed; run: {remedy}") from error
    return fsspec.filesystem(scheme, use_listings_cache=False, **_OPTIONS[scheme])


def tried(place: object, call: Callable[[], _T]) -> _T:
    """Return what a call gives; one that the store is too busy for is made again, after longer and longer waits.

    Raises:
        FileNotFoundError, FileExistsError: as on the disk.
        StoreError: anything else that the store or its client has against it; in one line, without keys.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return call()
        except (StoreError, FileExistsError):
            raise
        except Exception as error:
            if wait_s is not None and _is_busy(error):
                time.sleep(wait_s * random.uniform(0.5, 1.0))  # so that those who were refused do not return together
                continue
            raise _explained(place, error) from None  # what the client says may hold keys, and is not shown
    raise AssertionError


def is_there(call: Callable[[Callable[[Any], Any]], Any], work: Callable[[Any], Any]) -> Any:
    """Return what a call gives, None where there is no such thing."""
    try:
        return call(work)
    except FileNotFoundError:
        return None


def missing(place: object) -> FileNotFoundError:
    """The error of a place where there is nothing."""
    return FileNotFoundError(errno.ENOENT, "there is no such object", str(place))


def no_bucket(place: object) -> StoreError:
    """The error of a place whose bucket or repository is not there."""
    if str(place).startswith("hf://"):
        rule = f"correct its name, or, where it is private, {_LOG_IN.partition(', and ')[2]}"
        return StoreError(f"{place}: there is no such repository for who asks; {rule}")
    return StoreError(f"{place}: there is no such bucket; make it, or correct its name")


def without_keys(text: str) -> str:
    """Return a text in which addresses have no user names and keys: `s3://me:key@bucket/x` as `s3://bucket/x`."""
    return re.sub(r"://[^/\s@]*@", "://", text)


def _explained(place: object, error: Exception) -> Exception:
    said, kind = _said(error), str(place).partition("://")[0]
    kind = kind if kind in _WHO else "s3"
    if _UNKNOWN.search(said):
        return StoreError(f"{place}: the store does not know who asks, or no longer ({_short(error)}); {_WHO[kind]}")
    if _NO_BUCKET.search(said):
        return no_bucket(place)
    if isinstance(error, FileNotFoundError):
        return missing(place)
    if isinstance(error, PermissionError) or _DENIED.search(said):
        rule = _LOG_IN if kind == "hf" else "see to it that these credentials may list, read and write there"
        return DeniedError(f"{place}: the store denies it ({_short(error)}); {rule}")
    if _is_busy(error):
        rule = "run the same command again later, or with fewer processes"
        return StoreError(f"{place}: the store was too busy {len(WAITS_S) + 1} times ({_short(error)}); {rule}")
    if _NO_WAY.search(said):
        rule = f"check the network, and the address of the store ({_WHERE[kind]})"
        return StoreError(f"{place}: the store cannot be reached ({_short(error)}); {rule}")
    return StoreError(f"{place}: {_short(error)}; mend that and run the same command again")


def _is_busy(error: Exception) -> bool:
    codes = {errno.EBUSY, errno.EAGAIN}
    return (isinstance(error, OSError) and error.errno in codes) or bool(_BUSY.search(_codes(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _codes(error: Exception) -> str:
    """What the store says in the way of codes: of botocore's errors the code and the status, and the names of types."""
    words = []
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            said = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
            words += [str(said.get("Code", "")), str(status)]
        status = getattr(one, "status", None) or getattr(one, "code", None) or getattr(response, "status_code", None)
        words += [str(status)] if isinstance(status, int) else []
        words += [str(one)] if "reduce your request rate" in str(one) else []
    return " ".join(words)


def _said(error: Exception) -> str:
    return " ".join([_codes(error), *(f"{type(one).__name__} {one}" for one in _chain(error))])


def _short(error: Exception) -> str:
    """An error in one line of at most 200 characters, without anything that opens a door."""
    line = " ".join(str(error).split()) or type(error).__name__
    line = without_keys(line)
    for name in _SECRETS:
        if len(secret := os.environ.get(name, "")) >= _LEAST_SECRET:
            line = line.replace(secret, "***")
    line = re.sub(r"(?i)((?:signature|credential|token|key)[\w-]*=)[^&\s]+", r"\1***", line)
    return line[:200]
