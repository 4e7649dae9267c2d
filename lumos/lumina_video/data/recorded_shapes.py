"""What shards of latents on this disk say of their clips at a glance; imported without torch.

Training reads the same, and checks it: here nothing is said of what is damaged or missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from lumos.media.shards.recorded_rows import UNREADABLE, recorded_rows
from xllmx.safe.json_text import parse_json

SHAPE_COLUMNS = ("C", "T", "H", "W", "lead")
"""Columns of `shapes`, which has a row for each clip."""
INDEX_FORMAT = "lumina-latents"
"""How an index of such shards names itself."""
VAE_KEY = "lumina.vae"
"""In the footer of a shard: its `VAEIdentity`, in JSON."""


@dataclass(frozen=True, kw_only=True)
class RecordedShapes:
    """The shapes of the clips of a set."""

    shapes: Sequence[tuple[int, ...]]
    """(C, T, H, W, lead), each once."""
    total: int
    """How many clips there are."""
    first: int
    """The place in `shapes` of that of the first clip."""
    spatial: int
    """Pixels per latent of the VAE, along a side."""
    temporal: int
    """Frames per latent of it."""


def recorded_shapes(path: Path) -> RecordedShapes | None:
    """Return what a folder of shards, its index or one shard says; None where it is none of them, or does not say."""
    found = recorded_rows(path, SHAPE_COLUMNS, index_format=INDEX_FORMAT)
    if found is None:
        return None
    try:
        vae = found.index.get("vae")
        if not vae:
            vae = parse_json((pq.read_schema(found.first_file).metadata or {})[VAE_KEY.encode()], VAE_KEY)
        spatial, temporal = int(vae["spatial"]), int(vae["temporal"])
    except UNREADABLE:
        return None
    if min(spatial, temporal) < 1:
        return None
    first = int(found.which[0]) if len(found.which) else 0
    shapes = [tuple(row) for row in found.shapes.tolist()]
    return RecordedShapes(shapes=shapes, total=len(found.which), first=first, spatial=spatial, temporal=temporal)
