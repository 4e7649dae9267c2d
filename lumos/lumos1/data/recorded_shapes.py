"""What shards of clips of codes on this disk say of them at a glance; imported without torch."""

from pathlib import Path

from lumos.media.shards.recorded_rows import RecordedRows, recorded_rows

SHAPE_COLUMNS = ("num_prompt_ids", "T", "H", "W", "fps", "duration")
"""Columns of `shapes`, which has a row for each clip."""
INDEX_FORMAT = "lumos-clips"
"""How an index of such shards names itself."""


def recorded_clips(path: Path) -> RecordedRows | None:
    """Return the shapes of the clips of a folder of shards, its index or one shard; None where they do not tell.

    What no clip has (less than a frame, a row or a second) is for training to refuse.
    """
    found = recorded_rows(path, SHAPE_COLUMNS, index_format=INDEX_FORMAT)
    return None if found is None or found.shapes.min(initial=1) < 1 else found
