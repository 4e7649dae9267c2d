"""Whether a file that lies here is whole."""

from pathlib import Path

import pytest

from lumos.hub import transfer
from tests.lumos.hub.hub_server import SHARD


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
