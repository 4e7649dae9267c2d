"""The folder of a run: one training at a time, and nothing in it that the training reads."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from xllmx.disk.place import check_file, check_folder, inputs_of, require_folder
from xllmx.disk.temporary import remove_stale
from xllmx.ranks.distributed import launched_rank
from xllmx.run.lock import locked
from xllmx.run.report import CONFIG_FILE, ENVIRONMENT_FILE
from xllmx.store.address import Address
from xllmx.store.lease import leased

LOCK = ".lock"
"""File of the lock in a run's folder."""


@contextmanager
def claimed_run(
    run_dir: Path,
    *,
    inputs: Mapping[str, Path | str | None],
    config_file: Path | str | None,
    written: Sequence[str] = (),
    store: Address | None = None,
) -> Iterator[None]:
    """Hold a run's folder against other trainings, on the main process; others have nothing to hold.

    Args:
        run_dir: made if needed; what dead processes left in it is removed.
        inputs: what the training reads, by what the user calls it: the folder may neither be nor lie in it.
        config_file: where the settings came from, if from a file: not the place where the run writes its own.
        written: names of files that are written into it, none of which may be an input.
        store: the folder of a store for its checkpoints, which is held likewise.

    Raises:
        ValueError: another training is at work there, the folder cannot be written to, or it is an input.
        StoreError: the store cannot be written to.
    """
    if launched_rank():
        yield
        return
    try:
        if run_dir.is_dir():
            check_folder(run_dir, inputs=inputs_of(inputs))
        require_folder(run_dir)
        for name in written:
            check_file(run_dir / name, inputs=inputs_of(inputs))
        if (
            config_file is not None and not (run_dir / ENVIRONMENT_FILE).exists()
        ):  # else the run wrote it, and may again
            check_file(run_dir / CONFIG_FILE, inputs=inputs_of({"the file of settings": config_file}))
    except ValueError as error:
        raise ValueError(f"trainer.run_dir: {error}") from error
    remedy = "wait for it, stop it, or give another trainer.run_dir"
    with locked(run_dir / LOCK, what=f"trainer.run_dir {run_dir} is trained", remedy=remedy):
        remove_stale(run_dir)
        with _held_in_store(store):
            yield


def _held_in_store(store: Address | None) -> AbstractContextManager[None]:
    if store is None:
        return nullcontext()
    remedy = "wait for it, stop it, or give another trainer.checkpoints"
    return leased(store / LOCK, what=f"trainer.checkpoints {store} is written", remedy=remedy)
