"""Memory that is full: how such an error is told from others, and said in one line with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

_WORDS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Of the CPU's allocator, of a GPU's where the error went through TorchScript, which keeps only the text, of cuBLAS."""


def is_full(error: BaseException) -> bool:
    """Return whether an error says that memory is full, of a device or of the host."""
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


@contextmanager
def said_when_full(work: str, remedy: str) -> Iterator[None]:
    """Within it an allocation that fails is an error in one line, with what to do.

    Raises:
        ValueError: memory was full.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_full(error):
            raise
        raise ValueError(f"{work} takes more memory than there is; {remedy}") from error
