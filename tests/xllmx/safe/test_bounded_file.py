"""A file is read; a device, a folder and what is too large are refused before a byte of them is."""

from pathlib import Path

import pytest

from xllmx.safe.bounded_file import read_bounded


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_bounded(path, most_bytes=3) == b"abc"
    with pytest.raises(ValueError, match="it has 3 bytes where at most 2 are read"):
        read_bounded(path, most_bytes=2)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="a folder, a pipe or a device"):
            read_bounded(path, most_bytes=10**9)
