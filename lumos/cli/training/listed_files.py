"""Which files are not there that the lists of a training name: looked for before torch is loaded, and cheaply.

Looked at are lists on this disk of at most `_MOST_LIST_BYTES`, and of each at most `_MOST_FILES`, evenly spread. Larger
lists, and lists in a .pth, are left to who opens their files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lumos.lumina_video.data.row_lists import each_row, lists_files
from lumos.media.sets.listed_path import listed_path
from xllmx.store.address import scheme_of

_MOST_LIST_BYTES = 2**23
"""Some 50,000 rows."""
_MOST_FILES = 10_000
_SHOWN = 3
_REMEDY = "bring them there, correct their paths (they count from the list's folder), or take their rows out"


@dataclass(frozen=True, kw_only=True)
class LookedFor:
    """Files of one list, and those of them that are not there."""

    list: Path
    """Which names them."""
    num_listed: int
    """Files that it names."""
    num_looked_for: int
    """Those that were looked for."""
    missing: tuple[str, ...]
    """Those of them that are not there, as the list names them."""

    @property
    def num_missing(self) -> float:
        """Of all that it names, by those that were looked for."""
        return len(self.missing) * self.num_listed / max(self.num_looked_for, 1)

    def __str__(self) -> str:
        of = f"{self.num_looked_for:,} files"
        if self.num_looked_for < self.num_listed:
            of += f" looked for, spread over the {self.num_listed:,} listed,"
        shown = ", ".join(repr(name)[:200] for name in self.missing[:_SHOWN])
        more = ", ..." if self.missing[_SHOWN:] else ""
        number = f"{len(self.missing):,} of {of} {'is' if len(self.missing) == 1 else 'are'} not there"
        return f"{self.list}: {number} ({shown}{more}); {_REMEDY}"


def look_for_files(path: Path) -> LookedFor | None:
    """Return which files of a list are there; None where it is too large to look into, or lists no files.

    Raises:
        ValueError: it cannot be read.
    """
    if path.suffix == ".pth" or not path.is_file() or path.stat().st_size > _MOST_LIST_BYTES or not lists_files(path):
        return None
    names = _names_in(path)
    looked_for = names[:: -(-len(names) // _MOST_FILES) or 1]
    missing = tuple(name for name in looked_for if not _may_be_there(path.parent, name))
    return LookedFor(list=path, num_listed=len(names), num_looked_for=len(looked_for), missing=missing)


def share_missing(lists: Sequence[LookedFor]) -> float:
    """Return which share is missing of the files that several lists name together."""
    return sum(one.num_missing for one in lists) / max(sum(one.num_listed for one in lists), 1)


def _names_in(path: Path) -> list[str]:
    """The files that the rows of a list name; none of rows that are left out anyway."""
    names = []
    for row in each_row(path, remedy="correct the list"):
        is_used = isinstance(row, dict) and isinstance(row.get("prompt"), str) and "pkl" not in row
        name = row.get("path") if is_used else None
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
