"""What a path holds: a table of clips to be made, clips of codes or of latents, a list of files, or outputs."""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from lumos.look.clips.provenance import unfinished_shards
from lumos.look.outputs import PICTURES, VIDEOS, holds_outputs
from lumos.lumina_video.data.row_lists import first_object, read_rows
from lumos.lumina_video.data.shards import LATENTS
from lumos.lumos1.data.shards import CLIPS
from lumos.media.sets.data_yaml import entries_of
from lumos.media.shards.parquet_rows import INDEX_NAME
from xllmx.safe.json_text import parse_json, read_text

Kind = Literal["table", "codes", "latents", "files", "outputs"]

TABLE = ".csv"
_RECORDS = ("merge-record.json", "record.jsonl", "record.json")
"""What the two releases call the record of a set."""
_MOST_BYTES = 2**30
_READABLE = (
    "a folder of shards or of outputs, its index.json, a .parquet file, a released record (.json, .jsonl) or sample "
    "(.pkl), a list of {path, prompt} (.json, .jsonl), a data YAML, or a CSV with the columns path,text"
)


def kind_of(path: Path) -> tuple[Kind, Path]:
    """What a path holds, and the path that is to be read for it: of some folders a file in it.

    Raises:
        ValueError: there is nothing, or nothing of the kind; says what can be looked at.
    """
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        what = "a pipe or a device" if path.exists() else "no such file or folder"
        raise ValueError(f"{path}: {what}; give {_READABLE}")
    suffix = path.suffix.lower()
    if suffix == TABLE:
        return "table", path
    if suffix in VIDEOS | PICTURES:
        return "outputs", path
    match suffix:
        case ".parquet":
            return _of_parquet(path), path
        case ".json" | ".jsonl":
            return _of_json(path), path
        case ".pkl" | ".pth":
            return _of_pickle(path), path
        case ".yaml" | ".yml":
            return _of_yaml(path), path
    raise ValueError(f"{path}: nothing is known of such files; give {_READABLE}")


def _in_folder(folder: Path) -> tuple[Kind, Path]:
    if (folder / INDEX_NAME).exists():
        return _of_json(folder / INDEX_NAME), folder
    if shards := unfinished_shards(folder) or sorted(folder.glob("*.parquet")):
        return _of_parquet(shards[0]), folder
    for name in _RECORDS:
        if (folder / name).is_file():
            return _of_json(folder / name), folder / name
    if holds_outputs(folder):
        return "outputs", folder
    if any(folder.glob("*.pkl")) or any(folder.glob("files/*.pkl")):
        return "codes", folder
    below = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    if below:
        named = ", ".join(below[:5]) + (", ..." if below[5:] else "")
        raise ValueError(f"{folder}: holds no clips and no outputs itself; look at one of its folders: {named}")
    raise ValueError(f"{folder}: holds no clips and no outputs; give {_READABLE}")


def _of_parquet(path: Path) -> Kind:
    try:
        names = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable shard ({' '.join(str(error).split())}); make it again") from error
    if set(CLIPS.schema.names) <= names:
        return "codes"
    if set(LATENTS.schema.names) <= names:
        return "latents"
    has = ", ".join(sorted(names)[:10])
    raise ValueError(f"{path}: a table of something else (its columns: {has}); shards of clips have caption, codes, T")


def _of_json(path: Path) -> Kind:
    remedy = f"give {_READABLE}"
    if path.suffix == ".jsonl":
        content: Any = [first_object(path)]  # lines that are none are for who reads the rows to say
    else:
        text = read_text(path, remedy=remedy, most_bytes=_MOST_BYTES)
        content = parse_json(text, str(path), remedy=remedy, finite=False)
    kind = _of_content(content)
    if kind is None:
        raise ValueError(f"{path}: no index of shards and no released record; {remedy}")
    return kind


def _of_pickle(path: Path) -> Kind:
    """That of the list in it; one sample, and what cannot be read, is for the reader of codes."""
    try:
        return _of_content(read_rows(path, remedy="copy it again")) or "codes"
    except ValueError:
        return "codes"


def _of_content(content: Any) -> Kind | None:
    if isinstance(content, dict):
        forms: dict[Any, Kind] = {CLIPS.index_format: "codes", LATENTS.index_format: "latents"}
        name = content.get("format")
        return forms.get(name) if isinstance(name, str) else None
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and "pkl" in first:
        return "latents"
    if isinstance(first, dict) and {"path", "prompt"} <= first.keys():
        return "files"
    return "codes" if isinstance(first, dict) and {"file", "len"} <= first.keys() else None


def _of_yaml(path: Path) -> Kind:
    """The kind of all entries of a data YAML; ValueError where there are two."""
    found: dict[Kind, Path] = {}
    for entry in entries_of(path):
        kind = kind_of(entry.local)[0]
        found["files" if kind == "table" else kind] = entry.local  # a CSV that training reads
    if len(found) != 1:
        named = " and ".join(f"{kind} ({entry})" for kind, entry in found.items()) or "nothing"
        raise ValueError(f"{path}: lists {named}; a data YAML lists codes or latents, or files")
    return next(iter(found))
