"""What a store has against a call: tried again, or one clear error without keys."""

import errno
import sys
from collections.abc import Iterator

import pytest

from xllmx.store import access
from xllmx.store.access import DeniedError, StoreError, tried
from xllmx.store.address import Address

PLACE = Address("s3", "b/x")


class ClientError(Exception):
    """As botocore has it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"An error occurred ({code}) when calling the PutObject operation: no")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class EndpointConnectionError(Exception):
    """As botocore has it."""


def translated(code: str, status: int) -> PermissionError:
    """As s3fs hands on what botocore has."""
    error = PermissionError(errno.EACCES, "no")
    error.__cause__ = ClientError(code, status)
    return error


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(access.time, "sleep", found.append)
    return found


def raising(errors: list[Exception]) -> Iterator[Exception]:
    yield from errors


@pytest.mark.parametrize("error", [ClientError("SlowDown", 503), ClientError("", 429), OSError(errno.EBUSY, "busy")])
def test_a_store_that_is_busy_is_asked_again_after_longer_waits(error: Exception, waits: list[float]) -> None:
    errors = raising([error] * 4)

    def call() -> str:
        if (found := next(errors, None)) is not None:
            raise found
        return "answer"

    assert tried(PLACE, call) == "answer"
    assert len(waits) == 4
    assert all(half <= wait <= 2 * half for half, wait in zip((0.5, 1, 2, 4), waits, strict=True))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ClientError("SlowDown", 503), StoreError, "too busy 7 times .*run the same command again later"),
        (translated("AccessDenied", 403), DeniedError, "denies it .*these credentials may list, read and write there"),
        (translated("ExpiredToken", 400), StoreError, "does not know who asks, or no longer .*; give the credentials"),
        (
            EndpointConnectionError("http://localhost:9"),
            StoreError,
            r"cannot be reached .*check the network, .*AWS_ENDPOINT_URL",
        ),
        (RuntimeError("what\nnow"), StoreError, r"s3://b/x: what now; mend that"),
    ],
)
def test_each_fault_is_one_line_with_a_remedy(error: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        tried(PLACE, lambda: (_ for _ in ()).throw(error))
    assert type(caught.value) is kind
    assert str(caught.value).startswith("s3://b/x: ")
    assert "\n" not in str(caught.value)


def test_an_error_repeats_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    said = "for wJalrXUtnFEMI at https:" + "//me:pass@localhost/x?X-Amz-Signature=abc&X-Amz-Credential=def"
    with pytest.raises(StoreError) as caught:
        tried(PLACE, lambda: (_ for _ in ()).throw(RuntimeError(said)))
    told = f"{caught.value} {caught.value.__cause__} {caught.value.__suppress_context__}"
    assert not any(secret in told for secret in ("wJalr", "pass", "abc", "def"))
    assert caught.value.__suppress_context__


def test_a_client_that_is_not_installed_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StoreError, match="gs:// needs gcsfs, which is not installed; run: pip install gcsfs"):
        Address("gs", "b/x").exists()


@pytest.mark.slow
def test_an_endpoint_that_is_not_there_is_one_clear_error(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    access.file_system("s3").clear_instance_cache()
    with pytest.raises(StoreError, match=r"cannot be reached .*127.0.0.1:9.*check the network") as caught:
        (bucket / "x").read_bytes()
    assert "a-secret-of-the-tests" not in str(caught.value)
    access.file_system("s3").clear_instance_cache()
