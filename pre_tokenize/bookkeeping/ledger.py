"""The ledger of a pre-tokenisation: the shards themselves, whose names say which rows of the CSV are done.

    D/1-in-1/                          task 1 of 1
        0-of-2/                        process 0 of 2
            manifest.json              the rows [start, stop) that are this process's, and the settings of its shards
            rows-000000000-000000256.parquet    clips of rows [0, 256); in its footer, the rows skipped and why
            report.json                written when all rows are accounted for
    D/index.json                       written by concat_record, last

A row is done when it lies in the range of a shard that has its name, and a shard gets its name by one rename, when it
is whole: so whenever the process dies, each row is either done, with its clip or its reason, or not begun.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from lumos.lumina_video.data.shards import LATENTS, shard_vae
from lumos.lumos1.data.shards import CLIPS
from lumos.lumos1.sequence import SPATIAL_FACTOR
from lumos.media.decoded import LEAST_PSNR_DB, DecodedSample, footer_of, said_in_index
from lumos.media.files import replacing, require_folder
from lumos.media.made_for import buckets
from lumos.media.media_error import MISSING, TOO_SMALL
from lumos.media.shards.parquet_rows import ParquetRows, RowForm, rows_metadata
from pre_tokenize.bookkeeping.place import rank_folder as rank_folder
from xllmx.disk.temporary import remove_stale
from xllmx.run.lock import HeldError, locked
from xllmx.safe.json_text import parse_json, read_object
from xllmx.store.address import Address, Location
from xllmx.store.lease import leased
from xllmx.words import plural

MANIFEST, REPORT = "manifest.json", "report.json"
UNSAID: dict[str, Any] = {"frame_choice": "released", "to": "codes"}
"""What a manifest means that does not say it: there was no choice then."""
FORMS = {"codes": CLIPS, "latents": LATENTS}
"""What items can be made into, and the form of the rows."""
_LOCK = ".lock"

_SHARD = re.compile(r"rows-(\d+)-(\d+)\.parquet")
_SKIPPED = "lumos.skipped"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A row that gave no clip."""

    row: int
    path: str
    reason: str
    """A few words that can be counted."""
    detail: str = ""
    """What exactly was found."""


class WriteShard(Protocol):
    """Writes clips as one shard, whole or not at all; `metadata` is kept in its footer."""

    def __call__(self, path: Location, clips: Sequence[Any], *, metadata: Mapping[str, str]) -> None:
        """Write it."""


