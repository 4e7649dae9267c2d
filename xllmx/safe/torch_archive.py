"""Files of torch.save and torch.jit.save that a stranger may have made, looked at before torch reads them.

Both are zip files whose parts are stored as they are. What torch itself does not check: that there is one listing of
the parts and that it says so of each of them (two readers could see two archives otherwise), that no part grows when it
is read, that the pickles inside are bounded and ask for nothing but tensors.
"""

import io
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor

from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.plain_pickle import MOST_BYTES, Seen, check_pickle, read_plain

_END, _END64, _LOCATOR64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ZIP64_FROM = 0xFFFF_FFFF
_NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*", re.ASCII)
_MOST_PARTS = 200_000
_LEGACY_PICKLES = 5
"""Of a file as torch wrote it before 1.6: magic number, protocol, machine, the object, keys of its storages."""

TENSOR_NAMES = frozenset(
    {
        "collections.OrderedDict",
        "torch.Size",
        "torch.nn.parameter.Parameter",
        "torch.storage.UntypedStorage",
        *(f"torch._utils.{name}" for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")),
        *(f"torch._utils.{name}" for name in ("_rebuild_parameter",)),
        *(f"torch.{name}" for name in dir(torch) if name.endswith("Storage")),
        *(str(value) for value in vars(torch).values() if isinstance(value, torch.dtype)),
    }
)
"""What the pickle of a dict of tensors asks for; all of it makes tensors of bytes that the file has."""


def check_torch_file(file: Path | io.IOBase, *, names: frozenset[str] = TENSOR_NAMES) -> None:
    """Look through a file of torch.save: what `torch.load(..., weights_only=True)` may be given.

    Args:
        file: its path, or the open file (as torch writes it since 1.6; it is left at its beginning).
        names: what its pickle may ask for, as module.name.

    Raises:
        ValueError: it is damaged, or no file of tensors; one line without the name of the file.
    """
    if isinstance(file, Path):
        with file.open("rb") as opened:
            if opened.read(4) != b"PK\x03\x04":
                _check_legacy(opened, names)
            else:
                check_torch_file(opened, names=names)
        return
    file.seek(0)
    with open_archive(file) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise ValueError("it is a TorchScript program, not a file of tensors")
        check_names(read_part(archive, "data.pkl"), names)
    file.seek(0)


def load_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors in a file of torch.save by name, on the CPU, mapped into memory where that can be.

    Raises:
        ValueError: it is refused by `check_torch_file`, damaged, or holds anything but names and tensors; one line
            without the name of the file.
    """
    check_torch_file(file)
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    except Exception as error:  # damaged bytes may raise anything
        lines = str(error).strip().splitlines()
        raise ValueError(f"it is damaged ({lines[0][:200] if lines else type(error).__name__})") from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise ValueError("it does not map names to tensors, as a state dict does")
    return content


def load_plain(file: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """Return the plain values (`read_plain`) in a file of torch.save, of at most `most_bytes`.

    Raises:
        ValueError: it is damaged, older than torch 1.6, or holds anything else; one line without the name of the file.
        OSError: it is not there or cannot be read.
    """
    content = read_bounded(file, most_bytes=most_bytes)
    if content[:4] != b"PK\x03\x04":
        raise ValueError("it is no file of torch.save, or one of torch before 1.6; write it again with torch.save")
    with open_archive(io.BytesIO(content)) as archive:
        return read_plain(read_part(archive, "data.pkl"), most_bytes=most_bytes)


def read_part(archive: ZipFile, name: str) -> bytes:
    """Return a part of an archive of torch; ValueError where it has none of that name."""
    root = archive.namelist()[0].partition("/")[0]
    if f"{root}/{name}" not in archive.namelist():
        raise ValueError(f"it has no {name}, as files of torch have")
    return archive.read(f"{root}/{name}")


@contextmanager
def open_archive(file: io.IOBase, *, most_packed_bytes: int = 0) -> Iterator[ZipFile]:
    """A context with the parts of an archive of torch, all of them under one folder, none larger than stored.

    Of parts that are packed, as sources of programs are, `most_packed_bytes` may come out.

    Raises:
        ValueError: it is damaged or ambiguous.
    """
    try:
        size = file.seek(0, 2)
        _check_listing(file, size)
        with ZipFile(cast(IO[bytes], file)) as archive:
            _check_parts(archive, size, most_packed_bytes=most_packed_bytes)
            yield archive
    except (BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, OSError, OverflowError) as error:
        raise ValueError(f"it is a damaged archive ({' '.join(str(error).split()) or type(error).__name__})") from error


def check_names(content: bytes, names: frozenset[str]) -> None:
    """Look through a pickle of torch; ValueError where it is refused or asks for something else than `names`."""
    _check_seen(check_pickle(content), names)


def _check_seen(seen: Seen, names: frozenset[str]) -> None:
    if other := sorted(seen.names - names):
        raise ValueError(f"it asks for {other[0][:80]!a}, which tensors do not need")
    if seen.computed:
        raise ValueError("it puts the names it asks for together, as files of tensors do not")


def _check_listing(file: io.IOBase, size: int) -> None:
    """Raise ValueError unless the one listing of the parts ends where the file does, whoever looks for it."""
    file.seek(max(0, size - _END.size - _LOCATOR64.size - _END64.size))
    tail = file.read()
    mark, disk, disk2, here, parts, length, start, comment = _END.unpack(tail[-_END.size :])
    where = size - _END.size
    if mark != b"PK\x05\x06" or comment or disk or disk2 or here != parts:
        raise ValueError("it is a damaged archive (its listing does not end it)")
    locator = tail[: -_END.size][-_LOCATOR64.size :]
    if locator.startswith(b"PK\x06\x07"):
        where -= _LOCATOR64.size + _END64.size
        end64 = _END64.unpack(tail[: _END64.size])
        said = _LOCATOR64.unpack(locator)[2]
        if end64[0] != b"PK\x06\x06" or said != where or end64[1] != _END64.size - 12 or end64[6] != end64[7]:
            raise ValueError("it is a damaged archive (its listing does not end it)")
        for small, whole, most in ((parts, end64[7], 0xFFFF), (length, end64[8], _ZIP64_FROM)):
            _check_same(small, whole, most)
        _check_same(start, end64[9], _ZIP64_FROM)
        length, start = end64[8], end64[9]
    if start + length != where:
        raise ValueError("it is a damaged archive (its listing is not where it says)")


def _check_same(small: int, whole: int, most: int) -> None:
    if small != min(whole, most):
        raise ValueError("it is a damaged archive (its two listings differ)")


def _check_parts(archive: ZipFile, size: int, *, most_packed_bytes: int) -> None:
    parts = archive.infolist()
    if not 0 < len(parts) <= _MOST_PARTS or len({part.filename for part in parts}) < len(parts):
        raise ValueError("it is a damaged archive (no parts, too many, or two of one name)")
    root = parts[0].filename.partition("/")[0]
    for part in parts:
        name = part.orig_filename
        if name != part.filename or not _NAME.fullmatch(name) or not name.startswith(f"{root}/") or "/../" in name:
            raise ValueError(f"it is a damaged archive (a part is called {name[:80]!a})")
        if part.flag_bits & 1 or part.compress_type not in (
            ZIP_STORED,
            ZIP_DEFLATED if most_packed_bytes else ZIP_STORED,
        ):
            raise ValueError(f"its part {name} is packed or locked, as torch never writes it")
        if part.compress_type == ZIP_STORED and part.compress_size != part.file_size:
            raise ValueError(f"it is a damaged archive (its part {name} has two sizes)")
        if part.extra and size < _ZIP64_FROM:
            raise ValueError(f"it is a damaged archive (its part {name} has fields that torch never writes)")
    packed = sum(part.file_size for part in parts if part.compress_type != ZIP_STORED)
    if packed > most_packed_bytes or sum(part.compress_size for part in parts) > size:
        raise ValueError("its parts are larger than the file")


def _check_legacy(file: io.BufferedReader, names: frozenset[str]) -> None:
    """Look through a file as torch wrote it before 1.6: five pickles, then the bytes of the tensors."""
    content: Any
    try:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # no file on the disk, or an empty one
        file.seek(0)
        content = file.read()
    place = 0
    for _ in range(_LEGACY_PICKLES):
        seen = check_pickle(content, place)
        _check_seen(seen, names)
        place = seen.end
