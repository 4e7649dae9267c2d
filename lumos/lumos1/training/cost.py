"""What a step of a Lumos model costs by arithmetic: attended pairs, FLOPs, activations in memory.

Counted are the matrix products, as usual: 2 FLOPs a multiply-add, a backward twice its forward. The tests compare with
the literal mask, with torch's FLOP counter, and with the tensors autograd keeps.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.ardf import mask_ratio
from lumos.lumos1.config import ARDFConfig, LumosConfig
from lumos.lumos1.model.kernels.row_plan import samples_of
from lumos.lumos1.sequence import sequence_length
from xllmx.ranks.accounting import COMPUTE_BYTES, MASTER_BYTES

_TRAILING = 2  # VEND SEP
_CHUNK_ROWS = 2048  # rows of logits at a time on a GPU, where task.loss_chunk is not set


@dataclass(frozen=True, kw_only=True)
class SequenceShape:
    """The shape of one sample: the length of its prompt and the grid of its frames."""

    num_prompt_ids: int
    """Ids of the prompt, from `<s>` up to, not including, the separator."""
    grid: tuple[int, int, int]
    """Latent frames, rows and columns (T, H, W)."""

    @property
    def length(self) -> int:
        """Tokens, L."""
        return sequence_length(self.num_prompt_ids, self.grid)

    @property
    def num_codes(self) -> int:
        """Visual codes, T * H * W."""
        frames, height, width = self.grid
        return frames * height * width

    @property
    def attended_pairs(self) -> int:
        """Pairs (query, key) where the query sees the key: n(n+1)/2 in text, a frame sees all up to its own end."""
        frames = self.grid[0]
        text = self.num_prompt_ids + 1 + 3
        per_frame = (self.length - text - _TRAILING) // frames
        inside = per_frame * (frames * text + per_frame * frames * (frames + 1) // 2)
        return text * (text + 1) // 2 + inside + 2 * self.length - 1


@dataclass(frozen=True, kw_only=True)
class BatchLoad:
    """The work of the model for a batch on one rank."""

    num_tokens: int
    """Tokens: with padding to reckon memory, without it to reckon what the model needs (MFU)."""
    attended_pairs: int
    """Pairs of query and key, over the batch."""
    num_targets: int
    """Masked codes, which carry the loss."""

    @classmethod
    def of(cls, shape: SequenceShape, *, batch_size: int, masked_share: float | int) -> "BatchLoad":
        """Return the load of a batch of samples of one shape."""
        return cls(
            num_tokens=batch_size * shape.length,
            attended_pairs=batch_size * shape.attended_pairs,
            num_targets=round(batch_size * shape.num_codes * masked_share),
        )


def attended_pairs(blocks: Int[Tensor, "B L"]) -> int:
    """Return how many pairs (query, key) of a batch the frame-causal rule allows, padding left out."""
    sample = samples_of(blocks)
    rising = (sample * (int(blocks.max()) + 2) + blocks).contiguous()
    begins = torch.searchsorted(sample, sample) + torch.where(sample == 0, (blocks < 0).sum(1, keepdim=True), 0)
    seen = torch.searchsorted(rising, rising, right=True) - begins
    return int(seen[blocks >= 0].sum())


def expected_masked_share(config: ARDFConfig, *, num_points: int = 4096) -> float:
    """Return the mean share of positions that carry loss in training, over u in (0, 1): the masked ones, or all."""
    if config.predict_all_tokens:
        return 1.0
    u = (torch.arange(num_points) + 0.5) / num_points
    return float(mask_ratio(u, config.schedule, min_ratio=config.min_mask_ratio).mean())


def forward_flops(config: LumosConfig, load: BatchLoad) -> tuple[int, int]:
    """Return the FLOPs of a forward pass: (blocks, head over the visual codes)."""
    width, inner = config.hidden_size, config.intermediate_size
    heads, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    linear = 2 * load.num_tokens * (width * (2 * heads + 2 * kv) + 3 * width * inner)
    attention = 4 * heads * load.attended_pairs
    head = 2 * load.num_targets * width * config.vocabulary.num_codes
    return config.num_hidden_layers * (linear + attention), head


def training_flops(config: LumosConfig, load: BatchLoad, *, frozen: bool = False) -> int:
    """Return the FLOPs of forward and backward that the model needs: the numerator of MFU, nothing twice.

    `frozen` weights (adapters are trained, whose own products are too small to count) need no gradient: of the backward
    of a linear layer half is left, of that of attention all.
    """
    blocks, head = forward_flops(config, load)
    attention = config.num_hidden_layers * 4 * config.num_attention_heads * config.head_dim * load.attended_pairs
    return 3 * (blocks + head) - (blocks - attention + head if frozen else 0)


def recomputed_flops(config: LumosConfig, load: BatchLoad) -> int:
    """Return the FLOPs that activation checkpointing adds: the forward of the blocks once more."""
    return forward_flops(config, load)[0]


def block_activation_bytes(config: LumosConfig, num_tokens: int, *, precision: str = "bf16") -> int:
    """Return the bytes one block keeps for its backward.

    Per token, with c bytes a computed number: 4 D in the residual stream's fp32 (both norms' input and output), the
    casts of both for the products that read them (3 D for q, k, v, 2 D for gate and up), 4 Q (before and after
    rotation, gathered, and its copy for the output product), 3 KV, and 4 F in the MLP. In fp32 there are no casts: two
    norm outputs serve all.
    """
    c, width = COMPUTE_BYTES[precision], config.hidden_size
    heads, kv = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    residual = MASTER_BYTES * 4 * width
    casts = c * (5 if c < MASTER_BYTES else 2) * width
    inside = c * (4 * heads + 3 * kv + 4 * config.intermediate_size)
    return num_tokens * (residual + casts + inside)


def activation_bytes(config: LumosConfig, load: BatchLoad, *, checkpointing: bool, precision: str = "bf16") -> int:
    """Return the bytes kept at the peak of a step: all blocks', or their inputs and one block's while it is redone.

    Beside the blocks: embedding output and final norm, hidden rows and their gradient at the masked codes.
    """
    residual = MASTER_BYTES * config.hidden_size
    block = block_activation_bytes(config, load.num_tokens, precision=precision)
    ends = 3 * residual * load.num_tokens + 2 * residual * load.num_targets
    if checkpointing:
        return config.num_hidden_layers * residual * load.num_tokens + block + ends
    return config.num_hidden_layers * block + ends


def loss_bytes(
    config: LumosConfig, *, chunk: int | None = None, head_trained: bool = True, precision: str = "bf16"
) -> int:
    """Return the bytes of the head's work: a chunk of logits (twice fp32, twice bf16) and what its gradient takes.

    That is the fp32 gradient of the whole head, text included, and in half precision the product of one chunk with its
    codes.
    """
    codes, width = config.vocabulary.num_codes, config.hidden_size
    logits = (chunk or _CHUNK_ROWS) * codes * (2 * MASTER_BYTES + 2 * COMPUTE_BYTES["bf16"])
    compute = COMPUTE_BYTES[precision]
    product = compute * codes * width if compute < MASTER_BYTES else 0
    return logits + (MASTER_BYTES * config.vocab_size * width + product if head_trained else 0)
