"""`gs://` through gcsfs, against a store on this machine: what is written is read, and one process holds a lease."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.xllmx.store.small_gcs import small_gcs
from xllmx.run.lock import HeldError
from xllmx.store import access, lease
from xllmx.store.access import StoreError
from xllmx.store.address import Address
from xllmx.store.lease import leased


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setenv(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # it asks over gRPC, which this store does not know
    pytest.importorskip("gcsfs")
    with small_gcs() as address:
        monkeypatch.setitem(access._OPTIONS, "gs", {"token": "anon", "endpoint_url": address})
        yield Address("gs", "bucket")


def test_what_is_written_is_found_and_read(store: Address, tmp_path: Path) -> None:
    folder = store / "data"
    assert (folder.exists(), folder.glob("*")) == (False, [])
    (folder / "deep/a.txt").write_bytes(b"one")
    (tmp_path / "c").write_bytes(b"three")
    (folder / "c").put(tmp_path / "c")
    assert folder.glob("*") == [folder / "c", folder / "deep"]
    assert folder.rglob("*.txt") == [folder / "deep/a.txt"]
    assert [(one.is_file(), one.is_dir()) for one in (folder / "c", folder, folder / "no")] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    (folder / "c").get(tmp_path / "d")
    assert ((tmp_path / "d").read_bytes(), (folder / "c").read_part(1, 4)) == (b"three", b"hre")
    (folder / "c").unlink()
    with pytest.raises(FileNotFoundError, match="there is no such object"):
        (folder / "c").read_bytes()
    with pytest.raises(StoreError, match=r"gs://other/x: there is no such bucket; make it, or correct its name"):
        Address("gs", "other/x").write_bytes(b"")


def test_one_process_at_a_time_holds_a_lease(store: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    (store / ".lock").write_bytes(json.dumps({"process": 4711, "host": "node3", "since": "then"}).encode())
    with pytest.raises(HeldError, match="process 4711 on node3"), leased(store / ".lock", what="", remedy=""):
        pass
    monkeypatch.setattr(lease, "OLD_S", -1.0)
    with leased(store / ".lock", what="", remedy=""):
        assert json.loads((store / ".lock").read_bytes())["process"] != 4711
    assert not (store / ".lock").exists()
