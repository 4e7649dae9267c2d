"""Folders of samples as the official scorers read them, filled by many processes without a lock."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from eval.driver.samples import Sample

_LONGEST_NAME = 255
"""Bytes of a file name, on every common file system."""


class SampleFolder(Protocol):
    """Where the finished samples of a benchmark lie."""

    def find(self, sample: Sample) -> Path | None:
        """The file of a finished sample, or None."""
        ...

    def put(self, sample: Sample, made: Path, staging: Path) -> None:
        """Returns nothing; the file `made` is the sample's. `staging` is a folder of this worker's own."""
        ...

    def settle(self, samples: Sequence[Sample], staging: Path) -> int:
        """The number of these samples that are not in place yet, after placing what can be placed."""
        ...

    def strangers(self) -> list[str]:
        """Names in the folder that the scorer would take for samples, or trip over, and that are none of ours."""
        ...


class VideoFolder:
    """`PROMPT-K.mp4`, flat: VBench and VBench-I2V."""

    def __init__(self, out: Path, samples: Sequence[Sample]) -> None:
        """Refuses names that cannot be files; `samples` are all that may ever lie here."""
        self._out = out
        self._names = {sample.name for sample in samples}
        for sample in samples:
            _check_name(sample)

    def find(self, sample: Sample) -> Path | None:
        """The video of a finished sample, or None."""
        path = self._out / sample.name
        return path if path.is_file() else None

    def put(self, sample: Sample, made: Path, staging: Path) -> None:
        """Returns nothing; the video has its name."""
        move(made, self._out / sample.name)

    def settle(self, samples: Sequence[Sample], staging: Path) -> int:
        """The number of these videos that are not there yet."""
        return sum(self.find(sample) is None for sample in samples)

    def strangers(self) -> list[str]:
        """Everything that is no video of the benchmark: VBench takes the suffix of all from the first file it lists."""
        there = sorted(path.name for path in self._out.iterdir()) if self._out.is_dir() else []
        return [name for name in there if name not in self._names]


def records_folder(out: Path) -> Path:
    """Where the records of an output folder lie: `OUT_records`, beside it."""
    out = out.resolve()
    return out.with_name(f"{out.name}_records")


@contextmanager
def staging_folder(records: Path) -> Iterator[Path]:
    """Yields a folder of this process's own, on the file system of the outputs; gone afterwards.

    What killed processes of this machine left is removed first.
    """
    root, host = records / ".staging", socket.gethostname()
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob("*"):
        owner, _, rest = left.name.rpartition("-")[0].rpartition("-")
        if owner == host and rest.isdigit() and not _is_running(int(rest)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{host}-{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move(made: Path, place: Path) -> None:
    """Returns nothing; the file or folder has its final name, at once."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.replace(place)
    except OSError as error:
        if error.errno == errno.EXDEV:
            rule = "the records beside it are on another file system, so that files cannot get their names at once"
            raise ValueError(f"{place.parent}: {rule}; choose an --out inside this folder") from error
        raise


def check_case(samples: Sequence[Sample], folder: Path) -> None:
    """Raises ValueError if two samples differ by capitals alone and the file system of `folder` takes no notice."""
    groups: dict[str, set[str]] = {}
    for sample in samples:
        groups.setdefault(sample.name.casefold(), set()).add(sample.prompt)
    pairs = {" and ".join(map(repr, sorted(prompts))) for prompts in groups.values() if len(prompts) > 1}
    if pairs and ignores_case(folder):
        rule = "its file system does not tell capitals from small letters, and one video would replace the other"
        raise ValueError(f"{folder} cannot hold the videos of both {'; '.join(sorted(pairs))}: {rule}; choose another")


def ignores_case(folder: Path) -> bool:
    """Whether the file system of a folder takes names that differ by capitals alone for one."""
    descriptor, name = tempfile.mkstemp(prefix="Case-", dir=folder)
    os.close(descriptor)
    path = Path(name)
    try:
        return path.with_name(path.name.swapcase()).exists()
    finally:
        path.unlink()


def _check_name(sample: Sample) -> None:
    if "/" in sample.name or "\0" in sample.name:
        raise ValueError(f"the prompt {sample.prompt!r} has a character that no file name can have; leave it out")
    if len(f"{sample.name}.json".encode()) > _LONGEST_NAME:
        raise ValueError(f"the prompt {sample.prompt!r} is longer than a file name can be ({_LONGEST_NAME} bytes)")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
