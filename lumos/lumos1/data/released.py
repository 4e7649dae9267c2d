"""Clips in the pickles of the Lumos-1 release, read by an unpickler that admits plain data only."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from lumos.lumos1.data.shards import SHAPE_COLUMNS
from lumos.lumos1.sequence import Clip, split_sequence
from lumos.lumos1.sequence_lengths import sequence_lengths
from lumos.media.decoded import DecodedSample, is_psnr
from lumos.tokenizer.vocab import Vocab
from xllmx.ranks.distributed import is_main
from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.json_text import json_lines, read_text
from xllmx.safe.plain_pickle import read_plain

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_MOST_BYTES = 64 * 2**20
"""Of one sample; the longest of the release has some ten thousand tokens."""

_MOST_CAPTION_BYTES = 2**30
"""Of all captions of a set; those of a million clips have a few hundred MB."""

_STRETCH = 512
"""Pickles that are gone through together where a set is not shuffled whole."""
_WHOLE_SET = "move the whole set, folders and all, and leave its record in it"
"""What helps a record whose samples are not where it is."""


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


class ReleasedClips:
    """Released pickles, each read when it is asked for."""

    def __init__(
        self,
        files: Sequence[Path],
        lengths: Sequence[int],
        vocab: Vocab,
        *,
        shapes: Sequence[tuple[int, ...]] = (),
        said: Sequence[tuple[str, str]] = (),
        decoded: Sequence[DecodedSample] = (),
        faults: Mapping[int, str] | None = None,
    ) -> None:
        """Take files and what is known of each: tokens, `SHAPE_COLUMNS`, and the caption and source no sample says.

        `decoded` are those that were decoded as they were written, where a set of ours says it; `faults` says of those
        that are known to be broken why.
        """
        self._faults = dict(faults or {})
        self.decoded = list(decoded)
        self._files, self._vocab, self._said = list(files), vocab, list(said)
        self.lengths = np.array(lengths, dtype=np.int64)
        unknown = [(-1,) * len(SHAPE_COLUMNS)] * len(files)
        self.shapes = np.array(shapes or unknown, dtype=np.int64).reshape(len(files), len(SHAPE_COLUMNS))
        self.starts = np.append(np.arange(0, len(files), _STRETCH), len(files))

    @classmethod
    def of_files(cls, files: Sequence[Path], vocab: Vocab) -> "ReleasedClips":
        """Pickles without a record, which must all be read for their lengths."""
        shapes: list[tuple[int, ...] | None] = []
        faults: dict[int, str] = {}
        for place, path in enumerate(files):
            try:
                prompt, codes, fps, duration = _unpacked(path, vocab)
                shapes.append((len(prompt), *codes.shape, fps, duration))
            except ValueError as error:
                faults[place] = str(error)
                shapes.append(None)
        _report(files[0].parent, faults, len(files))
        known = _with_usual(shapes)
        return cls(files, sequence_lengths(np.array(known)).tolist(), vocab, shapes=known, faults=faults)

    @classmethod
    def of_records(cls, path: Path, records: Sequence[Any], vocab: Vocab) -> "ReleasedClips":
        """Pickles that a record lists; one that is listed twice (the release did that on resuming) counts once.

        A row that names none stands for a broken sample, and so does a `ValueError` in its place.
        """
        rows: dict[str | int, tuple[Path, int] | str] = {}
        for number, record in enumerate(records):
            try:
                name, length = _row(path, record)
                rows[name] = _locate(path, name), length
            except ValueError as error:
                rows[number] = str(error)
        faults = {place: row for place, row in enumerate(rows.values()) if isinstance(row, str)}
        _report(path, faults, len(rows))
        found = [row[0] for row in rows.values() if not isinstance(row, str)]
        if len(set(found)) < len(found):
            raise ValueError(f"{path}: two of its samples would be one file here; move the whole set, folders and all")
        files = [path if isinstance(row, str) else row[0] for row in rows.values()]
        lengths = _with_usual([None if isinstance(row, str) else row[1] for row in rows.values()])
        captions, psnr_db = _captions(path)
        names = list(map(str, rows))
        said = [captions.get(name, ("", str(file))) for name, file in zip(names, files, strict=True)]
        measured = {place: psnr_db[name] for place, name in enumerate(names) if name in psnr_db}
        decoded = [DecodedSample(file=path, psnr_db=measured)] if measured else []
        return cls(files, lengths, vocab, said=said if captions else [], decoded=decoded, faults=faults)

    def __getitem__(self, index: int) -> Clip:
        if fault := self._faults.get(range(len(self._files))[index]):
            raise ValueError(fault)
        clip = read_released(self._files[index], self._vocab)
        if not self._said:
            return clip
        caption, source = self._said[index]
        return dataclasses.replace(clip, caption=caption, source=source)


def _report(path: Path, faults: Mapping[int, str], num: int) -> None:
    """Say on the main rank how many of the samples are broken, and why the first; ValueError where all are."""
    if not faults:
        return
    first = next(iter(faults.values()))
    if len(faults) == num:
        raise ValueError(first if num == 1 else f"{path}: none of its {num} samples can be used; the first: {first}")
    if is_main():
        broken = f"{len(faults)} of {num} samples cannot be used and count as broken (trainer.max_broken)"
        _LOG.warning("%s: %s; the first: %s", path, broken, first)


def _with_usual(values: Sequence[_T | None]) -> list[_T]:
    """The values, with the commonest in the place of those that are not known."""
    known = Counter(value for value in values if value is not None)
    usual = known.most_common(1)[0][0] if known else None
    return [found for value in values if (found := usual if value is None else value) is not None]


def captions_path(record: Path) -> Path:
    """Where a set that was written here says the captions of its samples."""
    return record.with_name(f"{record.stem}-captions.jsonl")


def _captions(record: Path) -> tuple[dict[str, tuple[str, str]], dict[str, float]]:
    """Recorded file -> caption and source, and -> PSNR of those that were decoded; empty of a set of another writer."""
    path, remedy = captions_path(record), "write the set again, or remove this file"
    if not path.is_file():
        return {}, {}
    found, psnr_db = {}, {}
    text = read_text(path, remedy=remedy, most_bytes=_MOST_CAPTION_BYTES)
    for number, row in json_lines(text, str(path), remedy=remedy):
        values = [row.get(name) if isinstance(row, dict) else None for name in ("file", "caption", "source")]
        words = [value for value in values if isinstance(value, str)]
        if len(words) < len(values):
            raise ValueError(f"{path}: line {number} says no file, caption and source; {remedy}")
        found[words[0]] = (words[1], words[2])
        if (value := row.get("psnr_db")) is not None:
            if not is_psnr(value):
                raise ValueError(f"{path}: line {number} has psnr_db {value!r:.60}, no number; {remedy}")
            psnr_db[words[0]] = float(value)
    return found, psnr_db


def _row(path: Path, record: Any) -> tuple[str, int]:
    """The file and the length that a row of a record names."""
    if isinstance(record, ValueError):
        raise record
    if not isinstance(record, Mapping) or not {"file", "len"} <= record.keys():
        raise ValueError(f"{path}: damaged record ({record!s:.60} names no file and len); write it again")
    return record["file"], _num_tokens(path, record["len"])


def _num_tokens(record: Path, length: Any) -> int:
    """The recorded length of a sample; ValueError where it is none."""
    if type(length) is not int or length < 1:
        raise ValueError(f"{record}: damaged record (a sample has {length!r:.80} tokens); write it again")
    return length


def _locate(record: Path, name: Any) -> Path:
    """A recorded file: as recorded, or, if the set was moved, under its record's folder by the end of its old path."""
    if not isinstance(name, str) or ".." in Path(name).parts or not Path(name).name:
        raise ValueError(f"{record} names {name!r:.100} as a sample, which is no file of its set; {_WHOLE_SET}")
    folder, parts = record.parent, [part for part in Path(name).parts if part != Path(name).anchor]
    candidates = [*(folder.joinpath(*parts[start:]) for start in range(len(parts))), folder / "files" / parts[-1]]
    try:
        return next((path for path in candidates if path.is_file()), candidates[0])
    except OSError as error:
        raise ValueError(
            f"{record} names {name[:40]!r}... as a sample, and no file can be ({error.strerror})"
        ) from error


def _tokens(path: Path) -> np.ndarray:
    try:
        content = read_plain(read_bounded(path, most_bytes=_MOST_BYTES))
        tokens = content["token"] if isinstance(content, dict) else None
        if not isinstance(tokens, list) or set(map(type, tokens)) - {int}:
            raise ValueError("it holds no list of token ids")
        return np.array(tokens, dtype=np.int64)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such sample beside its record; {_WHOLE_SET}") from error
    except (ValueError, KeyError, OverflowError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a released sample, a pickle of plain lists of ints ({reason})") from error


def _unpacked(path: Path, vocab: Vocab) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    tokens = torch.from_numpy(_tokens(path))
    try:
        return split_sequence(tokens, vocab)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