class Ledger:
    """The folder of one process: which of its `rows` are done, and a place for the next shard."""

    def __init__(self, folder: Location, rows: range, *, form: RowForm = CLIPS) -> None:
        self.folder, self.rows, self.form = folder, rows, form
        self._shards = dict(sorted(_shards_in(folder)))
        reached = rows.start
        for (start, stop), path in self._shards.items():
            if start < reached or stop > rows.stop:
                raise ValueError(
                    f"{path}: its rows overlap another shard's or are not of {rows.start}-{rows.stop}; "
                    "delete it and run again"
                )
            reached = stop

    @property
    def shards(self) -> list[Location]:
        """The shards there are, in the order of their rows."""
        return list(self._shards.values())

    @property
    def missing(self) -> list[range]:
        """The runs of rows no shard accounts for."""
        return _gaps(self.rows, self._shards)

    @property
    def num_done(self) -> int:
        """Rows that are accounted for."""
        return len(self.rows) - sum(map(len, self.missing))

    def write(
        self,
        rows: range,
        clips: Sequence[Any],
        *,
        skipped: Sequence[Skip],
        write_shard: WriteShard,
        psnr_db: Mapping[int, float] | None = None,
    ) -> Location:
        """Write the shard of `rows`, which appears by one rename; return its path.

        It holds their clips, the reason of each row without one, and the PSNR of those that were decoded, by place.
        """
        path = self.folder / f"rows-{rows.start:09d}-{rows.stop:09d}.parquet"
        assert len(clips) + len(skipped) == len(rows)
        metadata = {_SKIPPED: json.dumps([asdict(skip) for skip in skipped]), **footer_of(psnr_db or {})}
        write_shard(path, clips, metadata=metadata)
        self._shards = dict(sorted([*self._shards.items(), ((rows.start, rows.stop), path)]))
        return path

    def report(self) -> dict[str, Any]:
        """Counts of rows, clips, their sizes and skips by reason, PSNR, every skipped row; from the shards alone."""
        skipped = [skip for path in self.shards for skip in self._skipped(path)]
        rows = ParquetRows(self.shards, form=self.form)
        return {
            "rows": len(self.rows),
            "done": self.num_done,
            "clips": len(rows),
            "sizes": buckets(_sizes(rows, self.form, side_px=self._side_px)),
            **decoded_report(rows.decoded, self.folder.parent.parent),
            "unknown": self._unknown(rows),
            "skipped": dict(sorted(Counter(skip["reason"] for skip in skipped).items())),
            "skipped_items": skipped,
        }

    @property
    def _side_px(self) -> int:
        """Pixels that a code or a latent has in width and height; 0 of what is no picture."""
        if self.form is LATENTS:
            return shard_vae(self.shards[0]).spatial if self.shards else 0
        return SPATIAL_FACTOR if self.form is CLIPS else 0

    def _unknown(self, rows: ParquetRows) -> dict[str, int]:
        """How many clips have -1 in a column where it means that nobody knows."""
        if self.form.unknown_column is None:
            return {}
        values = rows.column(self.form.unknown_column)
        return {self.form.unknown_column: int((values == -1).sum())}

    def _skipped(self, shard: Location) -> list[dict[str, Any]]:
        """The skipped rows that a shard names; ValueError where it names none as they are written."""
        remedy = f"delete {shard} and run again"
        text = rows_metadata(shard, form=self.form).get(_SKIPPED, "[]")
        skips = parse_json(text, f"{shard}: its list of skipped rows", remedy=remedy)
        for skip in skips if isinstance(skips, list) else [skips]:
            if not isinstance(skips, list) or not isinstance(skip, dict) or not isinstance(skip.get("reason"), str):
                raise ValueError(f"{shard}: its list of skipped rows is damaged; {remedy}")
        return skips


def has_all_rows(folder: Location, rows: range) -> bool:
    """Whether the shards in a folder account for all of `rows`; their names alone are read."""
    return not _gaps(
        rows, sorted((int(found[1]), int(found[2])) for found in map(_SHARD.fullmatch, _names(folder)) if found)
    )


def _names(folder: Location) -> list[str]:
    if isinstance(folder, Address):
        return [shard.name for shard in folder.glob("*")]
    return os.listdir(folder)  # noqa: PTH208  a Path of each of a million shards takes longer than all the rest


def _gaps(rows: range, stretches: Iterable[tuple[int, int]]) -> list[range]:
    """The runs of `rows` that no stretch (start, stop) has; stretches come in their order."""
    gaps, reached = [], rows.start
    for start, stop in chain(stretches, [(rows.stop, rows.stop)]):
        if start > reached:
            gaps.append(range(reached, start))
        reached = stop
    return gaps


def _sizes(rows: ParquetRows, form: RowForm, *, side_px: int) -> dict[tuple[int, int], int]:
    """How many clips there are of each width and height in pixels; nothing of what is no picture."""
    if not side_px:
        return {}
    places = [form.shape_columns.index(name) for name in ("W", "H")]
    sizes, counts = np.unique(rows.shapes[:, places] * side_px, axis=0, return_counts=True)
    return {(width, height): count for (width, height), count in zip(sizes.tolist(), counts.tolist(), strict=True)}


