"""Shards that say, or make of a few bytes, more than clips can be: each is one error, and takes no memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumos.lumina_video.data.shards import LATENTS, LatentShards
from lumos.lumos1.data.shards import CLIPS, ClipShards
from lumos.media.shards.known_shards import SHAPES_NAME, shards_of_index
from lumos.media.shards.parquet_rows import RowForm, UnreadableShardError
from tests.lumos.media.shards.test_parquet_rows import changed, shard_of

FORMS = pytest.mark.parametrize("form", [LATENTS, CLIPS], ids=lambda form: form.what)


def opened(shard: Path, form: RowForm) -> Any:
    return LatentShards([shard]) if form is LATENTS else ClipShards([shard])


def repeated(shard: Path, number: int, **columns: pa.Array) -> None:
    """Write a shard of its first row, so many times, with other columns, in dictionaries."""
    table = pq.read_table(shard)
    rows = {name: columns.get(name, pa.array([table[name][0].as_py()] * number)) for name in table.schema.names}
    schema = pa.schema([(name, rows[name].type if name in columns else table.schema.field(name).type) for name in rows])
    rows = {name: values.cast(schema.field(name).type) for name, values in rows.items()}
    metadata = pq.read_schema(shard).metadata
    pq.write_table(pa.table(rows, schema=schema).replace_schema_metadata(metadata), shard, compression="zstd")


@FORMS
def test_a_number_no_clip_has_is_refused_when_the_set_is_opened(tmp_path: Path, form: RowForm) -> None:
    """The product of three would be no number of 64 bits."""
    shard = shard_of(tmp_path / "set", form)
    for name in ("T", "H", "W"):
        changed(shard, name, [4, 2**31 - 1])
    with pytest.raises(UnreadableShardError, match=r"row 1 has T 2147483647, which cannot be more than 1048576"):
        opened(shard, form)
    changed(shard, "T", [4, 2**64 - 1], pa.uint64())
    with pytest.raises(UnreadableShardError, match=r"18446744073709551615 not in range"):
        opened(shard, form)


def test_shapes_beside_an_index_are_held_to_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / SHAPES_NAME, rows=np.full((1, 2), 2**21), which=np.zeros(1, np.uint16))
    index = {"shapes": SHAPES_NAME, "num_clips": 0, "shards": []}
    with pytest.raises(ValueError, match=r"holds a shape with 2097152, and none can be more than 1048576"):
        shards_of_index(tmp_path / "index.json", index, [], columns=2)


@FORMS
def test_a_clip_without_frames_rows_or_columns_is_refused(tmp_path: Path, form: RowForm) -> None:
    shard = shard_of(tmp_path / "set", form)
    assert form.large_column is not None
    changed(shard, "H", [pq.read_table(shard)["H"][0].as_py(), 0])
    changed(shard, form.large_column, [pq.read_table(shard)[form.large_column][0].as_py(), b""])
    shards = opened(shard, form)
    with pytest.raises(UnreadableShardError, match=r"a clip of .*x0x.* holds nothing"):
        shards[1]


def test_a_prompt_id_that_is_nothing_is_refused(tmp_path: Path) -> None:
    """It would be a number that is none, and any id after that."""
    shard = shard_of(tmp_path / "set", CLIPS)
    changed(shard, "prompt_ids", [[1, 2], [1, None]])
    changed(shard, "num_prompt_ids", [2, 2])
    with pytest.raises(UnreadableShardError, match="prompt_ids of which 1 are nothing"):
        ClipShards([shard])[1]


@FORMS
def test_a_text_that_all_rows_share_is_in_memory_once(tmp_path: Path, form: RowForm) -> None:
    """2000 rows of 100 kB in a file of some KB."""
    shard = shard_of(tmp_path / "set", form)
    before = opened(shard, form)[0]
    repeated(shard, 2000, caption=pa.DictionaryArray.from_arrays([0] * 2000, ["a" * 100_000]))
    _without_its_arrow_schema(shard)
    assert shard.stat().st_size < 2**16
    held = pa.total_allocated_bytes()
    shards = opened(shard, form)
    assert shards[1999].caption == "a" * 100_000
    assert pa.total_allocated_bytes() - held < 32 * 2**20
    assert shards[0].source == before.source


def _without_its_arrow_schema(shard: Path) -> None:
    """Write a shard again so that nothing tells a reader to keep its dictionaries as they are."""
    table = pq.read_table(shard)
    place = table.schema.get_field_index("caption")
    with pq.ParquetWriter(shard, table.schema.set(place, pa.field("caption", pa.string())), compression="zstd") as file:
        file.write_table(table.set_column(place, "caption", table["caption"].cast(pa.string())))


@FORMS
def test_zeros_that_pack_too_well_are_not_unpacked(tmp_path: Path, form: RowForm) -> None:
    shard = shard_of(tmp_path / "set", form)
    assert form.large_column is not None
    table = pq.read_table(shard)
    small = table[form.large_column][0].as_py()
    place, kind = table.schema.get_field_index(form.large_column), table.schema.field(form.large_column).type
    bomb = table.set_column(place, form.large_column, pa.array([small, bytes(80_000_000)], kind))
    pq.write_table(bomb.replace_schema_metadata(pq.read_schema(shard).metadata), shard, compression="zstd")
    shards, before = opened(shard, form), pa.total_allocated_bytes()
    with pytest.raises(UnreadableShardError, match=r"a row group of \d+ bytes takes 80\d+ in memory; no clips pack"):
        shards[0]
    assert pa.total_allocated_bytes() - before < 2**20


@FORMS
def test_more_rows_than_bytes_are_no_clips(tmp_path: Path, form: RowForm) -> None:
    shard = shard_of(tmp_path / "set", form)
    repeated(shard, 70_000)
    with pytest.raises(UnreadableShardError, match=r"it says 70000 rows, and all of them have \d+ bytes in it"):
        opened(shard, form)
