"""Training checkpoints: sharded by torch.distributed.checkpoint, whole or absent, the newest valid one found again.

checkpoints/step-00003000/        complete: `checkpoint.json` was written last, before the folder got this name
checkpoints/.step-00004000.tmp/   being written, or left by a run that died; never read, removed by the next save
"""

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from xllmx.distributed import barrier, is_main, num_ranks
from xllmx.files import write_text

_NAME = re.compile(r"step-(\d{8})")
_MARKER = "checkpoint.json"


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or does not fit; what was saved before is untouched."""


class CheckpointManager:
    """The checkpoints of one run, `keep` of them."""

    def __init__(self, folder: Path, keep: int = 20) -> None:
        if keep < 1:
            raise ValueError(f"trainer.keep is {keep}; keep at least 1 checkpoint")
        self.folder = folder
        self.keep = keep

    def save(self, step: int, state: dict[str, Any], *, record: Mapping[str, Any] | None = None) -> Path:
        """Returns the folder of the new checkpoint, after older ones beyond `keep` are removed. Called on all ranks.

        Args:
            step: optimiser steps done.
            state: nested dicts of tensors (sharded or not) and plain values.
            record: plain values written into `checkpoint.json`, for people.

        Raises:
            CheckpointError: it could not be written (a full disk); earlier checkpoints are as they were.
        """
        target = self.folder / f"step-{step:08d}"
        temporary = self.folder / f".{target.name}.tmp"
        try:
            if is_main():
                self._remove_unfinished()
                temporary.mkdir(parents=True)
            barrier()
            with _one_process_is_meant():
                dcp.save(state, checkpoint_id=temporary, no_dist=num_ranks() == 1)
            if is_main():
                _publish(temporary, target, {"step": step, "ranks": num_ranks(), **(record or {})})
            barrier()
        except (OSError, RuntimeError, CheckpointException) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} to {self.folder}: {_reason(error)}; earlier checkpoints "
                "are intact: free some space (or lower trainer.keep) and start again to resume"
            ) from error
        if is_main():
            for path in self.valid()[: -self.keep]:
                shutil.rmtree(path)
        return target

    def valid(self) -> list[Path]:
        """Returns the complete checkpoints, oldest first."""
        folders = [path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name)]
        return sorted(path for path in folders if _is_complete(path))

    def latest(self) -> Path | None:
        """Returns the newest complete checkpoint; None if there is none."""
        return next(reversed(self.valid()), None)

    def load(self, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Returns `state` filled from the checkpoint: tensors in place, plain values replaced. Called on all ranks.

        Raises:
            CheckpointError: the checkpoint lacks something of `state`, or holds another shape.
        """
        try:
            with _one_process_is_meant():
                dcp.load(state, checkpoint_id=path, no_dist=num_ranks() == 1)
        except (OSError, RuntimeError, ValueError, CheckpointException) as error:
            raise CheckpointError(
                f"checkpoint {path} does not fit this model and optimiser: {_reason(error)}; use the configuration it "
                "was written with, or another trainer.run_dir"
            ) from error
        return state

    def _remove_unfinished(self) -> None:
        for path in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(path)


def step_of(path: Path) -> int:
    """Returns the number of steps a checkpoint folder was written after."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not a checkpoint; its folder is named step-NNNNNNNN")
    return int(match.group(1))


@contextmanager
def _one_process_is_meant() -> Iterator[None]:
    """Returns a context without the warning that one process without a group saves on its own: it is meant to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")
        yield


def _publish(temporary: Path, target: Path, record: Mapping[str, Any]) -> None:
    """Returns nothing; writes the marker with the size of every file, then gives the folder its name."""
    sizes = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
    write_text(temporary / _MARKER, json.dumps({**record, "files": sizes}, indent=1))
    if target.exists():  # the same step again, after a resume from an earlier one
        shutil.rmtree(target)
    temporary.rename(target)


def _is_complete(path: Path) -> bool:
    try:
        sizes = json.loads((path / _MARKER).read_text())["files"]
        return all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _reason(error: BaseException) -> str:
    """Returns the root of the matter in one line."""
    if isinstance(error, CheckpointException) and error.failures:
        failure = next(iter(error.failures.values()))
        error = failure[0] if isinstance(failure, tuple) else failure
    return " ".join(str(error).split())[:500] or type(error).__name__
