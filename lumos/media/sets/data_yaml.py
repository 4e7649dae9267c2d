"""A data YAML, `META: [{path, ratio, type, drawn}]`: sets of clips, how often each is taken, what shares batches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lumos.media.sets.listed_path import in_home
from xllmx.safe.inside import inside
from xllmx.safe.yaml_text import read_yaml
from xllmx.settings.setting import suggestion
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location, is_address, location_of
from xllmx.store.local_copy import kept_copy
from xllmx.store.said import naming_addresses
from xllmx.subset import Subset

Drawn = Literal["once", "each_epoch"]
"""When a part of a set is chosen: evenly spread and the same in every run, or anew by each epoch."""

DEFAULT_TYPE = "default"
"""The type of an entry that says none."""

_HUB_KINDS = ("datasets", "spaces")
_KEYS = ("path", "ratio", "type", "drawn")
_MOST_RATIO = 10_000
"""How often the clips of an entry are taken at most: each time takes memory."""


MISSING_REMEDY = "; pre-tokenise first or correct the path"
"""Ends a `MissingClipsError`."""


class MissingClipsError(ValueError):
    """A data YAML names clips that are not there (yet): all of them."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One set of clips."""

    path: Location
    """Where it is."""
    ratio: float = 1.0
    """How often each clip is taken."""
    type: str = DEFAULT_TYPE
    """Sets of different types share no batch."""
    drawn: Drawn = "once"
    """When the clips of a ratio below 1 are chosen; of another ratio `once`, unless the entry says it."""

    @property
    def local(self) -> Path:
        """Where it is on this disk; ValueError of what lies in a store."""
        if isinstance(self.path, Address):
            raise ValueError(f"{self.path}: this is read from the disk; copy it here")
        return self.path

    def chosen(self, length: int) -> "Chosen":
        """The clips of the set, of `length`, that the dataset holds: all that an epoch may draw."""
        return Chosen(length, 1.0 if self.drawn == "each_epoch" else self.ratio)

    def subset(self, start: int, stop: int) -> list[Subset]:
        """Of which of the dataset's clips, where these are its, each epoch sees a part."""
        return [Subset(start=start, stop=stop, share=self.ratio)] if self.drawn == "each_epoch" else []


@naming_addresses()
def entries_of(path: Location, *, drawn: Drawn = "once") -> list[Entry]:
    """The entries of a data YAML, or the path itself as one.

    `drawn` says when the clips of a ratio below 1 are chosen where an entry does not: models differ in it.

    Raises:
        ValueError: it is no data YAML; `MissingClipsError` where what it names is not there.
    """
    if path.suffix not in (".yaml", ".yml"):
        return [Entry(path=path)]
    try:
        meta = read_yaml(kept_copy(path))
        if not isinstance(meta, dict) or set(meta) != {"META"} or not isinstance(meta["META"], list):
            raise ValueError("it must hold one list META of {path, ratio}")
        entries = [_entry(path, entry, drawn) for entry in meta["META"]]
    except StoreError:
        raise
    except Exception as error:  # whatever the YAML parser raises
        raise ValueError(f"{path}: not a data YAML: {' '.join(str(error).split())}") from error
    if missing := [one for one in entries if isinstance(one, str)]:
        relative = not any(is_address(one) or Path(one).is_absolute() for one in missing)
        where = f" in {path.parent} or the working directory" if isinstance(path, Path) and relative else ""
        raise MissingClipsError(f"{path}: there is no {', no '.join(missing)}{where}{MISSING_REMEDY}")
    return [one for one in entries if isinstance(one, Entry)]


