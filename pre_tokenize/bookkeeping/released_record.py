"""The release's `merge-record.json`: of what was pre-tokenised here, or of the records that the release left behind."""

import json
import re
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

from lumos.hub.hashes import sha256_of
from lumos.hub.models import SHARED_TEXT_TOKENIZER, TEXT_TOKENIZER, ckpts_root
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.released_writing import write_released
from lumos.lumos1.data.shards import CLIPS
from lumos.media.shards.parquet_rows import INDEX_NAME, decoded_in, known_of_index, num_rows
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.vocab import Vocab
from pre_tokenize.bookkeeping.ledger import MANIFEST, UNSAID, read_manifest
from xllmx.disk.files import write_text
from xllmx.safe.json_text import json_lines, read_object, read_text, without_cut_line
from xllmx.store.address import Location

MERGED = "merge-record.json"
"""The name that the release gave its lists."""

_PART = re.compile(r"(\d+)-of-(\d+)-record\.jsonl")
_MOST_BYTES = 2**30


def write_record(folder: Location, record: Path, *, rank: Location, text_tokenizer: str | None) -> int:
    """Write the clips of a finished output as a set of the release; return how many.

    Args:
        folder: the output, with its index.
        record: the list to write; samples go beside it.
        rank: the folder of one of its processes, whose manifest says what made the clips.
        text_tokenizer: the file the clips were made with; None is whichever of the checkpoints' it was.

    Raises:
        ValueError: the text tokenizer is not at hand, or the disk is full.
    """
    if (made := {**UNSAID, **read_manifest(rank)}["to"]) != "codes":
        raise ValueError(f"{folder} holds {made}, and a {MERGED} holds codes; leave --save_path out")
    clips = ClipDataset(folder / INDEX_NAME)
    vocab = _vocab_of(rank, text_tokenizer)
    return write_released(record, (clips[index] for index in range(len(clips))), vocab, psnr_db=_psnr_db(folder))


def _psnr_db(folder: Location) -> dict[int, float]:
    """PSNR of the clips of an output that were decoded, by their number."""
    found: dict[int, float] = {}
    first, index = 0, read_object(folder / INDEX_NAME)
    for file in known_of_index(folder / INDEX_NAME, index, form=CLIPS).files:
        found |= {first + place: value for place, value in decoded_in(file, form=CLIPS).psnr_db.items()}
        first += num_rows(file, form=CLIPS)
    return found


def _vocab_of(rank: Location, text_tokenizer: str | None) -> Vocab:
    """The vocabulary of the text tokenizer that the manifest names by its hash."""
    wanted = read_manifest(rank).get("text_tokenizer")
    known = sorted(ckpts_root().glob(f"*/{TEXT_TOKENIZER}"))
    files = [Path(text_tokenizer)] if text_tokenizer else [ckpts_root() / SHARED_TEXT_TOKENIZER, *known]
    for file in files:
        if file.is_file() and sha256_of(file) == wanted:
            return TextTokenizer.from_file(file).vocab
    where = text_tokenizer or f"none in {ckpts_root()}"
    raise ValueError(
        f"the clips were made with another text tokenizer ({rank / MANIFEST} has its hash; tried: {where}); "
        "give it as --text_tokenizer"
    )


def left_by_release(folder: Location) -> list[Location]:
    """The records `N-of-M-record.jsonl` that processes of the release left in a folder or in its `N-in-M`, in order."""
    places = [("", folder), *((task.name, task) for task in folder.glob("*-in-*"))]
    found = [(task, path) for task, place in places for path in place.glob("*-of-*-record.jsonl")]
    named = [(_numbers(f"{task}/{path.name}"), path) for task, path in found if _PART.fullmatch(path.name)]
    return [path for _, path in sorted(named, key=itemgetter(0))]


def merge_left(folder: Location, record: Location) -> int:
    """Write one list of what processes of the release recorded, each sample once; return how many.

    Raises:
        ValueError: a process is missing or has not finished, or a record is damaged.
    """
    parts = left_by_release(folder)
    _check_finished(parts)
    samples: dict[str, Any] = {}
    for part in parts:
        for number, row in _rows(part):
            if not isinstance(row, dict) or not isinstance(row.get("file"), str) or "len" not in row:
                raise ValueError(f"{part}: line {number} is no sample {{file, len, id}}; make this part again")
            samples[row["file"]] = row
    write_text(record, json.dumps(list(samples.values())))
    return len(samples)


def _rows(part: Location) -> Iterable[tuple[int, Any]]:
    remedy = "make this part again"
    return json_lines(without_cut_line(read_text(part, remedy=remedy, most_bytes=_MOST_BYTES)), str(part))


def _check_finished(parts: list[Location]) -> None:
    for part in parts:
        progress = part.with_name(part.name.replace("-record.jsonl", "-progress.txt"))
        if progress.is_file() and (said := read_text(progress).strip()) != "finished":
            raise ValueError(f"not finished: {part} ({progress.name} says {said!r:.40}); run this process again")
        total = int(part.name.split("-")[2])
        missing = [n for n in range(total) if not part.with_name(f"{n}-of-{total}-record.jsonl").is_file()]
        if missing:
            raise ValueError(f"{part.parent}: not begun: {missing[0]}-of-{total}; run this process first")


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
