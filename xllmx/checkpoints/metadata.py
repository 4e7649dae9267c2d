"""The list of what a checkpoint folder holds (`.metadata`, a pickle): read without running it, and checked.

It is read into stand-ins, which have a state and nothing of the classes that were pickled. What they say is compared
with itself and with the files, and put into the classes of torch.distributed.checkpoint.
"""

import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo  # what the list holds; it has no public name
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.plain_pickle import MOST_BYTES, read_pickle

METADATA = ".metadata"

_FILE = re.compile(r"\w[\w.-]*\.distcp", re.ASCII)
_MOST_AXES = 64


def read_metadata(folder: Path) -> Metadata:
    """Return the list of tensors and values of a checkpoint folder.

    Raises:
        ValueError: it is missing, damaged, asks for anything else than a list of tensors, or speaks of what the files
            of the folder do not hold; one line without the name of the folder.
    """
    try:
        content = read_bounded(folder / METADATA, most_bytes=MOST_BYTES)
        return _rebuilt(read_pickle(content, _KNOWN), folder, most_parts=len(content))
    except OSError as error:
        raise ValueError(f"its {METADATA} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"its {METADATA}: {error}") from error


class _StandIn:
    """What was pickled as an object of a class of torch's: its state, and nothing of the class."""

    state: Any = None

    def __new__(cls, *state: Any) -> "_StandIn":
        made = super().__new__(cls)
        made.state = state
        return made

    def __init__(self, *state: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Size(tuple):
    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a size")


def _no_class(module: str, names: str) -> Mapping[tuple[str, str], Any]:
    return {(module, name): type(name, (_StandIn,), {}) for name in names.split()}


def _layout(name: Any) -> str:
    """Stands for the function that finds a layout by its name."""
    if not isinstance(name, str):  # lists that name each other spell a text without end
        raise pickle.UnpicklingError("it asks for a layout that has no name")
    return name


def _member_of(kind: Any, name: str) -> Any:
    """Stands for getattr, by which some Pythons pickle the members of an enum."""
    if not (isinstance(kind, type) and issubclass(kind, _StandIn)):
        raise pickle.UnpicklingError("it asks for an attribute")
    return name


_IN_TORCH = "torch.distributed.checkpoint."
_KNOWN: dict[tuple[str, str], Any] = {
    **_no_class(
        f"{_IN_TORCH}metadata",
        "Metadata MetadataIndex TensorStorageMetadata BytesStorageMetadata ChunkStorageMetadata TensorProperties "
        "StorageMeta _MEM_FORMAT_ENCODING",
    ),
    **_no_class(f"{_IN_TORCH}filesystem", "_StorageInfo"),
    **{(module, name): _StandIn for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")},
    ("torch.serialization", "_get_layout"): _layout,
    ("torch", "Size"): _Size,
    ("builtins", "getattr"): _member_of,
    **{("torch", str(d).removeprefix("torch.")): d for d in vars(torch).values() if isinstance(d, torch.dtype)},
}


def _rebuilt(found: Any, folder: Path, *, most_parts: int) -> Metadata:
    fields = _fields(found, "Metadata")
    listed, left = {}, most_parts
    for name, value in _dict(fields, "state_dict_metadata").items():
        listed[_name(name)] = stored = _stored(_name(name), value, most_parts=left)
        left -= len(stored.chunks) if isinstance(stored, TensorStorageMetadata) else 1
    places: dict[MetadataIndex, _StorageInfo] = {}
    sizes: dict[str, int] = {}
    for key, value in _dict(fields, "storage_data").items():
        index = _index(key)
        if index in places:
            raise ValueError(f"it says twice where {index.fqn} lies")
        places[index] = _place(_fields(value, "_StorageInfo"), folder, sizes)
    for name, stored in listed.items():
        offsets = [chunk.offsets for chunk in stored.chunks] if isinstance(stored, TensorStorageMetadata) else [None]
        if any(MetadataIndex(name, offset) not in places for offset in offsets):
            raise ValueError(f"it does not say where {name} lies")
    version = fields.get("version") if isinstance(fields.get("version"), str) else None
    return Metadata(state_dict_metadata=listed, storage_data=places, storage_meta=StorageMeta(), version=version)


def _stored(name: str, value: Any, *, most_parts: int) -> TensorStorageMetadata | BytesStorageMetadata:
    if type(value).__name__ == "BytesStorageMetadata":
        return BytesStorageMetadata()
    fields = _fields(value, "TensorStorageMetadata")
    size, properties = _size(fields.get("size")), fields.get("properties")
    state = properties.state if isinstance(properties, _StandIn) else None
    parts = fields.get("chunks")
    if not isinstance(parts, list) or len(parts) > most_parts:  # one list may stand in many places
        raise ValueError(f"it lists no parts of {name}, or too many")
    chunks = [_chunk(part, size) for part in parts]
    if not isinstance(state, tuple) or not state or not isinstance(state[0], torch.dtype):
        raise ValueError(f"it does not say of what type {name} is")
    if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
        raise ValueError(f"it lists other parts of {name} than make the whole")
    return TensorStorageMetadata(properties=TensorProperties(dtype=state[0]), size=size, chunks=chunks)


def _chunk(value: Any, size: torch.Size) -> ChunkStorageMetadata:
    fields = _fields(value, "ChunkStorageMetadata")
    offsets, sizes = _size(fields.get("offsets")), _size(fields.get("sizes"))
    inside = len(offsets) == len(sizes) == len(size)
    if not inside or any(o + s > whole for o, s, whole in zip(offsets, sizes, size, strict=True)):
        raise ValueError("it lists a part that lies outside its tensor")
    return ChunkStorageMetadata(offsets=offsets, sizes=sizes)


def _index(value: Any) -> MetadataIndex:
    fields = _fields(value, "MetadataIndex")
    offset = fields.get("offset")
    return MetadataIndex(_name(fields.get("fqn")), None if offset is None else _size(offset))


def _place(fields: Mapping[str, Any], folder: Path, sizes: dict[str, int]) -> _StorageInfo:
    """Return where a part lies: in a file of the folder, inside it, and as it is."""
    name, start, length = fields.get("relative_path"), fields.get("offset", -1), fields.get("length", -1)
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise ValueError(f"it names the file {ascii(name)[:80]}; a checkpoint has its files in its own folder")
    if name not in sizes:
        if not (folder / name).is_file():
            raise ValueError(f"it names the file {name}, which is not there")
        sizes[name] = (folder / name).stat().st_size
    if not (_is_count(start) and _is_count(length) and start + length <= sizes[name]):
        raise ValueError(f"it names a part of {name} that lies outside it")
    if fields.get("transform_descriptors"):
        raise ValueError(f"it asks for {name} to be transformed, as no checkpoint of this project does")
    return _StorageInfo(relative_path=name, offset=start, length=length)


def _fields(value: Any, kind: str) -> dict[str, Any]:
    if not isinstance(value, _StandIn) or type(value).__name__ != kind or not isinstance(value.state, dict):
        raise ValueError(f"it holds a {type(value).__name__} where a {kind} belongs")
    return value.state


def _dict(fields: Mapping[str, Any], name: str) -> dict[Any, Any]:
    if not isinstance(fields.get(name), dict):
        raise ValueError(f"it has no {name}")
    return fields[name]


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it holds a {type(value).__name__} where a name belongs")
    return value


def _size(value: Any) -> torch.Size:
    if not isinstance(value, _Size) or len(value) > _MOST_AXES or not all(map(_is_count, value)):
        raise ValueError("it holds something else where a size belongs")
    return torch.Size(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
