"""The folder of a run's checkpoints: names, which of them are complete, and which one a run goes on from.

checkpoints/step-00003000/        complete: `checkpoint.json` was written last, before the folder got this name
checkpoints/damaged-step-.../     its content had changed when a run was to go on from it; read no more
checkpoints/.step-00004000.tmp/   being written, or left by a run that died; never read, removed by the next save
"""

import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xllmx.checkpoints.hashes import ALGORITHM, changed_file, gathered_hashes
from xllmx.disk.files import write_text
from xllmx.ranks.distributed import any_rank, gather_names, is_main, num_ranks, rank
from xllmx.safe.json_text import read_object
from xllmx.store.address import Location

_NAME = re.compile(r"step-(\d{8})")
MARKER = "checkpoint.json"
"""File that is written last: without it, a folder is no checkpoint."""
_LOG = logging.getLogger(__name__)


def step_of(path: Location) -> int:
    """Return the number of steps a checkpoint folder was written after.

    Raises:
        ValueError: it has another name.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not a checkpoint; its folder is named step-NNNNNNNN")
    return int(match.group(1))


def is_named(path: Location) -> bool:
    """Whether a folder has the name of a checkpoint."""
    return _NAME.fullmatch(path.name) is not None


def name_of(step: int) -> str:
    """Return the name of the checkpoint of a step."""
    return f"step-{step:08d}"


def temporary_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step stands while it is written."""
    return folder / f".{name_of(step)}.tmp"


def remove_unfinished(folder: Path) -> None:
    """Remove what earlier runs left half written."""
    for path in folder.glob(".step-*.tmp"):
        shutil.rmtree(path)


def publish(temporary: Path, target: Path, record: Mapping[str, Any]) -> None:
    """Write the marker, which holds `record` and the size and hash of every file, then give the folder its name."""
    hashes = gathered_hashes(temporary)
    sizes = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
    write_text(temporary / MARKER, json.dumps({**record, "files": sizes, ALGORITHM: hashes}, indent=1))
    if target.exists():  # the same step again, after a resume from an earlier one
        (target / MARKER).unlink(missing_ok=True)
        shutil.rmtree(target)
    temporary.rename(target)


def remove_old(folder: Path, *, keep: int) -> None:
    """Remove all complete checkpoints but the newest `keep`, and what is left of those whose removal was cut short."""
    whole = complete(folder)
    for path in whole[:-keep]:
        remove(path)
    if whole:
        remove_left(folder, before=whole[-1])


def remove_left(folder: Path, *, before: Path) -> None:
    """Remove the folders without a marker that are older than a complete checkpoint, here or in a store."""
    for path in _named(folder):
        if path.name < before.name and _lacks_marker(path):
            remove(path)


def remove(path: Path) -> None:
    """Remove a checkpoint, its marker first, so that it counts no more; what the disk has against it is logged."""
    try:
        if path.is_symlink():  # what it leads to is not the run's
            path.unlink()
            return
        (path / MARKER).unlink(missing_ok=True)
        shutil.rmtree(path)
    except OSError as error:
        _LOG.warning("old checkpoint %s cannot be removed (%s): remove it yourself; the run goes on", path, error)


def _lacks_marker(path: Path) -> bool:
    """Whether a folder has no marker; not where the disk does not say."""
    try:
        return path.is_dir() and not (path / MARKER).exists()
    except OSError:
        return False


def read_record(path: Path) -> dict[str, Any]:
    """Return what was recorded with a complete checkpoint: its step, ranks and configuration, sizes and hashes."""
    return read_object(path / MARKER, finite=False)  # a setting may be inf


def complete(folder: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    return [path for path in _named(folder) if is_complete(path)]


def changed(path: Path) -> str | None:
    """Return a file of a complete checkpoint whose content is not what was written; None where there is none.

    A checkpoint without hashes, of an earlier version, has none. Called on all ranks, each of which reads its share.
    """
    hashes = read_record(path).get(ALGORITHM)
    found = changed_file(path, hashes, share=(rank(), num_ranks()))
    return next(iter(gather_names([] if found is None else [found])), None)


def fault_in(path: Path, *, check_hashes: bool) -> str | None:
    """Return a file of a checkpoint that is not what was written, on any rank's disk; None where there is none.

    Called on all ranks, all of which are told the same: each may have a copy of its own.
    """
    if any_rank(not is_complete(path)):
        return "one of its files"
    return changed(path) if check_hashes else None


def damaged(folder: Path) -> list[Path]:
    """Return those newer than the newest complete checkpoint: each was complete once, until it was changed."""
    newest = next(reversed(complete(folder)), None)
    return [path for path in _named(folder) if newest is None or path > newest]


def to_resume(folder: Path, *, allowed: bool, check_hashes: bool = True) -> Path | None:
    """Return the checkpoint a run goes on from: the newest complete one; None where there is none. Called on all ranks.

    One whose content has changed is passed over, with a warning, as one whose sizes have: what a step does follows from
    its number, so that the steps after the one before are done again as they were. Its folder is renamed to
    `damaged-step-NNNNNNNN`: counted among those to keep, it would push out good ones.

    Raises:
        ValueError: the only checkpoints are damaged, or going on is not `allowed` (trainer.resume).
    """
    whole, broken = complete(folder), damaged(folder)
    why, set_aside = "", []
    while whole and allowed and check_hashes and (name := changed(whole[-1])):
        why = f" ({name} is not what was written)"
        set_aside.append(whole.pop())
        broken = [set_aside[-1], *broken]
    newest = next(reversed(whole), None)
    if broken and newest is None:
        raise ValueError(
            f"checkpoint {broken[-1]} is damaged{why} and there is no other; bring it back, or remove it to begin anew"
        )
    if newest is None:
        return None
    if broken and is_main():
        _LOG.warning("checkpoint %s is damaged%s: the run goes on from %s", broken[-1], why, newest)
        for path in set_aside:
            put_aside(path)
    if not allowed:
        raise ValueError(f"{folder} holds checkpoints; use trainer.resume=true or another run_dir")
    return newest


def checkpoint_at(path: Path, *, check_hashes: bool = True) -> Path:
    """Return the checkpoint to begin from: `path` itself, or the newest complete one of the run there; read only.

    Called on all ranks.

    Raises:
        ValueError: there is none, or its content has changed.
    """
    inside = [folder for folder in (path / "checkpoints", path) if complete(folder)]
    found = path if is_named(path) and is_complete(path) else None
    if found is None and inside:
        found = complete(inside[0])[-1]
    if found is None:
        raise ValueError(
            f"trainer.resume_path is {path}, which is no complete checkpoint and no run with one; give "
            "RUN/checkpoints/step-NNNNNNNN, or for the weights of a model folder task.init_from"
        )
    if check_hashes and (name := changed(found)):
        raise ValueError(f"trainer.resume_path: {found} is damaged ({name} is not what was written); give another")
    return found


def put_aside(path: Path) -> None:
    """Let a checkpoint whose content has changed count no more; it is called `damaged-step-NNNNNNNN` then."""
    place = path.with_name(f"damaged-{path.name}")
    if place.exists():
        shutil.rmtree(place)
    path.rename(place)


def _named(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if is_named(path))


def is_complete(path: Path) -> bool:
    """Whether all files of a checkpoint are there in the sizes that its marker says."""
    try:
        sizes = read_record(path)["files"]
        return all(Path(name).name == name and (path / name).stat().st_size == sizes[name] for name in sizes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
