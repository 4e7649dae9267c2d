"""`hf://` through the hub's own client, against a hub on this machine: lists, media, folders of models, errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.xllmx.store.small_hub import small_hub
from xllmx.store import access
from xllmx.store.access import DeniedError, StoreError
from xllmx.store.address import Address
from xllmx.store.folder_copy import folder_copy
from xllmx.store.local_copy import default_copies, kept_copy

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


def test_a_folder_of_a_model_is_brought_whole(hub: Hub) -> None:
    copy = folder_copy(Address("hf", "org/tiny"), marks=["config.json"], what="a model")
    assert {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
        "config.json": b"{}",
        "deep/weights.bin": LARGE,
    }


def test_places_are_what_they_are_in_other_stores(hub: Hub) -> None:
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


def test_a_part_of_a_file_brings_no_more_than_that(hub: Hub) -> None:
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
