"""Shards of strangers: each column holds what its form says, and each row has all that it must have."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.shards import LATENTS, LatentShards
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import CLIPS, ClipShards, write_shard
from lumos.media.shards.parquet_rows import ParquetRows, RowForm, UnreadableShardError, rows_metadata
from tests.lumos.lumina_video.latents import write_latents
from tests.tiny_data import make_clip

EMPTY = [(LATENTS, name) for name in LATENTS.schema.names] + [(CLIPS, name) for name in CLIPS.schema.names]


def shard_of(folder: Path, form: RowForm) -> Path:
    """A shard of two clips of a form."""
    if form is LATENTS:
        return next(write_latents(folder, num=2).glob("*.parquet"))
    folder.mkdir()
    write_shard(folder / "a.parquet", [make_clip(0, 2), make_clip(1, 2)])
    return folder / "a.parquet"


def changed(shard: Path, name: str, values: list[Any], kind: pa.DataType | None = None) -> None:
    """Write a shard again with other values in a column."""
    table = pq.read_table(shard)
    place = table.schema.get_field_index(name)
    field = table.schema.field(name) if kind is None else pa.field(name, kind)
    table = table.set_column(place, field, pa.array(values, field.type))
    pq.write_table(table.replace_schema_metadata(pq.read_schema(shard).metadata), shard)


def read(shard: Path, form: RowForm) -> list[Any]:
    shards = LatentShards([shard]) if form is LATENTS else ClipShards([shard])
    return [shards[number] for number in range(len(shards))]


@pytest.mark.parametrize(("form", "name"), EMPTY, ids=lambda one: one.what if isinstance(one, RowForm) else one)
def test_a_row_without_a_value_is_named_and_only_a_rate_may_be_unknown(
    tmp_path: Path, form: RowForm, name: str
) -> None:
    shard = shard_of(tmp_path / "set", form)
    changed(shard, name, [pq.read_table(shard)[name][0].as_py(), None])
    if name in form.may_be_empty:
        assert len(read(shard, form)) == 2
        return
    with pytest.raises(UnreadableShardError, match=rf"{shard.name}.*nothing in {name}"):
        read(shard, form)


@pytest.mark.parametrize("form", [LATENTS, CLIPS], ids=lambda form: form.what)
def test_a_shape_less_than_0_is_refused_when_the_set_is_opened(tmp_path: Path, form: RowForm) -> None:
    shard = shard_of(tmp_path / "set", form)
    changed(shard, "H", [pq.read_table(shard)["H"][0].as_py(), -1])  # -1: numpy would work out the number that fits
    with pytest.raises(UnreadableShardError, match=rf"{shard.name}.*row 1 has H -1, which cannot be less than 0"):
        LatentShards([shard]) if form is LATENTS else ClipShards([shard])


@pytest.mark.parametrize(("form", "name", "values", "said"), [
    (LATENTS, "caption", [1, 2], "its column caption holds whole numbers, not texts"),
    (LATENTS, "latent", ["a", "b"], "its column latent holds texts, not bytes"),
    (LATENTS, "T", [4.0, 4.0], "its column T holds numbers, not whole numbers"),
    (CLIPS, "codes", [1, 2], "its column codes holds whole numbers, not bytes"),
    (CLIPS, "prompt_ids", [1, 2], "its column prompt_ids holds whole numbers, not lists of whole numbers"),
    (CLIPS, "prompt_ids", [[1.5], [2.0]], "its column prompt_ids holds lists of numbers, not lists of whole numbers"),
])  # fmt: skip
def test_a_column_of_something_else_is_named(
    tmp_path: Path, form: RowForm, name: str, values: list[Any], said: str
) -> None:
    shard = shard_of(tmp_path / "set", form)
    changed(shard, name, values, pa.array(values).type)
    with pytest.raises(UnreadableShardError, match=said):
        ParquetRows([shard], form=form)
    with pytest.raises(UnreadableShardError, match=said):
        rows_metadata(shard, form=form)


def test_columns_may_be_wider_than_they_are_written(tmp_path: Path) -> None:
    shard = shard_of(tmp_path / "set", LATENTS)
    before = read(shard, LATENTS)
    for name, kind in (("caption", pa.large_string()), ("latent", pa.binary()), ("T", pa.int64()), ("fps", pa.int32())):
        changed(shard, name, pq.read_table(shard)[name].to_pylist(), kind)
    assert [(clip.caption, clip.fps, clip.latent.shape) for clip in read(shard, LATENTS)] == [
        (clip.caption, clip.fps, clip.latent.shape) for clip in before
    ]


@pytest.mark.parametrize(
    ("form", "name"),
    [(form, name) for form, name in EMPTY if name != "prompt_ids"],  # lists have no dictionary
    ids=lambda one: one.what if isinstance(one, RowForm) else one,
)
def test_columns_may_keep_each_value_once(tmp_path: Path, form: RowForm, name: str) -> None:
    shard = shard_of(tmp_path / "set", form)
    before, table = read(shard, form), pq.read_table(shard)
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, table[name].dictionary_encode()), shard)
    after = read(shard, form)
    assert [repr(vars(clip)) for clip in after] == [repr(vars(clip)) for clip in before]
    assert ParquetRows([shard], form=form).kinds.values


@pytest.mark.parametrize(("values", "said"), [
    ([[1], [2**40]], "1099511627776 not in range"),
    ([[1], [2, 3]], "a row has 2 prompt_ids, and num_prompt_ids says 1"),
])  # fmt: skip
def test_prompt_ids_are_those_that_were_written(tmp_path: Path, values: list[list[int]], said: str) -> None:
    """Ids past int32 would become others, and lengths that are not true would fill batches wrongly."""
    shard = shard_of(tmp_path / "set", CLIPS)
    changed(shard, "prompt_ids", values, pa.list_(pa.int64()))
    changed(shard, "num_prompt_ids", [1, 1])
    assert ClipShards([shard])[0].prompt_ids.tolist() == [1]
    with pytest.raises(UnreadableShardError, match=said):
        ClipShards([shard])[1]


def test_a_pre_tokenisation_without_its_index_is_told_from_a_folder_of_nothing(tmp_path: Path) -> None:
    for form, read_set in ((LATENTS, LatentSet), (CLIPS, ClipDataset)):
        folder = tmp_path / form.index_format
        made = folder / "1-in-1" / "0-of-1"
        made.mkdir(parents=True)
        with pytest.raises(ValueError, match=f"{folder.name}: holds no "):
            read_set(folder)
        shard_of(tmp_path / "set", form).rename(made / "rows-000000000-000000002.parquet")
        shutil.rmtree(tmp_path / "set")
        with pytest.raises(
            ValueError, match=rf"no index\.json yet; .*pre_tokenize\.concat_record --output_dir {folder}"
        ):
            read_set(folder)
