"""Clips of codes written into a folder of shards, whose index comes last."""

from lumos.lumos1.data.shards import CLIPS, write_shard
from lumos.lumos1.sequence import Clip
from lumos.media.shards.shard_writer import SHARD_SIZE, ShardWriter
from xllmx.store.address import Location


class ClipWriter(ShardWriter[Clip]):
    """Writes clips of codes into a folder as `shard-00000.parquet`, ... and, when all went well, `index.json` last."""

    def __init__(self, folder: str | Location, *, shard_size: int = SHARD_SIZE) -> None:
        super().__init__(folder, write=write_shard, form=CLIPS, shard_size=shard_size)
