"""A set of many shards is opened without opening one; an index that is not true is named, with what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import CLIPS, ClipShards, write_shard
from lumos.lumos1.sequence import Clip
from lumos.media.shards import parquet_rows
from lumos.media.shards.known_shards import SHAPES_NAME
from lumos.media.shards.parquet_rows import write_rows_index
from lumos.tokenizer.vocab import Vocab
from xllmx.store.address import Address
from xllmx.store.local_copy import default_copies


def clip(number: int) -> Clip:
    codes = np.full((1 + number % 3, 4, 6), number, dtype=np.uint16)
    prompt = np.full(5 + number, Vocab().bos, dtype=np.int32)
    return Clip(prompt_ids=prompt, caption=f"{number}", codes=codes, fps=12, duration=2, source=f"{number}.mp4")


def written(folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seven clips in four shards, which count as many; returns their folder."""
    monkeypatch.setattr(parquet_rows, "MANY_SHARDS", 3)
    files = [folder / f"{name}.parquet" for name in "abcd"]
    for place, file in enumerate(files):
        write_shard(file, [clip(number) for number in range(2 * place, min(2 * place + 2, 7))])
    assert write_rows_index(folder / "index.json", files, form=CLIPS) == 7
    return folder


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return written(tmp_path, monkeypatch)


def test_a_set_in_a_store_is_known_by_its_index_too(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = ClipDataset(str(written(bucket / "set", monkeypatch)))
    assert (len(clips), clips[5].caption) == (7, "5")
    assert len(list(default_copies().folder.glob("*.parquet"))) == 1
    assert len(list(default_copies().folder.glob("*.npz"))) == 1


def test_no_shard_is_opened_before_it_is_read(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = parquet_rows._opened
    monkeypatch.setattr(
        parquet_rows, "_opened", lambda path, *a, **k: opened.append(path.name) or original(path, *a, **k)
    )
    clips = ClipDataset(many)
    assert (len(clips), opened) == (7, [])
    assert clips[4].caption == "4"
    assert opened == ["c.parquet"]
    assert clips.shard_starts.tolist() == [0, 2, 4, 6, 7]


def test_what_is_known_is_what_the_shards_say(many: Path) -> None:
    clips, shards = ClipDataset(many), ClipShards(sorted(many.glob("*.parquet")))
    assert np.array_equal(clips.shapes, shards.shapes)
    assert clips.lengths == shards.lengths
    assert [clips[number].caption for number in range(7)] == [str(number) for number in range(7)]


def said(many: Path, **changed: object) -> None:
    index = json.loads((many / "index.json").read_text()) | changed
    (many / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("longer", r"c\.parquet: has \d+ bytes, but .*index\.json says \d+; write the index again"),
        ("gone", r"c\.parquet: .*index\.json lists it, and No such file.*; bring it back, or write the index again"),
        ("total", r"index\.json says 8 clips, its shards 7 together, and shapes\.npz has 7; write the index again"),
        ("counts", r"index\.json says 7 clips, its shards 8 together, and shapes\.npz has 7; write the index again"),
        ("shapes", r"shapes\.npz is no \.npz"),
        ("columns", r"shapes\.npz: holds no shapes of 6 numbers, or numbers clips past them; write the index again"),
        ("no shapes", r"shapes\.npz: holds no shapes of 6 numbers, or numbers clips past them; write the index again"),
        ("negative", r"shapes\.npz: holds a shape with -1, and none can be less than 0; write the index again"),
        ("decoded", r"index\.json says of a\.parquet num_decoded 1000000000000 and psnr_db 30\.0, which cannot be"),
        ("elsewhere", r"its shapes are in '\.\./x', and have to be in shapes\.npz; write the index again"),
    ],
)
def test_an_index_that_is_not_true_is_named(many: Path, damage: str, message: str) -> None:
    shards = json.loads((many / "index.json").read_text())["shards"]
    if damage == "longer":
        write_shard(many / "c.parquet", [clip(number) for number in range(3)])
    elif damage == "gone":
        (many / "c.parquet").unlink()
    elif damage == "total":
        said(many, num_clips=8)
    elif damage == "counts":
        said(many, shards=[{**shards[0], "num_clips": 3}, *shards[1:]])
    elif damage == "shapes":
        (many / SHAPES_NAME).write_bytes(b"PK")
    elif damage == "columns":
        np.savez(many / SHAPES_NAME, rows=np.ones((1, 6), np.int64), which=np.ones(7, np.uint16))
    elif damage == "no shapes":
        np.savez(many / SHAPES_NAME, rows=np.ones((0, 6), np.int64), which=np.zeros(7, np.uint16))
    elif damage == "negative":
        np.savez(many / SHAPES_NAME, rows=np.full((1, 6), -1), which=np.zeros(7, np.uint16))
    elif damage == "decoded":
        said(many, shards=[{**shards[0], "num_decoded": 10**12, "psnr_db": 30.0}, *shards[1:]])
    else:
        said(many, shapes="../x")
    with pytest.raises(ValueError, match=message):
        ClipDataset(many)


def test_counts_that_only_the_shard_itself_belies_are_named_when_it_is_read(many: Path) -> None:
    shards = json.loads((many / "index.json").read_text())["shards"]
    said(many, shards=[{**shards[0], "num_clips": 1}, {**shards[1], "num_clips": 3}, *shards[2:]])
    clips = ClipDataset(many)
    with pytest.raises(ValueError, match=r"b\.parquet: holds 2 clips, but its index says 3; write the index again"):
        clips[1]
