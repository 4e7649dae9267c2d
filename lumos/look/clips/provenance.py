"""What stands beside a set of clips about how it was made: settings, rows that were skipped, where the sources were."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lumos.media.decoded import is_psnr
from lumos.media.sets.data_yaml import entries_of
from lumos.media.shards.parquet_rows import INDEX_NAME, SHARDS_OF_PROCESSES
from xllmx.safe.json_text import read_object
from xllmx.settings.setting import shown

_PARTS = (".", "*-of-*", "*-in-*/*-of-*")
"""Where the folder of a process may be: the set itself, or within it."""
_ROWS = "rows-*.parquet"
_MEASURED = ("num_decoded", "psnr_db")
"""What an index says of the clips that were decoded, both or neither: their number, their mean PSNR."""
_MOST_FOLDERS = 1000
"""Processes whose settings are read; they were all run under the same."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What is known of how a set was made; nothing of one that no pre-tokenisation of ours made."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those that all its parts were made with, by the names of the options."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Rows that gave no clip, by reason."""
    psnr_db: float | None = None
    """Mean of the clips that were decoded as the set was made."""
    num_decoded: int = 0
    """How many those were."""
    fault: str | None = None
    """What an index says of them that cannot be."""
    places: Sequence[Path] = field(default_factory=list)
    """Folders that the paths of sources may count from."""

    def text(self, name: str) -> str | None:
        """A setting that is a text, or None."""
        value = self.settings.get(name)
        return value if isinstance(value, str) else None

    def find(self, source: str) -> Path | None:
        """The file of a source, by its name as it is recorded, if it is still somewhere."""
        if "\0" in source or not source:
            return None
        places = [Path()] if Path(source).is_absolute() else self.places
        return next((path for place in places if _is_file(path := place / source)), None)


def provenance_of(path: Path, *, media: Path | None) -> Provenance:
    """What the files beside a set say; `media` is a folder in which its sources may be.

    Raises:
        ValueError: such a file is there and damaged.
    """
    folders = [entry.local if entry.local.is_dir() else entry.local.parent for entry in entries_of(path)]
    manifests = [file for folder in folders for file in _manifests(folder)][:_MOST_FOLDERS]
    parts = [read_object(file) for file in manifests]
    same = {name: value for name, value in (parts[0].items() if parts else ()) if all(name in part for part in parts)}
    settings = {name: value for name, value in same.items() if all(part[name] == value for part in parts)}
    indices = [index for folder in folders if (index := _object_in(folder / INDEX_NAME))]
    reports = [report for file in manifests if (report := _object_in(file.with_name("report.json")))]
    skipped: Counter[str] = Counter()
    for said in indices or reports:
        skipped.update(_counts(said.get("skipped")))
    tables = [Path(name).parent for report in reports if isinstance(name := report.get("input_file"), str)]
    near = [place for folder in folders for place in (folder, *list(folder.absolute().parents)[:2])]
    measured = [pair for index in indices if (pair := _measured(index)) is not None]
    wrong = [index for index in indices if _measured(index) is None and index.keys() & set(_MEASURED)]
    return Provenance(
        settings=settings,
        skipped=skipped,
        num_decoded=sum(num for num, _ in measured),
        psnr_db=sum(num * db for num, db in measured) / sum(num for num, _ in measured) if measured else None,
        fault=_fault_of(wrong[0]) if wrong else None,
        places=list(dict.fromkeys([*([media] if media else []), *tables, Path(), *near])),
    )


def unfinished_shards(path: Path) -> list[Path]:
    """The shards of a pre-tokenisation that has no index yet; none of any other folder."""
    if not path.is_dir() or (path / INDEX_NAME).exists():
        return []
    return sorted(path.glob(SHARDS_OF_PROCESSES))


def _manifests(folder: Path) -> list[Path]:
    """The settings of the processes that filled a folder; other people have files of that name too."""
    parts = [part for pattern in _PARTS for part in ([folder] if pattern == "." else sorted(folder.glob(pattern)))]
    files = [part / "manifest.json" for part in parts if next(part.glob(_ROWS), None) is not None]
    return [file for file in files if os.path.lexists(file)]


def _is_file(path: Path) -> bool:
    """Whether a file is there; no name of a stranger's is an error."""
    try:
        return path.is_file()
    except OSError:  # too long to be a name
        return False


def _object_in(file: Path) -> dict[str, Any]:
    """What a file of JSON holds; nothing where there is none, or another kind of thing."""
    return read_object(file) if file.is_file() else {}


def _counts(said: Any) -> dict[str, int]:
    found = said.items() if isinstance(said, dict) else ()
    return {reason: count for reason, count in found if type(count) is int and count > 0}


def _measured(index: Mapping[str, Any]) -> tuple[int, float] | None:
    """How many clips an index says were decoded, and their mean PSNR; None where it does not say it, or wrongly."""
    num, db = (index.get(name) for name in _MEASURED)
    return (num, float(cast(float, db))) if type(num) is int and num > 0 and is_psnr(db) else None


def _fault_of(index: Mapping[str, Any]) -> str:
    said = " and ".join(f"{name} {shown(index.get(name))}" for name in _MEASURED)
    return f"{INDEX_NAME} says {said}, which cannot be; have concat_record write it again"
