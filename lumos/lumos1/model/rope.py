"""MM-RoPE (paper section 3.2): rotary embedding of positions (t, y, x), which is plain RoPE where t = y = x.

Which channels follow which axis, in MM-RoPE and in what it is compared with, is in `lumos.lumos1.rotary`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.rotary import MM_ROPE, axis_of_channel


class Rotation(NamedTuple):
    """What tokens are turned by, made once a pass for all blocks; see `mm_rotation`."""

    cos: Float[Tensor, "B L E"]
    """cos of each channel's angle."""
    sin: Float[Tensor, "B L E"]
    """-sin of it in the first half of the channels, sin in the second."""


def mm_rope_angles(
    positions: Int[Tensor, "B 3 L"], *, head_dim: int, theta: float, rotary: str = MM_ROPE
) -> tuple[Float[Tensor, "B L E2"], Float[Tensor, "B L E2"]]:
    """Return cos and sin (fp32) of every token's E2 = E/2 angles: position[axis of pair j] * theta^(-2j / E)."""
    device = positions.device
    exponent = torch.arange(0, head_dim, 2, device=device).float() / head_dim
    # Stacked by Python numbers: an index tensor would be copied to the device, which a CUDA graph must not hold.
    axes = axis_of_channel(head_dim, rotary=rotary)[: head_dim // 2].tolist()
    angles = torch.stack([positions[:, axis] for axis in axes], dim=-1).float() * (1.0 / theta**exponent)
    return angles.cos(), angles.sin()


def mm_rotation(
    positions: Int[Tensor, "B 3 L"],
    *,
    head_dim: int,
    theta: float,
    rotary: str = MM_ROPE,
    dtype: torch.dtype = torch.float32,
) -> Rotation:
    """Return the rotation of every token, computed in fp32 and rounded to `dtype` once."""
    cos, sin = (x.to(dtype) for x in mm_rope_angles(positions, head_dim=head_dim, theta=theta, rotary=rotary))
    return Rotation(torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1))


def mm_rope(x: Float[Tensor, "B L N E"], rotation: Rotation) -> Float[Tensor, "B L N E"]:
    """Return `x` with channel pair (j, j + E/2) of every head rotated by angle j, in the dtype of `x`.

    (a, b) -> (a cos - b sin, b cos + a sin): x times the cosines plus its halves changed about times the signed sines.
    """
    cos, sin = (turns[:, :, None].to(x.dtype) for turns in rotation)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
