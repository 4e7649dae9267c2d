"""All latents that a path names, as one sequence: shards, their folder, a released record, or a YAML of such."""

from pathlib import Path

import numpy as np

from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.released import ReleasedLatents
from lumos.lumina_video.data.shards import LATENTS, SHAPE_COLUMNS, LatentShards
from lumos.media.data_yaml import Chosen, entries_of
from lumos.media.decoded import DecodedSample
from lumos.media.reading import VIDEO_SUFFIXES
from lumos.media.shards.known_shards import Shape
from lumos.media.shards.parquet_rows import INDEX_NAME, check_is_indexed, known_of_index
from xllmx.data.kinds import Kinds
from xllmx.safe.json_text import parse_json, read_text
from xllmx.store.address import Address, Location, location_of
from xllmx.subset import Subset

_READABLE = "a folder of shards, its index.json, a .parquet file, a released record (.jsonl, .json), or a data YAML"

_MOST_BYTES = 2**30
"""Of a record; that of a million clips has a few hundred MB."""


class LatentSet:
    """The clips of what a path names.

    A folder of shards, its `index.json`, one `.parquet`, a released record whose pickles lie beside it, or a data YAML
    `META: [{path, ratio, type, drawn}]` of such.

    An entry's `type` is taken and says nothing here: a batch has latents of one size in any case.
    """

    kinds: Kinds[Shape]
    """The shape of each clip: `lumos.lumina_video.data.shards.SHAPE_COLUMNS`."""
    shard_starts: np.ndarray
    """Int64 [files + 1]: the first clip of each file, and the number of clips."""
    vae: VAEIdentity | None
    """Which VAE made them; None where no clip says it."""
    subsets: list[Subset]
    """Clips of which each epoch sees a part."""
    decoded: list[DecodedSample]
    """Of each shard, the clips that were decoded as it was written."""

    def __init__(self, path: str | Location) -> None:
        """Open what the path names; no clip is read.

        Raises:
            ValueError: there is nothing of the kind, it is damaged, or the latents are of different VAEs.
        """
        self._parts: list[LatentShards | ReleasedLatents] = []
        self._chosen: list[Chosen] = []
        kinds, starts, first = [], [np.zeros(0, np.int64)], [0]
        self.vae, self.subsets, self.decoded = None, [], []
        for entry in entries_of(location_of(path)):
            part = _open(entry.path)
            if part.vae is not None:
                self.vae = part.vae if self.vae is None else self.vae.require(part.vae, said_by=entry.path)
            chosen = entry.chosen(len(part))
            self.subsets += entry.subset(first[-1], first[-1] + len(chosen))
            kinds.append(Kinds(part.kinds.values, chosen.of(part.kinds.which)).compact())
            starts.append(first[-1] + chosen.starts(part.starts)[:-1])
            first.append(first[-1] + len(chosen))
            self.decoded += part.decoded
            self._parts.append(part)
            self._chosen.append(chosen)
        self._first, self.kinds = np.array(first, dtype=np.int64), Kinds.joined(kinds)
        self.shard_starts = np.append(np.concatenate(starts), first[-1])

    @property
    def shapes(self) -> np.ndarray:
        """Int64 [N, 5]: `lumos.lumina_video.data.shards.SHAPE_COLUMNS`, as in `kinds`."""
        return np.array(self.kinds.values, np.int64).reshape(-1, len(SHAPE_COLUMNS))[self.kinds.which]

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> LatentClip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        index %= len(self)
        part = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._parts[part][self._chosen[part][index - int(self._first[part])]]


def _open(path: Location) -> LatentShards | ReleasedLatents:
    if path.is_dir():
        return _open(path / INDEX_NAME) if (path / INDEX_NAME).is_file() else LatentShards(_shards(path))
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder; give {_READABLE}")
    if path.suffix == ".parquet":
        return LatentShards([path])
    if path.suffix == ".jsonl" and isinstance(path, Path):
        return ReleasedLatents.of_file(path)
    if isinstance(path, Address) and path.suffix != ".json":
        raise ValueError(f"{path}: in a store shards and their index are read; copy records and pickles to the disk")
    if path.suffix != ".json":
        raise ValueError(f"{path}: cannot read latents from it; give {_READABLE}")
    remedy = "make the latents again"
    index = parse_json(read_text(path, remedy=remedy, most_bytes=_MOST_BYTES), str(path), remedy=remedy)
    if isinstance(index, list) and isinstance(path, Path):
        return ReleasedLatents(path, index)
    if not isinstance(index, dict) or index.get("format") != LATENTS.index_format:
        raise ValueError(f"{path}: is no index of latents; give {_READABLE}")
    try:
        return LatentShards(known_of_index(path, index, form=LATENTS))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged index of latents ({type(error).__name__}: {error}); {remedy}") from error


def _shards(folder: Location) -> list[Location]:
    shards: list[Location] = [*folder.glob("*.parquet")]
    if not shards:
        if isinstance(folder, Path):
            check_is_indexed(folder)
            _check_no_videos(folder)
        raise ValueError(f"{folder}: holds no latents; give {_READABLE}")
    return sorted(shards, key=str)


def _check_no_videos(folder: Path) -> None:
    if any(one.suffix.lower() in VIDEO_SUFFIXES for one in folder.iterdir()):
        listed = 'to train on them as they are, list them in a .jsonl, {"path": ..., "prompt": ...} for each, name that'
        made = "or make latents of them: pre_tokenize --to latents"
        raise ValueError(f"{folder}: holds videos, and no latents; {listed} as the data and set task.vae; {made}")
