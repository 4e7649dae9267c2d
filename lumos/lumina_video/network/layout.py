"""Where the tokens of a call stand: items as rows of a batch, or of different sizes in one row (README section 2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.lumina_video.network.text_states import KeysValues
from xllmx.kernels.attention import Spans, attention, packed_attention


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """What all blocks of a call share. No token sees one of another item.

    ::

        items of 3 and 3 tokens    [a a a]      of 3 and 2, packed    [a a a b b]
                                   [b b b]
    """

    is_packed: bool
    """Whether the items stand in one row."""
    items: Spans
    """Tokens of each item."""
    rotation: Float[Tensor, "L E2 2"]
    """RoPE of each token of a row; see `rotation_of`."""
    texts: Spans
    """Text tokens of each item."""
    text_mask: Bool[Tensor, "B S"] | None
    """True where a text token is valid; None where all are."""
    backend: str
    """Of attention: `sdpa`, `cudnn` or `flash`."""

    def spread(self, vectors: Float[Tensor, "B D"]) -> Float[Tensor, "rows L D"]:
        """Return one vector an item as one a token: [B, 1, D] to be broadcast, or [1, L, D] of a packed row."""
        return _repeated(vectors, self.items.lengths)[None] if self.is_packed else vectors[:, None]

    def self_attention(
        self, q: Float[Tensor, "rows L N E"], k: Float[Tensor, "rows L K E"], v: Float[Tensor, "rows L K E"]
    ) -> Float[Tensor, "rows L N E"]:
        """Return what each token gathers from all tokens of its item."""
        if self.is_packed:
            spans = {"queries": self.items, "keys": self.items}
            return packed_attention(q[0], k[0], v[0], **spans, backend=self.backend)[None]
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return attention(q, k, v, backend=self.backend).transpose(1, 2)

    def text_attention(self, q: Float[Tensor, "rows L N E"], text: KeysValues) -> Float[Tensor, "rows L N E"]:
        """Return what each token gathers from the valid text tokens of its item."""
        if self.is_packed or (self.text_mask is not None and self.backend == "flash"):
            keys, values = (_join(x, self.texts.lengths) for x in text)
            spans = {"queries": self.items, "keys": self.texts}
            return packed_attention(q.flatten(0, 1), keys, values, **spans, backend=self.backend).view_as(q)
        mask = None if self.text_mask is None else self.text_mask[:, None, None]
        q, k, v = (x.transpose(1, 2) for x in (q, *text))
        return attention(q, k, v, mask=mask, backend=self.backend).transpose(1, 2)


@torch.compiler.disable(reason="see packed_attention")
def _repeated(vectors: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return vector i `lengths[i]` times, [L, D]. Expanded: the gradients of an index would be added one by one."""
    return torch.cat([vector.expand(length, -1) for vector, length in zip(vectors, lengths, strict=True)])


@torch.compiler.disable(reason="see packed_attention")
def _join(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """Return the first `lengths[i]` of each row i, one behind another."""
    return torch.cat([row[:length] for row, length in zip(x, lengths, strict=True)])
