"""The folder of a run: one training at a time, and nothing in it that the training reads."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from xllmx.disk.place import check_file, check_folder, inputs_of, require_folder
from xllmx.disk.temporary import remove_stale
from xllmx.ranks.distributed import launched_rank
from xllmx.run.lock import HeldError, locked
from xllmx.run.reporting.report import CONFIG_FILE, ENVIRONMENT_FILE
from xllmx.store.address import Address
from xllmx.store.lease import OLD_S, RENEWED_EVERY_S, leased

LOCK = ".lock"
"""File of the lock in a run's folder."""
_PATIENCE_S = OLD_S + 2 * RENEWED_EVERY_S
"""After which a machine that died holds nothing any more."""
_LOOK_S = 5.0
_LOG = logging.getLogger(__name__)


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

    A run that is started again by itself, as the machine of its main process may have died, waits for what that held.

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
    until = time.monotonic() + (_PATIENCE_S if _starts_by_itself(os.environ) else 0)
    with ExitStack() as held:
        what = f"trainer.run_dir {run_dir} is trained"
        _hold(held, lambda: locked(run_dir / LOCK, what=what, remedy=remedy), until=until)
        remove_stale(run_dir)
        if store is not None:
            _hold(held, lambda: _leased(store), until=until)
        yield


def _leased(store: Address) -> AbstractContextManager[None]:
    remedy = "wait for it, stop it, or give another trainer.checkpoints"
    return leased(store / LOCK, what=f"trainer.checkpoints {store} is written", remedy=remedy)


def _starts_by_itself(environment: Mapping[str, str]) -> bool:
    """Whether nobody types the command again where a machine dies: an elastic torchrun, a job that Slurm queued again.

    torchrun counts no restart where machines come or go; so what counts is that it may restart.
    """
    names = ("TORCHELASTIC_MAX_RESTARTS", "SLURM_RESTART_COUNT")
    return any(environment.get(name, "0") not in ("", "0") for name in names)


def _hold(held: ExitStack, claim: Callable[[], AbstractContextManager[None]], *, until: float) -> None:
    """Enter what `claim` makes, or wait for its holder until then."""
    is_said = False
    while True:
        try:
            held.enter_context(claim())
            return
        except HeldError as error:
            if time.monotonic() >= until:
                raise
            if not is_said:
                _LOG.warning("%s: it may have died, which is waited for", error)
            is_said = True
        time.sleep(_LOOK_S)
