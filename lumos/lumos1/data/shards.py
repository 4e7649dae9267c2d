"""Clips of codes in Parquet files, one row a clip (`lumos.media.shards.parquet_rows`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lumos.lumos1.data.recorded_shapes import INDEX_FORMAT
from lumos.lumos1.data.recorded_shapes import SHAPE_COLUMNS as SHAPE_COLUMNS
from lumos.lumos1.sequence import Clip
from lumos.lumos1.sequence_lengths import sequence_lengths
from lumos.media.shards.known_shards import KnownShards
from lumos.media.shards.parquet_rows import ParquetRows, RowForm, write_rows
from lumos.media.shards.shard_bounds import check_not_empty
from xllmx.store.address import Location

CLIPS = RowForm(
    what="clips",
    index_format=INDEX_FORMAT,
    schema=pa.schema(
        [
            ("prompt_ids", pa.list_(pa.int32())),
            ("num_prompt_ids", pa.int32()),
            ("caption", pa.string()),
            ("codes", pa.binary()),  # uint16, little-endian, [T, H, W] row-major
            ("T", pa.int32()),
            ("H", pa.int32()),
            ("W", pa.int32()),
            ("fps", pa.int32()),
            ("duration", pa.int32()),
            ("source", pa.string()),
        ]
    ),
    large_column="codes",
    shape_columns=SHAPE_COLUMNS,
    remedy=(
        "pre-tokenise with a larger --size, with --visual_tokenizer tiny-visual where another was used, or with the "
        "released Cosmos-Tokenizer-DV4x8x8 (lumos download cosmos); then train a model of its codes"
    ),
)
"""The columns of a clip."""


def write_shard(path: str | Location, clips: Sequence[Clip], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write `clips` (none is allowed) as one Parquet file, whole or not at all; `metadata` is kept in its footer."""
    write_rows(path, map(_row, clips), form=CLIPS, metadata=metadata)


class ClipShards(ParquetRows):
    """The clips of several Parquet files as one sequence."""

    def __init__(self, files: Sequence[Location] | KnownShards) -> None:
        super().__init__(files, form=CLIPS)
        rows = np.array(self.kinds.values, np.int64).reshape(-1, len(SHAPE_COLUMNS))
        self.lengths = self.kinds.given(sequence_lengths(rows).tolist())

    def __getitem__(self, index: int) -> Clip:
        with self.row(index) as values:
            return _clip(values)


def _row(clip: Clip) -> dict[str, Any]:
    T, H, W = clip.codes.shape
    return {
        "prompt_ids": np.asarray(clip.prompt_ids, dtype=np.int32),
        "num_prompt_ids": len(clip.prompt_ids),
        "caption": clip.caption,
        "codes": clip.codes.astype("<u2").tobytes(),
        "T": T,
        "H": H,
        "W": W,
        "fps": clip.fps,
        "duration": clip.duration,
        "source": clip.source,
    }


def _clip(values: Mapping[str, Any]) -> Clip:
    shape = tuple(values[name].as_py() for name in ("T", "H", "W"))
    check_not_empty(shape)
    ids = values["prompt_ids"].values
    if ids.null_count:
        raise ValueError(f"a row has prompt_ids of which {ids.null_count} are nothing")
    prompt_ids = np.array(ids.cast(pa.int32()))  # an id that int32 does not hold is an error
    if len(prompt_ids) != (said := values["num_prompt_ids"].as_py()):
        raise ValueError(f"a row has {len(prompt_ids)} prompt_ids, and num_prompt_ids says {said}")
    return Clip(
        prompt_ids=prompt_ids,
        caption=values["caption"].as_py(),
        codes=np.frombuffer(values["codes"].as_buffer(), dtype="<u2").reshape(shape).astype(np.uint16),
        fps=values["fps"].as_py(),
        duration=values["duration"].as_py(),
        source=values["source"].as_py(),
    )
