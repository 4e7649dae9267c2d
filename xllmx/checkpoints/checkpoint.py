"""Training checkpoints: sharded by torch.distributed.checkpoint, whole or absent; `checkpoint_folder` names them.

`save` returns when it is done; `start` copies the state and lets training go on while it is written, one at a time.
"""

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as futures_wait
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.tensor import DTensor

from xllmx.checkpoints import folder as checkpoint_folder
from xllmx.checkpoints.hashes import HashingWriter
from xllmx.checkpoints.reader import CheckedReader, PlainPlanner, RefusedError
from xllmx.checkpoints.stored import SendingWriter, StoredCheckpoints, brought, complete
from xllmx.disk.files import WriteError, disk_error
from xllmx.finite import NOT_FINITE, is_finite
from xllmx.ranks.distributed import any_rank, barrier, is_main, num_ranks
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location

_DRAIN_S = 600
_LOG = logging.getLogger(__name__)

_NOT_OURS = (
    "it is damaged, or was not written by this project: bring it back, or remove it to go on from an earlier one"
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or does not fit; what was saved before is untouched."""


class CheckpointManager:
    """The checkpoints of one run, `keep` of them."""

    def __init__(self, folder: Path, keep: int = 20, *, store: Address | None = None) -> None:
        """`store` is a folder of a store to which they go; `folder` then has those alone that are not there yet."""
        if keep < 1:
            raise ValueError(f"trainer.keep is {keep}; keep at least 1 checkpoint")
        self.folder = folder
        self.stored = None if store is None else StoredCheckpoints(folder=store, keep=keep)
        self.keep = keep
        self._group: dist.ProcessGroup | None = None
        self._writing: tuple[int, Future[None]] | None = None

    def valid(self) -> list[Path]:
        """Return the complete checkpoints of the folder, oldest first."""
        return checkpoint_folder.complete(self.folder)

    def latest(self) -> Path | None:
        """Return the newest complete checkpoint of the folder; None if there is none."""
        return next(reversed(self.valid()), None)

    def newest(self) -> Location | None:
        """Return where the newest complete checkpoint lies, for a message; of a store that does not say, None."""
        here = self.latest()
        with suppress(StoreError):
            return here if here or self.stored is None else next(reversed(complete(self.stored.folder)), None)
        return here

    def to_resume(self, *, allowed: bool, check_hashes: bool = True) -> Path | None:
        """Return the checkpoint a run goes on from, on this disk; as `checkpoint_folder.to_resume`.

        Of those in the store and those that were not sent yet, the newest whose content is as it was written; newer
        ones are set aside once it is found.

        Raises:
            ValueError: the only checkpoints are damaged, or going on is not `allowed` (trainer.resume); or the newest
                was not sent, and is not on the disks of all machines.
            StoreError: the store cannot be asked, or does not give it.
        """
        if self.stored is None:
            return checkpoint_folder.to_resume(self.folder, allowed=allowed, check_hashes=check_hashes)
        places = self.stored.to_choose_from(self.folder)
        if places and not allowed:
            raise ValueError(f"{places[-1].parent} holds checkpoints; use trainer.resume=true, or another folder")
        passed: list[tuple[Location, str]] = []
        for place in reversed(places):
            path = self._here(place)
            name = checkpoint_folder.fault_in(path, check_hashes=check_hashes)
            if name is None:
                for one, why in passed if is_main() else []:
                    self._pass_over(one, why)
                return path
            passed.append((place, name))
        if passed:
            remedy = "bring one back, name another, or remove them to begin anew"
            raise ValueError(f"every checkpoint in {self.stored.folder} is damaged; {remedy}")
        return None

    def _here(self, place: Location) -> Path:
        """Return a checkpoint of the store, or one that was not sent, as a folder of this disk."""
        if isinstance(place, Address):
            return brought(place)
        if any_rank(not place.is_dir()):
            raise ValueError(
                f"checkpoint {place} could not be sent, and other machines do not have it: start on the machine that "
                "has it alone, which goes on from it and sends it with the next"
            )
        return place

    def _pass_over(self, place: Location, name: str) -> None:
        _LOG.warning("checkpoint %s is damaged (%s is not what was written): it is passed over", place, name)
        if isinstance(place, Path):
            checkpoint_folder.put_aside(place)
        elif self.stored is not None:
            self.stored.set_aside(place)

    def save(self, step: int, state: dict[str, Any], *, record: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint, then remove older ones beyond `keep`; return its folder. Called on all ranks.

        Args:
            step: optimiser steps done.
            state: nested dicts of tensors (sharded or not) and plain values.
            record: plain values written into `checkpoint.json`, for people.

        Raises:
            CheckpointError: it could not be written (a full disk), or parts of it are on other machines' disks alone;
                earlier checkpoints are as they were.
        """
        self.wait()
        with self._explained(step):
            temporary, target = self._prepare(step)
            writer = self._writer(temporary, target)
            dcp.save(state, storage_writer=writer, no_dist=_single())
            self._publish(writer, target, {"step": step, "ranks": num_ranks(), **(record or {})})
            barrier()
            self._leave(step)
        return target

    def start(self, step: int, state: dict[str, Any], *, record: Mapping[str, Any] | None = None) -> None:
        """Copy the state and return; the copy is written while the caller goes on.

        Waits for the one before. Called on all ranks, with the arguments of `save`; `wait` says how it went.

        Raises:
            CheckpointError: the one before, or the beginning of this one, could not be written.
        """
        self.wait()
        with self._explained(step):
            temporary, target = self._prepare(step)
            if self._group is None and dist.is_initialized():
                self._group = dist.new_group(backend="gloo")  # its own: training uses the other at the same time
            writer = self._writer(temporary, target)
            written = dcp.async_save(
                state,
                storage_writer=writer,
                process_group=self._group,
                async_stager=self._stager,
                no_dist=_single(),
            )
        assert isinstance(written, Future)
        published: Future[None] = Future()
        about = {"step": step, "ranks": num_ranks(), **(record or {})}

        def publish(writing: Future) -> None:
            try:
                writing.result()  # on the main rank: every rank has written its part
                self._publish(writer, target, about)
                published.set_result(None)
            except BaseException as error:  # whatever it was, `wait` raises it
                published.set_exception(error)

        self._writing = step, published
        written.add_done_callback(publish)

    @cached_property
    def _stager(self) -> DefaultStager:
        """What copies the state to the host: from GPUs into pinned memory, which is kept for the next checkpoint."""
        pinned = torch.cuda.is_available()
        options = StagingOptions(
            use_pinned_memory=pinned, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=pinned
        )
        return DefaultStager(options)

    def wait(self) -> None:
        """Wait until nothing is being written any more. Called on all ranks.

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
        self._leave(step)

    def finish(self) -> None:
        """Wait as `wait` does, and see to it that what goes to a store is there. Called on all ranks, at the end.

        Raises:
            CheckpointError: as `wait`; or a checkpoint could not be sent, and where it is kept.
        """
        self.wait()
        if self.stored is None:
            return
        fault = None
        if is_main():
            if kept := self.valid():
                self.stored.send_kept(kept)
            fault = self.stored.lost or self.stored.fault
        if any_rank(fault is not None):
            kept_in = f"; it is kept in {self.folder}" if self.latest() else ""
            raise CheckpointError(
                f"{fault or 'the main process could not send a checkpoint'}{kept_in}: mend that, and the same command "
                "sends it"
            )

    def look(self) -> None:
        """Raise the error of `wait` now if writing has failed on some rank already. Called on all ranks."""
        if self._writing is not None:
            published = self._writing[1]
            if any_rank(published.done() and published.exception() is not None):
                self.wait()

    def drain(self) -> None:
        """Wait until this rank's part of what is being written is written; for a run that ends with an error."""
        if self._writing is not None:
            futures_wait([self._writing[1]], timeout=_DRAIN_S)

    def load(self, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Fill `state` from a checkpoint and return it: tensors in place, plain values replaced. Called on all ranks.

        Raises:
            CheckpointError: the checkpoint lacks something of `state`, holds another shape, numbers that are not
                finite, or anything that would run (on all ranks).
        """
        reader = self._opened(path)
        try:
            dcp.load(state, storage_reader=reader, planner=PlainPlanner(), no_dist=_single())
        except (OSError, RuntimeError, ValueError, CheckpointException) as error:
            if isinstance(_first(error), RefusedError):
                raise CheckpointError(f"checkpoint {path} is not read: {_reason(error)}; {_NOT_OURS}") from error
            raise CheckpointError(
                f"checkpoint {path} does not fit this model and optimiser: {_reason(error)}; use the configuration it "
                "was written with, or another trainer.run_dir"
            ) from error
        bad = next((name for name, tensor in _tensors(state) if not is_finite(tensor)), None)
        if any_rank(bad is not None):
            where = "a tensor of another process" if bad is None else bad
            raise CheckpointError(
                f"checkpoint {path} is not read: {where} {NOT_FINITE}; remove it to go on from another"
            )
        return state

    def holds(self, path: Path, part: str) -> bool:
        """Whether a checkpoint has that part of a state, such as `average`. Called on all ranks.

        Raises:
            CheckpointError: its list cannot be read (on all ranks).
        """
        return any(name.split(".")[0] == part for name in self._opened(path).read_metadata().state_dict_metadata)

    def _opened(self, path: Path) -> CheckedReader:
        """Return what reads a checkpoint, once every rank has looked through its list."""
        reader, fault = None, "another process cannot read it"
        try:
            reader = CheckedReader(path)
        except ValueError as error:
            fault = str(error)
        if any_rank(reader is None) or reader is None:
            raise CheckpointError(f"checkpoint {path} is not read: {fault}; {_NOT_OURS}")
        return reader

    def _prepare(self, step: int) -> tuple[Path, Path]:
        """Make the empty temporary folder of a step's checkpoint; return it and the folder it will become."""
        target = self.folder / checkpoint_folder.name_of(step)
        temporary = checkpoint_folder.temporary_of(self.folder, step)
        if is_main():
            checkpoint_folder.remove_unfinished(self.folder)
            temporary.mkdir(parents=True)
            if self.stored is not None:
                self.stored.clear(self.stored.place_of(target))
        barrier()
        return temporary, target

    def _writer(self, temporary: Path, target: Path) -> HashingWriter:
        if self.stored is None:
            return HashingWriter(temporary)
        return SendingWriter(temporary, self.stored.place_of(target))

    def _leave(self, step: int) -> None:
        """Remove this rank's part of a checkpoint that is in a store; on another machine's disk nobody else does."""
        if self.stored is not None:
            shutil.rmtree(checkpoint_folder.temporary_of(self.folder, step), ignore_errors=True)

    def _publish(self, writer: HashingWriter, target: Path, record: Mapping[str, Any]) -> None:
        if is_main():
            temporary = Path(writer.path)
            if self.stored is None:
                _check_whole(temporary, writer.needed, target=target)
                checkpoint_folder.publish(temporary, target, record)
            else:
                self.stored.publish(temporary, target, record, needed=writer.needed)
            checkpoint_folder.remove_old(self.folder, keep=self.keep)

    @contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        """A context in which an error of the disk becomes one clear error, and no half checkpoint stays."""
        try:
            yield
        except (OSError, RuntimeError, CheckpointException) as error:
            shutil.rmtree(checkpoint_folder.temporary_of(self.folder, step), ignore_errors=True)
            full = None if isinstance(_first(error), WriteError) else disk_error(_first(error))
            why = _reason(error) if full is None else _reason(OSError(full.strerror))
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} to {self.folder}: {why}; earlier checkpoints "
                "are intact: free some space (or lower trainer.keep) and start again to resume"
            ) from error


