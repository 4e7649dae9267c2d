"""PSNR of decoded clips: kept in footer and index, read back, and said where it is low."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import CLIPS, write_shard
from lumos.lumos1.data.writing import ClipWriter
from lumos.media.decoded import DECODED_KEY, DecodedSample, low_psnr, psnr
from lumos.media.shards.parquet_rows import rows_metadata
from tests.tiny_data import make_clip


def test_psnr_is_that_of_the_8_bit_frames_of_each_clip_alone() -> None:
    frames = np.stack([np.full((2, 3, 4, 3), value, dtype=np.uint8) for value in (100, 200)])
    decoded = torch.full((2, 3, 5, 3, 4), (110.5 / 255) * 2 - 1)  # three frames more than there are
    assert list(psnr(frames, decoded)) == [pytest.approx(10 * np.log10(255**2 / error**2)) for error in (10, 90)]


def test_a_set_keeps_the_psnr_of_its_clips_and_older_shards_have_none(tmp_path: Path) -> None:
    with ClipWriter(tmp_path, shard_size=3) as writer:
        for number, value in enumerate((None, 30.254, 20.0, None, 15.0)):
            writer.add(make_clip(number, 2), psnr_db=value)
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index["num_decoded"], index["psnr_db"]) == (3, 21.75)
    said = [(entry["num_clips"], entry["num_decoded"], entry["psnr_db"]) for entry in index["shards"]]
    assert said == [(3, 2, 25.12), (2, 1, 15.0)]
    first, second = ClipDataset(tmp_path).decoded
    assert (first.psnr_db, second.psnr_db) == ({1: 30.25, 2: 20.0}, {1: 15.0})
    footer = rows_metadata(tmp_path / "shard-00000.parquet", form=CLIPS)
    assert json.loads(footer[DECODED_KEY]) == [{"clip": 1, "psnr_db": 30.25}, {"clip": 2, "psnr_db": 20.0}]
    write_shard(tmp_path / "older.parquet", [make_clip(0, 2)])
    (older,) = ClipDataset(tmp_path / "older.parquet").decoded
    assert older.psnr_db == {}


@pytest.mark.parametrize(
    "said",
    ['[{"clip": 1, "psnr_db": 20}]', '[{"clip": 0, "psnr_db": NaN}]', '[{"clip": 0}]', "[1]", "{", "7", "[" * 10**5],
)
def test_a_footer_that_lists_no_decoded_clips_is_named(tmp_path: Path, said: str) -> None:
    write_shard(tmp_path / "a.parquet", [make_clip(0, 2)], metadata={DECODED_KEY: said})
    with pytest.raises(ValueError, match=r"a\.parquet: not a readable shard of clips \(lumos\.decoded"):
        ClipDataset(tmp_path / "a.parquet")


def test_only_shards_below_22_db_are_said() -> None:
    def sample(*values: float) -> DecodedSample:
        return DecodedSample(file=Path(f"{len(values)}.parquet"), psnr_db=dict(enumerate(values)))

    assert low_psnr([sample(), sample(22.0), sample(12.0, 33.0)], remedy="do this") is None
    said = low_psnr([sample(22.0), sample(21.0, 22.0), sample(), sample(10.0, 12.0, 14.0)], remedy="do this")
    assert said is not None
    assert "15.8 dB PSNR, below 22, in 2 of 3 shards (such as 2.parquet)" in said
    assert said.endswith("do this")
