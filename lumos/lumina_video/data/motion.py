"""The motion score of a clip: mean optical flow, in pixels per half second of a picture of 576x320 (README section 9).

    frames at 0, 0.5, 1 ... 4 s  ->  320 rows, 576 columns  ->  flow of each pair  ->  mean of |x| and |y| over all

Any estimator of flow will do; the scores of two are alike, not the same, so what is scored says by which.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

HEIGHT, WIDTH = 320, 576
"""Of the pictures between which flow is measured, in pixels; tall ones are laid on their side."""


@runtime_checkable
class FlowEstimator(Protocol):
    """Optical flow between two pictures."""

    @property
    def name(self) -> str:
        """What a record says of a score that it made."""
        ...

    def flow(self, a: Float[Tensor, "n 3 H W"], b: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 2 H W"]:
        """Pixels (x, y) by which each point of `a` has moved in `b`; RGB, 0 to 255."""
        ...


def motion_pictures(frames: UInt8[np.ndarray, "n H W 3"]) -> Float32[Tensor, "n 3 320 576"]:
    """Frames as flow is measured on them: 320x576, values 0 to 255, bilinear, the corners where they were.

    Those that are taller than wide are transposed first: rows become columns.
    """
    pictures = rearrange(torch.tensor(frames), "n H W C -> n C H W").float()
    if frames.shape[1] > frames.shape[2]:
        pictures = pictures.transpose(2, 3)
    return F.interpolate(pictures, (HEIGHT, WIDTH), mode="bilinear", align_corners=True)


def motion_score(flow: Float[Tensor, "n 2 H W"]) -> float:
    """Mean absolute component of the flow of n pairs, over both components, all pixels and pairs.

    (The report of Lumina-Video speaks of a magnitude; its code averages components.)
    """
    return float(flow.float().abs().mean())


def score_clips(clips: Float[Tensor, "B n 3 H W"], estimator: FlowEstimator) -> list[float]:
    """The motion scores of clips of n >= 2 pictures half a second apart."""
    a, b = (rearrange(part, "B n C H W -> (B n) C H W") for part in (clips[:, :-1], clips[:, 1:]))
    flow = rearrange(estimator.flow(a, b), "(B n) C H W -> B n C H W", B=len(clips))
    return [motion_score(each) for each in flow]


def score_frames(frames: UInt8[np.ndarray, "n H W 3"], estimator: FlowEstimator) -> float:
    """The motion score of n >= 2 frames half a second apart."""
    return score_clips(motion_pictures(frames)[None], estimator)[0]
