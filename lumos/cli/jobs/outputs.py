"""Folders of finished outputs and their records, filled by many processes.

A file is made under another name in a folder of its process's own (`staging_folder`) and gets its name by rename; for
the moment in which a file and its record get theirs, the folder is locked (`placing`).
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from lumos.media.files import require_folder
from xllmx.disk.temporary import remove_stale, temporary_beside
from xllmx.run.lock import lock_beside, locked

VIDEO_FORMATS, IMAGE_FORMATS = ("mp4", "webm", "gif"), ("png", "jpg", "jpeg")
"""Of any number of frames, and of one."""
FORMATS = (*VIDEO_FORMATS, *IMAGE_FORMATS)
"""What an output may be; the suffix of its name says which."""


def format_of(name: str) -> str:
    """Return what the suffix of an output's name says, one of `FORMATS` or another word."""
    return Path(name).suffix.removeprefix(".").lower()


@runtime_checkable
class OutputFolder(Protocol):
    """Where finished outputs lie, each known by its name: `clip.mp4`, `00012/00003.png`."""

    @property
    def staging(self) -> Path:
        """A folder on the same file system, in which processes make folders of their own."""
        ...

    @property
    def holds_only_outputs(self) -> bool:
        """Whether nothing else may lie here: then a file that is not as it was written is damaged, not edited."""
        ...

    def place(self, name: str) -> Path:
        """Where an output is in the end."""
        ...

    def find(self, name: str) -> Path | None:
        """The file of a finished output, or None."""
        ...

    def recorded(self, name: str) -> Path:
        """The path beside which the record of an output lies (`lumos.cli.jobs.record.record_path`)."""
        ...

    def put(self, name: str, made: Path) -> Path:
        """Where the output is now: `made`, a file in a staging folder, has got its place."""
        ...


@dataclass(frozen=True)
class PlainFolder:
    """Files with their records beside them, among whatever else their user keeps there."""

    path: Path

    holds_only_outputs = False

    @property
    def staging(self) -> Path:
        """The folder itself."""
        return self.path

    def place(self, name: str) -> Path:
        """In the folder."""
        return self.path / name

    def find(self, name: str) -> Path | None:
        """The file of this name, whoever made it, or None."""
        path = self.place(name)
        return path if path.exists() else None

    def recorded(self, name: str) -> Path:
        """The output itself: its record lies beside it."""
        return self.path / name

    def put(self, name: str, made: Path) -> Path:
        """Where the output is now."""
        move(made, self.path / name)
        return self.path / name


@contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Yields a folder of this process's own inside `root`; it is gone afterwards.

    What killed processes of this machine left there is removed first. Raises ValueError that names a `root` in which
    nothing can be written.
    """
    require_folder(root)
    remove_stale(root)
    folder = temporary_beside(root / "making")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def placing(staging: Path) -> Iterator[None]:
    """Within it no other process gives outputs or records of this folder their names; `staging` is a folder in it."""
    lock = lock_beside(staging.with_name("outputs"))
    with locked(lock, what=f"{staging.parent} is written", remedy="wait for it", wait=True):
        yield


def move(made: Path, place: Path) -> None:
    """Give a file or folder its final name, at once; the folder it goes to is made if needed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.replace(place)
    except OSError as error:
        if error.errno == errno.EXDEV:
            rule = "the records beside it are on another file system, so that files cannot get their names at once"
            raise ValueError(f"{place.parent}: {rule}; choose an --out inside this folder") from error
        raise
