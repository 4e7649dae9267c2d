"""What is said of a copy names the address that people typed, and not a place in the cache."""

import logging
from pathlib import Path

import pytest

from xllmx.run.reporting.logs import logging_to
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


def test_a_cache_that_is_named_from_the_working_directory_is_one_place_by_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    file = "cache/xllmx-store/folders/0123456789ab/s3/bucket/x"
    assert with_addresses(f"{file} and {tmp_path}/{file}") == "s3://bucket/x and s3://bucket/x"


def test_where_nobodys_home_is_known_what_is_said_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # a container's user, of whom no file tells
    with pytest.raises(RuntimeError):
        Path("~").expanduser()
    assert with_addresses("seed is -1") == "seed is -1"


def test_errors_and_logs_are_told_so(bucket: Address, tmp_path: Path) -> None:
    (bucket / "a.csv").write_bytes(b"x")
    file = kept_copy(bucket / "a.csv")

    @naming_addresses()
    def read() -> None:
        raise ValueError(f"{file}: no CSV", 3)

    with pytest.raises(ValueError) as caught:
        read()
    assert caught.value.args == (f"{bucket}/a.csv: no CSV", 3)
    with pytest.raises(FileNotFoundError) as absent, naming_addresses():
        Path(f"{file.parent}/folders/0123456789ab/s3/bucket/x").read_text()
    assert str(absent.value).endswith("No such file or directory: 's3://bucket/x'")
    with logging_to(tmp_path / "run") as log:
        logging.getLogger("x").warning("%s is odd", file)
    assert log.read_text().endswith(f"WARNING x: {bucket}/a.csv is odd\n")
