"""What a path holds is told from what lies there, and what cannot be looked at is said with what can."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumos.look.kind import kind_of
from lumos.media.writing import write_image
from tests.lumos.lumos1.data.test_clips import make_clip, write, write_released


def test_sets_of_codes_are_told_by_folder_index_shard_record_sample_and_yaml(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", [make_clip(0)])
    shard = next(folder.glob("*.parquet"))
    length = write_released(tmp_path / "old" / "files" / "0.pkl", make_clip(0))
    record = tmp_path / "old" / "merge-record.json"
    record.write_text(json.dumps([{"file": "files/0.pkl", "len": length, "id": 0}]))
    (tmp_path / "data.yaml").write_text("META:\n  - {path: set/index.json}\n  - {path: old}\n")
    sample = tmp_path / "old" / "files" / "0.pkl"
    for path in (folder, folder / "index.json", shard, record, sample, sample.parent, tmp_path / "data.yaml"):
        assert kind_of(path) == ("codes", path)
    assert kind_of(tmp_path / "old") == ("codes", record)


def test_latents_tables_and_outputs_are_told_too(encoded: Path, table: Path, tmp_path: Path) -> None:
    assert kind_of(encoded) == ("latents", encoded)
    shard = next(encoded.rglob("*.parquet"))
    assert kind_of(shard) == ("latents", shard)
    row = {"path": "a", "prompt": "b", "pkl": "0.pkl", "pkl_shape": "[4, 2, 4, 8]"}
    (tmp_path / "record.jsonl").write_text("no JSON\n" + json.dumps(row) + "\n")
    assert kind_of(tmp_path / "record.jsonl")[0] == "latents"
    (tmp_path / "record.pkl").write_bytes(pickle.dumps([row]))
    assert kind_of(tmp_path / "record.pkl")[0] == "latents"
    assert kind_of(table) == ("table", table)
    write_image(tmp_path / "outputs" / "a.png", np.zeros((8, 16, 3), np.uint8))
    assert kind_of(tmp_path / "outputs") == ("outputs", tmp_path / "outputs")
    assert kind_of(tmp_path / "outputs" / "a.png")[0] == "outputs"


def test_a_yaml_of_codes_and_latents_is_refused(encoded: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "set", [make_clip(0)])
    (tmp_path / "data.yaml").write_text(f"META:\n  - {{path: {folder}}}\n  - {{path: {encoded}}}\n")
    with pytest.raises(ValueError, match="a data YAML lists codes or latents"):
        kind_of(tmp_path / "data.yaml")


@pytest.mark.parametrize(("name", "content", "message"), [
    ("none", None, "no such file or folder; give a folder of shards or of outputs"),
    ("a.txt", "x", "nothing is known of such files"),
    ("a.json", "{", "not valid JSON"),
    ("a.json", '{"format": ["x"]}', "no index of shards and no released record"),
    ("a.json", "[]", "no index of shards and no released record"),
    ("a.json", "[[1]]", "no index of shards and no released record"),
    ("a.jsonl", "", "no index of shards and no released record"),
    ("a.parquet", "PAR1", "not a readable shard"),
    ("a.yaml", "META: []", "lists nothing"),
])  # fmt: skip
def test_what_cannot_be_looked_at_is_said(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        kind_of(tmp_path / name)


def test_a_table_of_something_else_and_a_folder_of_folders_say_what_they_hold(tmp_path: Path) -> None:
    pq.write_table(pa.table({"b": [1], "a": [2]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a table of something else \(its columns: a, b\)"):
        kind_of(tmp_path / "a.parquet")
    (tmp_path / "outputs" / "t2v").mkdir(parents=True)
    with pytest.raises(ValueError, match="look at one of its folders: t2v"):
        kind_of(tmp_path / "outputs")
    with pytest.raises(ValueError, match="holds no clips and no outputs; give a folder"):
        kind_of(tmp_path / "outputs" / "t2v")
