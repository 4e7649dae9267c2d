"""Hashes of a checkpoint's files: taken of what is written while it is written, compared before it is read.

Every rank writes its own files and leaves their hashes beside them, `.hashes-NAME.json`; the main rank puts them into
`checkpoint.json` and removes those. A folder without hashes, of an earlier version, is read as it is.
"""

import hashlib
import io
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from xllmx.safe.json_text import read_object

ALGORITHM = "sha256"
HASHES_OF = ".hashes-{}.json"
"""Name of the file with the hash of another, which lies beside it until all are written."""


class HashingWriter(FileSystemWriter):
    """Writes a rank's part of a checkpoint, and the hash of each of its files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._hashed = _HashingFiles()
        self.fs = self._hashed
        self.needed: set[str] = set()
        """Names of the files of all ranks, on the main one, once they are written."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write the files of a rank, then their hashes."""
        written = super().write_data(plan, planner)
        written.wait()
        self._written(self._hashed.hashes)
        return written

    def _written(self, hashes: Mapping[str, str]) -> None:
        for name, value in hashes.items():
            (Path(self.path) / HASHES_OF.format(name)).write_text(json.dumps({name: value}))

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write the list of what all ranks have written; on the main one."""
        self.needed = {one.storage_data.relative_path for part in results for one in part}
        super().finish(metadata, results)


class _HashingFiles(FileSystem):
    """Files that are hashed while they are written, from their beginning to their end."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Generator[io.IOBase, None, None]:
        """Open a file; its hash is known when it is closed."""
        with super().create_stream(path, mode) as stream:
            hashed = _Hashed(stream)
            yield hashed
            if mode == "wb" and not Path(path).name.endswith(".tmp"):  # the list of tensors, which is renamed
                self.hashes[Path(path).name] = hashed.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """An open file that takes no step back; whoever opened it closes it."""

    def __init__(self, stream: io.IOBase) -> None:
        self._stream, self.digest = cast(Any, stream), hashlib.new(ALGORITHM)

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        """Write, and take into the hash."""
        self.digest.update(content)
        return cast(int, self._stream.write(content))

    def tell(self) -> int:
        return cast(int, self._stream.tell())

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()

    def fileno(self) -> int:
        return cast(int, self._stream.fileno())


def gathered_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a checkpoint that is being written; remove those left beside the files."""
    hashes: dict[str, str] = {}
    for left in sorted(folder.glob(HASHES_OF.format("*"))):
        hashes |= read_object(left)
        left.unlink()
    for path in sorted(folder.iterdir()):
        if path.name not in hashes:  # the list of tensors
            hashes[path.name] = file_hash(path)
    return hashes


def changed_file(folder: Path, hashes: Any, *, share: tuple[int, int] = (0, 1)) -> str | None:
    """Return the first file of a checkpoint whose content is not what was written, None where all are.

    Args:
        folder: the checkpoint.
        hashes: of its files by name, as `checkpoint.json` has them; anything else than a dict: not known.
        share: (rank, ranks): every rank reads its share of the files.
    """
    if not isinstance(hashes, dict):
        return None
    for name in sorted(map(str, hashes))[share[0] :: share[1]]:
        if Path(name).name != name or not (folder / name).is_file() or file_hash(folder / name) != hashes[name]:
            return name
    return None


def file_hash(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, ALGORITHM).hexdigest()
