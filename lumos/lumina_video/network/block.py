"""One block of the network: attention to the video and to the text, then a feed-forward layer (README section 2.5)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.network.layout import Layout
from lumos.lumina_video.network.rope import rotate
from lumos.lumina_video.network.text_states import KeysValues

_QK_NORM_EPS = 1e-5  # whatever `norm_eps` is


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps) * weight, in the dtype of x."""

    def forward(
        self, x: Float[Tensor, "rows L D"], factor: Float[Tensor, "rows _ D"] | None = None
    ) -> Float[Tensor, "rows L D"]:
        """Return the normed `x`, times `factor` where it is given.

        The factor, of an item rather than of a token as a rule, is multiplied with the weight, not with all of x.
        """
        weight = self.weight if factor is None else self.weight * factor
        return F.rms_norm(x, self.normalized_shape, eps=self.eps) * weight.to(x.dtype)


class LayerNorm(nn.LayerNorm):
    """Torch's, which on CPUs takes no weights narrower than x: those of a sharded model are gathered in bf16."""

    def forward(self, x: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Return the normed `x`, in its dtype or autocast's."""
        if x.dtype != torch.float32:
            return super().forward(x)
        return F.layer_norm(x, self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class Attention(nn.Module):
    """softmax(q k^T / sqrt(E)) v over the item plus tanh(gate) * softmax(q ky^T / sqrt(E)) vy over its text.

    Two softmaxes, one gate a head. With `qk_norm` q, k and ky go through a layer norm over all heads together, before
    RoPE; the text's keys get no RoPE, and the turned q is used for both.
    """

    def __init__(self, config: LuminaVideoConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width, kv_width = config.dim, config.num_kv_heads * config.head_dim
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, kv_width, bias=False)
        self.wv = nn.Linear(width, kv_width, bias=False)
        self.wk_y = nn.Linear(config.cap_feat_dim, kv_width, bias=False)
        self.wv_y = nn.Linear(config.cap_feat_dim, kv_width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(config.n_heads))
        self.q_norm, self.k_norm, self.ky_norm = (
            nn.LayerNorm(normed, eps=_QK_NORM_EPS) if config.qk_norm else nn.Identity()
            for normed in (width, kv_width, kv_width)
        )

    def forward(self, x: Float[Tensor, "rows L D"], text: KeysValues, layout: Layout) -> Float[Tensor, "rows L D"]:
        """Return what the tokens gather from the video and the text of their item."""
        v = self._heads(self.wv(x))
        # A norm may come back in fp32 under autocast; attention wants one dtype.
        q = rotate(self._heads(self.q_norm(self.wq(x)).to(v.dtype)), layout.rotation)
        k = rotate(self._heads(self.k_norm(self.wk(x)).to(v.dtype)), layout.rotation)
        gates = self.gate.tanh().to(v.dtype)[:, None]
        gathered = layout.self_attention(q, k, v) + gates * layout.text_attention(q, text)
        return self.wo(gathered.flatten(2))

    def keys_values(self, features: Float[Tensor, "B S D"]) -> KeysValues:
        """Return keys and values of the normed text features."""
        values = self.wv_y(features)
        keys = self.ky_norm(self.wk_y(features)).to(values.dtype)
        return KeysValues(keys=self._heads(keys), values=self._heads(values))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim))


class FeedForward(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self, config: LuminaVideoConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.ffn_width, bias=False)
        self.w2 = nn.Linear(config.ffn_width, config.dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.ffn_width, bias=False)

    def forward(self, x: Float[Tensor, "rows L D"]) -> Float[Tensor, "rows L D"]:
        """Return the layer's output."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """Attention and feed-forward layer, each between two RMS norms, scaled and gated by the conditioning vector.

    ::

        scale1, gate1, scale2, gate2 = W silu(cond)
        x <- x + tanh(gate1) * norm2(Attention(norm1(x) * (1 + scale1), text))
        x <- x + tanh(gate2) * norm2'(FeedForward(norm1'(x) * (1 + scale2)))
    """

    def __init__(self, config: LuminaVideoConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)
        self.attention_norm1 = RMSNorm(config.dim, eps=config.norm_eps)
        self.attention_norm2 = RMSNorm(config.dim, eps=config.norm_eps)
        self.ffn_norm1 = RMSNorm(config.dim, eps=config.norm_eps)
        self.ffn_norm2 = RMSNorm(config.dim, eps=config.norm_eps)
        self.attention_y_norm = RMSNorm(config.cap_feat_dim, eps=config.norm_eps)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.conditioning_width, 4 * config.dim))

    def forward(
        self,
        x: Float[Tensor, "rows L D"],
        cond: Float[Tensor, "B c"],
        text: KeysValues | Float[Tensor, "B S Y"],
        layout: Layout,
    ) -> Float[Tensor, "rows L D"]:
        """Return the tokens after this block.

        Args:
            x: the tokens, a row an item or all in one row.
            cond: the conditioning vector of each item.
            text: what `keys_values` made of the text features, or those themselves.
            layout: where the items stand.
        """
        known = text if isinstance(text, KeysValues) else self.keys_values(text)
        scale1, gate1, scale2, gate2 = self.adaLN_modulation(cond).chunk(4, dim=-1)
        gathered = self.attention(self.attention_norm1(x, layout.spread(1 + scale1)), known, layout)
        x = x + self.attention_norm2(gathered, layout.spread(gate1.tanh()))
        expanded = self.feed_forward(self.ffn_norm1(x, layout.spread(1 + scale2)))
        return x + self.ffn_norm2(expanded, layout.spread(gate2.tanh()))

    def keys_values(self, features: Float[Tensor, "B S Y"]) -> KeysValues:
        """Return what this block attends to of texts, given the raw features."""
        return self.attention.keys_values(self.attention_y_norm(features))


class Head(nn.Module):
    """Tokens to patches of one scale: Linear(LayerNorm(x) * (1 + W silu(cond)))."""

    def __init__(self, config: LuminaVideoConfig, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(config.dim, width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.conditioning_width, config.dim))

    def forward(
        self, x: Float[Tensor, "rows L D"], cond: Float[Tensor, "B c"], layout: Layout
    ) -> Float[Tensor, "rows L P"]:
        """Return the patches."""
        scale = layout.spread(1 + self.adaLN_modulation(cond))
        return self.linear(F.layer_norm(x, x.shape[-1:], eps=1e-6) * scale)
