"""A dataset of clips on disk: written as Parquet shards, read from those, from data YAML and from released pickles."""

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch.utils.data import Dataset

from lumos.lumos1.data.shards import (
    INDEX_FORMAT,
    INDEX_NAME,
    SHAPE_COLUMNS,
    ClipShards,
    sequence_lengths,
    shards_of_index,
    write_index,
    write_shard,
)
from lumos.lumos1.sequence import Clip, split_sequence
from lumos.media.files import remove_temporaries
from lumos.tokenizer.vocab import Vocab
from xllmx.setting import suggestion

_READABLE = (
    "a folder of shards or of released pickles, index.json, merge-record.json, a *-record.jsonl, a .parquet or .pkl "
    "file, or a data YAML"
)


class MissingClipsError(ValueError):
    """A data YAML names clips that are not there (yet)."""


class ClipWriter:
    """Writes clips into a folder as `shard-00000.parquet`, ... and, when all went well, `index.json` last.

    Use it as a context manager; a folder without an index is unfinished and may be written over.
    Raises `ValueError` for a folder that already holds a finished set.
    """

    def __init__(self, folder: str | Path, *, shard_size: int = 512) -> None:
        self._folder, self._shard_size = Path(folder), shard_size
        self._pending: list[Clip] = []
        self._shards: list[Path] = []
        if shard_size < 1:
            raise ValueError(f"shard_size is {shard_size}; a shard holds at least 1 clip")
        if (self._folder / INDEX_NAME).exists():
            raise ValueError(
                f"{self._folder} already holds a finished set of clips; choose another folder or remove it"
            )
        remove_temporaries(self._folder)

    def add(self, clip: Clip) -> None:
        """Appends a clip."""
        self._pending.append(clip)
        if len(self._pending) == self._shard_size:
            self._flush()

    def close(self) -> int:
        """Writes what is pending and the index; returns the number of clips."""
        if self._pending or not self._shards:
            self._flush()
        return write_index(self._folder / INDEX_NAME, self._shards)

    def __enter__(self) -> "ClipWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def _flush(self) -> None:
        shard = self._folder / f"shard-{len(self._shards):05d}.parquet"
        write_shard(shard, self._pending)
        self._shards.append(shard)
        self._pending = []


class ClipDataset(Dataset[Clip]):
    """Clips of any source this project reads, as a map-style dataset; `lengths` are the tokens of each packed sample.

    `path` is a folder of shards or of released pickles, an `index.json`, a released `merge-record.json` or
    `*-record.jsonl`, a single `.parquet` or `.pkl`, or a data YAML `META: [{path, ratio}]`, whose paths are relative to
    the YAML or to the working directory. A ratio of 2.5 takes every clip twice and every other one once more.
    Raises `ValueError` that names the file for whatever cannot be read; `MissingClipsError` for clips that a YAML
    names and that are not there.
    """

    lengths: Sequence[int]
    """Number of tokens of each packed sample (placeholders still one token each)."""
    shapes: np.ndarray
    """Int64 [N, 6]: `lumos.lumos1.data.shards.SHAPE_COLUMNS`; -1 where only the length is known (a released record)."""

    def __init__(self, path: str | Path, *, vocab: Vocab | None = None) -> None:
        self._parts: list[ClipShards | _Released] = []
        items, lengths = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
        shapes = [np.zeros((0, len(SHAPE_COLUMNS)), np.int64)]
        for part_path, ratio in _entries(Path(path)):
            part = _open(part_path, vocab or Vocab())
            chosen = _repeat(len(part.lengths), ratio)
            items.append(np.stack([np.full_like(chosen, len(self._parts)), chosen], axis=1))
            lengths.append(np.asarray(part.lengths, dtype=np.int64)[chosen])
            shapes.append(part.shapes[chosen])
            self._parts.append(part)
        self._items = np.concatenate(items)
        self.lengths = np.concatenate(lengths).tolist()
        self.shapes = np.concatenate(shapes)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Clip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        part, item = self._items[index].tolist()
        return self._parts[part][item]


