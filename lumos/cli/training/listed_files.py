"""Which files are not there that the lists of a training name: looked for before torch is loaded, and cheaply.

Looked at are lists on this disk of at most `_MOST_LIST_BYTES`, and of each all files up to `_MOST_FILES`, of more as
many, evenly spread. Larger lists, and lists in a .pth, are left to who opens their files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lumos.lumina_video.data.row_lists import LISTS, each_row
from lumos.media.listed_path import listed_path
from xllmx.store.address import scheme_of

_MOST_LIST_BYTES = 2**23
"""Some 50,000 rows."""
_MOST_FILES = 10_000
_SHOWN = 3
_REMEDY = "bring them there, correct their paths (they count from the list's folder), or take their rows out"


@dataclass(frozen=True, kw_only=True)
class MissingFiles:
    """Files of one list that are not there."""

    list: Path
    """Which names them."""
    num_listed: int
    """Files that it names."""
    num_looked_for: int
    """Those that were looked for."""
    missing: tuple[str, ...]
    """Those of them that are not there, as the list names them."""

    @property
    def share(self) -> float:
        """Of those looked for."""
        return len(self.missing) / self.num_looked_for

    def __str__(self) -> str:
        of = f"{self.num_looked_for:,} files"
        if self.num_looked_for < self.num_listed:
            of += f" looked for, spread over the {self.num_listed:,} listed,"
        shown = ", ".join(repr(name)[:200] for name in self.missing[:_SHOWN])
        more = ", ..." if self.missing[_SHOWN:] else ""
        number = f"{len(self.missing):,} of {of} {'is' if len(self.missing) == 1 else 'are'} not there"
        return f"{self.list}: {number} ({shown}{more}); {_REMEDY}"


def missing_files(lists: Mapping[Path, str]) -> Iterator[tuple[str, MissingFiles]]:
    """Yield the setting and what is missing of each list, by path -> the setting that names it.

    Raises:
        ValueError: a list cannot be read.
    """
    for path, setting in lists.items():
        if path.suffix not in LISTS or path.suffix == ".pth" or not path.is_file():
            continue
        if path.stat().st_size > _MOST_LIST_BYTES:
            continue
        names = _names_in(path)
        looked_for = names[:: -(-len(names) // _MOST_FILES) or 1]
        missing = tuple(name for name in looked_for if not _may_be_there(path.parent, name))
        if missing:
            numbers = {"num_listed": len(names), "num_looked_for": len(looked_for)}
            yield setting, MissingFiles(list=path, missing=missing, **numbers)


def _names_in(path: Path) -> list[str]:
    """The files that the rows of a list name; none of a record of latents, or of rows that are left out anyway."""
    names = []
    for row in each_row(path, remedy="correct the list"):
        if isinstance(row, dict) and "pkl" in row:
            return []
        name = row.get("path") if isinstance(row, dict) and isinstance(row.get("prompt"), str) else None
        if isinstance(name, str) and not scheme_of(name):
            names.append(name)
    return names


def _may_be_there(folder: Path, name: str) -> bool:
    try:
        return listed_path(folder, name).exists()
    except PermissionError:  # reading it says so
        return True
    except (OSError, ValueError):  # a name that can be none
        return False
