"""What to lower when the memory of a training is full: one line, with the settings of this run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from xllmx.ranks.parallel_config import ParallelConfig
from xllmx.run.error_report import memory_line


def remedies(batch_sizes: Mapping[str, int], parallel: ParallelConfig, *, shorter: str) -> str:
    """Return what can be lowered, what costs no result first.

    Args:
        batch_sizes: samples at a time by the setting that says so.
        parallel: how the run is cut and what it keeps.
        shorter: how this model is given less at a time.
    """
    largest = max(batch_sizes, key=lambda name: batch_sizes[name], default=None)
    choices = []
    if parallel.activation_checkpointing is not True:
        choices.append("set parallel.activation_checkpointing=true")
    if largest is not None and batch_sizes[largest] > 1:
        choices.append(f"lower {largest}={batch_sizes[largest]}")
    choices.append(shorter)
    choices.append("set parallel.sharding=full on more GPUs" if parallel.sharding == "none" else "take more GPUs")
    return f"{', '.join(choices[:-1])}, or {choices[-1]}; lumos train --dry-run counts what each takes"


@contextmanager
def naming_what_to_lower(remedy: str) -> Iterator[None]:
    """A context in which an error that says that memory is full becomes one that says what to do.

    Raises:
        ValueError: memory is full.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if line := memory_line(error, remedy):
            raise ValueError(line) from error
        raise
