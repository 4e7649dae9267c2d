"""The list of items, and the part of it that each task and process works on.

A CSV, a Parquet file or WebDataset tars, here or in a store. Whatever lists them, media are read where the
user lets them be read: those of a list on this disk by any path of it, those of a list in a store below its own folder,
and by address where `allowed` says so.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lumos.media.media_error import MISSING, UNREADABLE, MediaError
from lumos.media.sets.listed_path import listed_path, not_brought
from pre_tokenize.lists.csv_rows import COLUMNS, CsvRows
from pre_tokenize.lists.item import MOTION_COLUMN, Item, Stretch, motion_of
from pre_tokenize.lists.parquet_list import ParquetList
from pre_tokenize.lists.tar_samples import TarSamples, tars_of
from xllmx.disk.files import writing
from xllmx.safe.inside import inside
from xllmx.store.access import DeniedError
from xllmx.store.address import SCHEMES, Address, Location, location_of, scheme_of
from xllmx.store.local_copy import kept_copy, passing_copy

__all__ = [
    "COLUMNS",
    "MOTION_COLUMN",
    "NOT_ALLOWED",
    "Item",
    "Table",
    "modality_of",
    "motion_of",
    "part_of",
    "read_table",
]

NOT_ALLOWED = "an address that is not allowed"
_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic"))
"""Endings of files that hold one picture."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Items with the columns `path` and `text`, and perhaps `unimatch_flow`; other columns are ignored."""

    file: Location
    items: Sequence[Item]
    sha256: str
    """Of the list: a changed one cannot go on into an output that an earlier one began."""
    allowed: Sequence[Location] = ()
    """Folders, beside its own, that it may name by address."""
    is_of_tars: bool = False
    """Whether its items are samples of tars: one that lies in none is nowhere."""

    def locate(self, item: Item) -> Path:
        """The item's file on this disk: relative paths count from the list's folder, else from the working directory.

        What a path may be besides: `lumos.media.sets.listed_path`.
        """
        assert isinstance(self.file, Path)
        beside = listed_path(self.file.parent, item.path)
        try:
            beside.stat()
        except FileNotFoundError:
            return listed_path(Path(), item.path)
        except (OSError, ValueError):  # a name that is too long, a folder that is closed: reading it says so
            return beside
        return beside

    @contextmanager
    def media(self, item: Item) -> Iterator[Path]:
        """A context with the item's file on this disk, brought here for as long where it lies elsewhere.

        Raises:
            MediaError: it is not there, or the list may not name it.
            StoreError: the store cannot be asked.
        """
        if item.held is not None:
            with _taken_out(item.held, item.path) as file, _said_of(item.path, file):
                yield file
            return
        place = self._place(item)
        if isinstance(place, Path):
            yield place
            return
        with _brought(place, item.path) as file, _said_of(item.path, file):
            yield file

    def _place(self, item: Item) -> Location:
        if self.is_of_tars:
            raise MediaError(item.path, MISSING, "a sample without a medium of a kind that is read")
        scheme = scheme_of(item.path)
        known = scheme in (*SCHEMES, "file")
        if isinstance(self.file, Path) and not known:
            named = self.locate(item)  # what else has a colon is the name of a file: `12:30.mp4`
            with suppress(OSError):  # an address that is too long for a name
                if not scheme or named.exists():
                    return named
        try:
            if scheme and not known:
                raise ValueError(not_brought(scheme, read=f"{', '.join(SCHEMES)} and file are"))
            rule = "a list in a store names what lies below its own folder"
            folder = self.file.parent
            place = location_of(item.path) if known else inside(folder, item.path, said_by="the list", remedy=rule)
        except ValueError as error:
            raise MediaError(item.path, NOT_ALLOWED, str(error)) from error
        own = isinstance(self.file, Path) and isinstance(place, Path)
        if not own and not any(_lies_in(place, one) for one in (folder, *self.allowed)):
            above = item.path.rpartition("/")[0]
            raise MediaError(item.path, NOT_ALLOWED, f"give --media_from {above} if the list may name it")
        return place


