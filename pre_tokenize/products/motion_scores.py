"""Items as motion scores: the pictures between which flow is measured, and what an estimator makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from einops import rearrange
from jaxtyping import Float32, UInt8
from torch import Tensor

from lumos.lumina_video.data.flow_estimators import estimator_named
from lumos.lumina_video.data.motion import FlowEstimator, motion_pictures, score_clips
from lumos.lumina_video.encoding.clip_frames import MOTION_EVERY_S, motion_frames
from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.frames import FrameChoice
from lumos.media.shards.parquet_rows import RowForm, write_rows
from pre_tokenize.bookkeeping.ledger import Skip
from pre_tokenize.lists.table import Item
from pre_tokenize.products.encode import Limits, Made
from pre_tokenize.products.pixels import Pixels
from xllmx.store.address import Location

SCORES = RowForm(
    what="motion scores",
    index_format="lumina-motion",
    schema=pa.schema([("row", pa.int64()), ("motion", pa.float64())]),
    large_column=None,
    shape_columns=("row",),
)
"""What the ledger keeps: a score of each row."""


NOT_FINITE = "a motion score that is not finite"


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is made of a row."""

    row: int
    motion: float


class MotionPictures:
    """Reads items as the pictures between which flow is measured."""

    captioned = False

    def __init__(self, *, frame_choice: FrameChoice = "time") -> None:
        self._frame_choice = frame_choice

    def read(self, path: Path) -> Pixels:
        """The pictures of an item. Raises `MediaError`."""
        chosen = read_chosen(
            path, motion_frames, step_s=MOTION_EVERY_S, prepare=_picture, frame_choice=self._frame_choice
        )
        return Pixels(frames=chosen.frames)


class Scores:
    """Turns items into motion scores."""

    captioned = False
    decode = None

    def __init__(self, estimator: FlowEstimator, *, frame_choice: FrameChoice = "time") -> None:
        self._estimator = estimator
        self.read = MotionPictures(frame_choice=frame_choice).read

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        """The scores [B] of clips of as many pictures."""
        clips = torch.from_numpy(np.stack([pixels.frames for pixels in batch]))
        scores = score_clips(rearrange(clips, "B n H W C -> B n C H W"), self._estimator)
        return torch.tensor(scores, dtype=torch.float64)

    def made(self, batch: Sequence[tuple[Item, Pixels]], outputs: Tensor) -> Mapping[int, Made]:
        """A score for each item."""
        return {item.row: _score_of(item, score) for (item, _), score in zip(batch, outputs.tolist(), strict=True)}


def _score_of(item: Item, motion: float) -> Score | Skip:
    if not isfinite(motion):
        return Skip(row=item.row, path=item.path, reason=NOT_FINITE, detail=f"the estimator's flow gives {motion}")
    return Score(row=item.row, motion=motion)


def load_scores(limits: Limits, *, estimator: str, weights: Path | None, frame_choice: FrameChoice) -> Scores:
    """What makes scores, with the estimator of a name."""
    return Scores(estimator_named(estimator, weights=weights, device=limits.device), frame_choice=frame_choice)


def write_scores(path: Location, clips: Sequence[Any], *, metadata: Mapping[str, str]) -> None:
    """Write scores as one shard, whole or not at all."""
    write_rows(path, map(asdict, clips), form=SCORES, metadata=metadata)


def _picture(pixels: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "320 576 3"]:
    return rearrange(motion_pictures(pixels[None]), "1 C H W -> H W C").contiguous().numpy()
