"""Sequences of different lengths through the model in one pass, one behind another in a single row.

Norms and products with weights take all tokens together. Attention goes sequence by sequence, each over a cache of its
own, in the very calls that it takes alone: so no padding is computed, and no sequence sees or disturbs another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.model.attention import AttentionLayout, frame_layout
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import Rotation


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """New tokens of one sequence."""

    ids: Int[Tensor, "L"]
    """The tokens: text, or one frame."""
    rotation: Rotation
    """Of them, of one row."""
    layout: AttentionLayout
    """Of them, in one row."""
    cache: KVCache
    """The tokens before, of one row. The new ones are written behind the kept ones; nothing is kept (`advance`)."""
    only: Int[Tensor, "M"]
    """Columns of the tokens that are wanted: some of one frame, or none, which fills the cache and nothing else."""


def packed_hidden(model: LumosForCausalLM, passes: Sequence[Pass]) -> list[Float[Tensor, "_ D"]]:
    """Return the hidden states after the final norm in the wanted columns of each pass, [M, D].

    ::

        ids of two frames and a text     a a a a b b b b c c c
        wanted: columns 1, 2 of a, 0 of b      x x   x
    """
    network, starts = model.model, [0, *accumulate(len(one.ids) for one in passes)]
    rotation = Rotation(*(torch.cat(turns, dim=1) for turns in zip(*(one.rotation for one in passes), strict=True)))
    only = torch.cat([one.only + start for one, start in zip(passes, starts, strict=False)])[None]
    whole = frame_layout(1, starts[-1])  # of no effect: each pass has its own
    x = network.embed_tokens(torch.cat([one.ids for one in passes])[None])
    *blocks, last = network.layers
    for index, block in enumerate(blocks):
        x = block(x, rotation, whole, cache=_PackedLayer(passes, index))
    x = network.norm(last(x, rotation, whole, cache=_PackedLayer(passes, len(blocks), is_last=True), only=only))
    return list(x[0].split([len(one.only) for one in passes]))


class _PackedLayer:
    """One layer's caches of all passes; see `lumos.lumos1.model.cache.LayerHistory`."""

    def __init__(self, passes: Sequence[Pass], layer: int, *, is_last: bool = False) -> None:
        self._caches = [one.cache.layer(layer) for one in passes]
        self._num_keys = [len(one.ids) for one in passes]
        self._num_queries, self._layouts = self._num_keys, [one.layout for one in passes]
        if is_last:
            self._num_queries = [len(one.only) for one in passes]
            self._layouts = [frame_layout(1, len(one.only), kernels=one.layout.kernels) for one in passes]

    @torch.compiler.disable(reason="lengths are Python's numbers: traced, every set of them would compile again")
    def attend(
        self,
        q: Float[Tensor, "1 N L E"],
        k: Float[Tensor, "1 K S E"],
        v: Float[Tensor, "1 K S E"],
        layout: AttentionLayout,
    ) -> Float[Tensor, "1 N L E"]:
        """Return what the queries of each pass gather from its own tokens; `layout` says nothing of them."""
        parts = q.split(self._num_queries, dim=2), k.split(self._num_keys, dim=2), v.split(self._num_keys, dim=2)
        gathered = [
            cache.attend(*own, own_layout)
            for cache, own_layout, *own in zip(self._caches, self._layouts, *parts, strict=True)
        ]
        # Joined such that the heads of a token are neighbours in memory, as the output layer wants.
        return torch.cat([one.transpose(1, 2) for one in gathered], dim=1).transpose(1, 2)
