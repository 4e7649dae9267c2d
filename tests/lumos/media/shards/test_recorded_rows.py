"""Shards that lie about the shapes of their rows say nothing at a glance: training opens them, and says what it is."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lumos.lumina_video.data.shards import LATENTS
from lumos.lumos1.data.shards import CLIPS
from lumos.media.shards.known_shards import SHAPES_NAME
from lumos.media.shards.parquet_rows import RowForm
from lumos.media.shards.recorded_rows import RecordedRows, recorded_rows
from tests.lumos.media.shards.test_parquet_rows import changed, shard_of


def at_a_glance(path: Path, form: RowForm) -> RecordedRows | None:
    return recorded_rows(path, form.shape_columns, index_format=form.index_format)


@pytest.mark.parametrize("form", [LATENTS, CLIPS], ids=lambda form: form.what)
@pytest.mark.parametrize("wrong", [2**40, -1, None])
def test_shapes_that_no_clip_has_are_not_told(tmp_path: Path, form: RowForm, wrong: int | None) -> None:
    shard = shard_of(tmp_path / "set", form)
    found = at_a_glance(shard, form)
    assert found is not None
    assert len(found.which) == 2
    changed(shard, "T", [4, wrong], pa.int64())
    assert at_a_glance(shard, form) is None


@pytest.mark.parametrize("which", [np.array([-1]), np.array([2], np.uint16), np.zeros((1, 1), np.uint16)])
def test_numbers_of_shapes_that_are_none_are_not_told(tmp_path: Path, which: np.ndarray) -> None:
    shard = shard_of(tmp_path / "set", CLIPS)
    index = {"format": CLIPS.index_format, "shapes": SHAPES_NAME, "shards": [{"file": shard.name}]}
    (shard.parent / "index.json").write_text(json.dumps(index))
    rows = np.ones((1, len(CLIPS.shape_columns)), np.int64)
    np.savez(shard.parent / SHAPES_NAME, rows=rows, which=np.zeros(1, np.uint16))
    assert at_a_glance(shard.parent, CLIPS) is not None
    np.savez(shard.parent / SHAPES_NAME, rows=rows, which=which)
    assert at_a_glance(shard.parent, CLIPS) is None