def decoded_report(samples: Sequence[DecodedSample], output_dir: Location) -> dict[str, Any]:
    """What a report says of decoded clips: their number and PSNR, and the shards that come back as blotches."""
    low = [
        (sample.file.relative_to(cast(Any, output_dir)), sample.mean_db)
        for sample in samples
        if sample.mean_db < LEAST_PSNR_DB
    ]
    blotches = [{"file": file.as_posix(), "psnr_db": round(mean, 2)} for file, mean in low]
    return {**said_in_index(samples), **({"low_psnr": blotches} if low else {})}


def likely_cause(report: Mapping[str, Any]) -> str:
    """What is probably wrong with a CSV of which every row was skipped, and what to do."""
    reason, count = Counter(report["skipped"]).most_common(1)[0]
    of_reason = (item for item in report["skipped_items"] if item["reason"] == reason)
    first: Mapping[str, Any] = next(of_reason, {})
    example, detail = str(first.get("path", "")), str(first.get("detail", ""))
    said = f"all {report['done']} rows were skipped, {count} of them for: {reason}"
    if "$" in example:
        return f"{said}; {example!r:.120}: nothing is put in the place of $NAME in a CSV, write whole paths"
    if "caption" in reason:
        return f"{said}; is the column text the one with the captions?"
    if reason == MISSING:
        return f"{said}; {example!r:.120}: paths count from the CSV's folder, or else from the working directory"
    if reason == TOO_SMALL:
        return f"{said}; none is ever scaled up, give a smaller --size or --target_size"
    return f"{said}; {example!r:.120} is the first of them" + (f" ({detail})" if detail else "")


def summary(report: Mapping[str, Any]) -> str:
    """One line for people."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in report["skipped"].items())
    num_skipped = sum(report["skipped"].values())
    low = report.get("low_psnr", [])
    return (
        f"{report['done']} of {report['rows']} rows done, {report['clips']} clips, {num_skipped} skipped"
        + (f" ({reasons})" if reasons else "")
        + "".join(
            f", {count} without {name} (python -m pre_tokenize.motion gives a list its scores)"
            for name, count in report["unknown"].items()
            if count
        )
        + ("; " + ", ".join(f"{size}: {count}" for size, count in report["sizes"].items()) if report["sizes"] else "")
        + (f"; {report['num_decoded']} decoded again: {report['psnr_db']:.1f} dB" if "psnr_db" in report else "")
        + (f", below {LEAST_PSNR_DB:g} dB in {plural(len(low), 'shard')}" if "low_psnr" in report else "")
    )


def write_json(path: Location, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def claimed(folder: Location, manifest: Mapping[str, Any]) -> Iterator[None]:
    """A context in which `folder` is this process's alone, for work with the settings in `manifest`.

    The lock goes with the process, however it ends. A process that fails before its first shard or report removes its
    files and the folders it made; if it is one of several it leaves the folders above its own, where another one may be
    about to start.

    Raises:
        ValueError: another process works there, or shards were made with other settings.
    """
    if isinstance(folder, Address):
        with _claimed_in_store(folder, manifest):
            yield
        return
    made: list[Path] = []
    with ExitStack() as held:
        try:
            alone = (folder.parent.name, folder.name) == ("1-in-1", "0-of-1")
            made = [path for path in (folder, *(folder.parents if alone else ())) if not path.exists()]
            require_folder(folder)
            held.enter_context(locked(folder / _LOCK, what=f"{folder} is filled", remedy="wait for it"))
        except HeldError as error:
            at_work = f"another process is at work in {folder} ({error.holder})"
            raise ValueError(f"{at_work}; wait for it, or give another --rank") from error
        except (OSError, ValueError) as error:
            _remove_empty(made)
            raise ValueError(f"--output_dir: {error}") from error
        try:
            remove_stale(folder)
            _require_same(folder, manifest)
            yield
        except BaseException:
            if not any(_shards_in(folder)) and not (folder / REPORT).exists():
                for name in (MANIFEST, _LOCK):
                    (folder / name).unlink(missing_ok=True)
                _remove_empty(made)
            raise


@contextmanager
def _claimed_in_store(folder: Address, manifest: Mapping[str, Any]) -> Iterator[None]:
    with ExitStack() as held:
        try:
            remedy = "wait for it, or give another --rank"
            held.enter_context(leased(folder / _LOCK, what=f"{folder} is filled", remedy=remedy))
        except ValueError as error:
            raise ValueError(f"--output_dir: {error}") from error
        try:
            _require_same(folder, manifest)
            yield
        except BaseException:
            if not any(_shards_in(folder)) and not (folder / REPORT).exists():
                (folder / MANIFEST).unlink(missing_ok=True)
            raise


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the inner ones first; one that is not empty stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def read_manifest(folder: Location) -> dict[str, Any]:
    """The settings a process's folder was begun with; ValueError where there are none."""
    remedy = f"it is missing or damaged: delete {folder} and run again"
    return read_object(folder / MANIFEST, remedy=remedy)