def read_table(file: str | Location, *, allowed: Sequence[Location] = ()) -> Table:
    """The items of a list: a CSV, a `.parquet`, a `.tar`, a folder or range of tars; by path or by address.

    Raises:
        ValueError: it is missing, no such list, cut, or has no row.
        StoreError: the store does not give it.
    """
    place = location_of(file)
    name = f"--input_file {place}"
    if tars := tars_of(place):
        samples = TarSamples(tars)
        return Table(file=place, items=samples, sha256=samples.sha256, allowed=allowed, is_of_tars=True)
    try:
        local = kept_copy(place)
    except FileNotFoundError as error:
        raise ValueError(f"{name}: no such object; give a CSV with the columns {','.join(COLUMNS)}") from error
    if not local.is_file():
        what = "a folder without tars, a pipe or a device" if local.exists() else "no such file"
        raise ValueError(f"{name}: {what}; give a CSV with the columns {','.join(COLUMNS)}")
    rows = (ParquetList if place.suffix.lower() == ".parquet" else CsvRows)(local, name=name)
    return Table(file=place, items=rows, sha256=rows.sha256, allowed=allowed)


def _lies_in(place: Location, folder: Location) -> bool:
    """Whether a place is below a folder; on the disk, once links are followed."""
    if isinstance(place, Path) and isinstance(folder, Path):
        return place.resolve().is_relative_to(folder.resolve())
    return isinstance(place, Address) and isinstance(folder, Address) and place.is_relative_to(folder)


@contextmanager
def _brought(address: Address, name: str) -> Iterator[Path]:
    """A context with a copy of a file of a store; that there is none, or none for us, is the fate of its row."""
    with ExitStack() as held:
        try:
            file = held.enter_context(passing_copy(address))
        except FileNotFoundError as error:
            raise MediaError(name, MISSING, "there is no such object") from error
        except DeniedError as error:
            raise MediaError(name, UNREADABLE, "the store denies it") from error
        yield file


@contextmanager
def _said_of(name: str, copy: Path) -> Iterator[None]:
    """A context in which what is wrong with a passing copy is said of the file that it is of."""
    try:
        yield
    except MediaError as error:
        raise MediaError(name, error.reason, error.detail.replace(str(copy), name)) from error


@contextmanager
def _taken_out(stretch: Stretch, name: str) -> Iterator[Path]:
    """A context with a part of a file as a file of its own."""
    with tempfile.TemporaryDirectory(prefix="sample-") as folder:
        file = Path(folder) / f"file{Path(name).suffix.lower()}"
        with writing(file), file.open("wb") as target:
            target.writelines(stretch.chunks())
        yield file


def modality_of(table: Table) -> Literal["image", "video"]:
    """Whether a CSV lists pictures or videos, by the endings of its files' names; ValueError where it lists both."""
    found: dict[bool, str] = {}
    for item in table.items:
        found.setdefault(f".{item.path.rpartition('.')[2].lower()}" in _PICTURES, item.path)
    if len(found) > 1:
        other = [found[kind] for kind in (True, False)]
        raise ValueError(
            f"--input_file {table.file}: lists pictures and videos ({other[0]!r:.80}, {other[1]!r:.80}); give "
            "two CSVs, one of each, or say --modality image or --modality video"
        )
    return "image" if True in found else "video"


def part_of(rows: range, parts: int, *, index: int) -> range:
    """The `index`-th of `parts` contiguous pieces of `rows`; where they cannot be equal, the first are longer by one.

    10 rows in 4 parts: [0, 3) [3, 6) [6, 8) [8, 10).
    """
    size, longer = divmod(len(rows), parts)
    start = index * size + min(index, longer)
    return rows[start : start + size + (index < longer)]
