"""The global batch of a run that goes on with another number of processes: the same, so that its data go on too.

    3 processes, batches of 4        [ 0..3 | 4..7 | 8..11 ]                       12 samples a step
    2 of them are left               [ 0..2 | 3..5 ] [ 6..8 | 9..11 ]              the same 12, in two batches of 3 each

Which samples a step has depends on the number of the step and on the size of the global batch alone
(`xllmx.data.order`): with that kept, none is drawn twice and none is passed over.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xllmx.checkpoints.folder import read_record
from xllmx.trainer_config import TrainerConfig

KEY = "batches"
"""In the record of a checkpoint."""


def recorded(config: TrainerConfig, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return what a checkpoint says of the batches: as they are set, and `sizes`, the global ones by stream."""
    return {KEY: {"set": _set(config), "global": dict(sizes)}}


def kept(
    config: TrainerConfig, checkpoint: Path, sizes: Mapping[str, int], *, num_ranks: int
) -> tuple[TrainerConfig, str]:
    """Return the settings with which the steps go on as those before the checkpoint, and what to say of them.

    Where the settings of batches have changed, or give the same global batches, they count as they are.

    Args:
        config: as set.
        checkpoint: what the run goes on from.
        sizes: the global batches that the settings make of so many processes, by stream.
        num_ranks: processes of now.

    Raises:
        ValueError: so many processes do not divide the global batches.
    """
    record = read_record(checkpoint)
    said = record.get(KEY)
    if not isinstance(said, Mapping) or said.get("set") != _set(config) or not isinstance(said.get("global"), Mapping):
        return config, ""
    before = {name: said["global"][name] for name in sizes if isinstance(said["global"].get(name), int)}
    if all(before.get(name, size) == size for name, size in sizes.items()):
        return config, ""
    fitted = replace(config, global_batch_size=before, grad_accumulation=1).fitted(num_ranks)
    total = ", ".join(f"{name} {size}" for name, size in before.items())
    try:
        accumulation = fitted.accumulation_of(sizes, num_ranks)
    except ValueError as error:
        fitting = [n for n in range(1, 2 * num_ranks + 1) if not any(size % n for size in before.values())]
        keys = ", ".join(config.GLOBAL_BATCH.format(stream=name) for name in before)
        raise ValueError(
            f"the steps of {checkpoint} have {total} samples, which {num_ranks} processes cannot share alike; start "
            f"{', '.join(map(str, fitting))} processes, or set {keys} for another number"
        ) from error
    each = ", ".join(f"{name} {accumulation[name]} x {fitted.batch_size.get(name, 1)}" for name in before)
    ranks = record.get("ranks")
    return fitted, (
        f"the global batch stays {total}, as in {checkpoint.name} (of {ranks} process{'' if ranks == 1 else 'es'}): "
        f"{each} on each of {num_ranks}"
    )


def of_same_batches(config: TrainerConfig, checkpoint: Path, sizes: Mapping[str, int]) -> list[str]:
    """Return the settings of batches that, changed or not, make the global batches that the checkpoint has.

    `sizes` are those of now, by stream: how each is put together changes its steps but by rounding.
    """
    said = read_record(checkpoint).get(KEY)
    before = said.get("global") if isinstance(said, Mapping) else None
    if not isinstance(before, Mapping):
        return []
    same = [name for name, size in sizes.items() if before.get(name) == size]
    settings = [setting.format(stream=name) for name in same for setting in (config.BATCH, config.GLOBAL_BATCH)]
    return [*settings, "trainer.grad_accumulation"] if len(same) == len(sizes) else settings


def _set(config: TrainerConfig) -> dict[str, Any]:
    names = ("batch_size", "grad_accumulation", "global_batch_size")
    return {name: dict(value) if isinstance(value := getattr(config, name), Mapping) else value for name in names}
