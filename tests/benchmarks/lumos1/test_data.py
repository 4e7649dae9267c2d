"""The benches of data and pre-tokenisation do the same work on both sides."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lumos1.data import Data
from benchmarks.lumos1.tokenizer import Work as TokenizerWork
from benchmarks.lumos1.work import Work
from lumos.lumos1.data.clips import ClipDataset, read_released
from pre_tokenize.products.encode import Limits

WORK = Work(width=48, num_layers=1, num_heads=4, num_kv_heads=2, inner=40, grid=(4, 8), num_prompt_ids=5)


def test_pickles_and_shards_hold_the_same_clip(tmp_path: Path) -> None:
    data = Data(WORK, tmp_path, num_clips=3, batch_size=2)
    shards = ClipDataset(tmp_path / "clips")
    assert len(shards) == 3
    released = read_released(tmp_path / "clip.pkl", data.task.vocab)
    np.testing.assert_array_equal(shards[1].codes, released.codes)
    np.testing.assert_array_equal(shards[1].prompt_ids, released.prompt_ids)


def test_waits_are_shares_of_a_step(tmp_path: Path) -> None:
    waits = Data(WORK, tmp_path, num_clips=3, batch_size=2).waits(steps=2, step_s=0.05, num_workers=0)
    whole_ms = 50 + waits["loader_ms"] + waits["masks_ms"]
    assert waits["loader_share"] == pytest.approx(waits["loader_ms"] / whole_ms, abs=1e-3)
    assert 0 < waits["masks_share"] < 1


@pytest.mark.parametrize("batch_size", [1, 2])
def test_both_ways_make_the_same_codes(tmp_path: Path, batch_size: int) -> None:
    limits = Limits(batch_size=batch_size)
    work = TokenizerWork(tmp_path, tokenizer="lumos-tiny", num_clips=3, size=64, source=96, limits=limits)
    literal = work.literal()
    work.fast()
    shards = ClipDataset(next((tmp_path / "output").glob("*.parquet")))
    assert len(shards) == 3
    for clip, codes in zip(shards, literal, strict=True):
        np.testing.assert_array_equal(clip.codes, codes)
    assert work.paces["fast"][0]["clips"] == work.paces["literal"][0]["clips"] == 3
