"""Addresses as paths: what they mean, and what is found, read and written there."""

import pickle
from pathlib import Path, PurePosixPath

import pytest

from xllmx.store.access import StoreError
from xllmx.store.address import Address, is_address, location_of


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
