"""The network behind the visual tokenizer: Haar patching, factorised causal 3-D convolutions, scalar quantisation.

Shape of Cosmos-Tokenizer-DV4x8x8 (SPEC §4): the first frame is coded alone, later codes stand for four frames, no code
depends on a later frame. This file is compiled to TorchScript, so it holds plain torch only: no jaxtyping, no einops.
Video tensors are [B, C, frames, height, width] in [-1, 1].
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 4
"""Pixels and frames folded into channels by two Haar transforms."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of the visual tokenizer; the defaults are those of the released one."""

    channels: int = 128
    """Base channels."""
    multipliers: tuple[int, ...] = (2, 4, 4)
    """Channels of each level, in base channels; between the first levels the picture is halved."""
    encoder_channels: int | None = None
    """Base channels of the encoder where they differ."""
    encoder_kernel: Literal[1, 3] = 3
    """Kernel of the encoder's convolutions; 1 codes each block of pixels by itself: plain ground then has one code, and
    a shape that moves by a block keeps its codes."""
    num_res_blocks: int = 2
    """Residual blocks a level."""
    z_channels: int = 16
    """Channels before the projection to the quantised dimensions."""
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    """Quantisation levels of each dimension; their product is the number of codes."""
    spatial_factor: int = 8
    """Pixels a code, each way."""

    def __post_init__(self) -> None:
        halvings = math.log2(self.spatial_factor / PATCH)
        if halvings != int(halvings) or not 0 <= halvings < len(self.multipliers):
            raise ValueError(
                f"spatial_factor={self.spatial_factor} needs {halvings:g} halvings after patches of {PATCH}: "
                f"it must be {PATCH} times a power of two, with more levels than halvings ({len(self.multipliers)})"
            )

    @property
    def num_codes(self) -> int:
        """Size of the codebook."""
        return math.prod(self.levels)

    @property
    def halvings(self) -> int:
        """How often the picture is halved after patching."""
        return int(math.log2(self.spatial_factor / PATCH))


def haar_patch(video: Tensor) -> Tensor:
    """Two orthogonal Haar transforms over frames, height, width, scaled to keep the mean: [B, 64C, F/4, H/4, W/4]."""
    for _ in range(2):
        for dim in (2, 3, 4):
            even, odd = _alternate(video, dim)
            video = torch.cat([(even + odd) / 2, (even - odd) / 2], dim=1)
    return video


def haar_unpatch(bands: Tensor) -> Tensor:
    """Inverse of `haar_patch`."""
    for _ in range(2):
        for dim in (4, 3, 2):
            mean, difference = bands.chunk(2, dim=1)
            bands = torch.stack([mean + difference, mean - difference], dim=dim + 1).flatten(dim, dim + 1)
    return bands


def band_gains() -> Tensor:
    """What each of the 192 bands is multiplied by before the network, to bring edges to the size of plain ground.

    Natural pictures, and ours, hold little energy in differences: 1 for the mean, 4 for one difference, 8 for more.
    """
    differences = torch.zeros(3)
    for _ in range(6):
        differences = torch.cat([differences, differences + 1])
    return torch.tensor([1.0, 4.0, 8.0])[differences.clamp(max=2).long()].view(-1, 1, 1, 1)


