"""Rotary embedding of patch positions (frame, row, column), three axes side by side (README section 2.6)."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from xllmx.copies import to_device

Grid = tuple[int, int, int]
"""Patches along frames, rows and columns of an item."""


def rotation_of(
    grids: Sequence[Grid], *, head_dim: int, theta: float, device: torch.device | str = "cpu"
) -> Float[Tensor, "L E2 2"]:
    """Return (cos, sin) in fp32 of the E2 = E/2 angles of each token, item after item in the order of their tokens.

    Of the pairs of channels the first E/8 follow the frame, 3 E/16 the row, the last 3 E/16 the column; angle i of an
    axis of d channels is index * theta^(-2i / d). With 16 channels::

        pairs  f f r r r c c c

    Indices count patches from 0, whatever the scale. Items may have any size.
    """
    parts = [_rotation(grid, head_dim=head_dim, theta=theta, device=torch.device(device)) for grid in grids]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def rotate(x: Float[Tensor, "B L N E"], rotation: Float[Tensor, "L E2 2"]) -> Float[Tensor, "B L N E"]:
    """Return `x` with each adjacent pair (2i, 2i + 1) of channels turned by angle i: in fp32, given back in its dtype.

    (a, b) -> (a cos - b sin, a sin + b cos), a complex product: eight times faster than its parts on a CPU. torch's
    compiler knows no complex numbers and gets the parts.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    turns = rotation[:, None]
    if torch.compiler.is_compiling():
        (a, b), (cos, sin) = pairs.unbind(-1), turns.unbind(-1)
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns))
    return turned.flatten(-2).to(x.dtype)


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # what is kept may be wanted by a later call that records gradients
def _rotation(grid: Grid, *, head_dim: int, theta: float, device: torch.device) -> Tensor:
    """Return the rotation of one item: kept, because all steps of a run at one scale want the same (47 MB at most)."""
    widths = (head_dim // 8 * 2, head_dim // 8 * 3, head_dim // 8 * 3)
    axes = []
    for axis, (length, width) in enumerate(zip(grid, widths, strict=True)):
        others = [1 if other == axis else size for other, size in enumerate(grid)]
        table = _axis_table(length, width=width, theta=theta, device=device)
        shape = [1, 1, 1, width // 2, 2]
        shape[axis] = length
        axes.append(table.view(shape).repeat(*others, 1, 1))
    return torch.cat(axes, dim=3).flatten(0, 2).clone()  # no view: a compiler would ask for the shape of its base


@lru_cache(maxsize=64)
def _axis_table(length: int, *, width: int, theta: float, device: torch.device) -> Tensor:
    """Return (cos, sin) of one axis, [length, width / 2, 2], computed in float64 and rounded to fp32.

    Small (a few thousand numbers), and the same for all steps of a run, so the last ones are kept.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = torch.arange(length, dtype=torch.float64)[:, None] * theta**-exponents
    return to_device(torch.stack([angles.cos(), angles.sin()], dim=-1).float(), device)
