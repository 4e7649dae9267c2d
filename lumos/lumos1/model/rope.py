"""MM-RoPE (paper section 3.2): rotary embedding of positions (t, y, x), which is plain RoPE where t = y = x."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

# One group of 16 channels: 4 follow time, 6 the row, 6 the column.
_GROUP = "ttttyyxxyyxxyyxx"
_AXES = {"t": 0, "y": 1, "x": 2}


def axis_of_channel(head_dim: int) -> Int[Tensor, " E"]:
    """Return the axis (0 = t, 1 = y, 2 = x) that each channel of a head follows.

    Channels c and c + E/2 rotate together, so the pattern repeats in both halves; of 32 channels::

        ttttyyxxyyxxyyxx ttttyyxxyyxxyyxx

    In heads of no multiple of 32 channels, which no released model has, the halves still rotate together.
    """
    pairs = torch.tensor([_AXES[axis] for axis in _GROUP])
    return pairs[torch.arange(head_dim) % (head_dim // 2) % len(_GROUP)]


def mm_rope_angles(
    positions: Int[Tensor, "B 3 L"], *, head_dim: int, theta: float
) -> tuple[Float[Tensor, "B L E2"], Float[Tensor, "B L E2"]]:
    """Return cos and sin (fp32) of every token's E2 = E/2 angles: position[axis of pair j] * theta^(-2j / E)."""
    device = positions.device
    exponent = torch.arange(0, head_dim, 2, device=device).float() / head_dim
    # Stacked by Python numbers: an index tensor would be copied to the device, which a CUDA graph must not hold.
    axes = axis_of_channel(head_dim)[: head_dim // 2].tolist()
    angles = torch.stack([positions[:, axis] for axis in axes], dim=-1).float() * (1.0 / theta**exponent)
    return angles.cos(), angles.sin()


def mm_rope(
    x: Float[Tensor, "B L N E"], cos: Float[Tensor, "B L E2"], sin: Float[Tensor, "B L E2"]
) -> Float[Tensor, "B L N E"]:
    """Return `x` with channel pair (j, j + E/2) of every head rotated by angle j, in the dtype of `x`."""
    cos, sin = cos[:, :, None].to(x.dtype), sin[:, :, None].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat(
        [torch.addcmul(first * cos, second, sin, value=-1), torch.addcmul(second * cos, first, sin)], dim=-1
    )
