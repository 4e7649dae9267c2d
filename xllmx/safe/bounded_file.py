"""The content of a file that a stranger may have laid there: a file, not a pipe or a device, and not beyond bounds."""

from pathlib import Path


def read_bounded(path: Path, *, most_bytes: int) -> bytes:
    """Return the content of a file.

    Raises:
        ValueError: it is something else than a file, which might be read without end, or too large; one line without
            the name of the file.
        OSError: it is not there or cannot be read.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is a folder, a pipe or a device")
    if size > most_bytes:
        raise ValueError(f"it has {size} bytes where at most {most_bytes} are read")
    return path.read_bytes()
