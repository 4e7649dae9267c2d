"""The transformer of Lumos-1: a Llama with per-head query/key norms, MM-RoPE and frame-causal attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.attention import AttentionPlan, cached_attention, frame_causal_attention, frame_plan
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.linear import Linear
from lumos.lumos1.model.rope import mm_rope, mm_rope_angles

Rotation = tuple[Tensor, Tensor]
"""cos and sin of `mm_rope_angles`."""


class RMSNorm(nn.Module):
    """weight * x / sqrt(mean(x^2) + eps), the mean in fp32."""

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the normed `x`, in its dtype."""
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
        heads = x.shape[-2] // shares
        return torch.addcmul(bias.repeat_interleave(heads, 0), normed, weight.repeat_interleave(heads, 0))


class Attention(nn.Module):
    """Frame-causal attention with grouped key/value heads."""

    def __init__(self, config: LumosConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
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
        plan: AttentionPlan,
        *,
        cache: KVCache | None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the attention output of the tokens `x`, or only of those in columns `only`.

        Args:
            x: the new tokens; all of them are keys and values.
            rotation: of `x`.
            plan: structure of the tokens whose output is asked for.
            cache: keys and values of earlier tokens, which are attended to as well; those of `x` are appended.
            only: columns of `x` whose output is asked for; None is all.
        """
        queries, query_rotation = x, rotation
        if only is not None:
            queries = columns(x, only)
            query_rotation = columns(rotation[0], only), columns(rotation[1], only)
        inputs = ((self.q_proj, queries), (self.k_proj, x), (self.v_proj, x))
        q, k, v = (proj(tokens).unflatten(-1, (-1, self.head_dim)) for proj, tokens in inputs)
        q, k = mm_rope(self.q_norm(q), *query_rotation), mm_rope(self.k_norm(k), *rotation)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if cache is None:
            attended = frame_causal_attention(q, k, v, plan)
        else:
            keys, values = cache.append(self.layer, k, v)
            if q.shape[2] == 0:
                return queries
            attended = cached_attention(q, keys, values, plan, starts=cache.starts)
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

    def __init__(self, config: LumosConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.swin_norm = config.swin_norm
        self.dropout = config.dropout

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        rotation: Rotation,
        plan: AttentionPlan,
        *,
        cache: KVCache | None = None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the residual stream after this block, of the tokens in columns `only` (None: of all)."""
        norm = self.input_layernorm
        attended = self.self_attn(x if self.swin_norm else norm(x), rotation, plan, cache=cache, only=only)
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
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self,
        input_ids: Int[Tensor, "B L"],
        positions: Int[Tensor, "B 3 L"],
        plan: AttentionPlan,
        *,
        cache: KVCache | None = None,
        only: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Return the hidden states after the final norm.

        Args:
            input_ids: token ids; with a cache, only the new ones.
            positions: (t, y, x) of these tokens.
            plan: their structure; see `plan_of`.
            cache: keys and values of the tokens before; the new ones are written behind.
            only: the columns that are wanted; the last block computes no others. Part of the columns can be asked for
                of a single frame only; none at all (M = 0) of any tokens, which fills the cache and nothing else.
        """
        x = self.embed_tokens(input_ids)
        rotation = mm_rope_angles(positions, head_dim=self.config.head_dim, theta=self.config.rope_theta)
        *blocks, last = self.layers
        for block in blocks:
            x = block(x, rotation, plan, cache=cache)
        if only is not None and only.shape[1] > 0:
            assert all(len(group.segments) == 1 and group.segments[0].is_frame for group in plan.groups)
            plan = frame_plan(*only.shape)
        return self.norm(last(x, rotation, plan, cache=cache, only=only))


def columns(x: Float[Tensor, "B L D"], only: Int[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
    """Return the tokens in columns `only` of each row."""
    return x.gather(1, only[..., None].expand(-1, -1, x.shape[-1]))
