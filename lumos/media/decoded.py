"""How near decoded clips come to their sources: PSNR, measured on a sample of each shard and kept in its footer.

What a tokenizer or VAE loses no model of its codes gives back. Of each shard a few clips are decoded as it is written:

    footer of a shard, "lumos.decoded"    [{"clip": 0, "psnr_db": 31.42}, ...]   clip: its place in the shard
    index.json, an entry of `shards`      "num_decoded": 2, "psnr_db": 30.97     mean over them
    index.json itself                     "num_decoded": 8, "psnr_db": 31.2      mean over those of all shards
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from lumos.media.frames import to_frames
from xllmx.safe.json_text import parse_json
from xllmx.store.address import Location

_LEAST_ERROR = 1e-3
"""Of the mean square, so that equal clips have a PSNR."""
LEAST_PSNR_DB = 22.0
"""Decoded clips that are farther from their sources are blotches of them."""

DECODED_KEY = "lumos.decoded"
"""In the footer of a shard: the clips that were decoded."""


@dataclass(frozen=True, kw_only=True)
class DecodedSample:
    """The clips of one file that were decoded."""

    file: Location
    """The shard, or the record of a set of pickles."""
    psnr_db: Mapping[int, float]
    """Place of a clip in the file -> PSNR in dB of what was decoded."""

    @property
    def mean_db(self) -> float:
        """The mean PSNR; NaN where none was decoded."""
        return mean_db([self])


def psnr(frames: UInt8[np.ndarray, "B F H W 3"], decoded: Float[Tensor, "B 3 G H W"]) -> Iterator[float]:
    """Yields the PSNR in dB of each clip over all its 8-bit pixels, against G >= F frames in [-1, 1]; at most 78.1."""
    for before, after in zip(frames, decoded, strict=True):
        yield pixel_psnr(before, to_frames(after.float())[: len(before)])


def pixel_psnr(source: UInt8[np.ndarray, "F H W 3"], decoded: UInt8[np.ndarray, "F H W 3"]) -> float:
    """PSNR in dB over all pixels, 10 log10(255^2 / mean square error); 78.1 of equal clips."""
    errors = [np.square(one.astype(np.float32) - other).mean() for one, other in zip(source, decoded, strict=True)]
    return float(10 * np.log10(255.0**2 / max(float(np.mean(errors)), _LEAST_ERROR)))


def mean_db(samples: Sequence[DecodedSample]) -> float:
    """The mean PSNR of all clips of some samples; NaN where none was decoded."""
    values = [value for sample in samples for value in sample.psnr_db.values()]
    return sum(values) / len(values) if values else float("nan")


def footer_of(psnr_db: Mapping[int, float]) -> dict[str, str]:
    """What the footer of a shard says of its decoded clips; nothing where none was."""
    rows = [{"clip": place, "psnr_db": round(value, 2)} for place, value in sorted(psnr_db.items())]
    return {DECODED_KEY: json.dumps(rows)} if rows else {}


def sample_in(footer: Mapping[str, str], *, file: Location, num_clips: int) -> DecodedSample:
    """The decoded clips that a footer says; none of a shard that was written before there were any.

    Raises:
        ValueError: it names a clip that is not there, or a PSNR that is no number.
    """
    try:
        rows = parse_json(footer.get(DECODED_KEY, "[]"), DECODED_KEY)
        found = {row["clip"]: row["psnr_db"] for row in rows}
        sound = all(type(place) is int and 0 <= place < num_clips and is_psnr(db) for place, db in found.items())
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound:
        raise ValueError(f"{DECODED_KEY} in its footer lists no decoded clips")
    return DecodedSample(file=file, psnr_db={place: float(value) for place, value in found.items()})


def is_psnr(value: Any) -> bool:
    """Whether something read is a PSNR: a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def said_in_index(samples: Sequence[DecodedSample]) -> dict[str, Any]:
    """The fields `num_decoded` and `psnr_db` of an index or of one of its entries; none where no clip was decoded."""
    num = sum(len(sample.psnr_db) for sample in samples)
    return {"num_decoded": num, "psnr_db": round(mean_db(samples), 2)} if num else {}


def low_psnr(samples: Sequence[DecodedSample], *, remedy: str, what: str = "shards") -> str | None:
    """What is to be said of files (`what` they are) whose clips come back below `LEAST_PSNR_DB`; None of none such."""
    measured = [sample for sample in samples if sample.psnr_db]
    low = [sample for sample in measured if sample.mean_db < LEAST_PSNR_DB]
    if not low:
        return None
    return (
        f"clips that were decoded again are blotches: {mean_db(low):.1f} dB PSNR, below {LEAST_PSNR_DB:g}, in "
        f"{len(low)} of {len(measured)} {what} (such as {low[0].file}); no model of them makes better ones: {remedy}"
    )
