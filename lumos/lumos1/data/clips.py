"""A dataset of clips on disk: from Parquet shards, from data YAML and from released pickles."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from lumos.lumos1.data.readable import READABLE
from lumos.lumos1.data.released import ReleasedClips, read_released
from lumos.lumos1.data.shards import CLIPS, SHAPE_COLUMNS, ClipShards
from lumos.lumos1.sequence import Clip
from lumos.media.sets.data_yaml import entries_of
from lumos.media.sets.joined_sets import JoinedSets
from lumos.media.shards.known_shards import Shape
from lumos.media.shards.parquet_rows import INDEX_NAME, check_is_indexed, known_of_index, other_format
from lumos.tokenizer.vocab import Vocab
from xllmx.data.kinds import Kinds
from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.json_text import filled_lines, parse_json, read_text, without_cut_line
from xllmx.safe.plain_pickle import read_plain
from xllmx.safe.torch_archive import load_plain
from xllmx.settings.argument_types import checked_types
from xllmx.store.address import Address, Location, location_of

__all__ = ["ClipDataset", "read_released"]

_MOST_RECORD_BYTES = 2**30
"""Of a record; that of a million samples has about 100 MB."""


class ClipKind(NamedTuple):
    """What training has to know of a clip before it is read."""

    shape: Shape
    """`lumos.lumos1.data.shards.SHAPE_COLUMNS`; -1 where only the length is known (a released record)."""
    length: int
    """Tokens of its sequence (placeholders still one token each)."""
    type: str
    """The type of its entry in the YAML."""


class ClipDataset(JoinedSets[Clip, ClipKind], Dataset[Clip]):
    """Clips of any source this project reads, as a map-style dataset.

    `path` is a folder of shards or of released pickles, an `index.json`, a released record (`merge-record.json`,
    `*-record.jsonl`, or its list in a `.pkl` or `.pth`), a single `.parquet` or `.pkl`, or a data YAML
    `META: [{path, ratio, type, drawn}]`, whose paths are relative to the YAML or to the working directory. A ratio of
    2.5 takes every clip twice and every other one once more; of one below 1 with `drawn: each_epoch` all clips are
    here, and `subsets` says how many of them an epoch sees.
    Raises `ValueError` that names the file for whatever cannot be read; `MissingClipsError` for clips that a YAML
    names and that are not there.
    """

    lengths: Kinds[int]
    """Tokens of each clip's sequence."""

    @checked_types
    def __init__(self, path: str | Path | Address, *, vocab: Vocab | None = None) -> None:
        entries = entries_of(location_of(path))
        sets = [_open(entry.path, vocab or Vocab()) for entry in entries]
        super().__init__(entries, sets, [_kinds(one, entry.type) for one, entry in zip(sets, entries, strict=True)])
        self.lengths = self.kinds.given([kind.length for kind in self.kinds.values])

    @property
    def shapes(self) -> np.ndarray:
        """Int64 [N, 6]: `lumos.lumos1.data.shards.SHAPE_COLUMNS`, as in `kinds`."""
        rows = [kind.shape for kind in self.kinds.values]
        return np.array(rows, np.int64).reshape(-1, len(SHAPE_COLUMNS))[self.kinds.which]


def _kinds(one: "ClipShards | ReleasedClips", kind: str) -> Kinds[ClipKind]:
    if isinstance(one, ClipShards):
        pairs = zip(one.kinds.values, one.lengths.values, strict=True)
        return one.kinds.given([ClipKind(shape, length, kind) for shape, length in pairs])
    rows = zip(one.shapes.tolist(), one.lengths.tolist(), strict=True)
    return Kinds.of(ClipKind(tuple(shape), length, kind) for shape, length in rows)


def _open(path: Location, vocab: Vocab) -> "ClipShards | ReleasedClips":
    if isinstance(path, Address):
        return _open_address(path, vocab)
    if path.is_dir():
        return _open_folder(path, vocab)
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder; give {READABLE}")
    match path.suffix:
        case ".parquet":
            return ClipShards([path])
        case ".pkl" | ".pth":
            return _open_pickle(path, vocab)
        case ".json" | ".jsonl":
            return _open_json(path, vocab)
    raise ValueError(f"{path}: cannot read clips from it; give {READABLE}")


def _open_address(address: Address, vocab: Vocab) -> "ClipShards | ReleasedClips":
    """What lies in a store: shards and their index; pickles are asked for one by one, which a store is too slow for."""
    if address.suffix == ".parquet":
        return ClipShards([address])
    if address.suffix == ".json":
        return _open_json(address, vocab)
    if (address / INDEX_NAME).is_file():
        return _open_json(address / INDEX_NAME, vocab)
    if shards := address.glob("*.parquet"):
        return ClipShards(shards)
    raise ValueError(f"{address}: holds no shards of clips; give their folder or {INDEX_NAME}, or copy pickles here")


def _open_folder(folder: Path, vocab: Vocab) -> "ClipShards | ReleasedClips":
    for name in (INDEX_NAME, "merge-record.json"):
        if os.path.lexists(folder / name):  # what is no file is refused by name, not passed over
            return _open_json(folder / name, vocab)
    if shards := sorted(folder.glob("*.parquet")):
        return ClipShards(shards)
    pickles = sorted([*folder.glob("*.pkl"), *folder.glob("files/*.pkl")])
    if not pickles:
        check_is_indexed(folder)
        raise ValueError(f"{folder}: holds no clips; give {READABLE}")
    return ReleasedClips.of_files(pickles, vocab)


def _open_json(path: Location, vocab: Vocab) -> "ClipShards | ReleasedClips":
    remedy = "write it again"
    text = read_text(path, remedy=remedy, most_bytes=_MOST_RECORD_BYTES)
    try:
        content = _json_lines(path, text) if path.suffix == ".jsonl" else parse_json(text, "it", remedy=remedy)
    except ValueError as error:
        raise ValueError(f"{path}: damaged index of clips: {error}") from error
    try:
        if isinstance(content, dict) and content.get("format") == CLIPS.index_format:
            return ClipShards(known_of_index(path, content, form=CLIPS))
        if isinstance(content, list) and isinstance(path, Path):
            return ReleasedClips.of_records(path, content, vocab)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged index of clips ({type(error).__name__}: {error}); {remedy}") from error
    raise ValueError(
        f"{path}: {other_format(content, CLIPS) or 'neither an index of shards nor a released record'}; give {READABLE}"
    )


def _open_pickle(path: Path, vocab: Vocab) -> ReleasedClips:
    """A released record, a list of {file, len, id} in a pickle or in a file of torch.save; or one sample."""
    try:
        if path.suffix == ".pth":
            content = load_plain(path, most_bytes=_MOST_RECORD_BYTES)
        else:
            content = read_plain(read_bounded(path, most_bytes=_MOST_RECORD_BYTES), most_bytes=_MOST_RECORD_BYTES)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not a released sample or a record of some ({error})") from error
    if not isinstance(content, list):
        return ReleasedClips.of_files([path], vocab)
    try:
        return ReleasedClips.of_records(path, content, vocab)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged record ({type(error).__name__}: {error}); write it again") from error


def _json_lines(path: Location, text: str) -> list[Any]:
    """The records of the lines, in the place of a damaged one its `ValueError`.

    The last line, if a kill cut it, is left out (its sample is recorded again).
    """
    rows: list[Any] = []
    for number, line in filled_lines(without_cut_line(text)):
        try:
            rows.append(parse_json(line, f"it, line {number}", remedy="write it again"))
        except ValueError as error:
            rows.append(ValueError(f"{path}: damaged index of clips: {error}"))
    return rows
