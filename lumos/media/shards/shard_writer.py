"""Items written into a folder of shards, whose index comes last."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from lumos.media.decoded import DecodedSample, footer_of
from lumos.media.shards.parquet_rows import INDEX_NAME, RowForm, write_rows_index
from xllmx.disk.place import require_folder
from xllmx.disk.temporary import remove_stale
from xllmx.run.lock import lock_beside, locked
from xllmx.store.address import Address, Location, location_of
from xllmx.store.lease import leased

SHARD_SIZE = 512
"""Items of a shard, unless it is said otherwise."""

_T = TypeVar("_T")


class ShardWriter(Generic[_T]):
    """Writes items into a folder as `shard-00000.parquet`, ... and, when all went well, `index.json` last.

    Use it as a context manager, in which the folder is this process's alone; a folder without an index is unfinished
    and may be written over.
    """

    decoded: list[DecodedSample]
    """Of each shard written, the items whose PSNR was given."""

    def __init__(
        self,
        folder: str | Location,
        *,
        write: Callable[..., None],
        form: RowForm,
        shard_size: int = SHARD_SIZE,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a set.

        Args:
            folder: made if needed.
            write: writes one shard, of a path and items, `metadata` into its footer.
            form: of its rows.
            shard_size: items of a shard.
            more: what the index says beside the list of shards.

        Raises:
            ValueError: the folder already holds a finished set.
        """
        self._folder, self._shard_size = location_of(folder), shard_size
        self._write, self._form, self._more = write, form, more
        self._pending: list[_T] = []
        self._psnr_db: dict[int, float] = {}
        self.decoded = []
        self._shards: list[Location] = []
        if shard_size < 1:
            raise ValueError(f"shard_size is {shard_size}; a shard holds at least 1 clip")
        self._held = ExitStack()
        self._require_unfinished()

    def add(self, item: _T, *, psnr_db: float | None = None) -> None:
        """Append an item, with the PSNR of what it decodes to, where that was measured (`lumos.media.decoded`)."""
        if psnr_db is not None:
            self._psnr_db[len(self._pending)] = psnr_db
        self._pending.append(item)
        if len(self._pending) == self._shard_size:
            self._flush()

    def close(self) -> int:
        """Write what is pending and the index; return the number of items."""
        if self._pending or not self._shards:
            self._flush()
        return write_rows_index(self._folder / INDEX_NAME, self._shards, form=self._form, more=self._more)

    def __enter__(self) -> "ShardWriter[_T]":
        """Take the folder for this process alone, until the end.

        Raises:
            ValueError: another process writes there, or has finished a set there meanwhile.
        """
        what, remedy = f"{self._folder} is filled", "wait for it, or choose another"
        if isinstance(self._folder, Address):
            self._held.enter_context(leased(self._folder / ".lock", what=what, remedy=remedy))
        else:
            require_folder(self._folder.parent)
            self._held.enter_context(locked(lock_beside(self._folder), what=what, remedy=remedy))
        try:
            self._require_unfinished()
            if isinstance(self._folder, Path):
                remove_stale(self._folder)
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if error is None:
                self.close()

    def _require_unfinished(self) -> None:
        if (self._folder / INDEX_NAME).exists():
            raise ValueError(
                f"{self._folder} already holds a finished set of clips; choose another folder or remove it"
            )

    def _flush(self) -> None:
        shard = self._folder / f"shard-{len(self._shards):05d}.parquet"
        self._write(shard, self._pending, metadata=footer_of(self._psnr_db))
        self._shards.append(shard)
        self.decoded.append(DecodedSample(file=shard, psnr_db=self._psnr_db))
        self._pending, self._psnr_db = [], {}
