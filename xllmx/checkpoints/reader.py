"""How a checkpoint is read that a stranger may have written: nothing in it runs, and nothing outside it is read.

torch.distributed.checkpoint keeps the list of tensors (`.metadata`) and every plain value (a learning rate) as pickles.
Here the list is read into stand-ins, checked against the files and rebuilt; the plain values are read as plain values,
and the tensors' own pickles may ask for nothing but tensors.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, LoadPlanner, ReadItem
from torch.futures import Future

from xllmx.checkpoints.metadata import read_metadata
from xllmx.safe.plain_pickle import read_plain
from xllmx.safe.torch_archive import check_torch_file, open_archive, read_part


class RefusedError(ValueError):
    """Something in a checkpoint that is no plain value and no tensor, or damaged; one line without the folder."""


class CheckedReader(FileSystemReader):
    """Reads one checkpoint folder for `dcp.load`."""

    def __init__(self, folder: Path) -> None:
        """Read and check the list of what the folder holds.

        Raises:
            ValueError: it is refused; one line without the name of the folder.
        """
        super().__init__(folder)
        self._metadata = read_metadata(folder)

    def read_metadata(self) -> Metadata:  # type: ignore[override]  # without arguments torch looks for no other file
        """Return the list that was checked."""
        return self._metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Read what the plan asks for; RefusedError for a tensor whose pickle asks for anything but tensors."""
        for item in plan.items:
            if item.type is LoadItemType.TENSOR:
                info = self.storage_data[item.storage_index]
                with _about(item.storage_index.fqn), (Path(self.path) / info.relative_path).open("rb") as file:
                    check_torch_file(_Part(file, info.offset, info.length))
        return super().read_data(plan, planner)


class _Part(io.RawIOBase):
    """A stretch of an open file, as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length, self._place = file, start, length, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._place = max(0, offset + (0, self._place, self._length)[whence])
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        self._file.seek(self._start + self._place)
        content = self._file.read(max(0, min(len(buffer), self._length - self._place)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


class PlainPlanner(DefaultLoadPlanner):
    """Says where what is read goes; plain values are read as such, and never run."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Put a plain value into its place; RefusedError for any other."""
        with _about(read_item.dest_index.fqn):
            plain = _plain_value(value)
        again = io.BytesIO()  # torch unpickles what it is given here without a second look: it gets our own pickle
        torch.save(plain, again)
        again.seek(0)
        super().load_bytes(read_item, again)


def _plain_value(stored: io.BytesIO) -> Any:
    with open_archive(stored) as archive:
        return read_plain(read_part(archive, "data.pkl"))


@contextmanager
def _about(name: str) -> Iterator[None]:
    """A context in which a ValueError says what it is about."""
    try:
        yield
    except ValueError as error:
        raise RefusedError(f"its {name}: {error}") from error
