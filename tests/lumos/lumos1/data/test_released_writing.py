"""Clips in the release's own format: what was read from it is written back to the byte, what is ours is read back."""

from pathlib import Path

import numpy as np
import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.released import read_released
from lumos.lumos1.data.released_writing import write_released
from lumos.tokenizer.vocab import Vocab
from tests.lumos.lumos1.data.test_clips import assert_same, make_clip


def test_clips_are_read_back_as_they_were(tmp_path: Path) -> None:
    clips = [make_clip(number, (1 + number % 3, 4, 8)) for number in range(5)]
    assert write_released(tmp_path / "set" / "merge-record.json", clips, Vocab()) == 5
    read = ClipDataset(tmp_path / "set" / "merge-record.json")
    assert len(read) == 5
    for ours, theirs in zip(clips, read, strict=True):
        assert_same(ours, theirs)
    moved = (tmp_path / "set").rename(tmp_path / "moved")
    assert_same(ClipDataset(moved)[3], clips[3])


def test_released_samples_are_written_back_to_the_byte(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "released_shards").glob("*.pkl"))
    assert len(files) == 6
    write_released(tmp_path / "a.json", [read_released(file, Vocab()) for file in files], Vocab())
    for number, file in enumerate(files):
        ours, theirs = (tmp_path / "a-files" / f"{number}.pkl").read_bytes(), file.read_bytes()
        assert (ours.rpartition(b"\x8c\x02id")[0], len(ours)) == (theirs.rpartition(b"\x8c\x02id")[0], len(theirs))


def test_a_set_that_was_not_finished_has_no_record(tmp_path: Path) -> None:
    record = tmp_path / "merge-record.json"
    write_released(record, [make_clip(0)], Vocab())
    with pytest.raises(ValueError, match=r"must be non-empty and lie in 0\.\.99"):
        write_released(record, [make_clip(1)], Vocab(num_codes=100))
    assert not record.exists()


def test_a_record_below_a_folder_above_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_released("../merge-record.json", [make_clip(0)], Vocab())
    np.testing.assert_array_equal(ClipDataset("../merge-record.json")[0].codes, make_clip(0).codes)


def test_damaged_captions_are_named(tmp_path: Path) -> None:
    write_released(tmp_path / "a.json", [make_clip(0)], Vocab())
    (tmp_path / "a-captions.jsonl").write_text('{"file": 3}\n')
    with pytest.raises(ValueError, match=r"a-captions\.jsonl: line 1 says no file, caption and source"):
        ClipDataset(tmp_path / "a.json")
