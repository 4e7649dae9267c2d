"""The network behind the visual tokenizer: Haar patching, factorised causal 3-D convolutions, scalar quantisation.

Shape of Cosmos-Tokenizer-DV4x8x8 (lumos1/README.md, section 4): the first frame is coded alone, later codes stand for
four frames, no code depends on a later frame. This file is compiled to TorchScript, so it holds plain torch only: no
jaxtyping, no einops. Video tensors are [B, C, frames, height, width] in [-1, 1].
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from lumos.tokenizer.fsq import FSQ
from lumos.tokenizer.haar import PATCH, band_gains, haar_patch, haar_unpatch
from lumos.tokenizer.layers import CausalConv, Double, FrameNorm, Halve, ResBlock, keep_variance
from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import SettingError

_MOST_CODES = 2**24
"""Up to here fp32, in which the quantiser counts, has every whole number."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of the visual tokenizer; the defaults are those of the released one."""

    channels: Annotated[int, Range(1, 2**16)] = 128
    """Base channels."""
    multipliers: Annotated[tuple[int, ...], Range(1, 1024)] = (2, 4, 4)
    """Channels of each level, in base channels; between the first levels the picture is halved."""
    encoder_channels: Annotated[int, Range(1, 2**16)] | None = None
    """Base channels of the encoder where they differ."""
    encoder_kernel: Literal[1, 3] = 3
    """Kernel of the encoder's convolutions; 1 codes each block of pixels by itself: plain ground then has one code, and
    a shape that moves by a block keeps its codes."""
    num_res_blocks: Annotated[int, Range(0, 100)] = 2
    """Residual blocks a level."""
    z_channels: Annotated[int, Range(1, 2**16)] = 16
    """Channels before the projection to the quantised dimensions."""
    levels: Annotated[tuple[int, ...], Range(2, 2**16)] = (8, 8, 8, 5, 5, 5)
    """Quantisation levels of each dimension; their product is the number of codes."""
    spatial_factor: Annotated[int, Range(1, 1024)] = 8
    """Pixels a code, each way."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.network.")
        if not 1 <= len(self.levels) <= 64 or math.prod(self.levels) > _MOST_CODES:
            raise SettingError(
                "task.network.levels", f"is {list(self.levels)}; their product must be from 2 to {_MOST_CODES}"
            )
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
    """A video through its codes and back: the result, the codes, and the values before quantisation."""

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