def _entry(yaml: Location, entry: Any, of_parts: Drawn) -> Entry | str:
    """Return an entry; where what it names is not there, the path that it names."""
    if not isinstance(entry, dict) or "path" not in entry:
        raise ValueError(f"entry {entry!r} has no path; write {{path: ..., ratio: 1.0}}")
    for key in set(entry) - set(_KEYS):
        raise ValueError(f"unknown key {key!r}; {suggestion(str(key), _KEYS)}")
    named, ratio, kind = _named(yaml, entry["path"]), entry.get("ratio", 1.0), entry.get("type", DEFAULT_TYPE)
    try:
        ratio = float("" if isinstance(ratio, bool) else ratio)
    except (TypeError, ValueError):
        raise ValueError(f"ratio is {ratio!r:.80}; it must be a number, for example 1.0") from None
    drawn = entry.get("drawn", of_parts if ratio < 1 else "once")
    if not 0 < ratio <= _MOST_RATIO:
        rule = f"it must be above 0 (leave the entry out to use none of it) and at most {_MOST_RATIO:,}"
        raise ValueError(f"ratio is {ratio:g}; {rule}")
    if not isinstance(kind, str):
        raise ValueError(f"type is {kind!r:.80}; give a name: sets of one name share batches")
    if drawn not in get_args(Drawn):
        raise ValueError(f"drawn is {drawn!r:.80}; give one of {', '.join(get_args(Drawn))}")
    if drawn == "each_epoch" and ratio > 1:
        raise ValueError(f"drawn is each_epoch and ratio {ratio}; a part is drawn, give a ratio of at most 1")
    if named.endswith((".yaml", ".yml")):
        raise ValueError(f"entry {named!r:.100} is a data YAML; name the sets that it lists")
    found = _found(yaml, named)
    return named if found is None else Entry(path=found, ratio=ratio, type=kind, drawn=drawn)


def _named(yaml: Location, path: Any) -> str:
    """Return the path of an entry, on this disk with the user's home in the place of its ~/."""
    if not isinstance(path, str) or not path:
        raise ValueError(f"path is {path!r:.80}; give the path of a set of clips, as text")
    return in_home(path, yaml.parent) if isinstance(yaml, Path) else path


def _found(yaml: Location, path: str) -> Location | None:
    """The path, from the YAML's folder or else from the working directory; of a YAML in a store, below its folder.

    None where there is nothing.
    """
    candidates: list[Location]
    if isinstance(yaml, Address):
        remedy = "copy the YAML here: one in a store names what lies below it, or in its bucket by whole addresses"
        named = location_of(path) if is_address(path) else inside(yaml.parent, path, said_by=yaml, remedy=remedy)
        if _bucket_of(named) != _bucket_of(yaml):
            raise ValueError(f"it names {named}, in another bucket than its own; {remedy}")
        candidates = [named]
    else:
        candidates = [location_of(path)] if is_address(path) else [yaml.parent / path, Path(path)]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _bucket_of(place: Location) -> str:
    """What people are let into as a whole: a bucket, or a repository of the hub."""
    assert isinstance(place, Address)
    parts, num = place.key.split("/"), 1
    if place.scheme == "hf":
        num = 3 if parts[0] in _HUB_KINDS else 2
    return f"{place.scheme}://{'/'.join(parts[:num])}"


class Chosen:
    """Indices of `length` clips taken `ratio` times: every one floor(ratio) times, the rest evenly spread.

    >>> Chosen(4, 1.5).tolist()
    [0, 1, 2, 3, 0, 2]
    """

    def __init__(self, length: int, ratio: float) -> None:
        self._length, self._whole = length, int(ratio)
        self._rest = round(ratio * length) - self._whole * length

    def __len__(self) -> int:
        return self._whole * self._length + self._rest

    def __getitem__(self, place: int) -> int:
        copy, index = divmod(place, max(self._length, 1))
        return index if copy < self._whole else index * self._length // self._rest

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the clips that are taken, of those of all."""
        spread = np.arange(self._rest) * self._length // max(self._rest, 1)
        return np.concatenate([*[values] * self._whole, values[spread]])

    def starts(self, starts: np.ndarray) -> np.ndarray:
        """Return where stretches of the clips, [n + 1] from 0 on, begin among those taken: once for each copy."""
        copies = [starts[:-1] + copy * self._length for copy in range(self._whole)]
        spread = -(-starts * self._rest // max(self._length, 1)) + self._whole * self._length
        return np.concatenate([*copies, spread if self._rest else spread[-1:]])

    def tolist(self) -> list[int]:
        """Return all of them."""
        return self.of(np.arange(self._length)).tolist()
