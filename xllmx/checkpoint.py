"""Training checkpoints: sharded by torch.distributed.checkpoint, whole or absent, the newest valid one found again.

checkpoints/step-00003000/        complete: `checkpoint.json` was written last, before the folder got this name
checkpoints/.step-00004000.tmp/   being written, or left by a run that died; never read, removed by the next save

`save` returns when it is done; `start` copies the state and lets training go on while it is written, one at a time.
"""

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as futures_wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from xllmx.files import write_text
from xllmx.ranks.distributed import any_rank, barrier, is_main, num_ranks

_NAME = re.compile(r"step-(\d{8})")
_MARKER = "checkpoint.json"
_DRAIN_S = 600


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or does not fit; what was saved before is untouched."""


class CheckpointManager:
    """The checkpoints of one run, `keep` of them."""

    def __init__(self, folder: Path, keep: int = 20) -> None:
        if keep < 1:
            raise ValueError(f"trainer.keep is {keep}; keep at least 1 checkpoint")
        self.folder = folder
        self.keep = keep
        self._group: dist.ProcessGroup | None = None
        self._writing: tuple[int, Future[None]] | None = None

    def save(self, step: int, state: dict[str, Any], *, record: Mapping[str, Any] | None = None) -> Path:
        """Returns the folder of the new checkpoint, after older ones beyond `keep` are removed. Called on all ranks.

        Args:
            step: optimiser steps done.
            state: nested dicts of tensors (sharded or not) and plain values.
            record: plain values written into `checkpoint.json`, for people.

        Raises:
            CheckpointError: it could not be written (a full disk); earlier checkpoints are as they were.
        """
        self.wait()
        with self._explained(step):
            temporary, target = self._prepare(step)
            dcp.save(state, checkpoint_id=temporary, no_dist=_single())
            self._publish(temporary, target, {"step": step, "ranks": num_ranks(), **(record or {})})
            barrier()
        return target

    def start(self, step: int, state: dict[str, Any], *, record: Mapping[str, Any] | None = None) -> None:
        """Returns nothing, as soon as a copy of the state is made; the copy is written while the caller goes on.

        Waits for the one before. Called on all ranks, with the arguments of `save`; `wait` says how it went.

        Raises:
            CheckpointError: the one before, or the beginning of this one, could not be written.
        """
        self.wait()
        with self._explained(step):
            temporary, target = self._prepare(step)
            if self._group is None and dist.is_initialized():
                self._group = dist.new_group(backend="gloo")  # its own: training uses the other at the same time
            written = dcp.async_save(state, checkpoint_id=temporary, process_group=self._group, no_dist=_single())
        assert isinstance(written, Future)
        published: Future[None] = Future()
        about = {"step": step, "ranks": num_ranks(), **(record or {})}

        def publish(writing: Future) -> None:
            try:
                writing.result()  # on the main rank: every rank has written its part
                self._publish(temporary, target, about)
                published.set_result(None)
            except BaseException as error:  # whatever it was, `wait` raises it
                published.set_exception(error)

        self._writing = step, published
        written.add_done_callback(publish)

    def wait(self) -> None:
        """Returns nothing, when nothing is being written any more. Called on all ranks.

        Raises:
            CheckpointError: on all ranks, what was being written could not be; earlier checkpoints are as they were.
        """
        if self._writing is None:
            return
        (step, published), self._writing = self._writing, None
        error = published.exception()
        if any_rank(error is not None):
            with self._explained(step):
                raise error or RuntimeError("another process could not write its part")

    def look(self) -> None:
        """Returns nothing; `wait` if what is being written has failed on some rank already. Called on all ranks."""
        if self._writing is not None:
            published = self._writing[1]
            if any_rank(published.done() and published.exception() is not None):
                self.wait()

    def drain(self) -> None:
        """Returns nothing, when this rank's part of what is being written is; for a run that ends with an error."""
        if self._writing is not None:
            futures_wait([self._writing[1]], timeout=_DRAIN_S)

    def _prepare(self, step: int) -> tuple[Path, Path]:
        """Returns the empty temporary folder of a step's checkpoint, and the folder it will become."""
        target = self.folder / f"step-{step:08d}"
        temporary = self.folder / f".{target.name}.tmp"
        if is_main():
            self._remove_unfinished()
            temporary.mkdir(parents=True)
        barrier()
        return temporary, target

    def _publish(self, temporary: Path, target: Path, record: Mapping[str, Any]) -> None:
        if is_main():
            _publish(temporary, target, record)
            for path in self.valid()[: -self.keep]:
                shutil.rmtree(path)

    @contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """Returns a context in which what goes wrong on the disk is one clear error, and no half checkpoint stays."""
        try:
            yield
        except (OSError, RuntimeError, CheckpointException) as error:
            shutil.rmtree(self.folder / f".step-{step:08d}.tmp", ignore_errors=True)
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} to {self.folder}: {_reason(error)}; earlier checkpoints "
                "are intact: free some space (or lower trainer.keep) and start again to resume"
            ) from error

    def valid(self) -> list[Path]:
        """Returns the complete checkpoints, oldest first."""
        folders = [path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name)]
        return sorted(path for path in folders if _is_complete(path))

    def latest(self) -> Path | None:
        """Returns the newest complete checkpoint; None if there is none."""
        return next(reversed(self.valid()), None)

    def damaged(self) -> list[Path]:
        """Returns what is newer than the newest complete checkpoint and was one, until something happened to it."""
        newest = self.latest()
        folders = sorted(path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name))
        return [path for path in folders if newest is None or path > newest]

    def load(self, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Returns `state` filled from the checkpoint: tensors in place, plain values replaced. Called on all ranks.

        Raises:
            CheckpointError: the checkpoint lacks something of `state`, or holds another shape.
        """
        try:
            dcp.load(state, checkpoint_id=path, no_dist=_single())
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


def _single() -> bool:
    """Returns whether one process saves and loads by itself; that it is meant to need not be a warning each time.

    The filter stays, because the warning may come from the thread that writes.
    """
    warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")
    return num_ranks() == 1


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
