"""What is said of a copy names the address that people typed, and not a place in the cache."""

import logging
from pathlib import Path

import pytest

from xllmx.run.logs import logging_to
from xllmx.store.address import Address
from xllmx.store.folder_copy import folder_copy
from xllmx.store.local_copy import kept_copy
from xllmx.store.said import naming_addresses, with_addresses


def test_copies_of_files_and_of_folders_are_called_by_their_addresses(bucket: Address, tmp_path: Path) -> None:
    (bucket / "lists/a b.csv").write_bytes(b"x")
    (bucket / "model/deep/config.json").write_bytes(b"{}")
    file = kept_copy(bucket / "lists/a b.csv")
    folder = folder_copy(bucket / "model", marks=["config.json"], what="a model")
    text = f"{file}: no; {folder}/deep/config.json is not valid JSON; {tmp_path}/mine.csv"
    assert with_addresses(text) == (
        f"{bucket}/lists/a b.csv: no; {bucket}/model/deep/config.json is not valid JSON; {tmp_path}/mine.csv"
    )
    unknown = f"{file.parent}/{'0' * 40}.csv"
    assert with_addresses(unknown) == unknown


def test_errors_and_logs_are_told_so(bucket: Address, tmp_path: Path) -> None:
    (bucket / "a.csv").write_bytes(b"x")
    file = kept_copy(bucket / "a.csv")

    @naming_addresses()
    def read() -> None:
        raise ValueError(f"{file}: no CSV", 3)

    with pytest.raises(ValueError) as caught:
        read()
    assert caught.value.args == (f"{bucket}/a.csv: no CSV", 3)
    with logging_to(tmp_path / "run") as log:
        logging.getLogger("x").warning("%s is odd", file)
    assert log.read_text().endswith(f"WARNING x: {bucket}/a.csv is odd\n")