def read_released(path: str | Path, vocab: Vocab) -> Clip:
    """The clip in a pickle of the Lumos-1 release, {"token": [int], "label": [int], "id": int}; its caption is unknown.

    The unpickler admits ints, strings, lists and dicts, nothing else. Raises `ValueError` for any other file.
    """
    prompt_ids, codes, fps, duration = _unpacked(Path(path), vocab)
    return Clip(
        prompt_ids=prompt_ids.numpy().astype(np.int32),
        caption="",
        codes=codes.numpy().astype(np.uint16),
        fps=fps,
        duration=duration,
        source=str(path),
    )


# --- what a path may be -----------------------------------------------------------------------------------------------


def _entries(path: Path) -> list[tuple[Path, float]]:
    """Paths and ratios: of a data YAML, or the path itself once."""
    if path.suffix not in (".yaml", ".yml"):
        return [(path, 1.0)]
    try:
        meta = OmegaConf.to_container(OmegaConf.load(path))
        if not isinstance(meta, dict) or set(meta) != {"META"} or not isinstance(meta["META"], list):
            raise ValueError("it must hold one list META of {path, ratio}")
        return [_entry(path, entry) for entry in meta["META"]]
    except MissingClipsError:
        raise
    except Exception as error:  # whatever the YAML parser raises
        raise ValueError(f"{path}: not a data YAML: {' '.join(str(error).split())}") from error


def _entry(yaml: Path, entry: Any) -> tuple[Path, float]:
    if not isinstance(entry, dict) or "path" not in entry:
        raise ValueError(f"entry {entry!r} has no path; write {{path: ..., ratio: 1.0}}")
    for key in set(entry) - {"path", "ratio"}:
        raise ValueError(f"unknown key {key!r}; {suggestion(str(key), ['path', 'ratio'])}")
    ratio = float(entry.get("ratio", 1.0))
    if not 0 < ratio < float("inf"):
        raise ValueError(f"ratio is {ratio}; it must be above 0 (leave the entry out to use none of it)")
    candidates = [yaml.parent / entry["path"], Path(entry["path"])]
    for candidate in candidates:
        if candidate.exists():
            return candidate, ratio
    places = " and no ".join(map(str, candidates))
    raise MissingClipsError(f"{yaml}: there is no {places}; pre-tokenise first or correct the path")


def _repeat(length: int, ratio: float) -> np.ndarray:
    """Indices of `length` clips taken `ratio` times: every one floor(ratio) times, the rest evenly spread."""
    whole, total = int(ratio), round(ratio * length)
    rest = total - whole * length
    spread = np.arange(rest) * length // max(rest, 1)
    return np.concatenate([np.tile(np.arange(length), whole), spread]).astype(np.int64)


def _open(path: Path, vocab: Vocab) -> "ClipShards | _Released":
    if path.is_dir():
        return _open_folder(path, vocab)
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder; give {_READABLE}")
    match path.suffix:
        case ".parquet":
            return ClipShards([path])
        case ".pkl":
            return _Released.of_files([path], vocab)
        case ".json" | ".jsonl":
            return _open_json(path, vocab)
    raise ValueError(f"{path}: cannot read clips from it; give {_READABLE}")


def _open_folder(folder: Path, vocab: Vocab) -> "ClipShards | _Released":
    for name in (INDEX_NAME, "merge-record.json"):
        if (folder / name).is_file():
            return _open_json(folder / name, vocab)
    if shards := sorted(folder.glob("*.parquet")):
        return ClipShards(shards)
    pickles = sorted([*folder.glob("*.pkl"), *folder.glob("files/*.pkl")])
    if not pickles:
        raise ValueError(f"{folder}: holds no clips; give {_READABLE}")
    return _Released.of_files(pickles, vocab)


