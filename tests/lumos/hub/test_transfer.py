"""Addresses of hubs."""

import pytest

from lumos.hub import transfer


@pytest.mark.parametrize(
    "endpoint", ["not a url", "ftp://x", "http://", "HTTP://[::1", "http://localhost:99999", "file:///etc"]
)
def test_an_address_that_is_none_is_said_with_the_variable(endpoint: str) -> None:
    with pytest.raises(transfer.TransferError, match="is no address of a hub; set HF_ENDPOINT"):
        transfer.open_snapshot("org/name", endpoint=endpoint)