def _check_whole(temporary: Path, needed: set[str], *, target: Path) -> None:
    """Raise the error of a checkpoint of which other machines wrote parts to disks of their own, and remove it."""
    elsewhere = sorted(name for name in needed if not (temporary / name).is_file())
    if elsewhere:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"cannot write the checkpoint {target}: {', '.join(elsewhere[:3])} {'and others ' * (len(elsewhere) > 3)}"
            "of it went to the disk of another machine: trainer.run_dir is not on a disk that all machines share; give "
            "one that is, or set trainer.checkpoints (a store)"
        )


def _single() -> bool:
    """Whether one process saves and loads by itself; silences torch's warning about that, which is on purpose here.

    The filter stays, because the warning may come from the thread that writes.
    """
    warnings.filterwarnings("ignore", message=".*torch.distributed is disabled.*")
    return num_ranks() == 1


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor), of a sharded one this rank's part, of a nested state."""
    if isinstance(state, Mapping):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, Tensor):
        yield name, state.to_local() if isinstance(state, DTensor) else state


def _first(error: BaseException) -> BaseException:
    """Return the first cause of an error."""
    if isinstance(error, CheckpointException) and error.failures:
        failure = next(iter(error.failures.values()))
        return failure[0] if isinstance(failure, tuple) else failure
    return error


def _reason(error: BaseException) -> str:
    """Return the first cause of an error in one line."""
    first = _first(error)
    return " ".join(str(first).split())[:500] or type(first).__name__
