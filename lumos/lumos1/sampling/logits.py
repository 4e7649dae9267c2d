"""Logits of the visual codes from hidden states, so many at a time as fit the memory."""

import math

from jaxtyping import Float
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.linear import linear

_CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}  # of fp32 logits at a time; the CPU's allocator is slow above 32 MiB


def chunks(num: int, weight: Float[Tensor, "V D"]) -> list[slice]:
    """Return slices of 0..num - 1, each of so many hidden states as may have their logits at a time."""
    size = max(1, _CHUNK_BYTES.get(weight.device.type, 2**25) // (4 * len(weight)))
    return [slice(start, min(start + size, num)) for start in range(0, num, size)]


def visual_logits(
    hidden: Float[Tensor, "M D"], weight: Float[Tensor, "V D"], sampler: SamplerConfig
) -> Float[Tensor, "M V"]:
    """Return hidden @ weight^T in fp32, divided by the temperature."""
    logits = linear(hidden.to(weight.dtype), weight).float()
    return logits if sampler.temperature == 1 else logits / sampler.temperature


def likeliest(logits: Float[Tensor, "M V"], top_k: int | None) -> Float[Tensor, "M V"]:
    """Return the logits with all but the k likeliest codes at -inf; None keeps all."""
    if top_k is None or top_k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(top_k, dim=-1).values[:, -1:], -math.inf)
