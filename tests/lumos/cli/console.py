"""What tests of commands say and look at."""

from collections.abc import Callable
from pathlib import Path

import av

Lumos = Callable[..., tuple[int, str, str]]
"""Words of a command -> (exit status, standard output, standard error)."""


def frames_of(path: Path) -> int:
    """How many frames a video has."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def files_in(folder: Path) -> list[str]:
    """The names of all files."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
