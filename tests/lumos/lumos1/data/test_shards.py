"""Shards that are no files are refused before they are opened; how they are read is tested in `test_clips.py`."""

import os
from pathlib import Path

import pytest

from lumos.lumos1.data.shards import ClipShards


def test_a_pipe_in_the_place_of_a_shard_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: not a readable shard of clips \(it is a folder, a pipe"):
        ClipShards([tmp_path / "a.parquet"])
