"""The transformer of Lumos-1: a Llama with per-head query/key norms, MM-RoPE and frame-causal attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.attention import AttentionLayout, frame_causal_attention, frame_layout
from lumos.lumos1.model.cache import KVCache, LayerHistory
from lumos.lumos1.model.linear import Linear
from lumos.lumos1.model.rope import Rotation, mm_rope, mm_rotation


class RMSNorm(nn.Module):
    """weight * x / sqrt(mean(x^2) + eps), the mean in fp32."""

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the normed `x`, in its dtype."""
        if x.is_cuda:  # one kernel instead of eight; it too takes the mean in fp32
            return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)
        # The norm accumulates in fp32 without an fp32 copy of x: in bf16 on a CPU six times faster than x.float().
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = (norm.square() / x.shape[-1] + self.eps).rsqrt()
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)


class HeadNorm(nn.Module):
    """Layer norm over the channels of each head; row r of the parameters serves the r-th share of the heads."""

    def __init__(self, config: LumosConfig) -> None:
        super().__init__()
        shape = (config.model_parallel_size, config.head_dim)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Float[Tensor, "B L N E"]) -> Float[Tensor, "B L N E"]:
        """Return the normed heads, in the dtype of `x`."""
        shares, head_dim = self.weight.shape
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if shares == 1:
            return F.layer_norm(x, (head_dim,), weight[0], bias[0], eps=1e-5).to(x.dtype)
        normed = F.layer_norm(x, (head_dim,), eps=1e-5).to(x.dtype)
        by_share = normed.unflatten(-2, (shares, -1))
        return torch.addcmul(bias[:, None], by_share, weight[:, None]).flatten(-3, -2)


class Attention(nn.Module):
    """Frame-causal attention with grouped key/value heads."""

    def __init__(self, config: LumosConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width, bias = config.hidden_size, config.attention_bias
        heads_width = config.num_attention_heads * config.head_dim
        kv_width = config.num_key_value_heads * config.head_dim
        self.q_proj = Linear(width, heads_width, bias=bias)
        self.k_proj = Linear(width, kv_width, bias=bias)
        self.v_proj = Linear(width, kv_width, bias=bias)
        self.o_proj = Linear(heads_width, width, bias=bias)
        self.q_norm = HeadNorm(config)
        self.k_norm = HeadNorm(config)

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        rotation: Rotation,
        layout: AttentionLayout,
        *,
        cache: LayerHistory | None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the attention output of the tokens `x`, or only of those in columns `only`.

        Args:
            x: the new tokens; all of them are keys and values.
            rotation: of `x`.
            layout: structure of the tokens whose output is asked for.
            cache: keys and values of earlier tokens, which are attended to as well; those of `x` are appended.
            only: columns of `x` whose output is asked for; None is all.
        """
        queries, query_rotation = x, rotation
        if only is not None:
            queries = columns(x, only)
            query_rotation = Rotation(*(columns(turns, only) for turns in rotation))
        inputs = ((self.q_proj, queries), (self.k_proj, x), (self.v_proj, x))
        q, k, v = (proj(tokens).unflatten(-1, (-1, self.head_dim)) for proj, tokens in inputs)
        q, k = self.q_norm(q), self.k_norm(k)
        if only is None and q.is_cuda and not torch.is_grad_enabled():
            # A frame's pass waits for its launches rather than its bytes: three for both instead of three for each.
            q, k = mm_rope(torch.cat([q, k], dim=2), rotation).split([q.shape[2], k.shape[2]], dim=2)
        else:
            q, k = mm_rope(q, query_rotation), mm_rope(k, rotation)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        attended = frame_causal_attention(q, k, v, layout) if cache is None else cache.attend(q, k, v, layout)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """SwiGLU: down(silu(gate x) * up x)."""

    def __init__(self, config: LumosConfig) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj = Linear(width, inner, bias=bias)
        self.up_proj = Linear(width, inner, bias=bias)
        self.down_proj = Linear(inner, width, bias=bias)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the layer's output."""
        gate, up = self.gate_proj(x), self.up_proj(x)
        if torch.is_grad_enabled():
            return self.down_proj(F.silu(gate) * up)
        # In place the product costs no new pages, which on a CPU cost more than the arithmetic.
        return self.down_proj(F.silu(gate, inplace=True).mul_(up))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); with `swin_norm` the norms come after their sublayer."""

    def __init__(self, config: LumosConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.swin_norm = config.swin_norm
        self.dropout = config.dropout

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        rotation: Rotation,
        layout: AttentionLayout,
        *,
        cache: LayerHistory | None = None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the residual stream after this block, of the tokens in columns `only` (None: of all)."""
        norm = self.input_layernorm
        attended = self.self_attn(x if self.swin_norm else norm(x), rotation, layout, cache=cache, only=only)
        x = x if only is None else columns(x, only)
        x = x + self._dropped(norm(attended) if self.swin_norm else attended)
        norm = self.post_attention_layernorm
        expanded = self.mlp(x if self.swin_norm else norm(x))
        return x + self._dropped(norm(expanded) if self.swin_norm else expanded)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class LumosModel(nn.Module):
    """Embedding, blocks and final norm."""

    def __init__(self, config: LumosConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self,
        input_ids: Int[Tensor, "B L"],
        positions: Int[Tensor, "B 3 L"] | Rotation,
        layout: AttentionLayout,
        *,
        cache: KVCache | None = None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the hidden states after the final norm.

        Args:
            input_ids: token ids; with a cache, only the new ones.
            positions: (t, y, x) of these tokens, or the rotation made of them (`rotation_of`).
            layout: their structure; see `layout_of`.
            cache: keys and values of the tokens before; the new ones are written behind.
            only: the columns that are wanted; the last block computes no others. Part of the columns can be asked for
                of a single frame only; none at all (M = 0) of any tokens, which fills the cache and nothing else.
        """
        x = self.embed_tokens(input_ids)
        rotation = positions if isinstance(positions, Rotation) else self.rotation_of(positions)
        caches = [None if cache is None else cache.layer(index) for index in range(len(self.layers))]
        *blocks, last = self.layers
        for block, own in zip(blocks, caches[:-1], strict=True):
            x = block(x, rotation, layout, cache=own)
        if only is not None and only.shape[1] > 0:
            assert all(len(group.segments) == 1 and group.segments[0].is_frame for group in layout.groups)
            layout = frame_layout(*only.shape, kernels=layout.kernels)
        return self.norm(last(x, rotation, layout, cache=caches[-1], only=only))

    def rotation_of(self, positions: Int[Tensor, "B 3 L"]) -> Rotation:
        """Return the rotation of tokens at these positions, in the dtype that the blocks compute in."""
        device, dtype = positions.device.type, self.embed_tokens.weight.dtype
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        config = self.config
        return mm_rotation(
            positions, head_dim=config.head_dim, theta=config.rope_theta, rotary=config.rotary, dtype=dtype
        )


def columns(x: Float[Tensor, "B L D"], only: Int[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
    """Return the tokens in columns `only` of each row."""
    return x.gather(1, only[..., None].expand(-1, -1, x.shape[-1]))