def _open_json(path: Path, vocab: Vocab) -> "ClipShards | _Released":
    try:
        text = path.read_text(encoding="utf-8")
        content = _json_lines(text) if path.suffix == ".jsonl" else json.loads(text)
        if isinstance(content, dict) and content.get("format") == INDEX_FORMAT:
            return ClipShards(shards_of_index(path, content))
        if isinstance(content, list):
            return _Released.of_records(path, content, vocab)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: damaged index of clips ({type(error).__name__}: {error}); write it again") from error
    raise ValueError(f"{path}: neither an index of shards nor a released record; give {_READABLE}")


def _json_lines(text: str) -> list[Any]:
    """The records of the lines; the last one, if a kill cut it, is left out (its sample is recorded again)."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and not text.endswith("\n") and not lines[-1].endswith("}"):
        lines.pop()
    return [json.loads(line) for line in lines]


# --- released pickles -------------------------------------------------------------------------------------------------


class _Released:
    """Released pickles, each read when it is asked for."""

    def __init__(
        self, files: Sequence[Path], lengths: Sequence[int], vocab: Vocab, *, shapes: Sequence[tuple[int, ...]] = ()
    ) -> None:
        self._files, self._vocab = list(files), vocab
        self.lengths = np.array(lengths, dtype=np.int64)
        self.shapes = np.array(shapes or [(-1,) * len(SHAPE_COLUMNS)] * len(files), dtype=np.int64)

    @classmethod
    def of_files(cls, files: Sequence[Path], vocab: Vocab) -> "_Released":
        """Pickles without a record, which must all be read for their lengths."""
        unpacked = [_unpacked(path, vocab) for path in files]
        shapes = [(len(prompt), *codes.shape, fps, duration) for prompt, codes, fps, duration in unpacked]
        return cls(files, sequence_lengths(np.array(shapes)).tolist(), vocab, shapes=shapes)

    @classmethod
    def of_records(cls, path: Path, records: Sequence[Mapping[str, Any]], vocab: Vocab) -> "_Released":
        """Pickles that a record lists; one that is listed twice (the release did that on resuming) counts once."""
        lengths = {str(record["file"]): int(record["len"]) for record in records}
        found = {name: _locate(path.parent, name) for name in lengths}
        if len(set(found.values())) < len(found):
            raise ValueError(f"{path}: two of its samples would be one file here; move the whole set, folders and all")
        return cls(list(found.values()), list(lengths.values()), vocab)

    def __getitem__(self, index: int) -> Clip:
        return read_released(self._files[index], self._vocab)


def _locate(folder: Path, name: str) -> Path:
    """A recorded file: as recorded, or, if the set was moved, under its record's folder by the end of its old path."""
    parts = Path(name).parts
    moved = (folder.joinpath(*parts[start:]) for start in range(1, len(parts)))
    candidates = (folder / name, Path(name), *moved, folder / "files" / parts[-1])
    return next((path for path in candidates if path.is_file()), candidates[0])


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, reference: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")


def _tokens(path: Path) -> np.ndarray:
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
        _require_plain(content)
        return np.array(content["token"], dtype=np.int64)
    except Exception as error:  # hostile bytes may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a released sample, a pickle of plain lists of ints ({reason})") from error


def _require_plain(content: Any) -> None:
    """Raises `ValueError` where anything but ints, strings, lists and dicts is inside; the pickle may hold cycles."""
    pending, seen = [content], set()
    while pending:
        value = pending.pop()
        if type(value) not in (int, str, list, dict):
            raise ValueError(f"it holds a {type(value).__name__}")
        if type(value) in (int, str) or id(value) in seen:
            continue
        seen.add(id(value))
        inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        pending.extend(item for item in inside if type(item) is not int)


def _unpacked(path: Path, vocab: Vocab) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    tokens = torch.from_numpy(_tokens(path))
    try:
        return split_sequence(tokens, vocab)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