def _require_same(folder: Location, manifest: Mapping[str, Any]) -> None:
    if _is_finished_without_clips(folder):
        _clear(folder)
    if not (folder / MANIFEST).exists() or not any(_shards_in(folder)):
        for other in _others_without_clips(folder):
            _clear(other)
        write_json(folder / MANIFEST, manifest)
        return
    begun = UNSAID | read_manifest(folder)
    for name, value in manifest.items():
        if begun.get(name) != value:
            what = (
                "the CSV has changed" if name == "input_sha256" else f"--{name} is {value!r}, was {begun.get(name)!r}"
            )
            raise ValueError(f"{folder} was begun with other settings: {what}; undo that, or give another --output_dir")


def _is_finished_without_clips(folder: Location) -> bool:
    """Whether all rows were skipped: what was wrong with them or the settings may be mended."""
    if not (folder / REPORT).exists():
        return False
    try:
        report = read_object(folder / REPORT, remedy=f"delete {folder} and run again")
    except ValueError:
        if (folder / REPORT).exists():
            raise
        return False  # another process has cleared it meanwhile
    return report.get("rows", 0) != 0 and report.get("clips") == 0


def _clear(folder: Location) -> None:
    """Remove shards without clips, and then the report, by which it is known that they are without."""
    for path in (*[path for _, path in _shards_in(folder)], folder / REPORT):
        path.unlink(missing_ok=True)


def _others_without_clips(folder: Location) -> list[Location]:
    """The folders in which other numbers of processes or machines skipped all rows.

    Raises:
        ValueError: such a number has made clips.
    """
    task = folder.parent
    number, ours = folder.name.partition("-of-")[2], task.name.partition("-in-")[2]
    others = [other for other in task.glob("*-of-*") if other.name.partition("-of-")[2] != number]
    for other in others:
        if _binds(other):
            raise ValueError(f"{other} was made with another --splits; give the same, or another --output_dir")
    for theirs in task.parent.glob("*-in-*"):
        if (count := theirs.name.partition("-in-")[2]) != ours:
            ranks: list[Location] = [*theirs.glob("*-of-*")]
            others += ranks
            if any(map(_binds, ranks)):
                what = f"{theirs} was made with --all_tasks {count}, and this is --all_tasks {ours}"
                raise ValueError(f"{what}; give the same, or another --output_dir")
    return [other for other in others if _is_finished_without_clips(other)]


def _binds(folder: Location) -> bool:
    """Whether a folder has shards that count; in this order, as another process may `_clear` it meanwhile."""
    return not _is_finished_without_clips(folder) and any(_shards_in(folder))


def _shards_in(folder: Location) -> Iterator[tuple[tuple[int, int], Location]]:
    for path in folder.glob("rows-*.parquet"):
        if match := _SHARD.fullmatch(path.name):
            yield (int(match[1]), int(match[2])), path
