"""All latents that a path names, as one sequence: shards, their folder, a released record, or a YAML of such."""

from pathlib import Path

import numpy as np

from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.readable import LATENTS_READABLE
from lumos.lumina_video.data.released import ReleasedLatents
from lumos.lumina_video.data.shards import LATENTS, SHAPE_COLUMNS, LatentShards
from lumos.media.reading import VIDEO_SUFFIXES
from lumos.media.sets.data_yaml import Drawn, entries_of
from lumos.media.sets.joined_sets import JoinedSets
from lumos.media.shards.known_shards import Shape
from lumos.media.shards.parquet_rows import INDEX_NAME, check_is_indexed, known_of_index, other_format
from xllmx.safe.json_text import parse_json, read_text
from xllmx.store.address import Address, Location, location_of

DRAWN: Drawn = "each_epoch"
"""When the clips of a ratio below 1 are chosen, unless an entry says it: the paper's data are drawn anew each epoch."""

_MOST_BYTES = 2**30
"""Of a record; that of a million clips has a few hundred MB."""


class LatentSet(JoinedSets[LatentClip, Shape]):
    """The clips of what a path names; the `kinds` are their shapes, `lumos.lumina_video.data.shards.SHAPE_COLUMNS`.

    A folder of shards, its `index.json`, one `.parquet`, a released record (JSON, JSON lines, or a list in a `.pkl` or
    `.pth`), or a data YAML `META: [{path, ratio, type, drawn}]` of such.
    """

    vae: VAEIdentity | None
    """Which VAE made them; None where no clip says it."""

    def __init__(self, path: str | Location) -> None:
        """Open what the path names; no clip is read.

        Raises:
            ValueError: there is nothing of the kind, it is damaged, or the latents are of different VAEs.
        """
        entries = entries_of(location_of(path), drawn=DRAWN)
        sets = [_open(entry.path) for entry in entries]
        super().__init__(entries, sets, [one.kinds for one in sets])
        self.vae = None
        for entry, one in zip(entries, sets, strict=True):
            if one.vae is not None:
                self.vae = one.vae if self.vae is None else self.vae.require(one.vae, said_by=entry.path)

    @property
    def shapes(self) -> np.ndarray:
        """Int64 [N, 5]: `lumos.lumina_video.data.shards.SHAPE_COLUMNS`, as in `kinds`."""
        return np.array(self.kinds.values, np.int64).reshape(-1, len(SHAPE_COLUMNS))[self.kinds.which]


def _open(path: Location) -> LatentShards | ReleasedLatents:
    if path.is_dir():
        return _open(path / INDEX_NAME) if (path / INDEX_NAME).is_file() else LatentShards(_shards(path))
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder; give {LATENTS_READABLE}")
    if path.suffix == ".parquet":
        return LatentShards([path])
    if path.suffix in (".jsonl", ".pkl", ".pth") and isinstance(path, Path):
        return ReleasedLatents.of_file(path)
    if isinstance(path, Address) and path.suffix != ".json":
        raise ValueError(f"{path}: in a store shards and their index are read; copy records and pickles to the disk")
    if path.suffix != ".json":
        raise ValueError(f"{path}: cannot read latents from it; give {LATENTS_READABLE}")
    remedy = "make the latents again"
    index = parse_json(read_text(path, remedy=remedy, most_bytes=_MOST_BYTES), str(path), remedy=remedy, finite=False)
    if isinstance(index, list) and isinstance(path, Path):
        return ReleasedLatents(path, index)
    if not isinstance(index, dict) or index.get("format") != LATENTS.index_format:
        said = other_format(index, LATENTS) or "is no index of latents"
        raise ValueError(f"{path}: {said}; give {LATENTS_READABLE}")
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
        raise ValueError(f"{folder}: holds no latents; give {LATENTS_READABLE}")
    return sorted(shards, key=str)


def _check_no_videos(folder: Path) -> None:
    if any(one.suffix.lower() in VIDEO_SUFFIXES for one in folder.iterdir()):
        listed = "to train on them as they are, list them in a CSV with the columns path,text, name that"
        made = "or make latents of them: pre_tokenize --to latents"
        raise ValueError(f"{folder}: holds videos, and no latents; {listed} as the data and set task.vae; {made}")
