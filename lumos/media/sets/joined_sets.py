"""The sets that a data YAML names as one sequence: each entry's clips after those of the one before."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from lumos.media.decoded import DecodedSample
from lumos.media.sets.data_yaml import Chosen, Entry
from xllmx.data.kinds import Kinds
from xllmx.subset import Subset

_Clip = TypeVar("_Clip", covariant=True)
_Kind = TypeVar("_Kind")


@runtime_checkable
class OneSet(Protocol[_Clip]):
    """The clips of one entry."""

    @property
    def starts(self) -> np.ndarray:
        """Int64 [files + 1]: the first clip of each file, and the number of clips."""
        ...

    @property
    def decoded(self) -> Sequence[DecodedSample]:
        """Of each file, the clips that were decoded as it was written."""
        ...

    def __getitem__(self, index: int, /) -> _Clip:
        """Return a clip."""
        ...


class JoinedSets(Generic[_Clip, _Kind]):
    """The clips of several sets, each as often as its entry takes it.

    Of an entry of which epochs see a part all clips are here, and `subsets` says how many of them an epoch sees.
    """

    kinds: Kinds[_Kind]
    """What is known of each clip before it is read."""
    types: Kinds[str] | None
    """The type of each clip's entry; None where all are of one."""
    shard_starts: np.ndarray
    """Int64 [files + 1]: the first clip of each file, and the number of clips."""
    subsets: list[Subset]
    """Clips of which each epoch sees a part."""
    decoded: list[DecodedSample]
    """Of each file, the clips that were decoded as it was written."""

    def __init__(self, entries: Sequence[Entry], sets: Sequence[OneSet[_Clip]], kinds: Sequence[Kinds[_Kind]]) -> None:
        """Join the sets of the entries, whose clips are of these kinds; no clip is read."""
        self._sets = sets
        self._chosen = [entry.chosen(len(of_set)) for entry, of_set in zip(entries, kinds, strict=True)]
        self._first = np.cumsum([0, *map(len, self._chosen)], dtype=np.int64)
        taken = [_taken(of_set, chosen) for of_set, chosen in zip(kinds, self._chosen, strict=True)]
        self.kinds = Kinds.joined(taken)
        types = [
            Kinds([e.type], np.zeros(len(chosen), np.uint16)) for e, chosen in zip(entries, self._chosen, strict=True)
        ]
        self.types = Kinds.joined(types) if len({entry.type for entry in entries}) > 1 else None
        first, last = self._first[:-1].tolist(), int(self._first[-1])
        starts = [
            start + chosen.starts(one.starts)[:-1] for start, chosen, one in zip(first, self._chosen, sets, strict=True)
        ]
        self.shard_starts = np.append(np.concatenate([np.zeros(0, np.int64), *starts]), last)
        ends = zip(entries, first, self._first[1:].tolist(), strict=True)
        self.subsets = [subset for entry, start, stop in ends for subset in entry.subset(start, stop)]
        self.decoded = [sample for one in sets for sample in one.decoded]

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> _Clip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        index %= len(self)
        place = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._sets[place][self._chosen[place][index - int(self._first[place])]]


def _taken(kinds: Kinds[_Kind], chosen: Chosen) -> Kinds[_Kind]:
    return Kinds(kinds.values, chosen.of(kinds.which)).compact()
