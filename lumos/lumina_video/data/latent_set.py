"""All latents that a path names, as one sequence: shards, their folder, a released record, or a YAML of such."""

from pathlib import Path

import numpy as np

from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.released import ReleasedLatents
from lumos.lumina_video.data.shards import LATENTS, SHAPE_COLUMNS, LatentShards
from lumos.media.data_yaml import entries_of
from lumos.media.decoded import DecodedSample
from lumos.media.parquet_rows import INDEX_NAME, files_of_index
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

    shapes: np.ndarray
    """Int64 [N, 5]: `lumos.lumina_video.data.shards.SHAPE_COLUMNS`."""
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
        items, shapes = [np.zeros((0, 2), np.int64)], [np.zeros((0, len(SHAPE_COLUMNS)), np.int64)]
        self.vae, self.subsets, self.decoded, total = None, [], [], 0
        for entry in entries_of(location_of(path)):
            part = _open(entry.path)
            if self.vae is not None and part.vae is not None:
                self.vae.require(part.vae, said_by=entry.path)
            self.vae = self.vae or part.vae
            chosen = entry.chosen(len(part))
            self.subsets += entry.subset(total, total + len(chosen))
            total += len(chosen)
            items.append(np.stack([np.full_like(chosen, len(self._parts)), chosen], axis=1))
            shapes.append(part.shapes[chosen])
            self.decoded += part.decoded
            self._parts.append(part)
        self._items, self.shapes = np.concatenate(items), np.concatenate(shapes)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> LatentClip:
        part, item = self._items[index].tolist()
        return self._parts[part][item]


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
        return LatentShards(files_of_index(path, index, form=LATENTS))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged index of latents ({type(error).__name__}: {error}); {remedy}") from error


def _shards(folder: Location) -> list[Location]:
    shards: list[Location] = [*folder.glob("*.parquet")]
    if not shards:
        raise ValueError(f"{folder}: holds no latents; give {_READABLE}")
    return sorted(shards, key=str)
