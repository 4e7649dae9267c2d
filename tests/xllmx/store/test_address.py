"""Addresses as paths: what they mean, and what is found, read and written there: in S3, on the hub, at Google."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from tests.xllmx.store.small_gcs import small_gcs
from tests.xllmx.store.small_hub import small_hub
from xllmx.run.lock import HeldError
from xllmx.store import access, lease
from xllmx.store.access import DeniedError, StoreError
from xllmx.store.address import Address, is_address, location_of
from xllmx.store.folder_copy import folder_copy
from xllmx.store.lease import leased
from xllmx.store.local_copy import default_copies, kept_copy


def test_what_is_named_is_an_address_or_a_path() -> None:
    assert location_of("s3://b/data/x.csv") == location_of(Path("s3://b/data/x.csv")) == Address("s3", "b/data/x.csv")
    assert location_of("hf://datasets/org/name/") == Address("hf", "datasets/org/name")
    assert location_of("file:///data/x.csv") == Path("/data/x.csv")
    for name in ("12:30:05.mp4", "http" + "://169.254.169.254/x", "s3:x", "/data/s3://x", "C://x"):
        assert location_of(name) == Path(name)
        assert not is_address(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://", "no address of a file or folder"),
        ("s3://b/../c", "without . and .."),
        ("s3://b//c", "names with one / between them"),
        ("s3://b/x\ny", "no address of a file"),
        ("file://host/x", "file:// is followed by a whole path"),
    ],
)
def test_what_is_no_address_is_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        location_of(text)


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="has a user name or keys in it; leave them out") as caught:
        location_of("s3://me:hidden@b/x")
    assert "hidden" not in str(caught.value)


def test_parts_are_those_of_a_path() -> None:
    one = Address("s3", "b/data") / "0-of-2" / "rows.parquet"
    assert (str(one), one.name, one.stem, one.suffix) == (
        "s3://b/data/0-of-2/rows.parquet",
        "rows.parquet",
        "rows",
        ".parquet",
    )
    assert (one.parent.parent, one.with_name("x")) == (Address("s3", "b/data"), Address("s3", "b/data/0-of-2/x"))
    assert one.relative_to(Address("s3", "b/data")) == PurePosixPath("0-of-2/rows.parquet")
    assert not Address("s3", "b/database").is_relative_to(Address("s3", "b/data"))
    with pytest.raises(ValueError, match="does not lie in"):
        one.relative_to(Address("gs", "b/data"))
    assert pickle.loads(pickle.dumps(one)) == one


def test_what_is_written_is_found_and_read(bucket: Address, tmp_path: Path) -> None:
    folder = bucket / "data"
    assert not folder.exists()
    assert folder.glob("*") == []
    (folder / "a.txt").write_bytes(b"one")
    (folder / "deep" / "b.txt").write_bytes(b"two")
    (tmp_path / "c").write_bytes(b"three")
    (folder / "c.bin").put(tmp_path / "c")
    assert folder.glob("*") == [folder / "a.txt", folder / "c.bin", folder / "deep"]
    assert folder.rglob("*.txt") == [folder / "a.txt", folder / "deep" / "b.txt"]
    assert [(one.is_file(), one.is_dir()) for one in folder.glob("*")] == [(True, False), (True, False), (False, True)]
    with (folder / "c.bin").open() as file:
        file.seek(2)
        assert file.read(2) == b"re"
    (folder / "c.bin").get(tmp_path / "d")
    assert (tmp_path / "d").read_text() == (folder / "c.bin").read_text() == "three"
    (folder / "a.txt").unlink()
    (folder / "a.txt").unlink(missing_ok=True)
    for call in (folder.read_bytes, (folder / "a.txt").unlink, (folder / "a.txt").info):
        with pytest.raises(FileNotFoundError, match="there is no such object"):
            call()


def test_what_has_to_be_new_is_written_once(bucket: Address) -> None:
    (bucket / "x").write_bytes(b"one", new=True)
    with pytest.raises(FileExistsError):
        (bucket / "x").write_bytes(b"two", new=True)
    assert (bucket / "x").read_bytes() == b"one"


def test_a_bucket_that_is_not_there_is_named(bucket: Address) -> None:
    with pytest.raises(
        StoreError, match="s3://no-such-bucket/x: there is no such bucket; make it, or correct its name"
    ):
        Address("s3", "no-such-bucket/x").write_bytes(b"")


def test_a_store_that_is_only_read_refuses_to_be_written() -> None:
    with pytest.raises(StoreError, match="hf:// is only read here"):
        Address("hf", "datasets/org/name/x").write_bytes(b"")


# --- the hub


LARGE = bytes(range(256)) * 4000
FILES = {
    "models/org/tiny/config.json": b"{}",
    "models/org/tiny/deep/weights.bin": LARGE,
    "datasets/org/clips/lists/a.csv": b"path,text\nx.mp4,a\n",
    "datasets/org/clips/lists/x.mp4": b"a video",
}


class Hub(NamedTuple):
    faults: list[int]
    sent: list[int]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    default_copies.cache_clear()
    monkeypatch.setattr(access, "WAITS_S", (0.0,))
    told = Hub([], [])
    with small_hub(FILES, faults=told.faults, sent=told.sent) as address:
        monkeypatch.setitem(access._OPTIONS, "hf", {"endpoint": address})
        yield told


def test_a_folder_of_the_hub_is_brought_whole(hub: Hub) -> None:
    copy = folder_copy(Address("hf", "org/tiny"), marks=["config.json"], what="a model")
    assert {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
        "config.json": b"{}",
        "deep/weights.bin": LARGE,
    }


def test_places_of_the_hub_are_what_they_are_in_other_stores(hub: Hub) -> None:
    lists = Address("hf", "datasets/org/clips/lists")
    assert lists.glob("*.csv") == [lists / "a.csv"]
    assert (lists.is_dir(), lists.is_file(), (lists / "a.csv").is_file(), (lists / "b.csv").exists()) == (
        True,
        False,
        True,
        False,
    )
    assert kept_copy(lists / "a.csv").read_bytes() == FILES["datasets/org/clips/lists/a.csv"]
    with pytest.raises(FileNotFoundError, match="there is no such object"):
        (lists / "b.csv").read_bytes()


def test_a_part_of_a_file_of_the_hub_brings_no_more_than_that(hub: Hub) -> None:
    assert Address("hf", "org/tiny/deep/weights.bin").read_part(257, 300_000) == LARGE[257:300_000]
    assert hub.sent == [300_000 - 257]


def test_what_the_hub_has_against_it_is_said_with_what_to_do_there(hub: Hub) -> None:
    hub.faults.append(403)
    with pytest.raises(DeniedError, match=r"hf://org/tiny/config.json: the store denies it .*hf auth login"):
        Address("hf", "org/tiny/config.json").read_bytes()
    with pytest.raises(
        StoreError, match=r"hf://org/none/x: there is no such repository for who asks; correct its name"
    ):
        Address("hf", "org/none/x").info()


# --- Google


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setenv(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # it asks over gRPC, which this store does not know
    pytest.importorskip("gcsfs")
    with small_gcs() as address:
        monkeypatch.setitem(access._OPTIONS, "gs", {"token": "anon", "endpoint_url": address})
        yield Address("gs", "bucket")


def test_what_google_is_given_is_found_and_read(google: Address, tmp_path: Path) -> None:
    folder = google / "data"
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


def test_one_process_at_a_time_holds_a_lease_of_google(google: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    (google / ".lock").write_bytes(json.dumps({"process": 4711, "host": "node3", "since": "then"}).encode())
    with pytest.raises(HeldError, match="process 4711 on node3"), leased(google / ".lock", what="", remedy=""):
        pass
    monkeypatch.setattr(lease, "OLD_S", -1.0)
    with leased(google / ".lock", what="", remedy=""):
        assert json.loads((google / ".lock").read_bytes())["process"] != 4711
    assert not (google / ".lock").exists()
