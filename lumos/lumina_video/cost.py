"""What a run of the sampler costs by arithmetic: tokens, FLOPs, bytes.

Counted are the matrix products, 2 FLOPs a multiply-add, attention among them. The tests compare with torch's FLOP
counter, with the weights of the network, and with the memory a pass takes.
"""

import math
from functools import cache

import torch

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.network.patches import Size, grid_of
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.scale import Scale
from xllmx.ranks.accounting import COMPUTE_BYTES, MASTER_BYTES

TEXT_TOKENS = 256
"""Of a prompt, at most."""

_SINUSOIDS = 256
_FP32_BYTES = 4


def num_tokens(latent: Size, scale: Scale) -> int:
    """Return the tokens of a latent of (T, H, W) at a scale.

    Raises:
        ValueError: its patches do not fill the latent.
    """
    return math.prod(grid_of(latent, scale))


def pass_flops(config: LuminaVideoConfig, latent: Size, *, scale: Scale, text_tokens: int = TEXT_TOKENS) -> int:
    """Return the FLOPs of one pass of the network over one item, what it makes of the text beforehand left out."""
    tokens, width, condition = num_tokens(latent, scale), config.dim, config.conditioning_width
    kv_width = config.num_kv_heads * config.head_dim
    linear = tokens * (2 * width * (width + kv_width) + 3 * width * config.ffn_width)
    attention = 2 * tokens * (tokens + text_tokens) * width
    layers = config.n_layers * (linear + attention + condition * 4 * width)
    ends = 2 * tokens * width * scale.token_width(config.in_channels) + condition * width
    embedders = 2 * condition * (_SINUSOIDS + condition)
    return 2 * (layers + ends + embedders)


def training_flops(
    config: LuminaVideoConfig, latent: Size, *, scale: Scale, text_tokens: int = TEXT_TOKENS, frozen: bool = False
) -> int:
    """Return the FLOPs of forward and backward of one item that the model needs: the numerator of MFU, nothing twice.

    `frozen` weights (adapters are trained, whose own products are too small to count) need no gradient: of the backward
    of a linear layer half is left, of that of attention all.
    """
    tokens = num_tokens(latent, scale)
    forward = pass_flops(config, latent, scale=scale, text_tokens=text_tokens)
    forward += text_flops(config, text_tokens=text_tokens)
    attention = 4 * config.n_layers * tokens * (tokens + text_tokens) * config.dim
    return 3 * forward - (forward - attention if frozen else 0)


def training_bytes(
    config: LuminaVideoConfig, num_tokens: int, *, checkpointing: bool, text_tokens: int = 0, precision: str = "bf16"
) -> int:
    """Return the bytes kept at the peak of a training step: all blocks', or their inputs and one block's.

    Per token of a block, with c bytes a computed number: 6 D in the residual stream's fp32 (four norms and their
    inputs), 5 D + 3 K E and 3 F computed; of a token of the text its features and its keys and values.
    """
    c, kv_width = COMPUTE_BYTES[precision], config.num_kv_heads * config.head_dim
    token = MASTER_BYTES * 6 * config.dim + c * (5 * config.dim + 3 * kv_width + 3 * config.ffn_width)
    text = c * (config.cap_feat_dim + 3 * kv_width)
    block = num_tokens * token + text_tokens * text
    residual = MASTER_BYTES * config.dim * num_tokens
    return config.n_layers * residual + block if checkpointing else config.n_layers * block


def text_flops(config: LuminaVideoConfig, *, text_tokens: int = TEXT_TOKENS) -> int:
    """Return the FLOPs of what the network makes of one text: keys and values of every block, and the pooled text."""
    keys_values = 2 * text_tokens * config.cap_feat_dim * config.num_kv_heads * config.head_dim
    return 2 * (config.n_layers * keys_values + config.cap_feat_dim * config.conditioning_width)


def run_flops(
    config: LuminaVideoConfig,
    latent: Size,
    *,
    preset: FlowPreset,
    dtype: torch.dtype = torch.bfloat16,
    text_tokens: int = TEXT_TOKENS,
) -> int:
    """Return the FLOPs of a whole run of one item in `dtype`, which decides how the times are rounded."""
    passes = sum(
        count.passes * pass_flops(config, latent, scale=config.scale(name), text_tokens=text_tokens)
        for name, count in preset.passes(dtype).items()
    )
    branch_sets = {moment.guided_by for moment in preset.moments(dtype)}
    texts = sum(1 + len(branches) for branches in branch_sets)
    return passes + texts * text_flops(config, text_tokens=text_tokens)


@cache
def num_parameters(config: LuminaVideoConfig) -> int:
    """Return how many numbers the weights of the network are."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in MultiScaleNextDiT(config).parameters())


def weight_bytes(config: LuminaVideoConfig, dtype: torch.dtype) -> int:
    """Return the bytes of the weights in `dtype`."""
    return num_parameters(config) * dtype.itemsize


def activation_bytes(config: LuminaVideoConfig, latent: Size, *, preset: FlowPreset, dtype: torch.dtype) -> int:
    """Return the bytes a run of one item takes beside the weights, at its largest pass.

    It lies in the feed-forward layer: for each token of each branch the token itself, what attention gave, the normed
    token twice, and three of the feed-forward width. The states, fp32, are small beside it.
    """
    largest = max(
        (1 + len(moment.guided_by)) * num_tokens(latent, config.scale(moment.scale)) for moment in preset.moments(dtype)
    )
    states = 2 * _FP32_BYTES * config.in_channels * math.prod(latent)
    return largest * (4 * config.dim + 3 * config.ffn_width) * dtype.itemsize + states
