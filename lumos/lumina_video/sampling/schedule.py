"""The clock of a run: the grid of times, and values that are step functions of the time, written as data.

Time runs from t = 0 (noise) to t = 1 (data). Patch scale, guidance and motion score may each change on the way
(arXiv 2502.06782, section 3.2)::

    (20, (0.2, 0))       20 while t < 0.2, then 0        value
                                                          20 |--------.
                                                           0 |        '-----------------
                                                             0        0.2              1  t
"""

import math
from typing import Any, SupportsFloat, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.sampling.time_shift import SHIFTS as SHIFTS
from lumos.lumina_video.sampling.time_shift import Number as Number
from lumos.lumina_video.sampling.time_shift import check_shift as check_shift
from xllmx.settings.setting import shown

Value: TypeAlias = Number | str
"""What a step function takes: a number, or a text such as the name of a scale."""
Schedule: TypeAlias = Value | tuple[Any, ...] | list[Any]
"""A step function of t as data: one value, or (v0, (t1, v1), (t2, v2), ...); lists, as JSON has them, count too."""


def value_at(schedule: Any, t: SupportsFloat) -> Value:
    """Return the value of a step function, a `Schedule`, at the time t.

    v0 holds at first; the changes are gone through in the order written, each taking over while t >= its t_k, up to the
    first whose t_k is greater than t. Times out of order are not sorted, as released: in (1, (0.5, 2), (0.25, 3)) the
    value is 1 until 0.5 and then 3 at once.

    Raises:
        ValueError: the schedule is none.
    """
    value, *changes = parse_schedule(schedule)
    for begin, later in changes:
        if begin > float(t):
            break
        value = later
    return value


def values_reached(schedule: Any) -> tuple[Value, ...]:
    """Return the values a step function takes anywhere in 0 <= t <= 1, in the order of time, each once."""
    _, *changes = parse_schedule(schedule)
    begins = sorted({0.0, *(begin for begin, _ in changes if 0 <= begin <= 1)})
    return tuple(dict.fromkeys(value_at(schedule, t) for t in begins))


def parse_schedule(schedule: Any) -> tuple[Any, ...]:
    """Return a step function as (v0, (t1, v1), ...), all of tuples.

    Raises:
        ValueError: not a number, a text or such a sequence; a number that is not finite.
    """
    if _is_value(schedule):
        return (schedule,)
    if not isinstance(schedule, list | tuple) or not schedule:
        raise _malformed(schedule, "it is neither a value nor a sequence that begins with one")
    first, *changes = schedule
    if not _is_value(first):
        raise _malformed(schedule, f"its first item {shown(first)} is no finite number and no text")
    for change in changes:
        if not isinstance(change, list | tuple) or len(change) != 2:
            raise _malformed(schedule, f"its item {shown(change)} is no pair (t, value)")
        if not _is_value(change[0]) or isinstance(change[0], str) or not _is_value(change[1]):
            raise _malformed(schedule, f"its item {shown(change)} is no pair of a finite number t and a value")
    return first, *(tuple(change) for change in changes)


def shift_time(s: Float[Tensor, "*N"], shift: Number | None) -> Float[Tensor, "*N"]:
    """Return t = s / (s + a - a s), the time s in [0, 1] with more of it near the noise for a shift a > 1.

    The same in training and in sampling (arXiv 2502.06782, section 3.1). None, 0 and 1 leave s as it is.

    Raises:
        ValueError: a shift that is negative, not finite, or outside `SHIFTS`.
    """
    check_shift(shift)
    if not shift or shift == 1:
        return s
    return s / (s + shift - shift * s)


def time_grid(num_points: int, shift: Number | None) -> Float[Tensor, " n"]:
    """Return the times t_0 = 0 < ... < t_(n-1) = 1 of a run in fp32: n points, hence n - 1 steps between them.

    Raises:
        ValueError: fewer than 2 points, or a shift as `shift_time` refuses it.
    """
    if num_points < 2:
        raise ValueError(f"a time grid of {num_points} points has no step; give 2 points or more (70 as released)")
    return shift_time(torch.linspace(0, 1, num_points, dtype=torch.float32), shift)


def _is_value(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, int | float) and math.isfinite(item))


def _malformed(schedule: Any, why: str) -> ValueError:
    return ValueError(
        f"{shown(schedule)} is no step function of t: {why}; write one value, or (v0, (t1, v1), ...), for example "
        "(20, (0.2, 0))"
    )
