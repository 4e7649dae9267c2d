"""Files of tensors, looked at before their library reads them: whole by their own header, and no pointers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xllmx.safe.json_text import parse_json

_MOST_HEADER_BYTES = 100_000_000
"""Of a safetensors file, as its own library has it."""

_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16}
_BITS |= {"BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
_BITS |= {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}
"""Of one number of each dtype of safetensors."""

_AGAIN = "download or copy it again"
_LFS_POINTER = b"version https:"


def check_safetensors(path: Path) -> None:
    """Check that the header of a safetensors file accounts for every byte of it, tensor by tensor.

    Raises:
        ValueError: it does not, or is larger than any honest one.
    """
    refuse_pointer(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(size - 8, _MOST_HEADER_BYTES):
            raise ValueError(f"{path} is no safetensors file (its header cannot be read); {_AGAIN}")
        header = file.read(length)
    tensors = parse_json(header, f"the header of {path}", remedy=_AGAIN)
    try:
        pieces = sorted(_piece(entry) for name, entry in tensors.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no safetensors file (its header cannot be read); {_AGAIN}") from error
    end = 0
    for first, last in pieces:
        if first != end:
            raise ValueError(f"{path} has tensors that overlap or leave a gap at byte {end}; {_AGAIN}")
        end = last
    if 8 + length + end != size:
        raise ValueError(f"{path} has {size} bytes where its header says {8 + length + end}; {_AGAIN}")


def _piece(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a tensor begins and ends; an error of any kind where the header says no such thing."""
    first, last = entry["data_offsets"]
    numbers = (first, last, *entry["shape"])
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError
    bits = _BITS.get(entry["dtype"])  # of a dtype that nobody knows here the library says so
    if bits is not None and 8 * (last - first) != bits * math.prod(entry["shape"]):
        raise ValueError
    return first, last


def refuse_pointer(file: Path) -> None:
    """Raises ValueError for the small text that stands for a large file in a clone without git LFS."""
    with file.open("rb") as start:
        if start.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ValueError(
                f"{file} is a git LFS pointer, not the file itself; run `git lfs pull` there, or download it"
            )
