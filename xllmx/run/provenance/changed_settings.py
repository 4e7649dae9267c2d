"""What a run that goes on from a checkpoint is told otherwise than the run that wrote it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xllmx.checkpoints.folder import read_record
from xllmx.settings.config import to_plain
from xllmx.settings.setting import shown

_PLACES = ("run_dir", "checkpoints", "resume_path")
"""Settings that say where a run lies, not what it does."""
_OF_NO_STEP = (
    "parallel", "samples", "task.attention", "task.eval_data", "task.eval_modes", "task.eval_tasks",
    "task.loss_chunk", "task.text_kept", "async_save", "check_hashes", "deterministic", "device", "epochs",
    "eval_batch_size", "eval_batches", "eval_every", "eval_in_epoch", "keep", "log_every", "max_broken",
    "max_minutes", "max_steps", "progress", "resume", "save_every", "save_interval", "trackers",
)  # fmt: skip
"""Settings, and groups of them, that change no step that was going to be done but by rounding; or that are changed in
order to go on."""
_READERS = "num_workers"
"""The same, of the training or of one of its tasks."""


def changed_settings(checkpoint: Path, record: Any) -> list[str]:
    """Return `key: before -> now` for each setting of `record`, a dataclass, that the checkpoint recorded otherwise.

    Settings that were not recorded, as those of later versions, are left out; so is where a run lies.
    """
    before = read_record(checkpoint).get("config")
    return list(_changes(before, record, "")) if isinstance(before, Mapping) else []


def of_steps(changes: Sequence[str], same: Sequence[str] = ()) -> list[str]:
    """Return those of `changed_settings` that make other steps: of data, batches, seeds, losses, rates, models.

    `same` are settings that come to the same in this run, though they are told otherwise.
    """
    alike = {key.removeprefix("trainer.") for key in same}
    keys = [change.partition(": ")[0].removeprefix("trainer.") for change in changes]
    return [
        change
        for change, key in zip(changes, keys, strict=True)
        if key not in alike
        and key.split(".")[-1] != _READERS
        and not any(f"{key}.".startswith(f"{name}.") for name in _OF_NO_STEP)
    ]


def _changes(before: Any, now: Any, key: str) -> Iterator[str]:
    if dataclasses.is_dataclass(now) and isinstance(before, Mapping):
        for field in dataclasses.fields(now):
            if field.name in before and field.name not in _PLACES:
                yield from _changes(before[field.name], getattr(now, field.name), f"{key}.{field.name}")
    elif isinstance(now, Mapping) and isinstance(before, Mapping):
        for name in {**before, **now}:
            if name in before and name in now:
                yield from _changes(before[name], now[name], f"{key}.{name}")
            else:
                old, new = (shown(to_plain(one[name])) if name in one else "not given" for one in (before, now))
                yield f"{key.removeprefix('.')}.{name}: {old} -> {new}"
    elif before != to_plain(now):
        yield f"{key.removeprefix('.')}: {shown(before)} -> {shown(to_plain(now))}"