def _alternate(video: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    pairs = video.unflatten(dim, [video.shape[dim] // 2, 2])
    return pairs.select(dim + 1, 0), pairs.select(dim + 1, 1)


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
    """Draws the weights of all convolutions so that a fresh network passes signals on at their size; biases are 0."""
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


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al. 2023): each dimension is rounded to one of its levels."""

    half_width: Tensor
    offset: Tensor
    shift: Tensor
    levels: Tensor
    basis: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(levels, dtype=torch.float32)
        half_width = (sizes - 1) * (1 + 1e-3) / 2
        offset = (sizes % 2 == 0).float() * 0.5
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]], dtype=torch.int64), dim=0)
        self.register_buffer("half_width", half_width, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("shift", torch.atanh(offset / half_width), persistent=False)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int64), persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def quantise(self, z: Tensor) -> Tensor:
        """Values z [..., dims] rounded to integers from -(level // 2) up; gradients pass straight through."""
        bounded = torch.tanh(z.float() + self.shift) * self.half_width - self.offset
        return bounded + (bounded.round() - bounded).detach()

    def codes(self, z: Tensor) -> Tensor:
        """Integer codes [...] of z [..., dims]."""
        return self.number(self.quantise(z))

    def number(self, quantised: Tensor) -> Tensor:
        """Integer codes [...] of quantised integers [..., dims]."""
        return ((quantised.detach().round().long() + self.levels // 2) * self.basis).sum(dim=-1)

    def normalise(self, quantised: Tensor) -> Tensor:
        """Quantised integers as values in [-1, 1]."""
        return quantised / (self.levels // 2)

    def values(self, codes: Tensor) -> Tensor:
        """Values in [-1, 1], [..., dims], of integer codes [...]."""
        digits = torch.div(codes.unsqueeze(-1), self.basis, rounding_mode="floor") % self.levels
        return self.normalise((digits - self.levels // 2).float())


class Encoder(nn.Module):
    """Video [B, 3, 1 + 4k, H, W] -> z [B, k + 1, H/8, W/8, dims], before quantisation.

    z is read from the residual stream without a norm: in a fresh network it is linear in the picture, so that the
    quantiser's levels are in use from the first step.
    """

    gains: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        kernel, current = config.encoder_kernel, config.encoder_channels or config.channels
        width = [current * m for m in config.multipliers]
        layers: list[nn.Module] = [CausalConv(3 * PATCH**3, current, kernel=kernel)]
        for level, channels in enumerate(width):
            for _ in range(config.num_res_blocks):
                layers.append(ResBlock(current, channels, kernel=kernel))
                current = channels
            if level < config.halvings:
                layers.append(Halve(current))
        layers += [ResBlock(current, current, kernel=kernel), CausalConv(current, config.z_channels, kernel=kernel)]
        self.layers = nn.Sequential(*layers)
        self.project = nn.Conv3d(config.z_channels, len(config.levels), 1)
        keep_variance(nn.ModuleList([self.project, layers[0], layers[-1]]))
        nn.init.orthogonal_(self.project.weight, gain=12.0)  # z of plain ground varies by about 1
        self.register_buffer("gains", band_gains(), persistent=False)

    def forward(self, video: Tensor) -> Tensor:
        first = video[:, :, :1]
        bands = haar_patch(torch.cat([first, first, first, video], dim=2)) * self.gains.to(video.dtype)
        return self.project(self.layers(bands)).permute(0, 2, 3, 4, 1)


class Decoder(nn.Module):
    """Values [B, T, H/8, W/8, dims] in [-1, 1] -> video [B, 3, 1 + 4(T - 1), H, W]."""

    gains: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = [config.channels * m for m in config.multipliers]
        self.project = nn.Conv3d(len(config.levels), config.z_channels, 1)
        current = width[-1]
        layers: list[nn.Module] = [CausalConv(config.z_channels, current), ResBlock(current, current)]
        for level in reversed(range(len(width))):
            if level < config.halvings:
                layers.append(Double(current))
            for _ in range(config.num_res_blocks):
                layers.append(ResBlock(current, width[level]))
                current = width[level]
        layers += [FrameNorm(current), nn.SiLU(), CausalConv(current, 3 * PATCH**3)]
        keep_variance(nn.ModuleList([self.project, layers[0]]))
        for parameter in layers[-1].space.parameters():  # type: ignore[union-attr]
            nn.init.zeros_(parameter)  # a fresh decoder paints the middle gray
        self.layers = nn.Sequential(*layers)
        self.register_buffer("gains", band_gains(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        bands = self.layers(self.project(values.permute(0, 4, 1, 2, 3)))
        return haar_unpatch(bands / self.gains.to(bands.dtype))[:, :, 3:]  # the three copies of the first frame


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What a training step sees: the video back, the codes it went through, and the values before quantisation."""

    video: Tensor
    codes: Tensor
    z: Tensor


class CausalVideoTokenizer(nn.Module):
    """Encoder, quantiser and decoder in one; `codes` and `video_of` are the two halves that are exported."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.fsq = FSQ(config.levels)
        self.decoder = Decoder(config)

    @property
    def encoder_reach(self) -> int:
        """How many earlier latent frames a code depends on."""
        return _reach(self.encoder)

    @property
    def decoder_reach(self) -> int:
        """How many earlier latent frames a decoded frame depends on."""
        return _reach(self.decoder)

    def forward(self, video: Tensor) -> Reconstruction:
        """Video [B, 3, 1 + 4k, H, W] through its codes and back, with straight-through gradients."""
        z = self.encoder(video)
        quantised = self.fsq.quantise(z)
        values = self.fsq.normalise(quantised).to(video.dtype)
        return Reconstruction(video=self.decoder(values), codes=self.fsq.number(quantised), z=z)

    def codes(self, video: Tensor) -> Tensor:
        """Integer codes [B, k + 1, H/8, W/8] of a video [B, 3, 1 + 4k, H, W]."""
        return self.fsq.codes(self.encoder(video))

    def video_of(self, codes: Tensor) -> Tensor:
        """Video [B, 3, 1 + 4(T - 1), 8H, 8W] of integer codes [B, T, H, W]."""
        return self.decoder(self.fsq.values(codes).to(self.decoder.project.weight.dtype))


def _reach(half: nn.Module) -> int:
    return sum(module.history for module in half.modules() if isinstance(module, CausalConv))
