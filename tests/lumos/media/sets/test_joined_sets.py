"""Sets of a data YAML, one after the other: which clip of which set a number means, and what is known of it."""

from pathlib import Path

import numpy as np
import pytest

from lumos.media.decoded import DecodedSample
from lumos.media.sets.data_yaml import Entry
from lumos.media.sets.joined_sets import JoinedSets
from xllmx.data.kinds import Kinds
from xllmx.subset import Subset


class Letters:
    def __init__(self, letters: str, *, starts: list[int]) -> None:
        self.letters, self.starts = letters, np.array(starts)
        self.decoded = [DecodedSample(file=Path(letters), psnr_db={0: 30.0})]

    def __getitem__(self, index: int) -> str:
        return self.letters[index]


def joined(**fields: str) -> JoinedSets[str, bool]:
    """Three letters 1.7 times, four of which an epoch sees a half; kinds say which are vowels."""
    sets = [Letters("abc", starts=[0, 2, 3]), Letters("defg", starts=[0, 4])]
    entries = [
        Entry(path=Path("x"), ratio=1.7),
        Entry(path=Path("y"), ratio=0.5, drawn="each_epoch", **fields),
    ]
    return JoinedSets(entries, sets, [Kinds.of([letter in "aeiou" for letter in one.letters]) for one in sets])


def test_clips_follow_each_other_as_often_as_they_are_taken() -> None:
    found = joined()
    letters = [found[index] for index in range(len(found))]
    assert "".join(letters) == "abcab" + "defg"
    assert list(found.kinds) == [letter in "aeiou" for letter in letters]
    assert found[-1] == "g"
    with pytest.raises(IndexError, match="clip 9 of 9"):
        found[9]
    assert found.subsets == [Subset(start=5, stop=9, share=0.5)]
    assert found.shard_starts.tolist() == [0, 2, 3, 5, 5, 9]
    assert [sample.file.name for sample in found.decoded] == ["abc", "defg"]


def test_types_are_said_where_there_are_several() -> None:
    assert joined().types is None
    types = joined(type="b").types
    assert types is not None
    assert list(types) == ["default"] * 5 + ["b"] * 4
