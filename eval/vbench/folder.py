"""The folder of VBench and VBench-I2V: `PROMPT-K.mp4`, flat and nothing else."""

from collections.abc import Sequence
from pathlib import Path

from eval.driver.folders import records_folder
from lumos.cli.jobs.outputs import move
from lumos.cli.jobs.runner import Job

_LONGEST_NAME = 255
"""Bytes of a file name, on every common file system."""


class VideoFolder:
    """Videos in `out`, their records beside that folder."""

    holds_only_outputs = True

    def __init__(self, out: Path, jobs: Sequence[Job]) -> None:
        """Refuses names that cannot be files; `jobs` are all whose videos may ever lie here."""
        self._out, self._records = out, records_folder(out)
        self._names = {job.name for job in jobs}
        for job in jobs:
            _require_name(job)

    @property
    def staging(self) -> Path:
        """Among the records."""
        return self._records / ".staging"

    def place(self, name: str) -> Path:
        """In the folder."""
        return self._out / name

    def find(self, name: str) -> Path | None:
        """The video of this name, or None."""
        path = self.place(name)
        return path if path.is_file() else None

    def recorded(self, name: str) -> Path:
        """The path beside which the record of a video lies."""
        return self._records / name

    def put(self, name: str, made: Path) -> Path:
        """Where the video is now."""
        move(made, self._out / name)
        return self._out / name

    def settle(self, names: Sequence[str], staging: Path) -> int:
        """The number of these videos that are not there yet."""
        return sum(self.find(name) is None for name in names)

    def strangers(self) -> list[str]:
        """Everything that is no video of the benchmark: VBench takes the suffix of all from the first file it lists."""
        there = sorted(path.name for path in self._out.iterdir()) if self._out.is_dir() else []
        return [name for name in there if name not in self._names]


def _require_name(job: Job) -> None:
    prompt = job.notes["official_prompt"]
    if "/" in job.name or "\0" in job.name:
        raise ValueError(f"the prompt {prompt!r} has a character that no file name can have; leave it out")
    if len(f"{job.name}.json".encode()) > _LONGEST_NAME:
        raise ValueError(f"the prompt {prompt!r} is longer than a file name can be ({_LONGEST_NAME} bytes)")
