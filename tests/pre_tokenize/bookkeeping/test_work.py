"""A pre-tokenisation whose list, media and output lie in a store: the same shards, and nothing lost or doubled."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumos.lumos1.data.clips import ClipDataset
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record
from xllmx.store.access import StoreError
from xllmx.store.address import Address
from xllmx.store.lease import place_here

Command = Callable[..., list[str]]


def sent(folder: Path, place: Address) -> None:
    for file in folder.iterdir():
        (place / file.name).put(file)


def contents(place: Address | Path) -> dict[str, bytes]:
    """Every shard and index below a place."""
    found = [*place.rglob("rows-*.parquet"), *place.rglob("index.json")]
    return {one.relative_to(place).as_posix(): one.read_bytes() for one in found}  # type: ignore[arg-type]


def test_list_media_and_output_in_a_store_give_the_same_set(
    images: Any, tmp_path: Path, bucket: Address, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(images.file.parent, bucket / "in")
    assert program.main(command(images.file, tmp_path / "out", modality="image")) == 0
    assert concat_record.main(["--output_dir", str(tmp_path / "out")]) == 0
    remote = command(bucket / "in" / "images.csv", bucket / "out", modality="image")
    assert program.main(remote) == 0
    assert concat_record.main(["--output_dir", str(bucket / "out")]) == 0
    there, here = contents(bucket / "out"), contents(tmp_path / "out")
    bad = "1-in-1/0-of-1/rows-000000004-000000006.parquet"  # says where the file lies that cannot be read
    assert there.keys() == here.keys()
    assert {name for name in here if there[name] != here[name]} == {bad}
    (skipped,) = json.loads((bucket / "out/report.json").read_text())["skipped_items"]
    assert skipped["detail"] == "cannot identify image file 'text.png'"
    assert not (bucket / "out/1-in-1/0-of-1/.lock").exists()
    ours, stored = ClipDataset(tmp_path / "out"), ClipDataset(str(bucket / "out"))
    assert (len(stored), stored.lengths) == (len(images.kept), ours.lengths)
    for one, other in zip(ours, stored, strict=True):
        assert (one.caption, one.source) == (other.caption, other.source)
        np.testing.assert_array_equal(one.codes, other.codes)
    capsys.readouterr()
    again = {one: one.info()["LastModified"] for one in (bucket / "out").rglob("rows-*.parquet")}
    assert program.main(remote) == 0
    assert {one: one.info()["LastModified"] for one in again} == again
    assert "secret" not in (bucket / "out/report.json").read_text() + capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_process_loses_and_doubles_nothing_in_a_store(
    images: Any, tmp_path: Path, bucket: Address, command: Command, start: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    assert program.main(command(images.file, tmp_path / "out", modality="image")) == 0
    arguments = command(images.file, bucket / "out", modality="image")
    process = start(arguments)
    deadline = time.monotonic() + 200
    while not (bucket / "out").rglob("rows-*.parquet") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    begun = contents(bucket / "out")
    assert begun
    assert program.main(arguments) == 0
    assert contents(bucket / "out") == contents(tmp_path / "out")
    assert begun.items() <= contents(bucket / "out").items()


def test_a_folder_of_a_store_at_which_another_works_is_one_error(
    images: Any, bucket: Address, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = bucket / "out/1-in-1/0-of-1/.lock"
    lock.write_bytes(json.dumps({"process": 1, "host": "here", "since": "now", "place": place_here()}).encode())
    assert program.main(command(images.file, bucket / "out", modality="image")) == 2
    assert "0-of-1 is filled by another process (process 1 on here, since now)" in capsys.readouterr().err
    assert [one.name for one in (bucket / "out").rglob("*")] == [".lock"]


def test_a_store_that_fails_stops_the_work_and_skips_no_row(
    images: Any, bucket: Address, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(images.file.parent, bucket / "in")
    get = Address.get

    def failing(self: Address, file: Path) -> None:
        if self.name == "3.png":
            raise StoreError(f"{self}: the store cannot be reached (no); check the network")
        get(self, file)

    monkeypatch.setattr(Address, "get", failing)
    arguments = command(bucket / "in" / "images.csv", bucket / "out", modality="image")
    assert program.main(arguments) == 2
    assert "3.png: the store cannot be reached (no); check the network" in capsys.readouterr().err
    monkeypatch.undo()


def test_an_output_in_a_bucket_that_is_not_there_is_one_error(
    images: Any, bucket: Address, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(command(images.file, Address("s3", "no-such-bucket/out"), modality="image")) == 2
    told = capsys.readouterr().err
    assert "--output_dir: s3://no-such-bucket/out/1-in-1/0-of-1/.lock: there is no such bucket; make it" in told
    assert len(told.strip().splitlines()) == 1
