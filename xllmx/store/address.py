"""Addresses of what lies in an object store, used as paths are: the one place that tells them from paths.

    location_of("s3://bucket/data/video")     Address, read and written through fsspec
    location_of("file:///data/video")         Path("/data/video")
    location_of("data/12:30.mp4")             Path: what begins with none of `SCHEMES` is a name on the disk

A folder is what its files' names begin with: it is not made, and is there once a file is in it.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

from xllmx.store.access import StoreError, file_system, is_there, missing, no_bucket, tried
from xllmx.store.parts import Parts

SCHEMES = ("s3", "gs", "hf")
"""Kinds of stores, of which fsspec has one each."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]{1,20})://", re.IGNORECASE)
_THROUGH_PATH = re.compile(r"([a-z][a-z0-9+.-]{1,20}):/", re.IGNORECASE)
"""What `Path` leaves of it."""
_READ_ALONE = ("hf",)
_BLOCK_BYTES = 2**18
"""Read at once where a part of a file is read."""


@dataclass(frozen=True, order=True)
class Address:
    """A file or folder in a store, as `pathlib.Path` has them. What cannot be had of it is a `StoreError`."""

    scheme: str
    """One of `SCHEMES`."""
    key: str
    """`bucket/folder/name`, without a slash at its ends."""

    def __post_init__(self) -> None:
        if not self.key or any(part in ("", ".", "..") for part in self.key.split("/")) or not self.key.isprintable():
            rule = "its parts are names with one / between them, without . and .."
            raise ValueError(f"{self.scheme}://{self.key!r:.200} is no address of a file or folder; {rule}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, name: "str | PurePosixPath") -> "Address":
        return Address(self.scheme, f"{self.key}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> "Address":
        """The folder it lies in; of a bucket itself."""
        above = self.key.rpartition("/")[0]
        return Address(self.scheme, above) if above else self

    def with_name(self, name: str) -> "Address":
        """The file of this name beside it."""
        return self.parent / name

    def absolute(self) -> "Address":
        """Itself: it is whole."""
        return self

    def as_posix(self) -> str:
        """Its text."""
        return str(self)

    def is_relative_to(self, other: "Address | Path") -> bool:
        """Whether it is `other` or lies below it."""
        same = isinstance(other, Address) and other.scheme == self.scheme
        return same and f"{self.key}/".startswith(f"{cast(Address, other).key}/")

    def relative_to(self, other: "Address | Path") -> PurePosixPath:
        """The way from `other` to it; ValueError where it does not lie below."""
        if not self.is_relative_to(other):
            raise ValueError(f"{self} does not lie in {other}")
        return PurePosixPath(self.key[len(cast(Address, other).key) + 1 :])

    def info(self) -> dict[str, Any]:
        """What the store says of a file: size, and what changes with its content; FileNotFoundError of none."""
        return self._call(lambda system: system.info(self.key))

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        return is_there(self._call, lambda system: system.info(self.key)) is not None

    def is_file(self) -> bool:
        """Whether a file is there."""
        found = is_there(self._call, lambda system: system.info(self.key))
        return found is not None and found.get("type") == "file"

    def is_dir(self) -> bool:
        """Whether a file is there whose name begins with this one and a slash."""
        return is_there(self._call, lambda system: system.ls(self.key, detail=True)) not in (None, []) and (
            not self.is_file()
        )

    def glob(self, pattern: str) -> "list[Address]":
        """What lies in the folder under a name that fits, in order; nothing where there is no such folder."""
        names = is_there(self._call, lambda system: system.ls(self.key, detail=False)) or []
        return self._named(names, pattern)

    def rglob(self, pattern: str) -> "list[Address]":
        """The files below the folder whose names fit, in order."""
        names = is_there(self._call, lambda system: system.find(self.key)) or []
        return self._named(names, pattern)

    def files(self) -> "list[tuple[Address, dict[str, Any]]]":
        """The files below the folder, in order, with what the store says of each (`info`)."""
        found = is_there(self._call, lambda system: system.find(self.key, detail=True)) or {}
        named = (
            key for key in found if found[key].get("type") == "file" and not key.endswith("/")
        )  # no folders' marks
        return [(Address(self.scheme, key.strip("/")), found[key]) for key in sorted(named)]

    def _named(self, keys: list[str], pattern: str) -> "list[Address]":
        found = (Address(self.scheme, key.strip("/")) for key in keys if key.strip("/") != self.key)
        return sorted(one for one in found if fnmatchcase(one.name, pattern))

    def open(self, mode: Literal["rb"] = "rb") -> io.BufferedReader:
        """Open a file to read parts of it."""
        parts = Parts(self.read_part, size=int(self.info()["size"] or 0))
        return io.BufferedReader(parts, _BLOCK_BYTES)

    def read_part(self, start: int, stop: int) -> bytes:
        """The bytes of a file from `start` to before `stop`; StoreError where it has not all of them."""
        alone = {"cache_type": "none"} if self.scheme == "hf" else {}  # else several MiB are brought with it
        content = cast(bytes, self._call(lambda system: system.cat_file(self.key, start=start, end=stop, **alone)))
        if len(content) != stop - start:
            what = f"{self} gave {len(content)} of its bytes {start} to {stop - 1}"
            raise StoreError(f"{what}: it was cut on the way, or has changed; run the same command again")
        return content

    def read_bytes(self) -> bytes:
        """The content of a file; FileNotFoundError of none."""
        return cast(bytes, self._call(lambda system: system.cat_file(self.key)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content of a file as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes, *, new: bool = False) -> None:
        """Write a file, whole or not at all; FileExistsError where it has to be `new` and is not."""
        mode = "create" if new else "overwrite"
        self._write(lambda system: system.pipe_file(self.key, content, mode=mode))

    def put(self, file: Path) -> None:
        """Write a file of the disk here, whole or not at all."""
        self._write(lambda system: system.put_file(str(file), self.key))

    def get(self, file: Path) -> None:
        """Write the whole file to the disk; StoreError where it is cut on the way."""
        size = self.info()["size"]
        self._call(lambda system: system.get_file(self.key, str(file)))
        if size is not None and file.stat().st_size != size:
            raise StoreError(
                f"{self} arrived with {file.stat().st_size} of its {size} bytes; run the same command again"
            )

    def unlink(self, missing_ok: bool = False) -> None:  # as pathlib has it
        """Remove a file."""
        if not missing_ok and not self.is_file():
            raise missing(self)
        is_there(self._call, lambda system: system.rm_file(self.key))

    def check_writable(self) -> None:
        """Raise the StoreError of a kind of store that is only read here."""
        if self.scheme in _READ_ALONE:
            raise StoreError(f"{self}: {self.scheme}:// is only read here; write to the disk, or to s3:// or gs://")

    def _write(self, work: Callable[[Any], Any]) -> None:
        self.check_writable()
        try:
            self._call(work)
        except FileNotFoundError as error:
            raise no_bucket(self) from error

    def _call(self, work: Callable[[Any], Any]) -> Any:
        return tried(self, lambda: work(file_system(self.scheme)))


Location = Path | Address
"""Where something lies: on the disk, or in a store."""


def scheme_of(text: "str | Path | Address") -> str:
    """`s3` of `s3://bucket/name`, and so on; empty where a name on the disk is meant."""
    found = (_THROUGH_PATH if isinstance(text, Path) else _ADDRESS).match(str(text))
    return found[1].lower() if found else ""


def is_address(text: "str | Path | Address") -> bool:
    """Whether an object in a store is meant."""
    return isinstance(text, Address) or scheme_of(text) in SCHEMES


def location_of(text: "str | Path | Address") -> Location:
    """The place that a user names: an address, a `file://` of the disk, or a path.

    An address that went through `Path` and lost a slash (`s3:/bucket/name`) is one still.

    Raises:
        ValueError: an address has user names or keys in it, or names no bucket.
    """
    if isinstance(text, Address):
        return text
    scheme = scheme_of(text)
    key = str(text)[len(scheme) + 1 :].strip("/")
    if scheme == "file":
        if isinstance(text, str) and not text[len(scheme) :].startswith(":///"):
            raise ValueError(f"{text!r:.200}: file:// is followed by a whole path, as in file:///data/videos.csv")
        return Path(f"/{key}")
    if scheme not in SCHEMES:
        return Path(text)
    if "@" in key.partition("/")[0] and scheme != "hf":
        remedy = "leave them out: the client of the store has them from its own files and from the environment"
        raise ValueError(f"{scheme}://... has a user name or keys in it; {remedy}")
    return Address(scheme, key)
