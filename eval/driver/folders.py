"""What the runner of a benchmark asks of a folder that an official scorer reads."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lumos.cli.jobs.outputs import OutputFolder
from lumos.cli.jobs.runner import Job


class BenchmarkFolder(OutputFolder, Protocol):
    """Where the finished outputs of a benchmark lie; their records lie apart (`records_folder`)."""

    def settle(self, names: Sequence[str], staging: Path) -> int:
        """The number of these outputs that are not in place yet, after placing what can be placed."""
        ...

    def strangers(self) -> list[str]:
        """Names in the folder that the scorer would take for outputs, or trip over, and that are none of ours."""
        ...


def records_folder(out: Path) -> Path:
    """Where the records of an output folder lie: `OUT_records`, beside it."""
    out = out.resolve()
    return out.with_name(f"{out.name}_records")


def require_folder_for(folder: BenchmarkFolder, jobs: Sequence[Job], out: Path) -> None:
    """Raises ValueError if `out` cannot take the outputs, or holds what the scorer would trip over."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder with --out")
    if strangers := folder.strangers():
        names = ", ".join(map(repr, strangers[:10])) + (f" and {len(strangers) - 10} more" if strangers[10:] else "")
        raise ValueError(
            f"{out} holds what the scorer would take for outputs: {names}; move it, or choose another --out"
        )
    require_case(jobs, next(parent for parent in out.resolve().parents if parent.exists()))


def require_case(jobs: Sequence[Job], folder: Path) -> None:
    """Raises ValueError if two outputs differ by capitals alone and the file system of `folder` takes no notice."""
    groups: dict[str, set[str]] = {}
    for job in jobs:
        groups.setdefault(job.name.casefold(), set()).add(job.notes["official_prompt"])
    pairs = {" and ".join(map(repr, sorted(prompts))) for prompts in groups.values() if len(prompts) > 1}
    if pairs and ignores_case(folder):
        rule = "its file system does not tell capitals from small letters, and one video would replace the other"
        raise ValueError(f"{folder} cannot hold the videos of both {'; '.join(sorted(pairs))}: {rule}; choose another")


def ignores_case(folder: Path) -> bool:
    """Whether the file system of a folder takes names that differ by capitals alone for one."""
    descriptor, name = tempfile.mkstemp(prefix="Case-", dir=folder)
    os.close(descriptor)
    path = Path(name)
    try:
        return path.with_name(path.name.swapcase()).exists()
    finally:
        path.unlink()
