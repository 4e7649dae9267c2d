"""Where the server keeps what belongs to jobs: names are made of our ids alone, never of what a client sends.

DATA/
  jobs.sqlite3                    the jobs (`lumos.serve.storage.store`)
  video_3f..c1/                   a job's own folder
    picture.png                   what the clip begins with, as pixels that were decoded here
    before.mp4                    the clip that is made longer
    video.mp4, thumbnail.webp, spritesheet.jpg         what it made; image.png of an image
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lumos.serve.storage.jobs import Kind, is_id
from xllmx.disk.temporary import remove_stale
from xllmx.run.lock import lock_beside, locked

VIDEO, THUMBNAIL, SPRITESHEET, IMAGE = "video.mp4", "thumbnail.webp", "spritesheet.jpg", "image.png"
PICTURE, BEFORE = "picture.png", "before.mp4"
MAKING = "making-"
"""Begins the names of folders in which something is received."""
MADE = {"video": (VIDEO, THUMBNAIL, SPRITESHEET), "image": (IMAGE,)}
"""What a job leaves, by its kind."""


class JobFiles:
    """The folder of a server's data."""

    def __init__(self, root: Path) -> None:
        """Take a folder, which is made if needed."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)  # prompts and videos are their clients' own

    @property
    def database(self) -> Path:
        """The file of the store."""
        return self.root / "jobs.sqlite3"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it no other server may use the folder.

        Raises:
            HeldError: one does.
        """
        remedy = "stop it, or give another --data"
        with locked(lock_beside(self.root / "server"), what=f"{self.root} is served", remedy=remedy):
            yield

    def folder(self, job_id: str) -> Path:
        """Return a job's folder, there or not."""
        assert is_id(job_id)
        return self.root / job_id

    def of(self, job_id: str, name: str) -> Path:
        """Return a file of a job, there or not."""
        return self.folder(job_id) / name

    def make(self, job_id: str) -> Path:
        """Return a job's folder, which is there now."""
        folder = self.folder(job_id)
        folder.mkdir(exist_ok=True)
        return folder

    def remove(self, job_id: str) -> None:
        """Remove all that belongs to a job."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def remove_made(self, job_id: str, kind: Kind) -> None:
        """Remove what a job has made, whole or not: it begins again, or has failed."""
        remove_stale(self.folder(job_id))
        for name in MADE[kind]:
            self.of(job_id, name).unlink(missing_ok=True)

    def recover(self, known: set[str]) -> None:
        """Remove what an earlier server left: folders of jobs that are not there any more, files half written."""
        for folder in [path for path in self.root.iterdir() if path.is_dir()]:
            if folder.name in known:
                remove_stale(folder)
            elif is_id(folder.name) or folder.name.startswith(MAKING):
                shutil.rmtree(folder, ignore_errors=True)
