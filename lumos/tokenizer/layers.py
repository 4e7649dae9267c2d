"""Layers of the visual tokenizer: factorised causal 3-D convolutions, and what stands between them.

Compiled to TorchScript, so plain torch only: no jaxtyping, no einops. Features are [B, C, T, H, W].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalConv(nn.Module):
    """A 3-D convolution in two factors: over each frame, and over this frame and those before it.

    The factor in time stands on the narrower side: the cost is that of the narrower one, the reach the same. A kernel
    of 1 mixes channels only.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        narrow = min(in_channels, out_channels)
        self.time_first = in_channels < out_channels
        self.history = kernel - 1
        self.space = nn.Conv3d(in_channels, out_channels, (1, kernel, kernel), padding=(0, kernel // 2, kernel // 2))
        self.time = nn.Conv3d(narrow, narrow, (kernel, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of every position."""
        if self.time_first:
            return self.space(self._over_time(x))
        return self._over_time(self.space(x))

    def _over_time(self, x: Tensor) -> Tensor:
        if self.history == 0:
            return self.time(x)
        return self.time(torch.cat([x[:, :, :1].expand(-1, -1, self.history, -1, -1), x], dim=2))


class FrameNorm(nn.Module):
    """Layer norm over the channels of each position: no statistic crosses time, so causality holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=1, keepdim=True)
        centred = x - mean
        scale = (centred.square().mean(dim=1, keepdim=True) + 1e-6).rsqrt()
        return centred * scale * self.weight.view(-1, 1, 1, 1) + self.bias.view(-1, 1, 1, 1)


def keep_variance(root: nn.Module) -> None:
    """Draw the weights of all convolutions so that a fresh network keeps the variance of its input; biases are 0."""
    for module in root.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            assert module.bias is not None
            nn.init.zeros_(module.bias)


class ResBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))))))."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int = 3) -> None:
        super().__init__()
        self.norm1 = FrameNorm(in_channels)
        self.conv1 = CausalConv(in_channels, out_channels, kernel=kernel)
        self.norm2 = FrameNorm(out_channels)
        self.conv2 = CausalConv(out_channels, out_channels, kernel=kernel)
        self.skip = nn.Conv3d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        keep_variance(self)
        nn.init.zeros_(self.conv2.time.weight)  # a fresh block is its skip

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.skip(x) + h


class Halve(nn.Module):
    """A strided convolution: half the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (1, 2, 2), stride=(1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Double(nn.Module):
    """A transposed convolution: twice the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(channels, channels, (1, 2, 2), stride=(1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
