"""Masks of autoregressive discrete diffusion forcing (AR-DF): what is hidden in training and in the partial history.

Everything here is a pure function of its arguments and of an explicit generator. A frame has P = H * (W + 1) content
positions, row ends included; which of its tokens those are is known to `lumos.lumos1.sequence` only.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.config import ARDFConfig

_SMALLEST_RATIO = 1e-6  # of every schedule but the cosine, as released
_SIGMOID_REACH = 3.0


def mask_ratio(
    u: Float[Tensor, "*shape"], schedule: str = "cosine", *, min_ratio: int | float = 0.0
) -> Float[Tensor, "*shape"]:
    """The share of positions to mask at time `u` in [0, 1]: 1 at u = 0, falling to `min_ratio` at u = 1.

    `cosine` cos(pi/2 u), `linear` 1 - u, `pow` 1 - u^2 (`pow3`: 1 - u^3), `sigmoid` a logistic curve over
    [-3, 3] scaled to run from 1 to 0. Training draws u ~ U(0, 1) and floors the ratio at 0.7 (README 8.3);
    sampling walks u = (i+1)/S without a floor (README 10.3).

    Raises:
        ValueError: the schedule has another name.
    """
    if schedule == "cosine":
        ratio = torch.cos(u * (math.pi / 2))
    elif schedule == "linear":
        ratio = 1 - u
    elif schedule.startswith("pow"):
        ratio = 1 - u ** _exponent(schedule)
    elif schedule == "sigmoid":
        low, high = (1 / (1 + math.exp(reach)) for reach in (_SIGMOID_REACH, -_SIGMOID_REACH))
        ratio = (high - torch.sigmoid((2 * u - 1) * _SIGMOID_REACH)) / (high - low)
    else:
        raise ValueError(f"schedule is {schedule!r}; use one of cosine, linear, pow, sigmoid")
    smallest = 0.0 if schedule == "cosine" else _SMALLEST_RATIO
    return ratio.clamp(max(smallest, min_ratio), 1.0)


def _exponent(schedule: str) -> float:
    try:
        return float(schedule.removeprefix("pow") or 2)
    except ValueError:
        raise ValueError(f"schedule is {schedule!r}; write pow or pow with a number, as in pow3") from None


def tube_mask(
    num_frames: int, positions_per_frame: int, ratio: int | float, *, generator: torch.Generator
) -> Bool[Tensor, "T P"]:
    """True where a content position is masked: one random choice of positions, the same in every frame (a tube).

    round(ratio * P) positions, at least one, uniformly without replacement (README 8.3). With T = 3, P = 6, ratio 0.5::

        . x x . . x
        . x x . . x
        . x x . . x
    """
    frame = _choose(positions_per_frame, ratio, generator)
    return frame.expand(num_frames, positions_per_frame).clone()


def random_mask(
    num_frames: int, positions_per_frame: int, ratio: int | float, *, generator: torch.Generator
) -> Bool[Tensor, "T P"]:
    """True where a content position is masked: round(ratio * T * P) of the whole clip, at least one (an ablation)."""
    return _choose(num_frames * positions_per_frame, ratio, generator).view(num_frames, positions_per_frame)


def tube_decay_mask(
    num_frames: int, positions_per_frame: int, ratio: int | float, *, generator: torch.Generator
) -> Bool[Tensor, "T P"]:
    """True where a content position is masked: a tube that widens linearly until the last frame is wholly masked.

    Frame 0 has the positions of `tube_mask`; each later frame keeps them and adds more (an ablation). One frame
    alone is a plain tube.
    """
    rank = torch.randperm(positions_per_frame, generator=generator).argsort()
    first = _count(positions_per_frame, ratio)
    counts = torch.linspace(first, positions_per_frame, num_frames).round() if num_frames > 1 else torch.tensor([first])
    return rank < counts[:, None]


def diffusion_forcing_mask(
    ratios: Float[Tensor, "T"], positions_per_frame: int, *, generator: torch.Generator
) -> Bool[Tensor, "T P"]:
    """True where a content position is masked: every frame has its own ratio and its own positions (an ablation)."""
    return torch.stack([_choose(positions_per_frame, ratio, generator) for ratio in ratios.tolist()])


def region_mask(
    num_rows: int, row_length: int, ratio: int | float, *, generator: torch.Generator
) -> Bool[Tensor, "rows columns"]:
    """True where a position of a frame is masked: one rectangle of round(ratio * R * C) positions or a few more.

    An ablation. Its height is drawn among those that leave room for its width, then its place. With 3 x 4 positions
    and ratio 1/3::

        . . . .
        . x x .
        . x x .
    """
    wanted = _count(num_rows * row_length, ratio)
    height = _draw(-(-wanted // row_length), min(num_rows, wanted), generator)
    width = -(-wanted // height)
    top, left = _draw(0, num_rows - height, generator), _draw(0, row_length - width, generator)
    mask = torch.zeros(num_rows, row_length, dtype=torch.bool)
    mask[top : top + height, left : left + width] = True
    return mask


def draw_mask(
    config: ARDFConfig, num_frames: int, *, positions_per_frame: int, generator: torch.Generator, num_rows: int = 1
) -> Bool[Tensor, "T P"]:
    """True where a position of a training sample is masked: draws the ratio, then the positions (README 8.3).

    `num_rows`, of P / num_rows positions each, are the rows of a frame, which contiguous regions are cut from: the same
    one in every frame of a tube, else its own in each.
    """
    num_ratios = num_frames if config.mask_type == "diffusion_forcing" else 1
    u = torch.rand(num_ratios, generator=generator)
    ratios = mask_ratio(u, config.schedule, min_ratio=config.min_mask_ratio)
    contiguous = config.mask_contiguous_region_prob
    if contiguous and float(torch.rand((), generator=generator)) < contiguous:
        different = ratios.expand(1 if config.mask_type == "tube" else num_frames).tolist()
        row_length = positions_per_frame // num_rows
        regions = [region_mask(num_rows, row_length, ratio, generator=generator).flatten() for ratio in different]
        return torch.stack(regions).expand(num_frames, -1).clone()
    if config.mask_type == "diffusion_forcing":
        return diffusion_forcing_mask(ratios, positions_per_frame, generator=generator)
    draw = {"tube": tube_mask, "random": random_mask, "tube_decay": tube_decay_mask}[config.mask_type]
    return draw(num_frames, positions_per_frame, ratios.item(), generator=generator)


def history_pattern(positions_per_frame: int, ratio: int | float) -> Int[Tensor, "n"]:
    """Which content positions of a finished frame are masked when it becomes history: a periodic pattern, sorted.

    n = max(1, round(ratio * P)) positions at round(k * P / n) (README 10.4); the same in every frame and both branches.
    The product is taken in fp32, as released. Ratio 0 masks nothing. With P = 5 and ratio 0.7: [0, 1, 2, 4].

    Raises:
        ValueError: the ratio lies outside [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"mask_history_ratio is {ratio}; it must lie in [0, 1], and 0.7 is the released value")
    if ratio == 0:
        return torch.empty(0, dtype=torch.long)
    num_masked = max(1, round(ratio * positions_per_frame))
    stride = positions_per_frame / num_masked
    pattern = (torch.arange(num_masked, dtype=torch.float32) * stride).round().long()
    return pattern.clamp_(max=positions_per_frame - 1)


def _choose(num_positions: int, ratio: int | float, generator: torch.Generator) -> Tensor:
    chosen = torch.zeros(num_positions, dtype=torch.bool)
    chosen[torch.randperm(num_positions, generator=generator)[: _count(num_positions, ratio)]] = True
    return chosen


def _draw(least: int, most: int, generator: torch.Generator) -> int:
    return int(torch.randint(least, most + 1, (), generator=generator))


def _count(num_positions: int, ratio: int | float) -> int:
    return max(1, round(ratio * num_positions))
