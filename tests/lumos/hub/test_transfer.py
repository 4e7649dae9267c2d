"""Whether a file that lies here is whole."""

from pathlib import Path

import pytest

from lumos.hub import transfer
from tests.lumos.hub.hub_server import SHARD


def with_header(header: bytes, *, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_header(b"[" * 100_000), "more than 64 levels"),
        (with_header(b"{}", length=2**63), "header cannot be read"),
        (with_header(b"{}", length=99), "header cannot be read"),
        (with_header(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b']}}'), "number of thousands of digits"),
        (with_header(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}') + b"12345", "its header says"),
        (with_header(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}') + b"1234", "header cannot"),
        (with_header(b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}') + b"1234", "header cannot"),
        (with_header(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}') + b"12345678", "gap at byte 0"),
        (with_header(b'{"a": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}}') + b"1234", "header cannot be read"),
        (with_header(b'{"a": 5}'), "header cannot be read"),
        (with_header(b'[1, 2]'), "header cannot be read"),
        (with_header(b'{"a": {}, "a": {}}'), "stands twice"),
        (b"", "header cannot be read"),
    ],
)  # fmt: skip
def test_a_hostile_header_of_safetensors_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        transfer.check_safetensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"), [(SHARD[:-5], "bytes where its header says"), (b"<html>", "no safetensors")]
)
def test_a_cut_safetensors_file_is_recognised_by_its_header(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(SHARD)
    transfer.check_safetensors(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        transfer.check_safetensors(path)


@pytest.mark.parametrize(
    "endpoint", ["not a url", "ftp://x", "http://", "http:\x2f/[::1", "http:\x2f/h:99999", "file:///etc"]
)
def test_an_address_that_is_none_is_said_with_the_variable(endpoint: str) -> None:
    with pytest.raises(transfer.TransferError, match="is no address of a hub; set HF_ENDPOINT"):
        transfer.open_snapshot("org/name", endpoint=endpoint)
