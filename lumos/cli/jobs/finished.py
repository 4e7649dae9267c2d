"""What stands where an output is to go: the one wanted, another one, or nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.cli.jobs.outputs import OutputFolder
from lumos.cli.jobs.record import differences, read_record, record_path
from lumos.hub.hashes import sha256_of

_REMEDY = "use --overwrite, or another --out, which keeps both"


def finished_seed(folder: OutputFolder, name: str, wanted: Mapping[str, Any], *, overwrite: bool = False) -> int | None:
    """The seed of an output that is there and is the one wanted, or None if it is to be made.

    In a folder that holds nothing but outputs, one that is not as it was written was damaged, and is to be made again.
    Raises ValueError if another one stands there and may not be replaced.
    """
    output = folder.find(name)
    if output is None:
        _check_orphan(folder, name, wanted, overwrite=overwrite)
        return None
    if output.is_dir():
        raise ValueError(f"{output} is a folder; choose another name for the output")
    try:
        record = read_record(folder.recorded(name))
        fault = "no record says how it was made"
    except ValueError as error:  # damaged: of a file that is ours, so is the output
        if folder.holds_only_outputs:
            return None
        record, fault = None, str(error)
    if record is not None:
        if changed := differences(record, wanted):
            fault = f"it was made otherwise ({'; '.join(changed)})"
        elif record.get("output_hash") == sha256_of(output):
            return int(record["seed"])
        elif folder.holds_only_outputs:
            return None
        else:
            fault = "it is not the file its record speaks of"
    if not overwrite:
        raise ValueError(f"{output} is there already, and {fault}; {_REMEDY}")
    return None


def free_name(folder: OutputFolder, name: str, entries: Mapping[str, Any]) -> str:
    """The name of an output that was not there when it was planned: `clip-2.mp4` if another process has made one since.

    Where that is the same file, or a record alone was left, the name is `clip.mp4`.
    """
    number, free = 1, name
    while (there := folder.find(free)) is not None and sha256_of(there) != entries["output_hash"]:
        number += 1
        free = f"{name.removesuffix(Path(name).suffix)}-{number}{Path(name).suffix}"
    return free


def _check_orphan(folder: OutputFolder, name: str, wanted: Mapping[str, Any], *, overwrite: bool) -> None:
    """Raises ValueError for a record without its output that tells how another one was made: it may be all there is.

    One that tells how this one is made was left by a process that was killed before the file had its name.
    """
    if overwrite or folder.holds_only_outputs:
        return
    try:
        record = read_record(folder.recorded(name)) or {}
    except ValueError:  # damaged: it tells nothing
        return
    if record and (changed := differences(record, wanted)):
        told = f"{record_path(folder.recorded(name))} tells how another output was made ({'; '.join(changed)})"
        raise ValueError(f"{told}; {_REMEDY}")
