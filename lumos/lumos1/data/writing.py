"""Clips written into a folder of shards, whose index comes last."""

from pathlib import Path
from types import TracebackType

from lumos.lumos1.data.shards import INDEX_NAME, write_index, write_shard
from lumos.lumos1.sequence import Clip
from xllmx.temporary import remove_stale


class ClipWriter:
    """Writes clips into a folder as `shard-00000.parquet`, ... and, when all went well, `index.json` last.

    Use it as a context manager; a folder without an index is unfinished and may be written over.
    Raises `ValueError` for a folder that already holds a finished set.
    """

    def __init__(self, folder: str | Path, *, shard_size: int = 512) -> None:
        self._folder, self._shard_size = Path(folder), shard_size
        self._pending: list[Clip] = []
        self._shards: list[Path] = []
        if shard_size < 1:
            raise ValueError(f"shard_size is {shard_size}; a shard holds at least 1 clip")
        if (self._folder / INDEX_NAME).exists():
            raise ValueError(
                f"{self._folder} already holds a finished set of clips; choose another folder or remove it"
            )
        remove_stale(self._folder)

    def add(self, clip: Clip) -> None:
        """Append a clip."""
        self._pending.append(clip)
        if len(self._pending) == self._shard_size:
            self._flush()

    def close(self) -> int:
        """Write what is pending and the index; return the number of clips."""
        if self._pending or not self._shards:
            self._flush()
        return write_index(self._folder / INDEX_NAME, self._shards)

    def __enter__(self) -> "ClipWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def _flush(self) -> None:
        shard = self._folder / f"shard-{len(self._shards):05d}.parquet"
        write_shard(shard, self._pending)
        self._shards.append(shard)
        self._pending = []
